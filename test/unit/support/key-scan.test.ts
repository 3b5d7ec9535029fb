import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { run } from '../../support/command.ts';
import { scanForSecrets } from '../../support/key-scan.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const RECORDER = fileURLToPath(new URL('../../support/record-keys.mjs', import.meta.url));

/** A key of this test only: nothing records it, so that planting it does not fail the scan of the run itself. */
const secret = randomBytes(32);
const others = Array.from({ length: 200 }, () => randomBytes(32));

const plants: Record<string, Buffer | string> = {
  'raw bytes': secret,
  hexadecimal: secret.toString('hex'),
  'capital hexadecimal': secret.toString('hex').toUpperCase(),
  'hexadecimal with colons over several lines': secret
    .toString('hex')
    .replaceAll(/(..)/g, '$1:')
    .replaceAll(/(.{45})/g, '$1\n    '),
  'base64 at alignment 0': secret.toString('base64'),
  'base64 at alignment 1': Buffer.concat([Buffer.from('x'), secret, Buffer.from('yz')]).toString('base64'),
  'base64 at alignment 2': Buffer.concat([Buffer.from('xx'), secret, Buffer.from('yz')]).toString('base64'),
  'base64url in a JWK': `{"kty":"EC","d":"${secret.toString('base64url')}"}`,
  'base64url at alignment 2': Buffer.concat([Buffer.from('xx'), secret, Buffer.from('yz')]).toString('base64url'),
  'the lines of a PEM': pemLines(Buffer.concat([randomBytes(37), secret, randomBytes(37)])).join('\n'),
  'the lines of a PEM inside JSON': JSON.stringify({
    message: pemLines(Buffer.concat([randomBytes(36), secret, randomBytes(37)])).join('\n'),
  }),
};

for (const [encoding, plant] of Object.entries(plants)) {
  test(`a private number written as ${encoding} is found among megabytes of other output`, (t) => {
    const directory = scratchDirectory(t);
    // Across the border of what is read at once, at every position around it.
    const before = (1 << 20) - 20;
    writeFileSync(join(directory, 'clean.log'), randomBytes(1 << 20).toString('base64'));
    mkdirSync(join(directory, 'deep'));
    const output = Buffer.concat(
      [randomBytes(before / 2).toString('hex'), ' ', plant, ' ', randomBytes(99)].map((part) => Buffer.from(part)),
    );
    writeFileSync(join(directory, 'deep', 'leak.log'), output);
    const { findings, files } = scanForSecrets(directory, [...others, secret]);
    assert.deepEqual([...new Set(findings.map(({ file }) => file))], [join(directory, 'deep', 'leak.log')]);
    assert.equal(files, 2);
  });
}

test('output without a private number gives no finding', (t) => {
  const directory = scratchDirectory(t);
  writeFileSync(join(directory, 'a.log'), randomBytes(1 << 20));
  writeFileSync(join(directory, 'b.log'), secret.subarray(1).toString('hex'));
  assert.deepEqual(scanForSecrets(directory, [...others, secret]).findings, []);
});

test('every kind of key that a program under test generates is noted', async (t) => {
  const directory = scratchDirectory(t);
  mkdirSync(join(directory, 'keys'));
  const program = `
    import { generateKeyPair, generateKeyPairSync } from 'node:crypto';
    import { promisify } from 'node:util';
    const pairs = [
      generateKeyPairSync('ec', { namedCurve: 'P-256' }),
      await promisify(generateKeyPair)('rsa', { modulusLength: 2048 }),
    ];
    for (const { privateKey } of pairs) console.log(privateKey.export({ format: 'jwk' }).d);`;
  const { stdout, code } = await run(process.execPath, ['--import', RECORDER, '--input-type=module', '--eval', program], {
    env: { NODE_OPTIONS: '', PODSERVE_TEST_ARTIFACTS: directory },
  });
  assert.equal(code, 0);
  const noted = readdirSync(join(directory, 'keys')).flatMap((name) => readFileSync(join(directory, 'keys', name), 'utf8').split('\n'));
  for (const scalar of stdout.trim().split('\n')) assert.ok(noted.includes(scalar));
  assert.equal(noted.filter((line) => line !== '').length, 4);
});

test('the private number of a planted PEM key is found in the text that carries it', (t) => {
  const directory = scratchDirectory(t);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { p = '' } = privateKey.export({ format: 'jwk' });
  writeFileSync(join(directory, 'privkey.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  assert.notDeepEqual(scanForSecrets(directory, [Buffer.from(p, 'base64url')]).findings, []);
});

function pemLines(der: Buffer): string[] {
  return der.toString('base64').match(/.{1,64}/g) ?? [];
}
