import assert from 'node:assert/strict';
import { X509Certificate, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { openSolver } from '../../src/challenges/open.ts';
import { identifiersOf, keyTypeOf } from '../../src/certificate/bundle.ts';
import { parseIdentifiers } from '../../src/certificate/identifier.ts';
import { KEY_TYPES, type CertificateSpec } from '../../src/certificate/spec.ts';
import type { AcmeIssuerConfig } from '../../src/config/config.ts';
import type { AcmeIssuer } from '../../src/issuers/acme/acme.ts';
import { changeAccountKey, deactivateAccount, showAccount } from '../../src/issuers/acme/account-commands.ts';
import { adoptAccount } from '../../src/issuers/acme/adopt.ts';
import { IssueFailure } from '../../src/issuers/acme/failure.ts';
import { openClient } from '../../src/issuers/acme/open-client.ts';
import type { AccountPlace } from '../../src/issuers/acme/place.ts';
import { openAcmeIssuer } from '../../src/issuers/acme/open.ts';
import { DAY, systemClock } from '../../src/platform/clock.ts';
import { describeError } from '../../src/platform/errors.ts';
import { silentLog } from '../../src/platform/log.ts';
import { startFaultProxy } from '../support/acme-fault-proxy.ts';
import { startPebble, type Pebble, type PebbleOptions } from '../support/daemons/pebble.ts';
import { scratchDirectory } from '../support/scratch.ts';

interface Surroundings {
  readonly pebble: Pebble;
  readonly directory: string;
  readonly uses: string[];
  readonly open: (change?: Partial<AcmeIssuerConfig>) => Promise<AcmeIssuer>;
  readonly place: () => Promise<AccountPlace>;
}

async function set(t: TestContext, options: PebbleOptions = {}): Promise<Surroundings> {
  const pebble = await startPebble(t, options);
  const directory = join(scratchDirectory(t), 'authority', 'acme', 'pebble');
  const uses: string[] = [];
  const common = { directory, clock: systemClock, log: silentLog };
  const configured = (change: Partial<AcmeIssuerConfig>): AcmeIssuerConfig => ({
    name: 'pebble',
    directory: pebble.directory,
    caFile: pebble.caFile,
    email: 'admin@example.org',
    eab: undefined,
    profile: undefined,
    preferredChain: undefined,
    challenge: listenAt(pebble),
    limits: [],
    rehearse: undefined,
    ...change,
  });
  return {
    pebble,
    directory,
    uses,
    async open(change = {}) {
      const config = configured(change);
      const issuer = await openAcmeIssuer({
        ...common,
        config,
        solver: () => openSolver(config.challenge, { challengesDirectory: directory, resolvers: [], clock: systemClock, log: silentLog }),
        onUse: (kind, subject) => uses.push(`${kind} ${subject}`.trim()),
      });
      t.after(() => issuer[Symbol.asyncDispose]());
      return issuer;
    },
    async place() {
      const config = configured({});
      const client = await openClient(config);
      t.after(() => client[Symbol.asyncDispose]());
      return { ...common, config, client };
    },
  };
}

function listenAt({ httpPort }: Pebble): AcmeIssuerConfig['challenge'] {
  return { type: 'http-01', via: 'listen', listen: `127.0.0.1:${httpPort}` };
}

function wanted(names: readonly string[], change: Partial<CertificateSpec> = {}): CertificateSpec {
  return {
    name: 'default',
    identifiers: parseIdentifiers(names),
    keyType: 'ecdsa-p256',
    issuers: ['pebble'],
    lifetime: 90 * DAY,
    renewBefore: 7 * DAY,
    consumers: [],
    ...change,
  };
}

const never = new AbortController().signal;

describe('a certificate from a real ACME server', () => {
  test('is for the wanted names, with a new key of the wanted type, and its account is kept', async (t) => {
    const { open, directory, uses } = await set(t);
    const issuer = await open();
    for (const keyType of KEY_TYPES) {
      const spec = wanted(['lab.example.org', 'www.lab.example.org'], { keyType, name: keyType });
      const bundle = await issuer.issue(spec, { now: Date.now() });
      issuer.settled(keyType);
      assert.deepEqual(identifiersOf(bundle.leaf), spec.identifiers);
      assert.equal(keyTypeOf(bundle.key), keyType);
    }
    assert.deepEqual(readdirSync(directory).sort(), ['account.json', 'directory.json', 'orders']);
    assert.deepEqual(readdirSync(join(directory, 'orders')), []);
    assert.equal(statSync(join(directory, 'account.json')).mode & 0o777, 0o600);
    assert.deepEqual(uses.slice(0, 4), ['account', 'order', 'certificate example.org', 'duplicate lab.example.org,www.lab.example.org']);
    assert.equal(uses.filter((use) => use === 'account').length, 1);
  });

  test('takes seven requests with a kept nonce', async (t) => {
    const { pebble, open } = await set(t, { nonceReject: 0, authzReuse: 0 });
    const proxy = await startFaultProxy(t, pebble);
    const issuer = await open({ directory: proxy.directory, caFile: proxy.caFile });
    await issuer.issue(wanted(['a.example.org']), { now: Date.now() });
    issuer.settled('default');
    const before = proxy.seen.length;
    await issuer.issue(wanted(['b.example.org']), { now: Date.now() });
    const kinds = proxy.seen.slice(before).map(({ kind }) => kind);
    assert.deepEqual(kinds.slice(0, 3), ['newOrder', 'authorization', 'challenge']);
    assert.ok(kinds.length <= 8, kinds.join(' '));
    assert.ok(!kinds.includes('newAccount') && !kinds.includes('newNonce') && !kinds.includes('directory'), kinds.join(' '));
    console.log(`# requests of one issuance: ${kinds.join(' ')}`);
  });

  test('may have 100 names, or an address', async (t) => {
    const { open } = await set(t);
    const issuer = await open();
    const names = Array.from({ length: 100 }, (_, index) => `host-${index}.example.org`);
    const many = await issuer.issue(wanted(names), { now: Date.now() });
    assert.equal(identifiersOf(many.leaf).length, 100);
    const one = await issuer.issue(wanted(['127.0.0.1'], { name: 'address' }), { now: Date.now() });
    assert.deepEqual(identifiersOf(one.leaf), [{ type: 'ip', value: '127.0.0.1' }]);
  });

  test('is of the profile that is configured', async (t) => {
    const { open } = await set(t);
    const { leaf } = await (await open({ profile: 'shortlived' })).issue(wanted(['a.example.org']), { now: Date.now() });
    assert.ok(leaf.validToDate.getTime() - leaf.validFromDate.getTime() < 7 * DAY);
    await assert.rejects((await open({ profile: 'none' })).issue(wanted(['a.example.org']), { now: Date.now() }), {
      kind: 'configuration',
      why: 'it does not offer the profile "none", but default, shortlived',
    });
  });

  test('comes with the chain to the preferred root', async (t) => {
    const { pebble, open } = await set(t, { alternateRoots: 2, chainLength: 3 });
    const roots = await Promise.all([0, 1, 2].map(async (index) => new X509Certificate(await pebble.root(index))));
    for (const root of roots) {
      const name = /^CN=(.*)$/m.exec(root.subject ?? '')?.[1];
      const issuer = await open({ preferredChain: name ?? '' });
      const bundle = await issuer.issue(wanted(['a.example.org']), { now: Date.now() });
      const top = bundle.chain.at(-1) ?? bundle.leaf;
      assert.ok(top.verify(root.publicKey), `not below ${name}`);
    }
  });

  test('replaces the one before by its renewal information', async (t) => {
    const { pebble, open, uses } = await set(t);
    const issuer = await open();
    const first = await issuer.issue(wanted(['a.example.org']), { now: Date.now() });
    issuer.settled('default');
    const info = await issuer.renewalInfo(first.leaf, never);
    assert.ok(info !== undefined && info.value.start < info.value.end);
    uses.length = 0;
    await issuer.issue(wanted(['a.example.org']), { now: Date.now(), replaces: { leaf: first.leaf, inWindow: true } });
    issuer.settled('default');
    assert.deepEqual(uses, [], pebble.log().split('\n').slice(-5).join('\n'));
    await issuer.issue(wanted(['a.example.org']), { now: Date.now(), replaces: { leaf: first.leaf, inWindow: true } });
    assert.deepEqual(uses, ['order', 'certificate example.org', 'duplicate a.example.org'], 'replaced already: an ordinary order');
  });

  test('that cannot be proven says why in one line, and leaves nothing behind', async (t) => {
    const { pebble, open, directory, uses } = await set(t);
    await pebble.dns.addA('b.example.org', '127.0.0.2');
    await assert.rejects((await open()).issue(wanted(['a.example.org', 'b.example.org']), { now: Date.now() }), (error: IssueFailure) => {
      assert.equal(error.kind, 'challenge');
      assert.match(
        describeError(error),
        /^pebble gave no certificate for default: b\.example\.org: its http-01 challenge failed: connection: .*podserve doctor b\.example\.org/,
      );
      return true;
    });
    assert.deepEqual(readdirSync(join(directory, 'orders')), []);
    assert.ok(uses.includes('failure b.example.org') && !uses.includes('failure a.example.org'), uses.join(', '));
  });

  test('for a name that the CA does not sign for is refused with a remedy', async (t) => {
    const { open } = await set(t, { blocked: ['blocked.test'] });
    await assert.rejects((await open()).issue(wanted(['a.blocked.test']), { now: Date.now() }), (error: IssueFailure) => {
      assert.equal(error.kind, 'rejected');
      assert.match(describeError(error), /rejectedIdentifier.*take it out of the certificate/);
      return true;
    });
  });

  test('is revoked by the account, and by its own key where another account had it', async (t) => {
    const { pebble, open } = await set(t);
    const issuer = await open();
    const one = await issuer.issue(wanted(['a.example.org'], { name: 'one' }), { now: Date.now() });
    await issuer.revoke(one, 'superseded', never);
    await issuer.revoke(one, 'superseded', never);
    assert.deepEqual(await pebble.status(one.leaf.serialNumber), { status: 'Revoked', reason: 4 });
    const two = await issuer.issue(wanted(['a.example.org'], { name: 'two' }), { now: Date.now() });
    const stranger = await set(t, {});
    const other = await stranger.open({ directory: pebble.directory, caFile: pebble.caFile, challenge: listenAt(pebble) });
    await other.issue(wanted(['z.example.org']), { now: Date.now() });
    await other.revoke(two, 'keyCompromise', never);
    assert.deepEqual(await pebble.status(two.leaf.serialNumber), { status: 'Revoked', reason: 1 });
  });
});

describe('an account with a real ACME server', () => {
  test('is made once more with the same key by a server that has lost its database', async (t) => {
    const { open, directory, pebble } = await set(t);
    await (await open()).issue(wanted(['a.example.org']), { now: Date.now() });
    const other = await startPebble(t, { httpPort: pebble.httpPort });
    const file = join(directory, 'account.json');
    const account = readFileSync(file, 'utf8');
    const moved = { directory: other.directory, caFile: other.caFile };
    // The server is the same one for the issuer: only its memory is gone.
    writeFileSync(file, account.replaceAll(pebble.origin, other.origin));
    await (await open(moved)).issue(wanted(['a.example.org']), { now: Date.now() });
    const after = JSON.parse(readFileSync(file, 'utf8')) as { key: string; url: string };
    assert.equal(after.key, (JSON.parse(account) as { key: string }).key);
    assert.deepEqual(readdirSync(directory).sort(), ['account.json', 'directory.json', 'orders']);
  });

  test('is bound to an external one where the CA wants that', async (t) => {
    const hmac = randomBytes(32);
    const { open, directory } = await set(t, { eab: { 'kid-1': hmac.toString('base64url') } });
    await assert.rejects((await open()).issue(wanted(['a.example.org']), { now: Date.now() }), {
      kind: 'configuration',
      remedy: 'set issuers.pebble.eab.kid and issuers.pebble.eab.hmacFile to what the CA gave you',
    });
    const hmacFile = join(scratchDirectory(t), 'hmac');
    writeFileSync(hmacFile, `${hmac.toString('base64')}\n`);
    await assert.rejects(
      (await open({ eab: { kid: 'kid-2', hmacFile } })).issue(wanted(['a.example.org']), { now: Date.now() }),
      (error) => {
        assert.ok(error instanceof IssueFailure);
        assert.equal(error.scope, 'issuer');
        assert.doesNotMatch(describeError(error), new RegExp(hmac.toString('base64url').slice(0, 20)));
        return true;
      },
    );
    await (await open({ eab: { kid: 'kid-1', hmacFile } })).issue(wanted(['a.example.org']), { now: Date.now() });
    assert.deepEqual(readdirSync(directory).sort(), ['account.json', 'directory.json', 'orders']);
  });

  test('is shown, told of another address, given another key and deactivated', async (t) => {
    const { open, place } = await set(t);
    await (await open()).issue(wanted(['a.example.org']), { now: Date.now() });
    await (await open({ email: 'other@example.org' })).issue(wanted(['b.example.org']), { now: Date.now() });
    const account = await place();
    const before = await showAccount(account, never);
    assert.deepEqual([before?.status, before?.contact, before?.keyType], ['valid', ['mailto:other@example.org'], 'ecdsa-p256']);
    const after = await changeAccountKey(account, never);
    assert.equal(after.url, before?.url);
    assert.notEqual(after.thumbprint, before?.thumbprint);
    await (await open({ email: 'other@example.org' })).issue(wanted(['c.example.org']), { now: Date.now() });
    await deactivateAccount(account, never);
    assert.equal(await showAccount(account, never), undefined);
    await (await open()).issue(wanted(['d.example.org']), { now: Date.now() });
    assert.notEqual((await showAccount(account, never))?.url, before?.url);
  });

  test('is taken over from another program with its RSA key, and gives certificates', async (t) => {
    const { open, place, directory, pebble, uses } = await set(t);
    const { client } = await place();
    const { privateKey: key } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const { url } = await client.newAccount(key, { contact: [], termsOfServiceAgreed: true }, never);
    await adoptAccount(directory, { directoryUrl: pebble.directory, key, url, contact: ['mailto:admin@example.org'] }, Date.now());
    await (await open()).issue(wanted(['a.example.org']), { now: Date.now() });
    assert.ok(!uses.includes('account'));
    assert.equal((await showAccount(await place(), never))?.url, url);
  });
});
