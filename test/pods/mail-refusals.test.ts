import assert from 'node:assert/strict';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { DAY } from '../../src/platform/clock.ts';
import { makeBundle } from '../support/bundles.ts';
import { publishByHand, switchByHand } from '../support/hand-publication.ts';
import { HOSTNAME, mailStatus, servedByMailPorts, untilMailReady, untilMailServes } from '../support/mail.ts';
import { eventually, podHost } from '../support/pods.ts';

const host = await podHost({ after });
const root = join(host.data, 'certificates');
let generation = 0;

interface Bad {
  readonly what: string;
  /** What /readyz and status say. */
  readonly because: RegExp;
  /** Makes a generation of that number the current one. */
  readonly publish: (number: number) => Promise<void>;
}

const bundle = (wish: Parameters<typeof makeBundle>[0] = {}): ReturnType<typeof makeBundle> => makeBundle({ names: [HOSTNAME], ...wish });

const BADS: readonly Bad[] = [
  {
    what: 'with the key of another certificate',
    because: /privkey\.pem.*key does not belong/,
    publish: async (number) => publishByHand(root, 'default', number, await bundle(), { privateKeyPem: (await bundle()).privateKeyPem }),
  },
  {
    what: 'that is garbage',
    because: /privkey\.pem/,
    publish: async (number) => publishByHand(root, 'default', number, await bundle(), { privateKeyPem: 'garbage\n' }),
  },
  {
    what: 'that has expired',
    because: /it expired at .*, and what is served is valid/,
    publish: async (number) =>
      publishByHand(root, 'default', number, await bundle({ notBefore: Date.now() - 3 * DAY, notAfter: Date.now() - DAY })),
  },
  {
    what: 'whose files are missing',
    because: /missing/,
    publish: async (number) => {
      publishByHand(root, 'other', number, await bundle());
      publishByHand(root, 'default', number, await bundle());
      const directory = join(root, 'default/..data/');
      for (const file of readdirSync(directory)) rmSync(join(directory, file));
      switchByHand(root, 'default', number);
    },
  },
];

before(async () => {
  writeFileSync(
    join(host.data, 'config/podserve.yaml'),
    JSON.stringify({
      domain: 'lab.example',
      certificates: [{ name: 'default', names: [HOSTNAME], consumers: ['mail'] }],
      mail: { hostname: HOSTNAME },
    }),
  );
  publishByHand(root, 'default', (generation += 1), await bundle());
  await host.play('mail.yaml', { settings: { DOMAIN: '' } });
  await untilMailReady(host);
});

for (const { what, because, publish } of BADS) {
  test(`a generation ${what} is never loaded: the old one is served on every port, readyz and status say why, and the next is taken`, async () => {
    const served = await servedByMailPorts();
    assert.equal(new Set(served).size, 1);
    await publish((generation += 1));
    const said = async (): Promise<boolean> => because.test((await mailStatus(host)).reasons.join('\n'));
    await eventually(said, 'status says why', 20_000, async () => JSON.stringify(await mailStatus(host)));
    const ready = await host.exec('mail-mail', ['podserve-ready']);
    assert.notEqual(ready.code, 0);
    assert.match(ready.stdout + ready.stderr, because);
    assert.equal((await host.exec('mail-mail', ['podserve-alive'])).code, 0);
    // A banner would stay as it is with a broken key: only handshakes tell.
    assert.deepEqual(await servedByMailPorts(), served);

    publishByHand(root, 'default', (generation += 1), await bundle());
    await untilMailServes(host, Date.now());
    await untilMailReady(host, 10_000);
    assert.notDeepEqual(await servedByMailPorts(), served);
  });
}

test('when the daemon that keeps the mailboxes ends, the ports of IMAP are closed until it is there again, by itself', async () => {
  const pidOf = async (name: string): Promise<number | undefined> =>
    (await mailStatus(host)).daemons.find((daemon) => daemon.name === name)?.pid ?? undefined;
  const [dovecot, login] = [await pidOf('dovecot'), await pidOf('dovecot-login')];
  await host.must(['exec', 'mail-mail', 'bash', '-c', `kill -9 ${dovecot}`]);
  await eventually(
    async () => {
      const [again, ports] = [await pidOf('dovecot'), await pidOf('dovecot-login')];
      return again !== undefined && ports !== undefined && again !== dovecot && ports !== login;
    },
    'both run anew',
    20_000,
    () => host.logs('mail-mail'),
  );
  await untilMailReady(host, 20_000);
  await untilMailServes(host, Date.now());
});
