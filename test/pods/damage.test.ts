import assert from 'node:assert/strict';
import { readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { ecKey } from '../support/acme-ordering.ts';
import { eventually, podHost } from '../support/pods.ts';
import {
  apacheStatus,
  assertUnharmed,
  certificatesStatus,
  configureSite,
  playBoth,
  provideFiles,
  publishedLeaf,
  servedLeaf,
  startWebLoad,
  untilServed,
} from '../support/pods-web.ts';

interface Damage {
  readonly what: string;
  /** What `podserve status` says. */
  readonly because: RegExp;
  readonly to: (directory: string) => void;
}

const DAMAGES: readonly Damage[] = [
  {
    what: 'all files of the certificate are deleted',
    because: /it is missing/,
    to: (directory) => {
      for (const file of readdirSync(directory)) rmSync(join(directory, file));
    },
  },
  {
    what: 'the private key is deleted',
    because: /privkey\.pem: it is missing/,
    to: (directory) => rmSync(join(directory, 'privkey.pem')),
  },
  {
    what: 'the chain is cut off in the middle',
    because: /fullchain\.pem: it is not cert\.pem followed by chain\.pem/,
    to: (directory) => truncateSync(join(directory, 'fullchain.pem'), 300),
  },
  {
    what: 'the certificate is replaced by garbage',
    because: /\/cert\.pem: /,
    to: (directory) => writeFileSync(join(directory, 'cert.pem'), 'garbage\n'),
  },
  {
    what: 'the key is swapped for that of another certificate',
    because: /privkey\.pem.*key does not belong/,
    to: (directory) => writeFileSync(join(directory, 'privkey.pem'), ecKey().export({ type: 'pkcs8', format: 'pem' })),
  },
];

const host = await podHost({ after });
const generation = (): string => join(host.data, 'certificates/default/..data/');

before(async () => {
  provideFiles(host);
  configureSite(host);
  await playBoth(host);
});

for (const { what, because, to } of DAMAGES) {
  test(`${what} while it is served and nobody looks after it: it is served on, status says so, and a new one follows by itself`, async (t) => {
    const served = await servedLeaf();
    await host.removePod('certificates');
    const load = await startWebLoad(t);
    to(generation());
    const told = await host.podserve(['status', '--state', host.data]);
    assert.equal(told.code, 1, told.stdout);
    assert.match(told.stdout, because);
    assert.equal(await servedLeaf(), served);

    await host.play('certificates.yaml');
    const isAnew = async (): Promise<boolean> => ![undefined, served].includes(await publishedLeaf(host).catch(() => served));
    await eventually(isAnew, 'a good one is published', 20_000, () => host.logs('certificates-certificates'));
    await untilServed(host);
    assertUnharmed(await load.stop());
    await eventually(async () => (await apacheStatus(host)).ready, 'Apache’s pod is ready');
    assert.equal((await certificatesStatus(host)).attention, false);
  });
}

test('the running service notices within seconds what was damaged, and mends it without anyone', async (t) => {
  for (const { what, to } of DAMAGES) {
    const served = await servedLeaf();
    const began = Date.now();
    to(generation());
    await eventually(
      async () => ![undefined, served].includes(await publishedLeaf(host).catch(() => served)),
      `a new one is published after ${what}`,
      15_000,
      () => host.logs('certificates-certificates'),
    );
    t.diagnostic(`${what}: published anew after ${Date.now() - began} ms, served ${(await untilServed(host)).toFixed(0)} ms later`);
  }
  await eventually(async () => (await apacheStatus(host)).ready, 'Apache’s pod is ready again');
  assert.equal((await apacheStatus(host)).daemons[0]?.restarts, 0);
});
