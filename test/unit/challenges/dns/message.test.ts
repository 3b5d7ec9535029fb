import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decodeMessage, encodeRequest, type DnsMessage, type WireRecord } from '../../../../src/challenges/dns/message.ts';
import { DnsFormatError, canonicalName, decodeName, encodeName, isWithin, nameAndParents } from '../../../../src/challenges/dns/name.ts';
import { answerTo, text } from '../../../support/dns-answers.ts';
import { randomStream, scaled } from '../../../support/scale.ts';

const REQUEST = encodeRequest({
  id: 7,
  opcode: 0,
  recursionDesired: true,
  questions: [{ name: 'www.example.org', type: 1, class: 1 }],
  authorities: [],
  additionals: [],
});

function record(type: number, hex: string): WireRecord {
  return { name: 'www.example.org', type, class: 1, ttl: 60, rdata: Buffer.from(hex.replaceAll(' ', ''), 'hex') };
}

function answersIn(...answers: readonly WireRecord[]): DnsMessage['answers'] {
  return decodeMessage(answerTo(REQUEST, { answers })).answers;
}

test('a question is written as RFC 1035 has it', () => {
  assert.equal(REQUEST.toString('hex'), '00070100000100000000000003777777076578616d706c65036f72670000010001');
});

test('records of each known type are read, and of others their type', () => {
  const name = 'www.example.org';
  const common = { name, ttl: 60 };
  assert.deepEqual(answersIn(record(1, 'c0000201')), [{ ...common, type: 'A', address: '192.0.2.1' }]);
  assert.deepEqual(answersIn(record(28, '20010db8000000000000000000000001')), [{ ...common, type: 'AAAA', address: '2001:db8::1' }]);
  assert.deepEqual(answersIn(record(5, '0141c00c')), [{ ...common, type: 'CNAME', target: 'a.www.example.org' }]);
  assert.deepEqual(answersIn(record(2, 'c010')), [{ ...common, type: 'NS', target: 'example.org' }]);
  assert.deepEqual(answersIn(record(6, 'c00c c010 00000001 00000002 00000003 00000004 00000005')), [
    { ...common, type: 'SOA', primary: name, serial: 1, refresh: 2, minimum: 5 },
  ]);
  assert.deepEqual(answersIn(text(name, 'x'.repeat(300))), [{ ...common, type: 'TXT', value: 'x'.repeat(300) }]);
  const issue = Buffer.from('ca.example.net').toString('hex');
  assert.deepEqual(answersIn(record(257, `80 05 4973737565 ${issue}`)), [
    { ...common, type: 'CAA', critical: true, tag: 'issue', value: 'ca.example.net' },
  ]);
  assert.deepEqual(answersIn(record(99, '00')), [{ ...common, type: 'other', code: 99 }]);
});

test('data that does not fit its type is refused', () => {
  for (const [type, hex] of [
    [1, 'c00002'],
    [28, 'c0000201'],
    [5, 'c00cff'],
    [5, 'ff'],
    [2, '03777777'],
    [6, 'c00cc01000000001'],
    [16, '05 61'],
    [257, '80 00 61'],
    [257, '80 05 61'],
    [257, '80'],
  ] as const) {
    assert.throws(() => answersIn(record(type, hex)), DnsFormatError, `${type} ${hex}`);
  }
});

test('the code of an answer has a name, that of EDNS too', () => {
  assert.equal(decodeMessage(answerTo(REQUEST, { rcode: 5 })).rcode, 'REFUSED');
  const edns = { name: '.', type: 41, class: 1232, ttl: 0x0100_0000, rdata: Buffer.alloc(0) };
  assert.equal(decodeMessage(answerTo(REQUEST, { additionals: [edns] })).rcode, 'BADVERS');
  assert.equal(decodeMessage(answerTo(REQUEST, { rcode: 12 })).rcode, 'RCODE12');
});

test('names are lower-case, and octets that are no plain characters come back as they were', () => {
  assert.equal(canonicalName('WWW.Example.ORG.'), 'www.example.org');
  assert.equal(canonicalName('.'), '.');
  assert.equal(canonicalName('a\\.b.\\099\\ d.example'), 'a\\.b.c\\032d.example');
  assert.deepEqual(encodeName('a\\.b'), Buffer.from('\x03a.b\0', 'latin1'));
  assert.equal(decodeName(Buffer.from('\x03a.\xff\0', 'latin1'), 0).name, 'a\\.\\255');
  for (const wrong of ['', 'a..b', '.a', 'x'.repeat(64), `${'x'.repeat(62)}.`.repeat(5), 'ü.☃', '\\999']) {
    assert.throws(() => encodeName(wrong), DnsFormatError, wrong);
  }
});

test('a zone holds what is below it, and nothing that only looks so', () => {
  assert.ok(isWithin('a.example.org', 'example.org') && isWithin('example.org', 'example.org') && isWithin('x', '.'));
  assert.ok(!isWithin('anexample.org', 'example.org') && !isWithin('a\\.example.org', 'example.org') && !isWithin('org', 'example.org'));
  assert.deepEqual(nameAndParents('a\\.b.example.org'), ['a\\.b.example.org', 'example.org', 'org']);
});

test('names that point forward, at themselves or in a circle are refused', () => {
  for (const hex of ['c000', 'c002', '0161c000', 'c001', '40', '80', '0161', 'c0', '']) {
    const wire = Buffer.from(hex, 'hex');
    assert.throws(() => decodeName(wire, 0), DnsFormatError, hex);
  }
  assert.throws(() => decodeName(Buffer.from('c002c000', 'hex'), 2), DnsFormatError);
});

test('a name that grows too long by pointers is refused', () => {
  const label = Buffer.concat([Buffer.from([63]), Buffer.alloc(63, 'x')]);
  const first = Buffer.concat([label, label, label, Buffer.from([0])]);
  const pointing = Buffer.concat([first, label, Buffer.from([0xc0, 0])]);
  assert.throws(() => decodeName(pointing, first.length), /more than 255 octets/);
});

/** Whether it was read: refusing is as good, anything else is not. */
function survives(wire: Buffer): boolean {
  const begun = process.cpuUsage();
  try {
    decodeMessage(wire);
    return true;
  } catch (error) {
    assert.ok(error instanceof DnsFormatError, `${wire.toString('hex')}: ${String(error)}`);
    return false;
  } finally {
    // Processor time: what else runs on the machine is not the message's fault.
    assert.ok(process.cpuUsage(begun).user < 1_000_000, `slow: ${wire.toString('hex').slice(0, 100)}`);
  }
}

const GENUINE = answerTo(REQUEST, {
  answers: [
    record(5, '0141c00c'),
    record(1, 'c0000201'),
    record(6, 'c00cc0100000000100000002000000030000000400000005'),
    record(257, '00056973737565'),
    text('www.example.org', 'some text'),
  ],
  additionals: [{ name: '.', type: 41, class: 1232, ttl: 0, rdata: Buffer.alloc(0) }],
});

test('random octets are read or refused, never more', () => {
  const random = randomStream('random octets as DNS messages');
  for (let count = 0; count < scaled(200_000); count++) {
    const wire = Buffer.from(Array.from({ length: Math.floor(random() * 120) }, () => Math.floor(random() * 256)));
    // Small counts get further than random ones do.
    if (wire.length >= 12) for (let at = 4; at < 12; at++) wire[at] = at % 2 === 0 ? 0 : Math.floor(random() * 4);
    survives(wire);
  }
});

test('changed and cut answers are read or refused, never more', () => {
  const random = randomStream('changed DNS messages');
  let read = 0;
  for (let count = 0; count < scaled(200_000); count++) {
    const wire = Buffer.from(random() < 0.2 ? GENUINE.subarray(0, Math.floor(random() * GENUINE.length)) : GENUINE);
    for (let changes = Math.floor(random() * 4); changes > 0; changes--)
      wire[Math.floor(random() * wire.length)] = Math.floor(random() * 256);
    if (survives(wire)) read += 1;
  }
  assert.ok(read > 0, 'no changed message was readable: the test changes too much');
});

test('the largest message full of pointers takes no time to speak of', () => {
  const labels = Buffer.from(`${'0161'.repeat(120)}00`, 'hex');
  const name = Buffer.from([0xc0, 12]);
  const question = Buffer.concat([labels, Buffer.from([0, 1, 0, 1])]);
  const one = Buffer.concat([name, Buffer.from('00020001000000000002c00c', 'hex')]);
  const count = Math.floor((65_535 - 12 - question.length) / one.length);
  const header = Buffer.from([0, 1, 0x84, 0, 0, 1, count >> 8, count & 0xff, 0, 0, 0, 0]);
  assert.ok(survives(Buffer.concat([header, question, ...Array.from({ length: count }, () => one)])));
  const empty = Buffer.from([0, 1, 0x84, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
  assert.ok(!survives(empty));
});
