import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { identifiersOf, parseBundle, parseCertificates } from '../../../src/certificate/bundle.ts';
import { parseIdentifiers } from '../../../src/certificate/identifier.ts';
import type { CertificateSpec } from '../../../src/certificate/spec.ts';
import { openLocalCa, type LocalCa } from '../../../src/issuers/local-ca/local-ca.ts';
import { DAY, SECOND } from '../../../src/platform/clock.ts';
import { subjectKeyIdentifierOf } from '../../../src/x509/certificate-reader.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const NOW = Date.parse('2026-11-23T05:04:37Z');
const NAMES = ['lab.example.org', '*.lab.example.org', '203.0.113.7'];

interface Opened {
  readonly ca: LocalCa;
  readonly directory: string;
  readonly warnings: string[];
  readonly again: (names?: readonly string[]) => LocalCa;
}

function open(t: Parameters<typeof scratchDirectory>[0], names: readonly string[] = NAMES): Opened {
  const directory = join(scratchDirectory(t), 'data', 'authority', 'local-ca');
  const warnings: string[] = [];
  const again = (wanted = names): LocalCa =>
    openLocalCa({ directory, permit: parseIdentifiers(wanted), publisherWarn: (line) => warnings.push(line) });
  return { ca: again(), directory, warnings, again };
}

function spec(names: readonly string[], lifetime = 90 * DAY): CertificateSpec {
  return {
    name: 'default',
    identifiers: parseIdentifiers(names),
    keyType: 'ecdsa-p256',
    issuers: ['local-ca'],
    lifetime,
    renewBefore: 7 * DAY,
    consumers: [],
  };
}

function mode(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

const wanted = parseIdentifiers(NAMES);

describe('the built-in CA', () => {
  test('signs a leaf that belongs together and leads to the root in ca.pem', async (t) => {
    const { ca } = open(t);
    const { pem } = await ca.prepare(NOW, wanted);
    const bundle = await ca.issue(spec(NAMES), { now: NOW });
    const again = parseBundle(bundle.privateKeyPem, bundle.leafPem + bundle.chainPem);
    assert.deepEqual([again.privateKeyPem, again.leafPem, again.chainPem], [bundle.privateKeyPem, bundle.leafPem, '']);
    const [root] = parseCertificates(pem);
    assert.ok(root !== undefined && bundle.leaf.checkIssued(root) && bundle.leaf.verify(root.publicKey));
    assert.deepEqual(identifiersOf(bundle.leaf), wanted);
    assert.equal(bundle.leaf.ca, false);
    assert.equal(bundle.leaf.validToDate.getTime(), NOW + 90 * DAY - SECOND);
    assert.equal(root.ca, true);
    assert.equal(root.validToDate.getTime(), NOW + 3652 * DAY - SECOND);
    assert.equal(subjectKeyIdentifierOf(root.raw)?.length, 20);
  });

  test('makes one root and finds it again', async (t) => {
    const { ca, directory, again } = open(t);
    const first = await ca.prepare(NOW, wanted);
    const second = await again().prepare(NOW + DAY, wanted);
    assert.deepEqual(readdirSync(directory), ['root-000001.pem']);
    assert.equal(second.pem, first.pem);
    assert.equal(second.signing?.number, 1);
    assert.deepEqual((await again().roots(NOW)).signing?.constraints, first.signing?.constraints);
  });

  test('makes its root when the first leaf needs it, once for many at a time', async (t) => {
    const { ca, directory, again } = open(t);
    const bundles = await Promise.all(Array.from({ length: 20 }, () => ca.issue(spec(NAMES), { now: NOW })));
    assert.equal(new Set(bundles.map(({ leaf }) => leaf.serialNumber)).size, 20);
    assert.deepEqual(readdirSync(directory), ['root-000001.pem']);
    const [root] = (await again().roots(NOW)).roots;
    assert.ok(bundles.every(({ leaf }) => root !== undefined && leaf.verify(root.certificate.publicKey)));
  });

  test('asked for different new names at once, overwrites no root with another', async (t) => {
    const { ca, directory, again } = open(t);
    const bundles = await Promise.all(['one.example', 'two.example', 'three.example'].map((name) => ca.issue(spec([name]), { now: NOW })));
    assert.deepEqual(readdirSync(directory).sort(), ['root-000001.pem', 'root-000002.pem', 'root-000003.pem']);
    const { roots } = await again().roots(NOW);
    for (const { leaf } of bundles) assert.ok(roots.some(({ certificate }) => leaf.verify(certificate.publicKey)));
  });

  test('asked for its state, writes nothing', async (t) => {
    const { ca, directory } = open(t);
    assert.deepEqual(await ca.roots(NOW), { roots: [], signing: undefined, announced: undefined, pem: '' });
    assert.throws(() => statSync(directory), { code: 'ENOENT' });
  });

  test('a name outside the constraints makes a new root that signs it at once; the old one signs the rest for 30 days', async (t) => {
    const { ca, again } = open(t);
    await ca.prepare(NOW, wanted);
    const wider = again([...NAMES, 'new.example']);
    const state = await wider.prepare(NOW + DAY, parseIdentifiers([...NAMES, 'new.example']));
    assert.deepEqual(
      state.roots.map(({ number }) => number),
      [1, 2],
    );
    assert.equal(parseCertificates(state.pem).length, 2);
    const issuerOf = async (day: number, ...names: string[]): Promise<string> =>
      (await wider.issue(spec(names), { now: NOW + day * DAY })).leaf.issuer.replaceAll(/^.*CA (\d+) .*$/gms, '$1');
    assert.equal(await issuerOf(1, 'new.example'), '2');
    assert.equal(await issuerOf(1, 'lab.example.org', 'new.example'), '2');
    assert.equal(await issuerOf(1, 'lab.example.org'), '1');
    assert.equal(await issuerOf(32, 'lab.example.org'), '2');
  });

  test('a root near its end gets a successor that is announced first', async (t) => {
    const { ca } = open(t);
    await ca.prepare(NOW, wanted);
    const due = NOW + 3300 * DAY;
    const state = await ca.prepare(due, wanted);
    assert.deepEqual([state.signing?.number, state.announced?.number], [1, 2]);
    assert.equal(state.announced?.signsFrom, due + 30 * DAY);
    const later = await ca.prepare(due + 30 * DAY, wanted);
    assert.deepEqual([later.signing?.number, later.announced, later.roots.length], [2, undefined, 2]);
    assert.equal((await ca.prepare(due + (30 + 398) * DAY, wanted)).roots.length, 1);
  });

  test('a clock ten years ahead makes a root of its own, which does not sign when the clock is back', async (t) => {
    const { ca } = open(t);
    await ca.prepare(NOW, wanted);
    assert.equal((await ca.prepare(NOW + 3653 * DAY, wanted)).signing?.number, 2);
    const back = await ca.prepare(NOW + DAY, wanted);
    assert.deepEqual([back.signing?.number, back.announced?.number], [1, 2]);
    assert.match((await ca.issue(spec(NAMES), { now: NOW + DAY })).leaf.issuer, /CA 1 /);
  });

  test('no leaf begins before its root, ends after it, or lives longer than 397 days', async (t) => {
    const { ca } = open(t);
    const { leaf } = await ca.issue(spec(NAMES, 800 * DAY), { now: NOW });
    assert.equal(leaf.validToDate.getTime() - leaf.validFromDate.getTime() + SECOND, 397 * DAY);
    const [root] = (await ca.roots(NOW)).roots;
    assert.ok(root !== undefined && root.notBefore <= leaf.validFromDate.getTime() && leaf.validToDate.getTime() <= root.notAfter);
  });
});

describe('the files of the built-in CA', () => {
  test('key and certificate in one file of mode 0600, in directories that only the owner may enter', async (t) => {
    const { ca, directory } = open(t);
    await ca.prepare(NOW, wanted);
    assert.deepEqual([mode(join(directory, 'root-000001.pem')), mode(directory), mode(join(directory, '..'))], ['600', '700', '700']);
    assert.notEqual(mode(join(directory, '..', '..')), '700', 'others must reach the publication through the state directory');
  });

  test('a corrupt root is set aside with a clear warning, kept, and replaced by one with a new number', async (t) => {
    const { ca, directory, warnings, again } = open(t);
    await ca.prepare(NOW, wanted);
    const file = join(directory, 'root-000001.pem');
    for (const [content, why] of [
      ['garbage', /no complete private key/],
      ['', /no complete private key/],
      [readFileSync(file, 'utf8').slice(0, 700), /private key/],
    ] as const) {
      const fresh = open(t);
      mkdirSync(fresh.directory, { recursive: true });
      writeFileSync(join(fresh.directory, 'root-000001.pem'), content, { mode: 0o600 });
      assert.equal((await fresh.ca.prepare(NOW, wanted)).signing?.number, 2);
      assert.deepEqual(readdirSync(fresh.directory).sort(), ['root-000001.pem.corrupt-20261123T050437Z', 'root-000002.pem']);
      assert.equal(readFileSync(join(fresh.directory, 'root-000001.pem.corrupt-20261123T050437Z'), 'utf8'), content);
      assert.equal(fresh.warnings.length, 1);
      assert.match(fresh.warnings[0] ?? '', why);
      assert.match(fresh.warnings[0] ?? '', /set aside as .*corrupt-20261123T050437Z; restore/);
      assert.equal((await fresh.again().prepare(NOW, wanted)).signing?.number, 2);
      assert.equal(fresh.warnings.length, 1, 'it is told once');
    }
    assert.equal((await again().roots(NOW)).signing?.number, 1);
    assert.deepEqual(warnings, []);
  });

  test('a root whose key cannot be read stays trusted: its certificate stays in ca.pem', async (t) => {
    const { ca, directory, again, warnings } = open(t);
    const { pem } = await ca.prepare(NOW, wanted);
    const file = join(directory, 'root-000001.pem');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/(PRIVATE KEY-----\n)[\s\S]{20}/, '$1!!!!!!!!!!!!!!!!!!!!'));
    for (const state of [await again().prepare(NOW + DAY, wanted), await again().prepare(NOW + 2 * DAY, wanted)]) {
      assert.deepEqual(
        state.roots.map(({ number, hasKey }) => [number, hasKey]),
        [
          [1, false],
          [2, true],
        ],
      );
      assert.ok(state.pem.startsWith(pem));
      assert.equal(state.signing?.number, 2);
    }
    assert.equal(warnings.length, 1);
    assert.doesNotMatch(warnings.join(''), /[A-Za-z0-9+/]{40}/);
  });

  test('a root with the key of another one is no root', async (t) => {
    const [one, other] = [open(t), open(t)];
    await one.ca.prepare(NOW, wanted);
    await other.ca.prepare(NOW, wanted);
    const [mine, theirs] = [one, other].map(({ directory }) => readFileSync(join(directory, 'root-000001.pem'), 'utf8'));
    const swapped = (mine ?? '').replace(
      /-----BEGIN PRIVATE KEY-----[\s\S]+/,
      /-----BEGIN PRIVATE KEY-----[\s\S]+/.exec(theirs ?? '')?.[0] ?? '',
    );
    writeFileSync(join(one.directory, 'root-000001.pem'), swapped);
    const state = await one.again().prepare(NOW, wanted);
    assert.equal(state.signing?.number, 2);
    assert.match(one.warnings[0] ?? '', /does not belong to the certificate/);
  });

  test('a foreign CA or a leaf in place of a root is set aside, not used', async (t) => {
    const { ca, directory, again, warnings } = open(t);
    const { privateKeyPem, leafPem } = await ca.issue(spec(NAMES), { now: NOW });
    writeFileSync(join(directory, 'root-000007.pem'), leafPem + privateKeyPem, { mode: 0o600 });
    assert.equal((await again().prepare(NOW, wanted)).signing?.number, 1);
    assert.match(warnings[0] ?? '', /the certificate in it is not a CA/);
  });

  test('a directory where a root belongs is set aside', async (t) => {
    const { ca, directory, warnings } = open(t);
    mkdirSync(join(directory, 'root-000001.pem'), { recursive: true });
    assert.equal((await ca.prepare(NOW, wanted)).signing?.number, 2);
    assert.match(warnings[0] ?? '', /it is a directory/);
  });

  test('a second damage at the same second overwrites nothing', async (t) => {
    const { directory, again } = open(t);
    mkdirSync(directory, { recursive: true });
    for (const content of ['one', 'two']) {
      writeFileSync(join(directory, 'root-000001.pem'), content, { mode: 0o600 });
      await again().prepare(NOW, wanted);
    }
    const kept = readdirSync(directory).filter((name) => name.includes('corrupt'));
    assert.deepEqual(kept.map((name) => readFileSync(join(directory, name), 'utf8')).sort(), ['one', 'two']);
  });

  test('a root restored from a backup signs again', async (t) => {
    const { ca, directory, again } = open(t);
    await ca.prepare(NOW, wanted);
    const file = join(directory, 'root-000001.pem');
    const backup = join(directory, '..', 'backup.pem');
    copyFileSync(file, backup);
    writeFileSync(file, 'garbage');
    assert.equal((await again().prepare(NOW, wanted)).signing?.number, 2);
    copyFileSync(backup, file);
    assert.equal((await again().prepare(NOW, wanted)).signing?.number, 1);
  });

  test('a root file that others can read is closed, and that is said', async (t) => {
    const { ca, directory, again, warnings } = open(t);
    await ca.prepare(NOW, wanted);
    const file = join(directory, 'root-000001.pem');
    chmodSync(file, 0o644);
    await again().prepare(NOW, wanted);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.match(warnings[0] ?? '', /was open to others/);
  });

  test('what a killed process left behind is removed', async (t) => {
    const { ca, directory } = open(t);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, '.root-000001.0123456789ab'), 'half a key');
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    await ca.prepare(NOW, wanted);
    assert.deepEqual(readdirSync(directory).sort(), ['notes.txt', 'root-000001.pem']);
  });

  test('a file where the directory belongs is an error that names it', async (t) => {
    const { ca, directory } = open(t);
    mkdirSync(join(directory, '..'), { recursive: true });
    writeFileSync(directory, '');
    await assert.rejects(ca.prepare(NOW, wanted), { code: 'AUTHORITY_UNREADABLE', where: directory });
  });
});
