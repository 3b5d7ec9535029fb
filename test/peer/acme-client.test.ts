import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import test, { type TestContext } from 'node:test';

import type { AcmeClient } from '../../src/acme/client.ts';
import type { AcmeIdentifier, Download, Signatory } from '../../src/acme/resources.ts';
import { ariCertificateId } from '../../src/x509/ari-id.ts';
import { clientOf, problemOf } from '../support/acme-client.ts';
import { certificatesIn, ecKey, http01Answers, opensslRequest, validOrder } from '../support/acme-ordering.ts';
import { startPebble, type Pebble, type PebbleOptions } from '../support/daemons/pebble.ts';
import { scaled } from '../support/scale.ts';

const signal = AbortSignal.timeout(240_000);
const TERMS = { contact: [], termsOfServiceAgreed: true };
const DAY = 86_400_000;

interface Bench {
  readonly pebble: Pebble;
  readonly client: AcmeClient;
  readonly answers: Map<string, string>;
}

async function bench(t: TestContext, options: PebbleOptions = {}): Promise<Bench> {
  const pebble = await startPebble(t, options);
  return { pebble, client: clientOf(t, pebble), answers: await http01Answers(t, pebble.httpPort) };
}

async function account(client: AcmeClient, key = ecKey()): Promise<Signatory> {
  return { key, url: (await client.newAccount(key, TERMS, signal)).url };
}

function dns(...names: readonly string[]): AcmeIdentifier[] {
  return names.map((value) => ({ type: 'dns', value }));
}

interface Issued extends Download {
  readonly leaf: X509Certificate;
  readonly keyPem: string;
}

async function issued(t: TestContext, { client, answers }: Bench, by: Signatory, names: readonly string[], more = {}): Promise<Issued> {
  const request = await opensslRequest(t, names);
  const order = await validOrder(client, by, { identifiers: dns(...names), ...more }, request.der, answers, signal);
  assert.equal(order.status, 'valid', JSON.stringify(order.error));
  const download = await client.download(by, order.certificate ?? '', signal);
  const [leaf] = certificatesIn(download.pem);
  assert.ok(leaf !== undefined);
  return { ...download, leaf, keyPem: request.keyPem };
}

test('a certificate is had from Pebble at its default chaos, by http-01, and every order can be asked for again', async (t) => {
  const made = await bench(t);
  const by = await account(made.client);
  const { leaf, pem, keyPem, alternates } = await issued(t, made, by, ['www.lab.test', 'mail.lab.test']);
  const [, intermediate] = certificatesIn(pem);
  assert.ok(leaf.checkPrivateKey(createPrivateKey(keyPem)));
  assert.equal(leaf.checkHost('mail.lab.test'), 'mail.lab.test');
  assert.ok(intermediate !== undefined && leaf.checkIssued(intermediate));
  assert.deepEqual(alternates, []);
  assert.equal((await made.pebble.status(leaf.serialNumber))?.status, 'Valid');
});

test('an account is made once, found again, refused where it may only be found, updated and ended', async (t) => {
  const { client } = await bench(t);
  for (const key of [ecKey(), ecKey('P-384'), generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey]) {
    const unknown = await problemOf(client.newAccount(key, { ...TERMS, onlyReturnExisting: true }, signal));
    assert.deepEqual([unknown.type, unknown.status], ['accountDoesNotExist', 400]);
    const made = await client.newAccount(key, { contact: ['mailto:a@lab.test'], termsOfServiceAgreed: true }, signal);
    assert.deepEqual([made.created, made.status, made.contact], [true, 'valid', ['mailto:a@lab.test']]);
    const found = await client.newAccount(key, { ...TERMS, onlyReturnExisting: true }, signal);
    assert.deepEqual([found.created, found.url], [false, made.url]);
    const by = { key, url: made.url };
    assert.deepEqual((await client.account(by, signal)).contact, ['mailto:a@lab.test']);
    assert.deepEqual((await client.updateContact(by, ['mailto:b@lab.test'], signal)).contact, ['mailto:b@lab.test']);
    assert.equal((await client.deactivateAccount(by, signal)).status, 'deactivated');
    assert.equal((await problemOf(client.newOrder(by, { identifiers: dns('lab.test') }, signal))).status, 403);
  }
  const terms = await problemOf(client.newAccount(ecKey(), { contact: [], termsOfServiceAgreed: false }, signal));
  assert.equal(terms.type, 'userActionRequired');
});

test('after a key change the new key is the account, and the old one none', async (t) => {
  const { client } = await bench(t);
  const by = await account(client);
  const newKey = ecKey('P-384');
  await client.changeKey(by, newKey, signal);
  assert.equal((await client.account({ ...by, key: newKey }, signal)).status, 'valid');
  assert.equal((await problemOf(client.account(by, signal))).status, 400);
  assert.equal((await client.newAccount(newKey, TERMS, signal)).url, by.url);
});

test('an external account is bound where the CA wants one, and only with the right key', async (t) => {
  const mac = Buffer.from('a mac key of thirty-two octets..').toString('base64url');
  const { client } = await bench(t, { eab: { 'kid-1': mac } });
  assert.equal((await client.directory(signal)).meta.externalAccountRequired, true);
  assert.equal((await problemOf(client.newAccount(ecKey(), TERMS, signal))).type, 'externalAccountRequired');
  const bound = (text: string): Promise<unknown> =>
    client.newAccount(ecKey(), { ...TERMS, externalAccount: { kid: 'kid-1', hmacKey: Buffer.from(text, 'base64url') } }, signal);
  assert.ok((await problemOf(bound('AAAA'))).status >= 400);
  assert.equal(((await bound(mac)) as { created: boolean }).created, true);
});

test('alternate chains are named, and each can be had', async (t) => {
  const made = await bench(t, { alternateRoots: 2, chainLength: 3 });
  const by = await account(made.client);
  const { pem, alternates } = await issued(t, made, by, ['alternate.lab.test']);
  assert.equal(alternates.length, 2);
  const chains = [pem, ...(await Promise.all(alternates.map(async (url) => (await made.client.download(by, url, signal)).pem)))].map(
    certificatesIn,
  );
  for (const [index, chain] of chains.entries()) {
    assert.equal(chain.length, 4);
    assert.ok(chain.at(-1)?.checkIssued(new X509Certificate(await made.pebble.root(index))), String(index));
  }
});

test('a certificate is revoked by the account, and another by its own key, each with its reason; twice is a problem', async (t) => {
  const made = await bench(t);
  const by = await account(made.client);
  const first = await issued(t, made, by, ['one.lab.test']);
  await made.client.revoke(by, first.leaf.raw, 'superseded', signal);
  assert.deepEqual(await made.pebble.status(first.leaf.serialNumber), { status: 'Revoked', reason: 4 });
  const second = await issued(t, made, by, ['two.lab.test']);
  await made.client.revoke(createPrivateKey(second.keyPem), second.leaf.raw, 'keyCompromise', signal);
  assert.deepEqual(await made.pebble.status(second.leaf.serialNumber), { status: 'Revoked', reason: 1 });
  const third = await issued(t, made, by, ['three.lab.test']);
  const stranger = await account(made.client);
  assert.ok((await problemOf(made.client.revoke(ecKey(), third.leaf.raw, 'unspecified', signal))).status >= 400);
  assert.ok((await problemOf(made.client.revoke(stranger, third.leaf.raw, 'unspecified', signal))).status >= 400);
  await made.client.revoke(by, third.leaf.raw, 'unspecified', signal);
  assert.equal((await made.pebble.status(third.leaf.serialNumber))?.status, 'Revoked');
  assert.equal((await problemOf(made.client.revoke(by, third.leaf.raw, 'unspecified', signal))).type, 'alreadyRevoked');
});

test('renewal information is had for what was issued, and an order says what it replaces', async (t) => {
  const made = await bench(t);
  const by = await account(made.client);
  const { leaf, pem } = await issued(t, made, by, ['ari.lab.test']);
  const id = ariCertificateId(leaf);
  const { value, retryAfter } = await made.client.renewalInfo(id, signal);
  assert.ok(value.start > leaf.validFromDate.getTime() && value.end < leaf.validToDate.getTime() && value.start < value.end);
  assert.ok(retryAfter !== undefined && retryAfter > 0);
  const suggestedWindow = { start: '2026-01-01T00:00:00Z', end: '2026-01-02T00:00:00Z' };
  await made.pebble.setRenewalInfo(
    pem.slice(0, pem.indexOf('-----END') + 25),
    JSON.stringify({ suggestedWindow, explanationURL: 'https://lab.test/why' }),
  );
  const advised = {
    start: Date.parse(suggestedWindow.start),
    end: Date.parse(suggestedWindow.end),
    explanationUrl: 'https://lab.test/why',
  };
  assert.deepEqual((await made.client.renewalInfo(id, signal)).value, advised);
  await issued(t, made, by, ['ari.lab.test'], { replaces: id });
  const again = await problemOf(made.client.newOrder(by, { identifiers: dns('ari.lab.test'), replaces: id }, signal));
  assert.deepEqual([again.status, again.type], [409, 'alreadyReplaced']);
  assert.equal((await problemOf(made.client.renewalInfo('AAAA.BBBB', signal))).type, 'malformed');
});

test('a profile is chosen from those that the directory names, and another is a problem', async (t) => {
  const made = await bench(t);
  const by = await account(made.client);
  assert.deepEqual((await made.client.directory(signal)).meta.profiles, { default: 'ninety days', shortlived: 'six days' });
  for (const [profile, days] of [
    ['default', 90],
    ['shortlived', 6],
  ] as const) {
    const { leaf } = await issued(t, made, by, [`${profile}.lab.test`], { profile });
    assert.equal(Math.round((leaf.validToDate.getTime() - leaf.validFromDate.getTime()) / DAY), days);
  }
  assert.equal(
    (await problemOf(made.client.newOrder(by, { identifiers: dns('lab.test'), profile: 'none' }, signal))).type,
    'invalidProfile',
  );
});

test('a validation that fails says why in the challenge, and an authorization can be given up', async (t) => {
  const { client } = await bench(t, { authzReuse: 0 });
  const by = await account(client);
  const placed = await client.newOrder(by, { identifiers: dns('unanswered.lab.test', 'given-up.lab.test') }, signal);
  const [first = '', second = ''] = placed.value.authorizations;
  const challenge = (await client.authorization(by, first, signal)).value.challenges.find(({ type }) => type === 'http-01');
  await client.answerChallenge(by, challenge?.url ?? '', signal);
  let failed = (await client.authorization(by, first, signal)).value;
  while (failed.status === 'pending') failed = (await client.authorization(by, first, signal)).value;
  assert.equal(failed.status, 'invalid');
  const { error } = failed.challenges.find(({ type }) => type === 'http-01') ?? {};
  assert.equal(error?.type, 'urn:ietf:params:acme:error:unauthorized');
  assert.match(error.detail ?? '', /404/);
  assert.equal((await client.deactivateAuthorization(by, second, signal)).status, 'deactivated');
});

for (const nonceReject of [5, 50]) {
  test(`certificates are had one after the other while ${nonceReject} % of all nonces are refused`, async (t) => {
    const made = await bench(t, { nonceReject });
    const by = await account(made.client);
    for (let count = 0; count < scaled(100); count += 1) await issued(t, made, by, [`n${count}.lab.test`]);
  });
}
