import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';

import type { AcmeClient } from '../../../src/acme/client.ts';
import { keptDirectory } from '../../../src/acme/directory.ts';
import type { Directory, Signatory } from '../../../src/acme/resources.ts';
import { assertFault, clientOf, never, signatory } from '../../support/acme-client.ts';
import { ecKey } from '../../support/acme-ordering.ts';
import { acmeServer, type AcmeServer } from '../../support/acme-server.ts';

type Json = Readonly<Record<string, unknown>>;

interface Bench {
  readonly server: AcmeServer;
  readonly client: AcmeClient;
  readonly by: Signatory;
}

async function bench(t: TestContext): Promise<Bench> {
  const server = await acmeServer(t);
  return { server, client: clientOf(t, server), by: signatory(server) };
}

function order(server: AcmeServer): Json {
  return {
    status: 'valid',
    expires: '2026-11-30T08:00:00.123456789+01:00',
    identifiers: [
      { type: 'dns', value: '*.lab.test' },
      { type: 'ip', value: '192.0.2.1' },
    ],
    authorizations: [server.url('/authz/1')],
    finalize: server.url('/finalize'),
    certificate: server.url('/cert/1'),
    profile: 'shortlived',
    unknown: { field: [1] },
  };
}

function block(label: string): string {
  return `-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`;
}

test('a directory is read with what it offers, and what is not known is left out', async (t) => {
  const { server } = await bench(t);
  const urls = { newNonce: 'a', newAccount: 'b', newOrder: 'c', revokeCert: 'd', keyChange: 'e' };
  const json = Object.fromEntries(Object.entries(urls).map(([name, path]) => [name, server.url(`/${path}`)]));
  const bare = { termsOfService: undefined, externalAccountRequired: false, caaIdentities: [], profiles: {} };
  server.on('/dir', { json: { ...json, newAuthz: 5, x: 'https://community.lab.test' } });
  assert.deepEqual(await clientOf(t, server).directory(never), { ...json, renewalInfo: undefined, meta: bare });
  const meta = {
    termsOfService: 'https://lab.test/tos',
    externalAccountRequired: true,
    caaIdentities: ['lab.test', 7, 'forged\nline'],
    profiles: { classic: 'ninety days', odd: 5, '\u001b[2Jforged': '' },
    website: 'https://lab.test',
  };
  server.on('/dir', { json: { ...json, renewalInfo: server.url('/ari'), meta } });
  const read = await clientOf(t, server).directory(never);
  assert.equal(read.renewalInfo, server.url('/ari'));
  const profiles = { classic: 'ninety days', odd: '' };
  assert.deepEqual(read.meta, {
    termsOfService: 'https://lab.test/tos',
    externalAccountRequired: true,
    caaIdentities: ['lab.test'],
    profiles,
  });
  for (const name of Object.keys(urls)) {
    for (const [value, why] of [
      [undefined, /no URL in/],
      ['/relative', /no https URL/],
      ['http://lab.test/', /no https URL/],
      ['https://user:secret@lab.test/', /no https URL/],
      ['https://secret@lab.test/', /no https URL/],
      ['https://lab.test/\u202eforged', /no https URL/],
      ['https://lab.test/\nforged', /no https URL/],
    ] as const) {
      server.on('/dir', { json: { ...json, [name]: value } });
      const error = await assertFault(clientOf(t, server).directory(never), 'malformed', why);
      assert.match(error.message, new RegExp(`no directory of RFC 8555: .*"${name}"`));
      assert.doesNotMatch(error.message, /secret/);
    }
  }
});

test('the directory is asked once for all who want it, again after a failure, and one who gives up stops no other', async (t) => {
  const { server, client } = await bench(t);
  server.on('/dir', { status: 503 });
  await assert.rejects(client.directory(never));
  server.onRequest('/dir', () => ({
    json: Object.fromEntries(['newNonce', 'newAccount', 'newOrder', 'revokeCert', 'keyChange'].map((n) => [n, server.url('/x')])),
  }));
  const impatient = new AbortController();
  const given = client.directory(impatient.signal);
  const others = [client.directory(never), client.directory(never)];
  impatient.abort(new Error('enough'));
  await assert.rejects(given, /enough/);
  const [first, second] = await Promise.all(others);
  assert.equal(first, second);
  assert.equal(await client.directory(never), first);
  assert.equal(server.received.length, 2);
});

test('the directory is kept for a day, and asked for by whoever comes when all before have given up', async () => {
  const [first, second] = [{ newNonce: 'first' }, { newNonce: 'second' }] as unknown as Directory[];
  let now = 0;
  let asked = 0;
  const directory = keptDirectory(
    (signal) => {
      asked += 1;
      const { promise, resolve, reject } = Promise.withResolvers<Directory>();
      signal.addEventListener('abort', () => setTimeout(() => reject(signal.reason), 20), { once: true });
      if (asked > 1) resolve((asked === 2 ? first : second) as Directory);
      return promise;
    },
    () => now,
  );
  const impatient = new AbortController();
  const given = directory(impatient.signal);
  impatient.abort(new Error('enough'));
  await assert.rejects(given, /enough/);
  assert.equal(await directory(never), first);
  now = 86_400_000 - 1;
  assert.equal(await directory(never), first);
  now += 1;
  assert.equal(await directory(never), second);
  assert.equal(asked, 3);
});

test('an order is read, with the time it expires and the URL it was made under', async (t) => {
  const { server, client, by } = await bench(t);
  server.on('/newOrder', { status: 201, json: order(server), headers: { location: '/order/7', 'retry-after': '3' } });
  const identifiers = [{ type: 'dns', value: '*.lab.test' } as const];
  const { value, retryAfter } = await client.newOrder(by, { identifiers, profile: 'shortlived', replaces: 'a.b' }, never);
  const { unknown: _unknown, ...known } = order(server);
  assert.deepEqual(value, { ...known, url: server.url('/order/7'), expires: Date.parse('2026-11-30T07:00:00.123Z'), error: undefined });
  assert.equal(retryAfter, 3000);
  assert.deepEqual(JSON.parse(server.posts('/newOrder')[0]?.payload ?? ''), { identifiers, profile: 'shortlived', replaces: 'a.b' });
  server.on('/newOrder', { status: 201, json: order(server) });
  await assertFault(client.newOrder(by, { identifiers }, never), 'malformed', /no https URL of the order in Location/);
  assert.deepEqual(JSON.parse(server.posts('/newOrder')[1]?.payload ?? ''), { identifiers });
});

test('an order without what an issuer needs is refused, by the name of the field', async (t) => {
  const { server, client, by } = await bench(t);
  const wrong: readonly (readonly [Json, RegExp])[] = [
    [{ status: 'done' }, /its "status" is none of pending, ready/],
    [{ finalize: undefined }, /no URL in "finalize"/],
    [{ finalize: 'http://lab.test/f' }, /"finalize" is no https URL/],
    [{ certificate: '/cert' }, /"certificate" is no https URL/],
    [{ authorizations: {} }, /no list in "authorizations"/],
    [{ authorizations: ['/authz/1'] }, /"authorizations" is no https URL/],
    [{ authorizations: Array.from({ length: 1001 }, () => server.url('/authz/1')) }, /"authorizations" is longer than 1000/],
    [{ finalize: server.url(`/${'f'.repeat(5000)}`) }, /"finalize" is no https URL/],
    [{ identifiers: [{ type: 'dns', value: '$(reboot).lab.test' }] }, /"identifiers" is neither dns nor ip/],
    [{ identifiers: [{ type: 'email', value: 'a@b' }] }, /"identifiers" is neither dns nor ip/],
    [{ expires: 'tomorrow' }, /"expires" is no date/],
    [{ expires: '2026-13-40T00:00:00Z' }, /"expires" is no date/],
  ];
  for (const [change, why] of wrong) {
    server.on('/order/1', { json: { ...order(server), ...change } });
    await assertFault(client.order(by, server.url('/order/1'), never), 'malformed', why);
  }
  server.on('/order/1', { json: { ...order(server), certificate: null, expires: null, profile: null, error: { type: 'about:blank' } } });
  const { value } = await client.order(by, server.url('/order/1'), never);
  assert.deepEqual([value.certificate, value.expires, value.profile, value.error?.type], [undefined, undefined, undefined, 'about:blank']);
});

test('challenges of unknown types, without token, or not to be read at all, make no authorization useless', async (t) => {
  const { server, client, by } = await bench(t);
  const url = server.url('/challenge/1');
  const challenges = [
    { type: 'http-01', url, status: 'pending', token: 'abc_-1' },
    { type: 'dns-persist-01', url, status: 'pending', 'issuer-domain-names': ['lab.test'] },
    { type: 'http-01', url, status: 'pending', token: '../../etc/passwd' },
    { type: 'dns-01', url, status: 'invalid', token: 'abc', error: { type: 'urn:ietf:params:acme:error:dns', detail: 'none' } },
    { type: 'x', url: 'ftp://lab.test', status: 'pending' },
    { type: '\u001b[2J', url, status: 'pending' },
    { type: 'y', url, status: 'dreaming' },
    { url, status: 'pending' },
    'nonsense',
  ];
  const json = { identifier: { type: 'dns', value: 'lab.test' }, status: 'pending', wildcard: true, challenges };
  server.on('/authz/1', { json });
  const { value } = await client.authorization(by, server.url('/authz/1'), never);
  assert.deepEqual(
    value.challenges.map(({ type, token, error }) => [type, token, error?.detail]),
    [
      ['http-01', 'abc_-1', undefined],
      ['dns-persist-01', undefined, undefined],
      ['http-01', undefined, undefined],
      ['dns-01', 'abc', 'none'],
    ],
  );
  assert.deepEqual([value.wildcard, value.expires, value.url], [true, undefined, server.url('/authz/1')]);
  server.on('/authz/1', { json: { ...json, identifier: { type: 'email', value: 'x' } } });
  await assertFault(client.authorization(by, server.url('/authz/1'), never), 'malformed', /"identifier" is neither/);
  const many = Array.from({ length: 500 }, () => challenges[0]);
  server.on('/authz/1', { json: { ...json, challenges: many } });
  assert.equal((await client.authorization(by, server.url('/authz/1'), never)).value.challenges.length, 32);
});

test('an account keeps the URL that the server gave it, letter for letter, and whether it is new', async (t) => {
  const { server, client } = await bench(t);
  const location = 'https://LAB.test:443/Account/1';
  server.on('/newAccount', { status: 201, json: { status: 'valid', contact: ['mailto:a@\u001blab.test'] }, headers: { location } });
  const request = { contact: ['mailto:a@lab.test'], termsOfServiceAgreed: true };
  const made = await client.newAccount(ecKey(), request, never);
  assert.deepEqual(made, { url: location, status: 'valid', contact: ['mailto:a@ lab.test'], created: true });
  server.on('/newAccount', { json: { status: 'valid' }, headers: { location } });
  assert.deepEqual(await client.newAccount(ecKey(), request, never), { url: location, status: 'valid', contact: [], created: false });
  server.on('/newAccount', { json: { status: 'valid' }, headers: { location: 'http://lab.test/1' } });
  await assertFault(client.newAccount(ecKey(), request, never), 'malformed', /account in Location/);
});

test('a chain is taken only if it is certificates and nothing else: servers would read a key in it', async (t) => {
  const { server, client, by } = await bench(t);
  const headers = {
    'content-type': 'application/pem-certificate-chain',
    link: ['</cert/2>;rel="alternate"', '<http://lab.test/3>;rel="alternate"'],
  };
  server.on('/cert/1', { headers, text: block('CERTIFICATE') + block('CERTIFICATE') });
  const download = await client.download(by, server.url('/cert/1'), never);
  assert.deepEqual(download, { pem: block('CERTIFICATE') + block('CERTIFICATE'), alternates: [server.url('/cert/2')] });
  assert.equal(server.posts('/cert/1')[0]?.headers.accept, 'application/pem-certificate-chain');
  for (const text of [
    '',
    'nonsense',
    block('CERTIFICATE') + block('PRIVATE KEY'),
    block('DH PARAMETERS') + block('CERTIFICATE'),
    block('TRUSTED CERTIFICATE'),
  ]) {
    server.on('/cert/1', { headers, text });
    await assertFault(client.download(by, server.url('/cert/1'), never), 'malformed', /no chain of certificates in PEM and nothing else/);
  }
});

test('renewal information needs a window of two dates in their order; all else is malformed', async (t) => {
  const { server, client } = await bench(t);
  const window = { start: '2026-12-01T00:00:00Z', end: '2026-12-02T00:00:00Z' };
  server.on('/renewalInfo/a.b', {
    json: { suggestedWindow: window, explanationURL: 'https://lab.test/why' },
    headers: { 'retry-after': '21600' },
  });
  const { value, retryAfter } = await client.renewalInfo('a.b', never);
  assert.deepEqual(value, { start: Date.parse(window.start), end: Date.parse(window.end), explanationUrl: 'https://lab.test/why' });
  assert.equal(retryAfter, 21_600_000);
  const wrong: readonly unknown[] = [
    {},
    { suggestedWindow: null },
    { suggestedWindow: [] },
    { suggestedWindow: { start: window.start } },
    { suggestedWindow: { start: 'soon', end: window.end } },
    { suggestedWindow: { start: window.end, end: window.start } },
    { suggestedWindow: { start: window.end, end: window.end } },
    { suggestedWindow: { start: 1, end: 2 } },
  ];
  for (const json of wrong) {
    server.on('/renewalInfo/a.b', { json });
    await assertFault(client.renewalInfo('a.b', never), 'malformed', /"suggestedWindow"/);
  }
  server.on('/renewalInfo/a.b', { json: { suggestedWindow: window, explanationURL: 'javascript:alert(1)' } });
  assert.equal((await client.renewalInfo('a.b', never)).value.explanationUrl, undefined);
});
