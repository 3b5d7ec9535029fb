import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { openSolver } from '../../src/challenges/open.ts';
import { identifiersOf, keyTypeOf } from '../../src/certificate/bundle.ts';
import { parseIdentifiers } from '../../src/certificate/identifier.ts';
import { KEY_TYPES, type CertificateSpec } from '../../src/certificate/spec.ts';
import type { AcmeIssuerConfig } from '../../src/config/config.ts';
import type { AcmeIssuer } from '../../src/issuers/acme/acme.ts';
import { openAcmeIssuer } from '../../src/issuers/acme/open.ts';
import { DAY, systemClock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { startPebble, type Pebble, type PebbleOptions } from '../support/daemons/pebble.ts';
import { scratchDirectory } from '../support/scratch.ts';

interface Set {
  readonly pebble: Pebble;
  readonly directory: string;
  readonly uses: string[];
  readonly open: (change?: Partial<AcmeIssuerConfig>) => Promise<AcmeIssuer>;
}

async function set(t: TestContext, options: PebbleOptions = {}): Promise<Set> {
  const pebble = await startPebble(t, options);
  const directory = join(scratchDirectory(t), 'authority', 'acme', 'pebble');
  const uses: string[] = [];
  return {
    pebble,
    directory,
    uses,
    async open(change = {}) {
      const config: AcmeIssuerConfig = {
        name: 'pebble',
        directory: pebble.directory,
        caFile: pebble.caFile,
        email: 'admin@example.org',
        eab: undefined,
        profile: undefined,
        preferredChain: undefined,
        challenge: { type: 'http-01', via: 'listen', listen: `127.0.0.1:${pebble.httpPort}` },
        limits: [],
        rehearse: undefined,
        ...change,
      };
      const surroundings = { challengesDirectory: directory, resolvers: [], clock: systemClock, log: silentLog };
      const issuer = await openAcmeIssuer({
        config,
        directory,
        solver: () => openSolver(config.challenge, surroundings),
        clock: systemClock,
        log: silentLog,
        onUse: (kind, subject) => uses.push(`${kind} ${subject}`.trim()),
      });
      t.after(() => issuer[Symbol.asyncDispose]());
      return issuer;
    },
  };
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
    assert.deepEqual(readdirSync(directory).sort(), ['account.json', 'orders']);
    assert.deepEqual(readdirSync(join(directory, 'orders')), []);
    assert.equal(statSync(join(directory, 'account.json')).mode & 0o777, 0o600);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    assert.deepEqual(uses.slice(0, 4), ['account', 'order', 'certificate example.org', 'duplicate lab.example.org,www.lab.example.org']);
    assert.equal(uses.filter((use) => use === 'account').length, 1);
  });
});
