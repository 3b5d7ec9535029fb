import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { IssueFailure } from '../../../../src/issuers/acme/failure.ts';
import { openClient } from '../../../../src/issuers/acme/open-client.ts';
import { readRoots } from '../../../../src/issuers/acme/roots.ts';
import { describeError } from '../../../../src/platform/errors.ts';
import { opensslCa } from '../../../support/openssl-ca.ts';
import { scratchDirectory } from '../../../support/scratch.ts';
import { understood } from '../../config/support.ts';

test('a caFile that is missing, or has no certificate in it, is a matter of configuration, with what to do', async (t) => {
  const directory = scratchDirectory(t);
  const caFile = join(directory, 'root.pem');
  const { issuers } = await understood(t, `issuers: { house: { directory: "https://ca.lab.test/", caFile: ${caFile} } }`);
  const config = issuers['house'] ?? assert.fail();
  const refusal = async (): Promise<string> => {
    const failure = await openClient(config).then(
      () => assert.fail('it was taken'),
      (error: unknown) => error,
    );
    assert.ok(failure instanceof IssueFailure);
    assert.deepEqual([failure.kind, failure.scope], ['configuration', 'issuer']);
    return describeError(failure);
  };
  assert.match(await refusal(), /ENOENT.*; correct issuers\.house\.caFile, or make the file readable for user/);
  const ca = await opensslCa(directory, 'House');
  const root = readFileSync(ca.rootFile, 'utf8');
  for (const [text, why] of [
    ['', /root\.pem: there is no certificate in it; put the root of the CA into it in PEM, or correct issuers\.house\.caFile/],
    ['-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', /there is no certificate in it; put the root/],
    [root.slice(0, root.length / 2), /a certificate in it is cut off or garbled; put the root/],
    ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /a certificate in it cannot be read \(.*\); put the root/],
  ] as const) {
    writeFileSync(caFile, text);
    assert.match(await refusal(), why);
  }
  const commented = `The root of this house\n${root}\n`;
  writeFileSync(caFile, commented);
  assert.equal(readRoots(config), commented);
  assert.equal(readRoots({ ...config, caFile: undefined }), undefined);
});
