import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { readCurrent } from '../../src/publication/read.ts';
import { podserve, type Finished } from '../support/command.ts';
import { opensslCa } from '../support/openssl-ca.ts';
import { scratchDirectory } from '../support/scratch.ts';

interface HandMade {
  readonly cwd: string;
  readonly publication: string;
  readonly original: string;
}

/** A volume as somebody set it up by hand with a pair of a public CA, under the default configuration. */
async function handMade(t: TestContext, options: { names?: string[]; at?: string } = {}): Promise<HandMade> {
  const cwd = scratchDirectory(t);
  const publication = join(cwd, 'data/certificates');
  mkdirSync(publication, { recursive: true });
  const ca = await opensslCa(join(cwd, 'foreign'), "Let's Encrypt R13");
  const at = options.at === undefined ? {} : { at: options.at };
  const leaf = await ca.leaf('site', { names: options.names ?? ['localhost', '127.0.0.1', '::1'], days: 90, ...at });
  copyFileSync(leaf.fullchainFile, join(publication, 'fullchain.pem'));
  copyFileSync(leaf.certificateFile, join(publication, 'cert.pem'));
  copyFileSync(leaf.keyFile, join(publication, 'privkey.pem'));
  return { cwd, publication, original: readFileSync(leaf.certificateFile, 'utf8') };
}

function certificates({ cwd }: HandMade, ...args: string[]): Promise<Finished> {
  return podserve(['certificates', '--mode', ...args], { cwd });
}

test('a hand-made pair of a public CA is adopted under the default configuration, served on, and not replaced by a local one', async (t) => {
  const made = await handMade(t);
  const init = await certificates(made, 'init');
  assert.equal(init.code, 0, init.stderr);
  assert.match(init.stdout, /^default: adopted: generation 1 of .*R13/m);
  for (const mode of ['renew', 'init', 'renew']) assert.equal((await certificates(made, mode)).code, 0);
  const current = await readCurrent(made.publication, 'default');
  assert.deepEqual([current?.number, current?.manifest.origin], [1, 'adopted']);
  assert.equal(readFileSync(join(made.publication, 'cert.pem'), 'utf8').trim(), made.original.trim());
  const check = await certificates(made, 'check');
  assert.equal(check.code, 0, check.stdout);
});

test('an adopted pair past its own renewal time is replaced', async (t) => {
  const made = await handMade(t, { at: '85 days ago' });
  const init = await certificates(made, 'init');
  assert.equal(init.code, 0, init.stderr);
  assert.equal((await readCurrent(made.publication, 'default'))?.manifest.issuer, 'local-ca');
});

test('an adopted pair that misses a configured name is replaced, and so is one by --force; the original files are kept', async (t) => {
  const made = await handMade(t, { names: ['localhost'] });
  assert.match((await certificates(made, 'init')).stdout, /issued: generation 2 .*does not cover 127\.0\.0\.1, ::1/);
  const forced = await handMade(t);
  await certificates(forced, 'init');
  assert.match((await certificates(forced, 'renew', '--force')).stdout, /issued: generation 2/);
  assert.equal(readFileSync(join(forced.publication, 'default/..adopted-1/cert.pem'), 'utf8'), forced.original);
});

test('a pair whose key does not match is not adopted; the service serves a good one and nothing is lost', async (t) => {
  const made = await handMade(t);
  const other = await handMade(t);
  const wrong = readFileSync(join(other.publication, 'privkey.pem'));
  writeFileSync(join(made.publication, 'privkey.pem'), wrong);
  const init = await certificates(made, 'init');
  assert.equal(init.code, 0, init.stderr);
  assert.match(init.stderr, /not adopted.*private key does not belong/);
  assert.equal((await readCurrent(made.publication, 'default'))?.manifest.issuer, 'local-ca');
});
