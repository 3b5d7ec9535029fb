import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DAY } from '../../../src/platform/clock.ts';
import { refused, understood } from './support.ts';

const FILE =
  'domain: file.example\ncertificates: [{ name: default, names: [file.example], keyType: rsa-2048 }, { name: web, names: [web.example] }]';

test('each variable is stronger than the file, and sets fields of the certificate default alone', async (t) => {
  const config = await understood(t, FILE, {
    DOMAIN: 'env.example',
    CERT_NAMES: 'a.example, b.example 10.0.0.1',
    CERT_ISSUER: 'self-signed',
    CERT_EMAIL: 'me@env.example',
    CERT_KEY_TYPE: 'rsa-4096',
    CERT_RENEW_BEFORE: '3d',
    CERT_KEY_GID: '1234',
    LOG_LEVEL: 'DEBUG',
    LOG_FORMAT: 'pretty',
    SSL_CERT_FILE: '/x',
    SSL_KEY_FILE: '/y',
  });
  assert.equal(config.domain, 'env.example');
  assert.equal(config.email, 'me@env.example');
  assert.equal(config.keyGid, 1234);
  assert.deepEqual(config.log, { level: 'debug', format: 'pretty' });
  const [main, web] = config.certificates;
  assert.deepEqual(
    main?.identifiers.map(({ value }) => value),
    ['a.example', 'b.example', '10.0.0.1'],
  );
  assert.deepEqual([main?.issuers, main?.keyType, main?.renewBefore], [['self-signed'], 'rsa-4096', 3 * DAY]);
  assert.deepEqual([web?.issuers, web?.keyType, web?.renewBefore], [['local-ca'], 'ecdsa-p256', 7 * DAY]);
  assert.deepEqual(config.warnings, []);
});

test('an empty variable is an unset one', async (t) => {
  const config = await understood(t, FILE, { DOMAIN: '', CERT_NAMES: ' ', CERT_KEY_TYPE: '', CERT_FOO: '', LOG_LEVEL: '' });
  assert.equal(config.domain, 'file.example');
  assert.equal(config.certificates[0]?.keyType, 'rsa-2048');
  assert.deepEqual(config.warnings, []);
});

test('DOMAIN alone makes the certificate default for it', async (t) => {
  const config = await understood(t, '', { DOMAIN: 'env.example' });
  assert.deepEqual(
    config.certificates[0]?.identifiers.map(({ value }) => value),
    ['env.example'],
  );
});

test('an error in a variable names the variable', async (t) => {
  const cases: [variable: string, value: string, told: RegExp][] = [
    ['DOMAIN', 'a..b', /^the configuration is wrong: DOMAIN: "a..b": it has an empty label/],
    ['CERT_NAMES', ',', /: CERT_NAMES: the certificate default has no names/],
    ['CERT_NAMES', 'a.example *x', /: CERT_NAMES: "\*x": a wildcard may only be the whole leftmost label/],
    ['CERT_ISSUER', 'letsencrypt', /: CERT_ISSUER: there is no issuer "letsencrypt": this version has only the local issuers/],
    ['CERT_EMAIL', 'nobody', /: CERT_EMAIL: "nobody" is no e-mail address/],
    ['CERT_KEY_TYPE', 'rsa', /: CERT_KEY_TYPE: this must be one of ecdsa-p256, .*, it is "rsa"/],
    ['CERT_RENEW_BEFORE', 'soon', /: CERT_RENEW_BEFORE: "soon" is no length of time/],
    ['CERT_RENEW_BEFORE', '90d', /: CERT_RENEW_BEFORE: 90d is not shorter than the lifetime, 90d/],
    ['CERT_KEY_GID', 'ssl-cert', /: CERT_KEY_GID: this must be the number of a group, it is "ssl-cert"/],
    ['CERT_KEY_GID', '4294967295', /: CERT_KEY_GID: 4294967295 is no group number/],
    ['LOG_LEVEL', 'warning', /: LOG_LEVEL: .*; did you mean warn\?|: LOG_LEVEL: this must be one of/],
    ['LOG_FORMAT', 'jsn', /: LOG_FORMAT: .*; did you mean json\?/],
  ];
  for (const [variable, value, told] of cases) {
    const lines = await refused(t, '', { [variable]: value });
    assert.equal(lines.length, 1, lines.join('\n'));
    assert.match(lines[0] ?? '', told);
  }
});

test('an unknown CERT_ variable is warned of, with the one that was meant', async (t) => {
  const { warnings } = await understood(t, '', { CERT_NAME: 'x', CERT_QUUX: 'y', CERTAINLY: 'z', PATH: '/bin' });
  assert.deepEqual(warnings, ['CERT_NAME is not known and not used; did you mean CERT_NAMES?', 'CERT_QUUX is not known and not used']);
});

test('variables for ACME are warned of: this version has no ACME issuer', async (t) => {
  const variables = ['CERT_ACME_CA_FILE', 'CERT_CHALLENGE', 'CERT_EAB_HMAC_FILE', 'CERT_EAB_KID', 'CERT_PROFILE'];
  const { warnings } = await understood(t, '', Object.fromEntries(variables.map((name) => [name, 'x'])));
  assert.deepEqual(
    warnings,
    variables.map((name) => `${name} is not used: this version has no ACME issuer`),
  );
});
