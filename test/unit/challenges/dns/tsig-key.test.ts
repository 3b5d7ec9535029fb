import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { readTsigKey } from '../../../../src/challenges/dns/tsig-key.ts';
import { describeError } from '../../../../src/platform/errors.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

/** With what begins a comment outside quotes. */
const SECRET = `${'c2VjcmV0'.repeat(4)}//8=`;

function file(t: TestContext, content: string, mode = 0o600): string {
  const path = join(scratchDirectory(t), 'key');
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function refusal(path: string): string {
  try {
    readTsigKey(path);
  } catch (error) {
    const line = describeError(error);
    assert.ok(line.includes(path) && !line.includes(SECRET.slice(0, 8)), line);
    return line;
  }
  return assert.fail('it was read');
}

test("a key is read in BIND's form, with and without quotes, comments and line breaks", (t) => {
  for (const content of [
    `key "podserve" {\n\talgorithm hmac-sha256;\n\tsecret "${SECRET}";\n};\n`,
    `key podserve{algorithm "HMAC-SHA256";secret ${SECRET.replace('//8=', '')};};`,
    `# key "old" { algorithm hmac-md5; secret "x"; };\n// from /etc\n/* key "older" { secret\n } */ KEY "Podserve." { secret "${SECRET}"; /* why */ algorithm hmac-sha256.; }; // end`,
  ]) {
    const { key, exposed } = readTsigKey(file(t, content));
    assert.deepEqual([key.name, key.algorithm], ['podserve', 'hmac-sha256']);
    assert.equal(key.secret.toString('base64'), content.includes(SECRET) ? SECRET : SECRET.slice(0, -4));
    assert.equal(exposed, false);
  }
});

test('a key that other users can read is read, and that they can is said', (t) => {
  assert.equal(readTsigKey(file(t, `key a { algorithm hmac-sha512; secret "${SECRET}"; };`, 0o644)).exposed, true);
});

test('a link is followed, as Kubernetes makes them', (t) => {
  const target = file(t, `key a { algorithm hmac-sha512; secret "${SECRET}"; };`);
  symlinkSync(target, `${target}-link`);
  assert.equal(readTsigKey(`${target}-link`).key.name, 'a');
});

test('what is wrong with a key file is said in one line, without its secret', (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /it holds no key/],
    [SECRET, /it holds no key/],
    [`key "a" { secret "${SECRET}"; };`, /names no algorithm/],
    [`key "a" { algorithm hmac-md5; secret "${SECRET}"; };`, /hmac-md5, which is broken; make one with: tsig-keygen/],
    [`key "a" { algorithm hmac-md5.sig-alg.reg.int; secret "${SECRET}"; };`, /hmac-md5, which is broken/],
    [`key "a" { algorithm ${SECRET.slice(0, 12)}; secret "${SECRET}"; };`, /its algorithm is none of hmac-sha1, /],
    ['key "a" { algorithm hmac-sha256; };', /has no secret/],
    [`key "a" { algorithm hmac-sha256; secret "${SECRET}!"; };`, /not base64/],
    [`key "a..b" { algorithm hmac-sha256; secret "${SECRET}"; };`, /no DNS name/],
    [`key "a" { algorithm hmac-sha256; secret "${SECRET}"; }; key b { }`, /it holds 2 keys; put the one/],
    ['x'.repeat(70_000), /larger than 65536 bytes/],
  ];
  for (const [content, told] of cases) assert.match(refusal(file(t, content)), told);
  const directory = scratchDirectory(t);
  mkdirSync(join(directory, 'key'));
  assert.match(refusal(join(directory, 'key')), /it is no file/);
  assert.match(refusal(join(directory, 'none')), /there is no such file/);
});
