import { request } from 'node:https';

/** Gets a page from a server on this host, trusting only the roots in `ca`. */
export function getPage(url: string, ca: string): Promise<{ status: number | undefined; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number | undefined; body: string }>();
  const asked = request(url, { ca, agent: false }, (response) => {
    let body = '';
    response.setEncoding('utf8').on('data', (data: string) => (body += data));
    response.once('end', () => resolve({ status: response.statusCode, body }));
  });
  asked.once('error', reject);
  asked.end();
  return promise;
}
