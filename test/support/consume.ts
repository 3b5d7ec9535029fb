import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import type { Bundle } from '../../src/certificate/bundle.ts';
import { parseEndpoint } from '../../src/delivery/endpoint.ts';
import { servedLeafSha256 } from '../../src/delivery/probe.ts';
import { newBundle, type StatusAnswer } from './apache.ts';
import { PODSERVE, podserve, start, type Finished, type RunOptions, type Running } from './command.ts';
import { publishOne } from './publishing.ts';
import { freePort, scratchDirectory } from './scratch.ts';

/** A publication, a copy and ports for one `podserve consume` and the daemon that it looks after. */
export interface ConsumeStack {
  readonly directory: string;
  /** The publication. */
  readonly root: string;
  readonly copy: string;
  /** Where the daemon serves TLS. */
  readonly port: number;
  readonly status: number;
  /** A command that notes each call in a file, for `onChange`. */
  noting(command: string): string;
  /** How often such a command was called. */
  calls(): number;
  args(wish: ConsumeWish): string[];
  start(wish: ConsumeWish, options?: RunOptions): Running;
  /** The same with `--once`, to its end. */
  once(wish: ConsumeWish, options?: RunOptions): Promise<Finished>;
  publish(bundle?: Bundle): Promise<Bundle>;
  /** Asks /status until it is as wished; fails with the last answer. */
  until(wish: (status: StatusAnswer) => boolean, ms?: number): Promise<StatusAnswer>;
  metric(name: string): Promise<number>;
  /** The leaf that the daemon serves now, by our own handshake. */
  served(): Promise<string>;
}

export interface ConsumeWish {
  readonly onChange: string;
  readonly check?: string;
  readonly more?: readonly string[];
}

export async function consumeStack(t: TestContext): Promise<ConsumeStack> {
  const directory = scratchDirectory(t);
  // The daemons' workers are other users when root runs the tests.
  chmodSync(directory, 0o755);
  const [root, copy, notes] = [join(directory, 'certificates'), join(directory, 'copy'), join(directory, 'calls')];
  const [port, status] = [await freePort(), await freePort()];
  const endpoint = parseEndpoint(`https://127.0.0.1:${port}`);
  const args = ({ onChange, check, more = [] }: ConsumeWish): string[] => [
    'consume',
    '--dir',
    root,
    '--copy-to',
    copy,
    '--probe',
    endpoint.url,
    '--on-change',
    onChange,
    ...(check === undefined ? [] : ['--check', check]),
    ...more,
  ];
  const ask = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${status}${path}`)).text();
  return {
    directory,
    root,
    copy,
    port,
    status,
    noting: (command) => `echo "$PODSERVE_GENERATION" >> ${notes}; ${command}`,
    calls: () => (existsSync(notes) ? readFileSync(notes, 'utf8').trim().split('\n').length : 0),
    args,
    start: (wish, options = {}) => start(t, PODSERVE, [...args(wish), '--status', `127.0.0.1:${status}`], options),
    once: (wish, options) => podserve([...args(wish), '--once'], options),
    async publish(given) {
      const bundle = given ?? (await newBundle());
      mkdirSync(root, { recursive: true });
      await publishOne(root, 'default', { bundle });
      return bundle;
    },
    async until(wished, ms = 20_000) {
      let last: unknown;
      for (const deadline = Date.now() + ms; Date.now() < deadline; await setTimeout(20)) {
        try {
          const answer = JSON.parse(await ask('/status')) as StatusAnswer;
          last = answer;
          if (wished(answer)) return answer;
        } catch (error) {
          last = error;
        }
      }
      throw new Error(`/status did not become as wished within ${ms} ms`, { cause: last });
    },
    metric: async (name) => Number(new RegExp(`^${name}(?:\\{.*\\})? (\\d+)$`, 'm').exec(await ask('/metrics'))?.[1]),
    served: () => servedLeafSha256(endpoint, { servername: 'localhost', timeoutMs: 3000 }),
  };
}

export interface Nginx {
  /** What has it reload, and what asks it about its configuration. */
  readonly reload: string;
  readonly check: string;
  readonly served: string;
  start(): Promise<Running>;
}

/** Debian's nginx on the stack's port with the copy's files. Serves what is in `stack.directory/www`. */
export function nginx(t: TestContext, { directory, copy, port }: ConsumeStack, plainPort?: number): Nginx {
  const at = (name: string): string => join(directory, name);
  const tls = [
    `listen 127.0.0.1:${port} ssl reuseport;`,
    'server_name localhost;',
    `ssl_certificate ${copy}/fullchain.pem;`,
    `ssl_certificate_key ${copy}/privkey.pem;`,
  ];
  mkdirSync(at('www'), { recursive: true });
  writeFileSync(at('www/small.txt'), 'small');
  const lines = [
    'daemon off;',
    'worker_processes 2;',
    `pid ${at('nginx.pid')};`,
    'error_log stderr notice;',
    'events { worker_connections 256; }',
    'http {',
    '  access_log off;',
    ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `  ${name}_temp_path ${at('tmp')};`),
    `  server { ${plainPort === undefined ? tls.join(' ') : `listen 127.0.0.1:${plainPort};`} root ${at('www')}; }`,
    '}',
  ];
  writeFileSync(at('nginx.conf'), `${lines.join('\n')}\n`);
  const command = `/usr/sbin/nginx -e stderr -c ${at('nginx.conf')}`;
  return {
    reload: `${command} -s reload`,
    check: `${command} -t -q`,
    served: at('www'),
    async start() {
      const running = startMaster(t, '/usr/sbin/nginx', ['-e', 'stderr', '-c', at('nginx.conf')], 'SIGTERM');
      await running.says(/start worker processes/);
      return running;
    },
  };
}

/** Starts a daemon whose workers would outlive a master that is killed: it is asked to end first. */
export function startMaster(t: TestContext, program: string, args: readonly string[], ending: NodeJS.Signals): Running {
  const started: Running[] = [];
  t.after(async () => {
    for (const { child } of started) child.kill(ending);
    await Promise.all(started.map(({ done }) => done));
  });
  const running = start(t, program, args);
  started.push(running);
  return running;
}

/** nginx that serves a first generation which consume has delivered and seen. */
export async function servingNginx(
  t: TestContext,
  more: readonly string[] = [],
): Promise<{ stack: ConsumeStack; daemon: Nginx; first: Bundle }> {
  const stack = await consumeStack(t);
  const daemon = nginx(t, stack);
  const first = await stack.publish();
  const { code, stderr } = await stack.once({ onChange: daemon.reload, more });
  assert.equal(code, 0, stderr);
  await daemon.start();
  return { stack, daemon, first };
}
