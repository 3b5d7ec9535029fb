import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseIdentifier, parseIdentifiers } from '../../../../src/certificate/identifier.ts';
import { registeredDomain } from '../../../../src/issuers/acme/registered-domain.ts';
import { issuanceUses, namesKey } from '../../../../src/issuers/acme/uses.ts';

for (const [name, domain] of [
  ['www.example.org', 'example.org'],
  ['*.a.b.example.co.uk', 'example.co.uk'],
  ['me.github.io', 'me.github.io'],
  ['www.me.github.io', 'me.github.io'],
  ['_x.example.org', 'example.org'],
  ['www.bücher.de', 'xn--bcher-kva.de'],
  ['localhost', 'localhost'],
  ['co.uk', 'co.uk'],
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8::1', '2001:db8::1'],
] as const) {
  test(`certificates for ${name} are counted for ${domain}`, async () => {
    assert.equal(await registeredDomain(parseIdentifier(name)), domain);
  });
}

test('an issuance counts once for each registered domain, and for its exact set of names in any order', async () => {
  const names = parseIdentifiers(['b.example.org', 'a.example.org', 'example.net']);
  assert.deepEqual(await issuanceUses(names), [
    ['certificate', 'example.org'],
    ['certificate', 'example.net'],
    ['duplicate', 'a.example.org,b.example.org,example.net'],
  ]);
  assert.equal(namesKey(names), namesKey(names.toReversed()));
});
