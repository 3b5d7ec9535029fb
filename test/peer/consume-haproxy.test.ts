import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { fingerprint, newBundle } from '../support/apache.ts';
import { run, type Running } from '../support/command.ts';
import { consumeStack, nginx, startMaster, type ConsumeStack } from '../support/consume.ts';
import { publishByHand } from '../support/hand-publication.ts';
import { longDownload, startLoad } from '../support/load.ts';
import { scaled } from '../support/scale.ts';
import { freePort } from '../support/scratch.ts';

const RENEWALS = scaled(200);
const isServed = ({ ready }: { ready: boolean }): boolean => ready;

/** The commands of docs/consume.md, by how HAProxy is brought to take a new certificate. */
const DOCUMENTED = commandsOf('HAProxy');

for (const [way, command] of Object.entries(DOCUMENTED)) {
  test(`renewals under load break no request of HAProxy: ${way}`, async (t) => {
    const { stack, haproxy, large, onChange, check } = await serving(t, command);
    stack.start({ onChange: stack.noting(onChange), check });
    await stack.until(isServed);
    const renewals = RENEWALS;
    const load = await startLoad(t, { port: stack.port, connections: 3, keepAlive: 3, small: '/small.txt', large: '/large.bin' });
    const took: number[] = [];
    for (let count = 0; count < renewals; count += 1) {
      const bundle = await stack.publish();
      const renamed = lstatSync(join(stack.root, 'default/..data')).ctimeMs;
      while ((await stack.served()) !== fingerprint(bundle)) await setTimeout(5);
      took.push(Date.now() - renamed);
      await stack.until(({ ready, certificates }) => ready && certificates[0]?.served?.leafSha256 === fingerprint(bundle));
    }
    const counts = await load.stop();
    t.diagnostic(
      `${renewals} renewals: rename to served at most ${Math.max(...took).toFixed(0)} ms; ${counts.newConnections} new connections, ` +
        `${counts.keptRequests} requests on kept ones, ${counts.failures.length} failed, ${counts.retried} sent again`,
    );
    assert.deepEqual(counts.failures, []);
    assert.deepEqual(counts.download, { bytes: large.length, sha256: createHash('sha256').update(large).digest('hex') });
    assert.ok(counts.newConnections > renewals && counts.keptRequests > renewals, 'there was hardly any load');
    assert.ok(Math.max(...took) < 2000, `the slowest took ${Math.max(...took)} ms`);
    assert.equal(stack.calls(), renewals);
    assert.equal(haproxy.child.exitCode, null);
  });

  test(`a generation that does not match never reaches HAProxy, and one that it does not take is taken back: ${way}`, async (t) => {
    const { stack, haproxy, onChange, check, first } = await serving(t, command);
    stack.start({ onChange: stack.noting(`test "$PODSERVE_GENERATION" != 3 || exit 1; ${onChange}`), check });
    await stack.until(isServed);
    const other = await newBundle();
    publishByHand(stack.root, 'default', 2, await newBundle(), { privateKeyPem: other.privateKeyPem });
    const refused = await stack.until(({ certificates: all }) => all[0]?.state === 'rejected');
    assert.match(refused.certificates[0]?.reason ?? '', /generation 2: .*does not belong.*generation 1 is still served/);
    assert.equal(stack.calls(), 0);
    publishByHand(stack.root, 'default', 3, await newBundle());
    const back = await stack.until(
      ({ certificates: [one] }) => one?.state === 'rejected' && one.published?.generation === 3 && one.served !== null,
    );
    assert.match(back.certificates[0]?.reason ?? '', /generation 3: .*--on-change failed.*generation 1 is still served/);
    assert.equal(await stack.served(), fingerprint(first));
    publishByHand(stack.root, 'default', 4, other);
    await stack.until(isServed);
    assert.equal(await stack.served(), fingerprint(other));
    // Whatever is done with HAProxy by others, it starts on the copy.
    assert.equal((await run('sh', ['-c', check])).code, 0);
    assert.equal(haproxy.child.exitCode, null);
  });
}

interface Serving {
  readonly stack: ConsumeStack;
  readonly haproxy: Running;
  readonly large: Buffer;
  readonly first: Awaited<ReturnType<typeof newBundle>>;
  readonly onChange: string;
  readonly check: string;
}

/** HAProxy with the copy's combined.pem before an nginx without TLS, after consume has delivered a first generation. */
async function serving(t: TestContext, documented: Documented): Promise<Serving> {
  const stack = await consumeStack(t);
  const at = (name: string): string => join(stack.directory, name);
  const plain = await freePort();
  const behind = nginx(t, stack, plain);
  const large = longDownload(RENEWALS);
  writeFileSync(join(behind.served, 'large.bin'), large);
  await behind.start();
  const lines = [
    'global',
    `  stats socket ${at('admin.sock')} mode 600 level admin expose-fd listeners`,
    '  ssl-default-bind-options ssl-min-ver TLSv1.2',
    'defaults',
    '  mode http',
    '  timeout connect 5s',
    '  timeout client 60s',
    '  timeout server 60s',
    'frontend tls',
    `  bind 127.0.0.1:${stack.port} ssl crt ${stack.copy}/combined.pem`,
    '  default_backend web',
    'backend web',
    `  server nginx 127.0.0.1:${plain}`,
  ];
  writeFileSync(at('haproxy.cfg'), `${lines.join('\n')}\n`);
  const here = (command: string): string =>
    command
      .replaceAll('/run/haproxy.pid', at('haproxy.pid'))
      .replaceAll('/run/haproxy/admin.sock', at('admin.sock'))
      .replaceAll('/etc/haproxy/haproxy.cfg', at('haproxy.cfg'));
  const [onChange, check] = [here(documented.onChange), here(documented.check)];
  const first = await stack.publish();
  const { code, stderr } = await stack.once({ onChange, check });
  assert.equal(code, 0, stderr);
  const haproxy = startMaster(t, '/usr/sbin/haproxy', ['-W', '-f', at('haproxy.cfg'), '-p', at('haproxy.pid')], 'SIGTERM');
  for (let waited = 0; waited < 10_000; waited += 50) {
    if (
      await stack.served().then(
        () => true,
        () => false,
      )
    )
      break;
    await setTimeout(50);
  }
  assert.equal(await stack.served(), fingerprint(first));
  return { stack, haproxy, large, first, onChange, check };
}

interface Documented {
  readonly onChange: string;
  readonly check: string;
}

/** The `podserve consume` lines of a chapter of docs/consume.md, by the sentence before them. */
function commandsOf(chapter: string): Record<string, Documented> {
  const page = readFileSync(new URL('../../docs/consume.md', import.meta.url), 'utf8');
  const text = page.split(/^## /m).find((part) => part.startsWith(chapter)) ?? '';
  const found = [...text.matchAll(/^By (.*?)[:,][^\n]*\n\n```sh\n([^`]*)```/gm)].map(([, way = '', shell = '']) => {
    const option = (name: string): string => new RegExp(`--${name} '([^']*)'`).exec(shell)?.[1] ?? '';
    return [way, { onChange: option('on-change'), check: option('check') }] as const;
  });
  assert.equal(found.length, 2, 'docs/consume.md has lost an example');
  return Object.fromEntries(found);
}
