import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { test, type TestContext } from 'node:test';

import { challengeValue, checkTsig, dnsUpdateSolver, type TsigFinding } from '../../src/challenges/dns/update.ts';
import type { ChallengeSolver } from '../../src/challenges/solver.ts';
import { SECOND, systemClock, type Clock } from '../../src/platform/clock.ts';
import { describeError } from '../../src/platform/errors.ts';
import type { Log } from '../../src/platform/log.ts';
import { challengeTask, soon } from '../support/challenge-tasks.ts';
import { run } from '../support/command.ts';
import { grant, secretOf, startNameServer, tsigKey, type MadeKey, type RunningNameServer } from '../support/daemons/name-server.ts';
import { recordingLog } from '../support/recording-log.ts';

interface Asked {
  readonly server: RunningNameServer;
  readonly key: MadeKey;
  /** Where records are looked for; default: the server itself. */
  readonly servers?: readonly RunningNameServer[];
  readonly resolver?: RunningNameServer;
  readonly timeout?: number;
  readonly clock?: Clock;
  readonly log?: Log;
}

function solver({ server, key, servers = [server], resolver = server, timeout = 5 * SECOND, ...host }: Asked): Promise<ChallengeSolver> {
  const propagation = { servers: servers.map((one) => one.server), timeout };
  const surroundings = {
    resolvers: [resolver.server],
    challengesDirectory: '/nonexistent',
    clock: systemClock,
    log: recordingLog(),
    ...host,
  };
  return dnsUpdateSolver({ server: server.server, tsigKeyFile: key.file, propagation }, surroundings);
}

/** A primary of lab.test where the key may change the challenge records of www and of the zone itself. */
async function lab(t: TestContext, algorithm?: string): Promise<{ server: RunningNameServer; key: MadeKey }> {
  const key = await tsigKey(t, 'podserve', algorithm);
  const statements = grant(key, '_acme-challenge.www.lab.test', '_acme-challenge.lab.test');
  return { server: await startNameServer(t, { keys: [key], zones: [{ name: 'lab.test', statements }] }), key };
}

/** The line that presenting www.lab.test fails with; nothing of the key's secret may be in it. */
async function refusal(asked: Asked, name = 'www.lab.test'): Promise<string> {
  const { lines, ...log } = recordingLog();
  await using dns = await solver({ log, ...asked });
  const error: unknown = await dns.present(challengeTask(name), soon()).then(
    () => assert.fail('it was taken'),
    (thrown: unknown) => thrown,
  );
  const line = describeError(error);
  assert.ok(!(line + JSON.stringify(lines)).includes(secretOf(asked.key.file)), 'the secret is shown');
  assert.equal((error as { code?: string }).code, 'CHALLENGE_FAILED', line);
  return line;
}

for (const algorithm of ['hmac-sha1', 'hmac-sha224', 'hmac-sha256', 'hmac-sha384', 'hmac-sha512']) {
  test(`an answer is put into the zone of a real BIND with ${algorithm}, and taken away again`, async (t) => {
    const asked = await lab(t, algorithm);
    await using dns = await solver(asked);
    const task = challengeTask('www.lab.test');
    await dns.present(task, soon());
    assert.deepEqual(await asked.server.dig('_acme-challenge.www.lab.test', 'TXT'), [`"${challengeValue(task)}"`]);
    await dns.cleanup(task);
    assert.deepEqual(await asked.server.dig('_acme-challenge.www.lab.test', 'TXT'), []);
    await dns.cleanup(task);
  });
}

function quoted(...values: readonly string[]): string[] {
  return values.map((value) => `"${value}"`).sort();
}

test('wildcard and apex answers stand together under one name, a foreign value stays, and each is taken away alone', async (t) => {
  const asked = await lab(t);
  const name = '_acme-challenge.lab.test';
  const { code, stderr } = await run('/usr/bin/nsupdate', ['-k', asked.key.file], {
    input: `server 127.0.0.1 ${asked.server.port}\nzone lab.test\nupdate add ${name} 300 TXT "somebody else's"\nsend\n`,
  });
  assert.equal(code, 0, stderr);
  await using dns = await solver(asked);
  const [apex, wildcard] = [challengeTask('lab.test'), challengeTask('*.lab.test')];
  await Promise.all([dns.present(apex, soon()), dns.present(wildcard, soon())]);
  const foreign = "somebody else's";
  assert.deepEqual(await asked.server.dig(name, 'TXT'), quoted(challengeValue(apex), challengeValue(wildcard), foreign));
  await dns.cleanup(apex);
  assert.deepEqual(await asked.server.dig(name, 'TXT'), quoted(challengeValue(wildcard), foreign));
  await dns.cleanup(wildcard);
  assert.deepEqual(await asked.server.dig(name, 'TXT'), quoted(foreign));
});

test('forty answers at once all arrive, and all go', async (t) => {
  const asked = await lab(t);
  await using dns = await solver(asked);
  const tasks = Array.from({ length: 40 }, () => challengeTask('www.lab.test'));
  await Promise.all(tasks.map((task) => dns.present(task, soon())));
  assert.equal((await asked.server.dig('_acme-challenge.www.lab.test', 'TXT')).length, 40);
  await Promise.all(tasks.map((task) => dns.cleanup(task)));
  assert.deepEqual(await asked.server.dig('_acme-challenge.www.lab.test', 'TXT'), []);
});

test('another run takes away what a killed one left behind, when it meets the same challenge', async (t) => {
  const asked = await lab(t);
  const task = challengeTask('www.lab.test');
  await (await solver(asked)).present(task, soon());
  await using dns = await solver(asked);
  await dns.present(task, soon());
  await (await solver(asked)).cleanup(task);
  assert.deepEqual(await asked.server.dig('_acme-challenge.www.lab.test', 'TXT'), []);
});

test('CNAMEs into a zone of its own on another server are followed, over several links', async (t) => {
  const key = await tsigKey(t, 'podserve');
  const acme = await startNameServer(t, { keys: [key], zones: [{ name: 'acme.test', statements: grant(key, 'www.acme.test') }] });
  const records = ['_acme-challenge.www CNAME hop', 'hop CNAME www.acme.test.'];
  const shop = await startNameServer(t, { zones: [{ name: 'shop.test', records }] });
  const resolver = await startNameServer(t, {
    zones: [
      { name: 'shop.test', forwardTo: shop.port },
      { name: 'acme.test', forwardTo: acme.port },
    ],
  });
  await using dns = await solver({ server: acme, key, resolver });
  const task = challengeTask('www.shop.test');
  await dns.present(task, soon());
  assert.deepEqual(await acme.dig('www.acme.test', 'TXT'), [`"${challengeValue(task)}"`]);
  await dns.cleanup(task);
  assert.deepEqual(await acme.dig('www.acme.test', 'TXT'), []);
});

test('a CNAME that only the update server sees yet is followed too', async (t) => {
  const key = await tsigKey(t, 'podserve');
  const zones = [
    { name: 'shop.test', records: ['_acme-challenge.www CNAME www.acme.test.'] },
    { name: 'acme.test', statements: grant(key, 'www.acme.test') },
  ];
  const server = await startNameServer(t, { keys: [key], zones });
  const resolver = await startNameServer(t, { zones: [{ name: 'shop.test' }] });
  await using dns = await solver({ server, key, resolver });
  const task = challengeTask('www.shop.test');
  await dns.present(task, soon());
  assert.deepEqual(await server.dig('www.acme.test', 'TXT'), [`"${challengeValue(task)}"`]);
});

test('CNAMEs in a circle are told, link by link', async (t) => {
  const key = await tsigKey(t, 'podserve');
  const records = ['_acme-challenge.www CNAME a', 'a CNAME b', 'b CNAME a'];
  const server = await startNameServer(t, { keys: [key], zones: [{ name: 'lab.test', records }] });
  assert.match(await refusal({ server, key }), /circle: _acme-challenge\.www\.lab\.test → a\.lab\.test → b\.lab\.test → a\.lab\.test; let/);
});

test('a key that the server does not know is told as such', async (t) => {
  const { server } = await lab(t);
  assert.match(await refusal({ server, key: await tsigKey(t, 'stranger') }), /does not know the key stranger with hmac-sha256 \(BADKEY\)/);
  const other = await tsigKey(t, 'podserve', 'hmac-sha512');
  assert.match(await refusal({ server, key: other }), /does not know the key podserve with hmac-sha512 \(BADKEY\)/);
});

test('a key with another secret is told as such', async (t) => {
  const { server } = await lab(t);
  assert.match(
    await refusal({ server, key: await tsigKey(t, 'podserve') }),
    /another secret for the key podserve \(BADSIG\); copy the key/,
  );
});

test('clocks that are apart are told with both times, whichever is ahead', async (t) => {
  const asked = await lab(t);
  for (const [hours, where] of [
    [-1, 'ahead of'],
    [1, 'behind'],
  ] as const) {
    const clock: Clock = { ...systemClock, now: () => Date.now() + hours * 3600 * SECOND };
    const line = await refusal({ ...asked, clock });
    assert.match(line, /clock is 3(599|600|601) s (ahead of|behind) ours \(BADTIME\): here it is 2\S+Z, there 2\S+Z; set both clocks/);
    assert.ok(line.includes(where), line);
  }
  const nearly: Clock = { ...systemClock, now: () => Date.now() + 250 * SECOND };
  await using dns = await solver({ ...asked, clock: nearly });
  await dns.present(challengeTask('www.lab.test'), soon());
});

test('a name that the key may not change is told with the statement that allows it', async (t) => {
  const asked = await lab(t);
  const line = await refusal(asked, 'mail.lab.test');
  assert.match(line, /REFUSED: the key podserve may not change the TXT records of _acme-challenge\.mail\.lab\.test/);
  assert.ok(line.includes('update-policy { grant podserve name _acme-challenge.mail.lab.test. TXT; };'), line);
});

test('a zone that the server does not serve is told, and so is one that it has given away', async (t) => {
  const key = await tsigKey(t, 'podserve');
  const records = ['child NS ns.child', 'ns.child A 127.0.0.1'];
  const server = await startNameServer(t, { keys: [key], zones: [{ name: 'lab.test', records }] });
  const resolver = await startNameServer(t, { zones: [{ name: 'test' }] });
  assert.match(
    await refusal({ server, key, resolver }, 'www.shop.test'),
    /serves no zone that holds _acme-challenge\.www\.shop\.test .*REFUSED/,
  );
  const given = await refusal({ server, key, resolver }, 'www.child.lab.test');
  assert.match(given, /has delegated child\.lab\.test to ns\.child\.lab\.test; name the primary of child\.lab\.test in dns01\.server/);
});

test('a secondary that forwards no updates refuses, and that the primary is wanted is told', async (t) => {
  const { server, key } = await lab(t);
  const secondary = await startNameServer(t, { keys: [key], zones: [{ name: 'lab.test', primary: `127.0.0.1 port ${server.port}` }] });
  assert.match(await refusal({ server: secondary, key }), /REFUSED: .*where it is a secondary, name the primary in dns01\.server/);
});

test('a secondary that forwards updates takes them', async (t) => {
  const { server, key } = await lab(t);
  const zones = [{ name: 'lab.test', primary: `127.0.0.1 port ${server.port}`, statements: 'allow-update-forwarding { any; };' }];
  const secondary = await startNameServer(t, { keys: [key], zones });
  await using dns = await solver({ server: secondary, key, resolver: server, servers: [server] });
  const task = challengeTask('www.lab.test');
  await dns.present(task, soon());
  assert.deepEqual(await server.dig('_acme-challenge.www.lab.test', 'TXT'), [`"${challengeValue(task)}"`]);
});

test('nobody at the port, and nobody with that host name, are told', async (t) => {
  const asked = await lab(t);
  await asked.server.rndc('stop');
  await asked.server.daemon.done;
  const resolver = await startNameServer(t, { zones: [{ name: 'lab.test' }] });
  assert.match(await refusal({ ...asked, resolver }), /127\.0\.0\.1:\d+ cannot be reached: nobody listens there; see that the server runs/);
  const server = { ...asked.server, server: 'no-such-host.invalid:53' };
  assert.match(await refusal({ ...asked, server, resolver }), /no-such-host\.invalid:53 has no address/);
});

test('resolvers that do not answer are told', async (t) => {
  const asked = await lab(t);
  const dead = await startNameServer(t, { zones: [{ name: 'lab.test' }] });
  await dead.rndc('stop');
  await dead.daemon.done;
  assert.match(
    await refusal({ ...asked, resolver: dead }),
    /CNAME was not answered: _acme-challenge.*nobody listens there; see that the DNS servers/,
  );
});

test('a secondary that lags is waited for, and the answer is there on both when the CA is told', async (t) => {
  const key = await tsigKey(t, 'podserve');
  const server = await startNameServer(t, {
    keys: [key],
    zones: [{ name: 'lab.test', statements: `${grant(key, '_acme-challenge.www.lab.test')} notify no;` }],
  });
  const secondary = await startNameServer(t, { zones: [{ name: 'lab.test', primary: `127.0.0.1 port ${server.port}` }] });
  await using dns = await solver({ server, key, servers: [server, secondary], timeout: 20 * SECOND });
  const task = challengeTask('www.lab.test');
  let told = false;
  const presented = dns.present(task, AbortSignal.timeout(20_000)).then(() => (told = true));
  await systemClock.sleep(1500);
  assert.equal((await server.dig('_acme-challenge.www.lab.test', 'TXT')).length, 1);
  assert.ok(!told, 'the CA is told while a name server lacks the record');
  await secondary.rndc('retransfer', 'lab.test');
  await presented;
  assert.deepEqual(await secondary.dig('_acme-challenge.www.lab.test', 'TXT'), [`"${challengeValue(task)}"`]);
});

test('a secondary that never gets the record is named after the time-out, and the record is gone again', async (t) => {
  const key = await tsigKey(t, 'podserve');
  const server = await startNameServer(t, {
    keys: [key],
    zones: [{ name: 'lab.test', statements: `${grant(key, '_acme-challenge.www.lab.test')} notify no;` }],
  });
  const secondary = await startNameServer(t, { zones: [{ name: 'lab.test', primary: `127.0.0.1 port ${server.port}` }] });
  const line = await refusal({ server, key, servers: [server, secondary], timeout: SECOND });
  assert.ok(line.includes(`after 1s lack it: ${secondary.server} does not have the record;`), line);
  assert.deepEqual(await server.dig('_acme-challenge.www.lab.test', 'TXT'), []);
});

test('an order that is aborted while it waits leaves no record behind', async (t) => {
  const asked = await lab(t);
  const other = await startNameServer(t, { zones: [{ name: 'lab.test' }] });
  await using dns = await solver({ ...asked, servers: [other], timeout: 60 * SECOND });
  const ending = new AbortController();
  const presented = dns.present(challengeTask('www.lab.test'), ending.signal);
  await systemClock.sleep(700);
  assert.equal((await asked.server.dig('_acme-challenge.www.lab.test', 'TXT')).length, 1);
  ending.abort(new Error('the service ends'));
  await assert.rejects(presented, /the service ends/);
  assert.deepEqual(await asked.server.dig('_acme-challenge.www.lab.test', 'TXT'), []);
});

test('a key file that everybody can read is warned of once', async (t) => {
  const asked = await lab(t);
  chmodSync(asked.key.file, 0o644);
  const log = recordingLog();
  await using dns = await solver({ ...asked, log });
  for (const task of [challengeTask('www.lab.test'), challengeTask('lab.test')]) await dns.present(task, soon());
  assert.deepEqual(
    log.lines.map(({ level, message }) => `${level}: ${message}`),
    ['warn: every user of this host can read the TSIG key: chmod 600 it'],
  );
});

test('whether updates would be taken is found out without changing anything', async (t) => {
  const { server, key } = await lab(t);
  const serial = await server.dig('lab.test', 'SOA');
  const propagation = { servers: [], timeout: SECOND };
  const check = (file: string, name: string): Promise<TsigFinding> =>
    checkTsig({ server: server.server, tsigKeyFile: file, propagation }, name, { clock: systemClock, signal: soon() });
  const good = await check(key.file, '_acme-challenge.www.lab.test');
  assert.deepEqual(good, { works: true, exposed: false, name: '_acme-challenge.www.lab.test', zone: 'lab.test' });
  const refused = await check(key.file, '_acme-challenge.mail.lab.test');
  assert.match(refused.works ? '' : describeError(refused.error), /REFUSED: the key podserve may not change/);
  const stranger = await check((await tsigKey(t, 'stranger')).file, '_acme-challenge.www.lab.test');
  assert.match(stranger.works ? '' : describeError(stranger.error), /BADKEY/);
  assert.deepEqual(await server.dig('lab.test', 'SOA'), serial);
  assert.deepEqual(await server.dig('_acme-challenge.www.lab.test', 'TXT'), []);
});
