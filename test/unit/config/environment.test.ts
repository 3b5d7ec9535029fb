import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { loadConfig } from '../../../src/config/load.ts';
import { DAY } from '../../../src/platform/clock.ts';
import { ROOT, refused, understood, writeConfig } from './support.ts';

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

test('CERT_CONSUMERS says who serves the certificate default and where, instead of the file', async (t) => {
  const file = 'certificates: [{ name: default, consumers: [mail] }]\nconsumers: { mail: { endpoints: ["smtp://old:25"] } }';
  const config = await understood(t, file, { CERT_CONSUMERS: 'apache=https://web:443 admin, mail=smtp://mail:25 mail=imaps://mail' });
  assert.deepEqual(config.certificates[0]?.consumers, ['apache', 'admin', 'mail']);
  assert.deepEqual(config.consumers['apache']?.endpoints, ['https://web:443']);
  assert.deepEqual(config.consumers['mail']?.endpoints, ['smtp://mail:25', 'imaps://mail']);
  assert.deepEqual(config.consumers['admin']?.endpoints, ['https://localhost:8443']);
});

test('STATUS_HOST opens every status port elsewhere, and keeps its number', async (t) => {
  const config = await understood(t, "apache: { status: '127.0.0.1:9999' }", { STATUS_HOST: '0.0.0.0' });
  assert.deepEqual(
    [config.certificateService.status, config.apache.status, config.admin.status],
    ['0.0.0.0:9081', '0.0.0.0:9999', '0.0.0.0:9086'],
  );
  assert.equal((await understood(t, '', { STATUS_HOST: '::' })).apache.status, '[::]:9082');
  assert.equal((await understood(t, '', { STATUS_HOST: '[::1]' })).apache.status, '[::1]:9082');
});

test('an error in a variable names the variable', async (t) => {
  const cases: [variable: string, value: string, told: RegExp][] = [
    ['DOMAIN', 'a..b', /^the configuration is wrong: DOMAIN: "a..b": it has an empty label/],
    ['CERT_NAMES', ',', /: CERT_NAMES: the certificate default has no names/],
    ['CERT_NAMES', 'a.example *x', /: CERT_NAMES: "\*x": a wildcard may only be the whole leftmost label/],
    ['CERT_ISSUER', 'letsencript', /: CERT_ISSUER: there is no issuer "letsencript"; did you mean letsencrypt\?/],
    ['CERT_CHALLENGE', 'dns', /: CERT_CHALLENGE: this must be one of http-01, tls-alpn-01, dns-01, it is "dns"/],
    ['CERT_EMAIL', 'nobody', /: CERT_EMAIL: "nobody" is no e-mail address/],
    ['CERT_KEY_TYPE', 'rsa', /: CERT_KEY_TYPE: this must be one of ecdsa-p256, .*, it is "rsa"/],
    ['CERT_RENEW_BEFORE', 'soon', /: CERT_RENEW_BEFORE: "soon" is no length of time/],
    ['CERT_RENEW_BEFORE', '90d', /: CERT_RENEW_BEFORE: 90d is not shorter than the lifetime, 90d/],
    ['CERT_CONSUMERS', 'apache web', /: CERT_CONSUMERS: there is no consumer "web"/],
    ['CERT_CONSUMERS', 'web=web:443', /: CERT_CONSUMERS: "web:443": it is not SCHEME/],
    ['CERT_CONSUMERS', '=https://web', /: CERT_CONSUMERS: /],
    ['STATUS_HOST', 'a b', /: STATUS_HOST: "a b" is no address; write it like 0\.0\.0\.0/],
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

const ACME_VARIABLES = {
  CERT_CHALLENGE: 'tls-alpn-01',
  CERT_PROFILE: 'shortlived',
  CERT_ACME_CA_FILE: 'ca.pem',
  CERT_EAB_KID: 'abc',
  CERT_EAB_HMAC_FILE: '/run/secrets/eab',
};

test('variables for ACME set fields of the issuer that CERT_ISSUER names, and of no other', async (t) => {
  const yaml = `issuers:
  house: { directory: "https://ca.house.example/", profile: long, caFile: other.pem, eab: { kid: x, hmacFile: y } }
  other: { directory: "https://ca.other.example/" }
certificates: [{ name: web, names: [web.example], issuers: [other] }]`;
  const cwd = writeConfig(t, yaml);
  const { issuers, warnings } = await loadConfig({ cwd, env: { ...ACME_VARIABLES, CERT_ISSUER: 'house' }, traits: ROOT });
  const { challenge, profile, caFile, eab } = issuers['house'] ?? assert.fail();
  assert.deepEqual(challenge, { type: 'tls-alpn-01', via: 'listen', listen: '[::]:443' });
  assert.deepEqual([profile, caFile, eab], ['shortlived', join(cwd, 'ca.pem'), { kid: 'abc', hmacFile: '/run/secrets/eab' }]);
  const other = issuers['other'] ?? assert.fail();
  assert.deepEqual([other.challenge.type, other.profile, other.caFile, other.eab], ['http-01', undefined, undefined, undefined]);
  assert.deepEqual(warnings, []);
});

test('CERT_ISSUER may be a name without an entry, or the URL of a directory', async (t) => {
  const known = await understood(t, '', { DOMAIN: 'lab.example.org', CERT_ISSUER: 'letsencrypt', CERT_PROFILE: 'tlsserver' });
  assert.deepEqual(Object.keys(known.issuers), ['letsencrypt']);
  assert.equal(known.issuers['letsencrypt']?.profile, 'tlsserver');
  const url = 'https://ca.lab.example.org:14000/dir';
  const named = await understood(t, '', { DOMAIN: 'lab.example.org', CERT_ISSUER: url, CERT_CHALLENGE: 'tls-alpn-01' });
  assert.deepEqual(named.certificates[0]?.issuers, ['ca-lab-example-org-14000']);
  const { directory, challenge } = named.issuers['ca-lab-example-org-14000'] ?? assert.fail();
  assert.deepEqual([directory, challenge.type], [url, 'tls-alpn-01']);
});

test('variables for ACME without an ACME server in CERT_ISSUER are warned of', async (t) => {
  const none = await understood(t, '', ACME_VARIABLES);
  assert.deepEqual(
    none.warnings,
    Object.keys(ACME_VARIABLES).map((name) => `${name} is not used: it needs CERT_ISSUER to name an ACME server`),
  );
  const local = await understood(t, '', { CERT_ISSUER: 'local-ca', CERT_PROFILE: 'x', CERT_EAB_KID: '' });
  assert.deepEqual(local.warnings, ['CERT_PROFILE is not used: CERT_ISSUER names no ACME server']);
});

test('a challenge of CERT_CHALLENGE leaves settings of another unused, and needs its own', async (t) => {
  const yaml = 'issuers: { house: { directory: "https://ca.house.example/", http01: { webroot: /srv } } }\ndomain: lab.example.org';
  const { warnings } = await understood(t, yaml, { CERT_ISSUER: 'house', CERT_CHALLENGE: 'tls-alpn-01' });
  assert.deepEqual(warnings, ['issuers.house.http01 is not used: CERT_CHALLENGE is tls-alpn-01']);
  const [line] = await refused(t, yaml, { CERT_ISSUER: 'house', CERT_CHALLENGE: 'dns-01' });
  assert.match(line ?? '', /: CERT_CHALLENGE: dns-01 needs a way to set records; give issuers\.house\.dns01 either/);
});
