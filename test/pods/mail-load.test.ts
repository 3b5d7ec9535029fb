import assert from 'node:assert/strict';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import type { ImapFlow } from 'imapflow';

import { ALICE, BOB, HOSTNAME, addAccount, mailbox, messagesIn, submission, untilMailReady, untilMailServes } from '../support/mail.ts';
import { mountDisk } from '../support/mounts.ts';
import { eventually, podHost } from '../support/pods.ts';
import { publishedLeaf, renew, untilPublished } from '../support/pods-web.ts';
import { scaled } from '../support/scale.ts';

const SENDERS = 10;
/** Half of them stay, and half log in anew each time. */
const READERS = 10;

const host = await podHost({ after });
const settings = { DOMAIN: '', CERT_CONSUMERS: '' };
writeFileSync(
  join(host.data, 'config/podserve.yaml'),
  JSON.stringify({
    domain: 'lab.example',
    certificates: [{ name: 'default', names: [HOSTNAME], consumers: ['mail'] }],
    mail: { hostname: HOSTNAME, sendLimit: 1_000_000, messageSize: '1MiB' },
  }),
);

before(async () => {
  await host.play('certificates.yaml', { settings });
  await untilPublished(host);
  await host.play('mail.yaml', { settings });
  await untilMailReady(host);
  for (const address of [ALICE, BOB]) await addAccount(host, address);
  await eventually(async () => (await submission(host).verify(), await submission(host, { user: BOB }).verify()), 'both can log in');
});

test('renewals while connections send and fetch: no message is lost or doubled, no session breaks, each port follows within 3 s', async (t) => {
  const accepted: string[] = [];
  const broken: string[] = [];
  let looks = 0;
  let logins = 0;
  const stop = new AbortController();
  t.after(() => stop.abort());
  const until = async (who: string, work: () => Promise<void>): Promise<void> => {
    while (!stop.signal.aborted) {
      await work().catch(async (error: unknown) => {
        broken.push(`${new Date().toISOString()} ${who}: ${String(error)}`);
        await setTimeout(1000);
      });
    }
  };
  const send = async (_: unknown, sender: number): Promise<void> => {
    const transport = submission(host, { pool: true });
    let count = 0;
    await until(`sender ${sender}`, async () => {
      const id = `${sender}-${(count += 1)}@lab.example`;
      await transport.sendMail({ from: ALICE, to: BOB, subject: id, text: id, messageId: `<${id}>` });
      accepted.push(id);
      await setTimeout(50);
    });
    transport.close();
  };
  const look = async (client: ImapFlow): Promise<void> => {
    await client.status('INBOX', { messages: true });
    for await (const { uid } of client.fetch('*', { uid: true })) assert.ok(uid > 0);
    looks += 1;
    await setTimeout(100);
  };
  const read = async (_: unknown, reader: number): Promise<void> => {
    const most = reader % 2 === 0 ? Number.POSITIVE_INFINITY : 1;
    await until(`reader ${reader}`, async () => {
      const client = await mailbox(host, BOB);
      logins += 1;
      client.on('error', () => undefined);
      await client.mailboxOpen('INBOX');
      for (let count = 0; count < most && !stop.signal.aborted; count += 1) await look(client);
      await client.logout();
    });
  };
  const working = Promise.all([...Array.from({ length: SENDERS }, send), ...Array.from({ length: READERS }, read)]);
  await eventually(async () => accepted.length > SENDERS && logins > READERS, 'messages are accepted and read');

  const took: number[] = [];
  const renewals = scaled(50);
  for (let count = 0; count < renewals; count += 1) {
    const old = await publishedLeaf(host);
    const renewing = renew(host);
    await eventually(async () => (await publishedLeaf(host)) !== old, 'a renewal is published');
    took.push(await untilMailServes(host, Date.now()));
    await renewing;
    // What mail itself has to see served of one is no part of the next.
    await untilMailReady(host);
  }
  stop.abort();
  await working;
  const median = took.toSorted((a, b) => a - b)[took.length >> 1] ?? Number.NaN;
  t.diagnostic(
    `${renewals} renewals, all five ports within ${Math.max(...took)} ms, median ${median} ms; ` +
      `${accepted.length} messages accepted over ${SENDERS} connections, ${looks} looks over ${READERS} with ${logins} log-ins; ${broken.length} broken`,
  );
  assert.deepEqual(
    broken,
    [],
    (await host.logs('mail-mail'))
      .split('\n')
      .filter((line) => /"level":"(?:warn|error)"/.test(line))
      .slice(-30)
      .join('\n'),
  );
  // The median: beside these twenty connections other tests may have the processors, too.
  assert.ok(median < 3000, `${median} ms`);
  const delivered = async (): Promise<string[]> =>
    (await messagesIn(host, BOB)).map((message) => /^Message-ID: <(.*)>\r$/m.exec(message)?.[1] ?? '?').toSorted();
  const everyOne = async (): Promise<boolean> => {
    await flushQueue();
    return (await delivered()).length >= accepted.length;
  };
  const missing = async (): Promise<string> => {
    const there = new Set(await delivered());
    const ids = accepted.filter((id) => !there.has(id));
    const lines = (await host.logs('mail-mail'))
      .split('\n')
      .filter((line) => line.includes('deferred') || ids.some((id) => line.includes(id)));
    return `${ids.join(' ')}\n${lines.slice(-40).join('\n')}`;
  };
  await eventually(everyOne, 'every accepted message is delivered', 90_000, missing);
  assert.deepEqual(await delivered(), accepted.toSorted());
});

test('a full volume: senders are told to try again, and nothing that was accepted is lost', async (t) => {
  await host.removePod('mail');
  const directory = join(host.data, 'mail');
  rmSync(directory, { recursive: true });
  mkdirSync(directory);
  mountDisk(t, directory, '64m');
  await host.play('mail.yaml', { settings });
  await untilMailReady(host);
  for (const address of [ALICE, BOB]) await addAccount(host, address);
  const transport = submission(host);
  await eventually(async () => transport.verify(), 'alice can log in');
  await transport.sendMail({ from: ALICE, to: BOB, subject: 'before', text: 'sent before the volume was full' });

  const filler = join(directory, 'filler');
  const { bavail, bsize } = statfsSync(directory);
  // What the daemons write meanwhile takes of it, too.
  assert.throws(() => writeFileSync(filler, Buffer.alloc((bavail + 1) * bsize)), { code: 'ENOSPC' });
  const refused = await transport.sendMail({ from: ALICE, to: BOB, subject: 'full', text: 'x'.repeat(100_000) }).then(
    () => 'it was accepted',
    (error: unknown) => String(error),
  );
  assert.match(refused, /\b4\d\d[ -]/);

  rmSync(filler);
  const sent = async (): Promise<boolean> => {
    await transport.sendMail({ from: ALICE, to: BOB, subject: 'after', text: 'sent when there was room again' });
    return true;
  };
  await eventually(sent, 'there is room again', 30_000, () => host.logs('mail-mail'));
  // What had to wait is tried again within two minutes; a person need not wait.
  const arrived = async (): Promise<boolean> => {
    await flushQueue();
    const all = (await messagesIn(host, BOB)).join('\n');
    return all.includes('sent before the volume was full') && all.includes('sent when there was room again');
  };
  await eventually(arrived, 'both messages that were accepted are there', 60_000, () => host.logs('mail-mail'));
  await host.removePod('mail');
});

/** Tries again at once what had to wait. */
async function flushQueue(): Promise<void> {
  await host.must(['exec', 'mail-mail', 'postqueue', '-c', '/run/podserve/mail/postfix', '-f']);
}
