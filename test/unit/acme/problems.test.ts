import assert from 'node:assert/strict';
import test from 'node:test';

import { clientOf, never, problemOf, signatory } from '../../support/acme-client.ts';
import { acmeServer, problem, type Reply } from '../../support/acme-server.ts';

const HTML = { 'content-type': 'text/html' };

test('a problem says its type, its status, what the server said of each name, how long to wait and where help is', async (t) => {
  const server = await acmeServer(t);
  const type = 'urn:ietf:params:acme:error:rejectedIdentifier';
  const subproblems = [
    { type, detail: 'on the block list', identifier: { type: 'dns', value: 'a.lab.test' } },
    {
      type: 'urn:ietf:params:acme:error:caa',
      detail: 'CAA forbids it',
      identifier: { type: 'dns', value: 'b.lab.test' },
      subproblems: [{ type }],
    },
    'nonsense',
  ];
  const headers = { 'retry-after': '120', link: ['</help>;rel="help"', '<https://lab.test/tos>;rel="terms-of-service"'] };
  server.on('/newOrder', problem('compound', 429, { title: 'Several', subproblems, more: 1 }, headers));
  const error = await problemOf(clientOf(t, server).newOrder(signatory(server), { identifiers: [] }, never));
  assert.equal(error.type, 'compound');
  assert.equal(error.status, 429);
  assert.equal(error.retryAfter, 120_000);
  assert.equal(error.request, `POST ${server.url('/newOrder')}`);
  assert.deepEqual(error.links, { help: [server.url('/help')], 'terms-of-service': ['https://lab.test/tos'] });
  const none = { title: undefined, status: undefined, subproblems: [] };
  assert.deepEqual(error.document, {
    type: 'urn:ietf:params:acme:error:compound',
    title: 'Several',
    detail: 'scripted compound',
    status: 429,
    identifier: undefined,
    subproblems: [
      { ...none, type, detail: 'on the block list', identifier: { type: 'dns', value: 'a.lab.test' } },
      { ...none, type: 'urn:ietf:params:acme:error:caa', detail: 'CAA forbids it', identifier: { type: 'dns', value: 'b.lab.test' } },
    ],
  });
  assert.equal(
    error.message,
    `POST ${server.url('/newOrder')}: 429 compound: scripted compound (a.lab.test: rejectedIdentifier: on the block list; b.lab.test: caa: CAA forbids it)`,
  );
});

test('an error without a problem document keeps its status and Retry-After, whatever its body is', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  const later = { 'retry-after': '30' };
  const replies: readonly Reply[] = [
    { status: 503, headers: later },
    { status: 502, headers: { ...HTML, ...later }, text: '<html><h1>Bad Gateway</h1></html>' },
    { status: 404, headers: { ...HTML, ...later }, text: 'x'.repeat(300 * 1024) },
    { status: 500, headers: { 'content-type': 'application/problem+json', ...later }, text: '{"type":' },
    { status: 400, headers: { 'content-type': 'application/problem+json', ...later }, text: '["badNonce"]' },
    { status: 403, headers: later, json: { message: 'from a gateway' } },
    { status: 400, headers: later, json: { type: { toString: 1 } } },
  ];
  for (const reply of replies) {
    server.on('/account/1', reply);
    const error = await problemOf(client.account(signatory(server), never));
    assert.deepEqual(
      [error.status, error.type, error.document, error.retryAfter],
      [reply.status, '', undefined, 30_000],
      String(reply.status),
    );
    assert.equal(error.message, `POST ${server.url('/account/1')}: status ${reply.status} without a problem document`);
  }
});

test('a problem with fields missing, of another kind, or labelled as plain JSON is taken as it is', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  const asked = async (json: unknown, type = 'application/problem+json'): Promise<[string, unknown]> => {
    server.on('/account/1', { status: 400, json, headers: { 'content-type': type } });
    const error = await problemOf(client.account(signatory(server), never));
    return [error.type, error.message.split(': ').slice(1).join(': ')];
  };
  assert.deepEqual(await asked({}), ['about:blank', '400 about:blank: no detail']);
  assert.deepEqual(await asked({ type: 'https://lab.test/e', title: 'T' }), ['https://lab.test/e', '400 https://lab.test/e: T']);
  assert.deepEqual(await asked({ type: 7, detail: {}, subproblems: {}, status: 'x', identifier: [] }), [
    'about:blank',
    '400 about:blank: no detail',
  ]);
  const plain = { type: 'urn:ietf:params:acme:error:malformed', detail: 'no' };
  assert.deepEqual(await asked(plain, 'application/json'), ['malformed', '400 malformed: no']);
});

test("the server's words cannot forge lines or control a terminal, and do not fill the screen", async (t) => {
  const server = await acmeServer(t);
  const detail = `first\r\n2026 ERROR forged\u001b[2J \u202eevil ${'x'.repeat(10_000)}`;
  server.on(
    '/account/1',
    problem('malformed', 400, { detail, subproblems: Array.from({ length: 5000 }, () => ({ type: 'a', detail: 'b' })) }),
  );
  const error = await problemOf(clientOf(t, server).account(signatory(server), never));
  assert.doesNotMatch(error.message, /[\p{Cc}\p{Cf}]/u);
  assert.ok(error.message.length < 4000, String(error.message.length));
  assert.match(error.message, /malformed: first 2026 ERROR forged \[2J evil x+… \(a: b; /);
  assert.equal(error.document?.subproblems.length, 100);
});

test('Retry-After as a date is counted from the Date of the answer', async (t) => {
  const server = await acmeServer(t);
  const headers = { date: 'Sun, 06 Nov 1994 08:49:07 GMT', 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' };
  server.on('/account/1', problem('rateLimited', 429, {}, headers));
  assert.equal((await problemOf(clientOf(t, server).account(signatory(server), never))).retryAfter, 30_000);
});
