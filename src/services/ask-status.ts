import { get } from 'node:http';

/** What a status port answers about a service, or why there is no answer. */
export type StatusAnswer =
  | {
      readonly answers: true;
      readonly ready: boolean;
      readonly reasons: readonly string[];
      /** Of a consumer: the publication that it looks at. */
      readonly publication: string | undefined;
    }
  | { readonly answers: false; readonly why: string };

const LARGEST_ANSWER = 1024 * 1024;

/** Asks a plain status port (status.ts): `/readyz`, which is cheap, or `/status`, which tells more. Never throws. */
export async function askStatus(url: string, path: '/readyz' | '/status', timeoutMs: number): Promise<StatusAnswer> {
  try {
    const answer: unknown = JSON.parse(await fetchText(url + path, timeoutMs));
    if (typeof answer !== 'object' || answer === null || !('ready' in answer))
      return { answers: false, why: `${url} is not a status port` };
    const reasons = 'reasons' in answer && Array.isArray(answer.reasons) ? answer.reasons.map(String) : [];
    const publication = 'publication' in answer && typeof answer.publication === 'string' ? answer.publication : undefined;
    return { answers: true, ready: answer.ready === true, reasons, publication };
  } catch (error) {
    return { answers: false, why: error instanceof Error && 'code' in error ? String(error.code) : String(error) };
  }
}

async function fetchText(url: string, timeoutMs: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const request = get(url, { timeout: timeoutMs, agent: false }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (data: string) => {
      text += data;
      if (text.length > LARGEST_ANSWER) request.destroy(new Error('the answer is too long'));
    });
    response.once('end', () => resolve(text));
    response.once('error', reject);
  });
  request.once('timeout', () => request.destroy(new Error('no answer in time')));
  request.once('error', reject);
  return promise;
}
