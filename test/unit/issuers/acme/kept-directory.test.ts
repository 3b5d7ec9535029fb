import assert from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import type { Directory } from '../../../../src/acme/resources.ts';
import { keptDirectoryIn } from '../../../../src/issuers/acme/kept-directory.ts';
import { DAY, HOUR } from '../../../../src/platform/clock.ts';
import { NOW } from '../../../support/certificate-service.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

const URL_OF_CA = 'https://ca.example/directory';

const DIRECTORY: Directory = {
  newNonce: 'https://ca.example/nonce',
  newAccount: 'https://ca.example/account',
  newOrder: 'https://ca.example/order',
  revokeCert: 'https://ca.example/revoke',
  keyChange: 'https://ca.example/key',
  renewalInfo: undefined,
  meta: { termsOfService: undefined, externalAccountRequired: false, caaIdentities: ['ca.example'], profiles: { classic: '' } },
};

test('what a server offered is known for a day, to us alone', async (t) => {
  const place = join(scratchDirectory(t), 'acme/house');
  const kept = keptDirectoryIn(place, URL_OF_CA);
  assert.equal(kept.read(NOW), undefined);
  await kept.keep(DIRECTORY, NOW);
  assert.equal(kept.read(NOW + 23 * HOUR)?.newOrder, DIRECTORY.newOrder);
  assert.deepEqual(kept.read(NOW)?.meta.profiles, { classic: '' });
  assert.equal(kept.read(NOW + DAY), undefined);
  assert.equal(kept.read(NOW - HOUR), undefined, 'from the future');
  assert.equal(statSync(join(place, 'directory.json')).mode & 0o777, 0o600);
});

test('it is no longer known for another server, after a failure, and where its file is damaged', async (t) => {
  const place = scratchDirectory(t);
  const kept = keptDirectoryIn(place, URL_OF_CA);
  await kept.keep(DIRECTORY, NOW);
  assert.equal(keptDirectoryIn(place, 'https://other.example/directory').read(NOW), undefined);
  for (const text of [
    '',
    '{',
    '[]',
    'null',
    '{"version":1}',
    JSON.stringify({ version: 1, url: URL_OF_CA, at: NOW, directory: { newNonce: 'http://x/' } }),
  ]) {
    writeFileSync(join(place, 'directory.json'), text);
    assert.equal(kept.read(NOW), undefined, text);
  }
  await kept.keep(DIRECTORY, NOW);
  kept.forget();
  assert.ok(!existsSync(join(place, 'directory.json')));
});
