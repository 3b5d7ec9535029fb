import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { test, type TestContext } from 'node:test';

import { dnsUpdateSolver } from '../../src/challenges/dns/update.ts';
import type { ChallengeSolver } from '../../src/challenges/solver.ts';
import { SECOND, systemClock } from '../../src/platform/clock.ts';
import { describeError } from '../../src/platform/errors.ts';
import { challengeTask, soon } from '../support/challenge-tasks.ts';
import { grant, startNameServer, tsigKey, type RunningNameServer } from '../support/daemons/name-server.ts';
import { answerTo } from '../support/dns-answers.ts';
import { recordingLog } from '../support/recording-log.ts';

/** What somebody between does with each answer to an update: what goes on to us, in this order. */
type Meddling = (answer: Buffer, request: Buffer) => readonly Buffer[];

interface Between {
  readonly solver: ChallengeSolver;
  readonly server: RunningNameServer;
  readonly updates: () => number;
}

/** BIND behind somebody who passes on all requests and all answers to questions, but meddles with answers to updates. */
async function between(t: TestContext, meddle: Meddling): Promise<Between> {
  const key = await tsigKey(t, 'podserve');
  const statements = grant(key, '_acme-challenge.www.lab.test');
  const server = await startNameServer(t, { keys: [key], zones: [{ name: 'lab.test', statements }] });
  let updates = 0;
  const front = createSocket('udp4');
  front.on('message', (request, { port, address }) => {
    const isUpdate = ((request[2] ?? 0) >> 3) % 16 === 5;
    if (isUpdate) updates += 1;
    const back = createSocket('udp4');
    back.once('message', (answer) => {
      for (const one of isUpdate ? meddle(answer, request) : [answer]) front.send(one, port, address);
      back.close();
    });
    back.send(request, server.port, '127.0.0.1');
  });
  await new Promise<void>((resolve) => front.bind(0, '127.0.0.1', () => resolve()));
  t.after(() => front.close());
  const config = {
    server: `127.0.0.1:${front.address().port}`,
    tsigKeyFile: key.file,
    propagation: { servers: [server.server], timeout: 5 * SECOND },
  };
  const host = { resolvers: [server.server], challengesDirectory: '/nonexistent', clock: systemClock, log: recordingLog() };
  return { solver: await dnsUpdateSolver(config, host), server, updates: () => updates };
}

async function refusal({ solver }: Between): Promise<string> {
  return await solver.present(challengeTask('www.lab.test'), AbortSignal.timeout(30_000)).then(
    () => assert.fail('it was taken'),
    (error: unknown) => describeError(error),
  );
}

function changed(answer: Buffer, offset: number): Buffer {
  const copy = Buffer.from(answer);
  copy[offset] = (copy[offset] ?? 0) ^ 1;
  return copy;
}

test('changed answers do no harm when the real one comes too', async (t) => {
  const one = await between(t, (answer, request) => [changed(answer, answer.length - 20), answerTo(request), request, answer]);
  await one.solver.present(challengeTask('www.lab.test'), soon());
  assert.equal(one.updates(), 1);
});

test('an update whose answer was lost is sent again, and puts the value there once', async (t) => {
  let lost = 0;
  const one = await between(t, (answer) => (lost++ === 0 ? [] : [answer]));
  await one.solver.present(challengeTask('www.lab.test'), soon());
  assert.equal(one.updates(), 2);
  assert.equal((await one.server.dig('_acme-challenge.www.lab.test', 'TXT')).length, 1);
});

test('answers changed under way, signed by nobody or lost are not believed, and what the update put there is gone again', async (t) => {
  const cases: readonly (readonly [Meddling, RegExp])[] = [
    [(answer) => Array.from(answer, (_, offset) => changed(answer, offset)), /sent no DNS answer: .*; see that the server runs/],
    [(_, request) => [answerTo(request)], /sent no DNS answer: its answer is not signed/],
    [() => [], /did not answer within 2 s; see that the server runs/],
  ];
  await Promise.all(
    cases.map(async ([meddle, told]) => {
      const one = await between(t, meddle);
      assert.match(await refusal(one), told);
      assert.equal(one.updates(), 6);
      assert.deepEqual(await one.server.dig('_acme-challenge.www.lab.test', 'TXT'), []);
    }),
  );
});

test('each refusal is told in words, with what to change', async (t) => {
  let rcode = 0;
  const one = await between(t, (_, request) => [answerTo(request, { rcode })]);
  for (const [code, told] of [
    [1, /FORMERR: it did not change lab\.test; see the server's log/],
    [2, /SERVFAIL: it failed to change lab\.test; see the server's log; BIND needs to write to the directory/],
    [3, /NXDOMAIN: its lab\.test is not what the update presumed/],
    [4, /NOTIMP: it takes no updates; name a server that does in dns01\.server, or turn updates on/],
    [5, /REFUSED: the key podserve may not change the TXT records of _acme-challenge\.www\.lab\.test; allow it/],
    [8, /NXRRSET: its lab\.test is not what the update presumed/],
    [9, /NOTAUTH: it is not the primary of lab\.test; name the primary/],
    [10, /NOTZONE: _acme-challenge\.www\.lab\.test is not in lab\.test/],
    [15, /RCODE15: it did not change lab\.test/],
  ] as const) {
    rcode = code;
    assert.match(await refusal(one), told);
  }
});
