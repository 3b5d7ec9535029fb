import { PodserveError } from '../platform/errors.ts';
import type { Context } from './command.ts';

/** Return, line feed, Ctrl-D. */
const ENTER = ['\r', '\n', '\u0004'];
/** Ctrl-C */
const INTERRUPT = '\u0003';
/** Delete, backspace. */
const ERASE = ['\u007f', '\b'];

/** Asks for a password on the terminal, twice, without an echo. @throws PodserveError USAGE without a terminal, or where the two differ */
export async function askTwice(what: string, context: Context): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new PodserveError('USAGE', 'there is no terminal to ask for the password', {
      why: 'standard input is none',
      remedy: 'give it with --password-file FILE (- for standard input), or podman exec -it',
    });
  }
  const first = await ask(`${what}: `, context);
  if ((await ask('Again: ', context)) === first) return first;
  throw new PodserveError('USAGE', 'the two passwords differ', { why: 'they were not typed alike', remedy: 'try once more' });
}

async function ask(prompt: string, context: Context): Promise<string> {
  const { stdin, stderr } = process;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let typed = '';
  const take = (data: string): void => {
    for (const key of data) {
      if (key === INTERRUPT)
        return reject(new PodserveError('USAGE', 'no password was given', { why: 'Ctrl-C', remedy: 'nothing was changed' }));
      if (ENTER.includes(key)) return resolve(typed);
      typed = ERASE.includes(key) ? typed.slice(0, -1) : typed + key;
    }
  };
  stderr.write(prompt);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stdin.on('data', take);
  stdin.resume();
  const abort = (): void => reject(context.signal.reason);
  context.signal.addEventListener('abort', abort, { once: true });
  try {
    return await promise;
  } finally {
    context.signal.removeEventListener('abort', abort);
    stdin.off('data', take);
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}
