import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { test } from 'node:test';

import { DnsFailure } from '../../../../src/challenges/dns/exchange.ts';
import { query, resolve } from '../../../../src/challenges/dns/query.ts';
import { answerTo, answeringServer, framed, text } from '../../../support/dns-answers.ts';
import { freePort } from '../../../support/scratch.ts';

const NAME = '_acme-challenge.www.example.org';
const GOOD = text(NAME, 'right');
const WRONG = text(NAME, 'wrong');
const FAST = { timeoutMs: 150, tries: 2 };

async function failure(asked: Promise<unknown>): Promise<DnsFailure> {
  const error = await asked.then(
    () => assert.fail('it was answered'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof DnsFailure, String(error));
  return error;
}

function values(answer: Awaited<ReturnType<typeof query>>): string[] {
  return answer.answers.flatMap((record) => (record.type === 'TXT' ? [record.value] : []));
}

function cutOff(request: Buffer): Buffer[] {
  return [answerTo(request, { flags: 0x8600 })];
}

test('answers with another id, another question or no answer bit are passed over for the real one', async (t) => {
  const server = await answeringServer(t, (request) => {
    const otherQuestion = answerTo(request, { answers: [WRONG] });
    otherQuestion[13] = 'x'.charCodeAt(0);
    return [
      answerTo(request, { id: request.readUInt16BE(0) ^ 1, answers: [WRONG] }),
      otherQuestion,
      request,
      Buffer.from('no DNS message at all'),
      Buffer.alloc(0),
      answerTo(request, { answers: [GOOD] }),
    ];
  });
  assert.deepEqual(values(await query(server, NAME, 'TXT')), ['right']);
});

test('what somebody else sends to our port is not taken for an answer', async (t) => {
  const other = createSocket('udp4');
  t.after(() => other.close());
  const socketPorts: number[] = [];
  const server = await answeringServer(t, () => []);
  const spy = createSocket('udp4');
  t.after(() => spy.close());
  // The request is seen on the way by a server that then lets another port answer.
  const seen = Promise.withResolvers<void>();
  spy.on('message', (request, { port, address }) => {
    socketPorts.push(port);
    other.send(answerTo(request, { answers: [WRONG] }), port, address, () => seen.resolve());
  });
  await new Promise<void>((done) => spy.bind(0, '127.0.0.1', () => done()));
  assert.equal((await failure(query(`127.0.0.1:${spy.address().port}`, NAME, 'TXT', FAST))).kind, 'silent');
  await seen.promise;
  assert.equal(new Set(socketPorts).size, 2, 'each try has a port of its own');
  assert.equal((await failure(query(server, NAME, 'TXT', FAST))).kind, 'silent');
});

test('each try has another id', async (t) => {
  const ids = new Set<number>();
  const server = await answeringServer(t, (request) => {
    ids.add(request.readUInt16BE(0));
    return ids.size < 4 ? [] : [answerTo(request, { answers: [GOOD] })];
  });
  assert.deepEqual(values(await query(server, NAME, 'TXT', { timeoutMs: 100, tries: 10 })), ['right']);
  assert.ok(ids.size >= 4);
});

test('an answer that was cut off is asked for again over TCP', async (t) => {
  const long = text(NAME, 'x'.repeat(20_000));
  const server = await answeringServer(t, cutOff, (request) => {
    const whole = framed(answerTo(request, { answers: [long, GOOD] }));
    return [whole.subarray(0, 1), whole.subarray(1, 700), whole.subarray(700)];
  });
  assert.deepEqual(values(await query(server, NAME, 'TXT')), ['x'.repeat(20_000), 'right']);
});

test('a connection that ends too early, or brings something else, is told', async (t) => {
  const early = await answeringServer(t, cutOff, (request) => [framed(answerTo(request, { answers: [GOOD] })).subarray(0, 40)]);
  assert.match((await failure(query(early, NAME, 'TXT'))).message, /ended the connection before its answer was complete/);
  const other = await answeringServer(t, cutOff, (request) => [framed(answerTo(request, { id: request.readUInt16BE(0) ^ 1 }))]);
  assert.match((await failure(query(other, NAME, 'TXT'))).message, /sent no DNS answer: it answers something else/);
});

test('a server that does not know EDNS is asked without it', async (t) => {
  const server = await answeringServer(t, (request) => [
    request.readUInt16BE(10) > 0 ? answerTo(request, { rcode: 1 }) : answerTo(request, { answers: [GOOD] }),
  ]);
  assert.deepEqual(values(await query(server, NAME, 'TXT')), ['right']);
});

test('silence, nonsense and a port where nobody listens are told apart', async (t) => {
  const silent = await answeringServer(t, () => []);
  const nonsense = await answeringServer(t, () => [Buffer.alloc(40, 0xff)]);
  assert.match((await failure(query(silent, NAME, 'TXT', FAST))).message, /did not answer within 0\.15 s/);
  assert.equal((await failure(query(nonsense, NAME, 'TXT', FAST))).kind, 'malformed');
  const begun = performance.now();
  assert.equal((await failure(query(`127.0.0.1:${await freePort()}`, NAME, 'TXT'))).kind, 'unreachable');
  assert.ok(performance.now() - begun < 1000);
  assert.equal((await failure(query('nonsense', NAME, 'TXT'))).kind, 'unresolvable');
});

test('an aborted question ends at once with the reason', async (t) => {
  const silent = await answeringServer(t, () => []);
  const ending = new AbortController();
  const asked = query(silent, NAME, 'TXT', { signal: ending.signal });
  setTimeout(() => ending.abort(new Error('the service ends')), 50);
  const begun = performance.now();
  await assert.rejects(asked, /the service ends/);
  assert.ok(performance.now() - begun < 1000);
});

test('resolvers are asked in turn until one knows', async (t) => {
  const nobody = `127.0.0.1:${await freePort()}`;
  const failing = await answeringServer(t, (request) => [answerTo(request, { rcode: 2 })]);
  const knowing = await answeringServer(t, (request) => [answerTo(request, { answers: [GOOD] })]);
  assert.equal((await resolve([nobody, failing, knowing], NAME, 'TXT')).server, knowing);
  assert.equal((await resolve([nobody, failing], NAME, 'TXT')).rcode, 'SERVFAIL');
  assert.match((await failure(resolve([nobody], NAME, 'TXT'))).message, /nobody listens there/);
});
