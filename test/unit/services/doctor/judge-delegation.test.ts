import assert from 'node:assert/strict';
import { test } from 'node:test';

import { judgeDelegation, type ZoneAnswer, type ZoneServer } from '../../../../src/services/doctor/judge-delegation.ts';

const CHAIN = ['_acme-challenge.lab.test'];

function server(name: string, ...said: readonly ZoneAnswer[]): ZoneServer {
  return { name, answers: said };
}

function answers(address: string, serial: number): ZoneAnswer {
  return { state: 'answers', address, serial };
}

test('a zone whose servers all answer alike is good, also behind a CNAME', () => {
  const servers = [server('ns1.lab.test', answers('192.0.2.1:53', 7)), server('ns2.lab.test', answers('192.0.2.2:53', 7))];
  const [plain, ...more] = judgeDelegation({ chain: CHAIN, zone: 'lab.test', registry: false, servers });
  assert.deepEqual([plain?.ok, more], ['good', []]);
  const chain = [...CHAIN, 'lab.acme.test'];
  const [followed] = judgeDelegation({ chain, zone: 'acme.test', registry: false, servers });
  assert.equal(
    followed?.what,
    '_acme-challenge.lab.test → lab.acme.test lies in the zone acme.test, and its servers answer alike (ns1.lab.test, ns2.lab.test)',
  );
});

test('a CNAME that leads into no zone is told with the record to correct', () => {
  for (const zone of ['.', 'org']) {
    const [judgement] = judgeDelegation({ chain: [...CHAIN, 'gone.test'], zone, registry: true, servers: [] });
    assert.equal(judgement?.ok, 'problem');
    assert.match(judgement?.remedy ?? '', /^correct the CNAME of _acme-challenge\.lab\.test, or make a zone that holds gone\.test$/);
  }
});

test('a server that is silent, lame or without address is named', () => {
  const silent: ZoneAnswer = { state: 'silent', address: '192.0.2.2:53', why: 'nobody listens there' };
  const lame: ZoneAnswer = { state: 'lame', address: '192.0.2.3:53', why: 'REFUSED' };
  const found = judgeDelegation({
    chain: CHAIN,
    zone: 'lab.test',
    registry: false,
    servers: [server('ns1', answers('192.0.2.1:53', 1)), server('ns2', silent), server('ns3', lame), server('ns4')],
  });
  assert.deepEqual(
    found.map(({ ok, what }) => `${ok}: ${what}`),
    [
      'problem: the name server ns2 (192.0.2.2:53) gives no answer: nobody listens there',
      'problem: the name server ns3 (192.0.2.3:53) does not answer for lab.test: REFUSED',
      'problem: the name server ns4 of lab.test has no address',
    ],
  );
  assert.ok(found.every(({ remedy }) => remedy?.includes('NS records')));
});

test('a server that answers at one of its addresses only is a warning', () => {
  const half = server('ns1', answers('192.0.2.1:53', 1), { state: 'silent', address: '[2001:db8::1]:53', why: 'ENETUNREACH' });
  const [judgement] = judgeDelegation({ chain: CHAIN, zone: 'lab.test', registry: false, servers: [half] });
  assert.equal(judgement?.ok, 'warning');
});

test('servers with different serials are told, as the CA may ask the late one', () => {
  const servers = [server('ns1', answers('192.0.2.1:53', 7)), server('ns2', answers('192.0.2.2:53', 6))];
  const [judgement] = judgeDelegation({ chain: CHAIN, zone: 'lab.test', registry: false, servers });
  assert.equal(judgement?.ok, 'warning');
  assert.match(judgement?.what ?? '', /serial 7 at 192\.0\.2\.1:53, 6 at 192\.0\.2\.2:53/);
});
