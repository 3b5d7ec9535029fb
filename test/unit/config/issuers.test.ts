import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { LETSENCRYPT_LIMITS } from '../../../src/certificate/rate-limits.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { DAY, HOUR, MINUTE } from '../../../src/platform/clock.ts';
import { ROOT, refused, understood, writeConfig } from './support.ts';

const HOUSE = 'https://ca.lab.example.org/acme/directory';

test('letsencrypt and letsencrypt-staging need no entry, and appear when a certificate names them', async (t) => {
  const none = await understood(t, '');
  assert.deepEqual(Object.keys(none.issuers), []);
  assert.equal(Object.getPrototypeOf(none.issuers), null, 'issuers.constructor is nobody');
  const { issuers } = await understood(
    t,
    'email: me@lab.example.org\ncertificates: [{ name: default, names: [lab.example.org], issuers: [letsencrypt, letsencrypt-staging] }]',
  );
  assert.deepEqual(Object.keys(issuers), ['letsencrypt', 'letsencrypt-staging']);
  assert.deepEqual(issuers['letsencrypt'], {
    name: 'letsencrypt',
    directory: 'https://acme-v02.api.letsencrypt.org/directory',
    caFile: undefined,
    email: 'me@lab.example.org',
    eab: undefined,
    profile: undefined,
    preferredChain: undefined,
    challenge: { type: 'http-01', via: 'webroot', webroot: undefined },
    limits: LETSENCRYPT_LIMITS,
    rehearse: undefined,
  });
  assert.equal(issuers['letsencrypt-staging']?.directory, 'https://acme-staging-v02.api.letsencrypt.org/directory');
  assert.notDeepEqual(issuers['letsencrypt-staging']?.limits, LETSENCRYPT_LIMITS);
});

test('a full issuer means what it says, with paths from the directory of the file', async (t) => {
  const cwd = writeConfig(
    t,
    `
email: everybody@lab.example.org
issuers:
  house:
    directory: ${HOUSE}
    caFile: house-ca.pem
    email: house@lab.example.org
    eab: { kid: abc, hmacFile: secrets/eab }
    profile: shortlived
    preferredChain: House Root X2
    challenge: dns-01
    dns01:
      server: DNS.lab.example.org
      tsigKeyFile: /run/secrets/acme.key
      propagation: { servers: ["192.0.2.1", "[2001:DB8::1]:5353"], timeout: 90s }
    limits: { orders: 20/1h, duplicates: none, certificates: "5/7d" }
    rehearse: https://test.lab.example.org/directory
resolvers: [9.9.9.9, "2620:fe::fe", "dns:5353"]
certificates: [{ name: default, names: [lab.example.org, "*.lab.example.org"], issuers: [house, local-ca] }]
`,
  );
  const { issuers, resolvers, certificates, warnings } = await loadConfig({ cwd, env: {}, traits: ROOT });
  assert.deepEqual(issuers['house'], {
    name: 'house',
    directory: HOUSE,
    caFile: join(cwd, 'house-ca.pem'),
    email: 'house@lab.example.org',
    eab: { kid: 'abc', hmacFile: join(cwd, 'secrets/eab') },
    profile: 'shortlived',
    preferredChain: 'House Root X2',
    challenge: {
      type: 'dns-01',
      via: 'update',
      server: 'dns.lab.example.org:53',
      tsigKeyFile: '/run/secrets/acme.key',
      propagation: { servers: ['192.0.2.1:53', '[2001:DB8::1]:5353'], timeout: 90_000 },
    },
    limits: [
      { kind: 'order', count: 20, window: HOUR },
      { kind: 'certificate', count: 5, window: 7 * DAY },
    ],
    rehearse: 'https://test.lab.example.org/directory',
  });
  assert.deepEqual(resolvers, ['9.9.9.9:53', '[2620:fe::fe]:53', 'dns:5353']);
  assert.deepEqual(certificates[0]?.issuers, ['house', 'local-ca']);
  assert.deepEqual(warnings, []);
});

test('each challenge has the ways that its settings say', async (t) => {
  const cwd = writeConfig(
    t,
    `
issuers:
  a: { directory: "${HOUSE}" }
  b: { directory: "${HOUSE}", http01: { webroot: www } }
  c: { directory: "${HOUSE}", http01: { listen: "80" } }
  d: { directory: "${HOUSE}", challenge: tls-alpn-01, tlsAlpn01: { listen: "127.0.0.1:5001" } }
  e: { directory: "${HOUSE}", challenge: tls-alpn-01 }
  f: { directory: "${HOUSE}", challenge: dns-01, dns01: { exec: bin/hook } }
  g: { directory: "${HOUSE}", challenge: dns-01, dns01: { exec: hook } }
certificates: [{ name: default, names: [lab.example.org], issuers: [a, b, c, d, e, f, g] }]
`,
  );
  const propagation = { servers: [], timeout: 5 * MINUTE };
  const { issuers } = await loadConfig({ cwd, env: {}, traits: ROOT });
  assert.deepEqual(
    Object.values(issuers).map(({ challenge }) => challenge),
    [
      { type: 'http-01', via: 'webroot', webroot: undefined },
      { type: 'http-01', via: 'webroot', webroot: join(cwd, 'www') },
      { type: 'http-01', via: 'listen', listen: '[::]:80' },
      { type: 'tls-alpn-01', via: 'listen', listen: '127.0.0.1:5001' },
      { type: 'tls-alpn-01', via: 'listen', listen: '[::]:443' },
      { type: 'dns-01', via: 'exec', exec: join(cwd, 'bin/hook'), propagation },
      { type: 'dns-01', via: 'exec', exec: 'hook', propagation },
    ],
  );
  const old = await loadConfig({ cwd, env: {}, traits: { lowPorts: true, ipv6: false } });
  assert.deepEqual(old.issuers['e']?.challenge, { type: 'tls-alpn-01', via: 'listen', listen: '0.0.0.0:443' });
});

test("limits of the file replace Let's Encrypt's one by one, and true rehearses at staging", async (t) => {
  const { issuers } = await understood(
    t,
    `
issuers:
  letsencrypt: { limits: { orders: 1500/3h, failures: none }, rehearse: true }
  ours: { directory: "https://acme-v02.api.letsencrypt.org/directory", challenge: dns-01, dns01: { exec: hook }, rehearse: false }
certificates: [{ name: default, names: [lab.example.org], issuers: [letsencrypt, ours] }]`,
  );
  assert.deepEqual(
    issuers['letsencrypt']?.limits.map(({ kind, count }) => `${kind} ${count}`),
    ['account 10', 'order 1500', 'certificate 50', 'duplicate 5'],
  );
  assert.equal(issuers['letsencrypt'].rehearse, 'https://acme-staging-v02.api.letsencrypt.org/directory');
  assert.deepEqual(issuers['ours']?.limits, LETSENCRYPT_LIMITS, 'the same server under another name');
  assert.equal(issuers['ours'].rehearse, undefined);
});

test('a certificate may name a directory by its URL: an issuer configured with it, or one named by the host', async (t) => {
  const { issuers, certificates } = await understood(
    t,
    `
issuers: { house: { directory: "https://CA.lab.example.org:443/acme/directory", profile: x } }
certificates:
  - { name: default, names: [a.example.org], issuers: ["${HOUSE}", house, "https://acme-v02.api.letsencrypt.org/directory"] }
  - { name: b, names: [b.example.org], issuers: ["https://other.example.org:14000/dir", "https://[2001:db8::1]/", local-ca] }
  - { name: c, names: [c.example.org], issuers: ["https://other.example.org:14000/dir"] }`,
  );
  assert.deepEqual(
    certificates.map((spec) => spec.issuers),
    [['house', 'letsencrypt'], ['other-example-org-14000', '2001-db8-1', 'local-ca'], ['other-example-org-14000']],
  );
  assert.equal(issuers['other-example-org-14000']?.directory, 'https://other.example.org:14000/dir');
  assert.deepEqual(Object.keys(issuers), ['house', 'letsencrypt', 'other-example-org-14000', '2001-db8-1']);
});

test('an issuer that no certificate names is warned of: setting it up does not use it', async (t) => {
  const yaml = `issuers: { letsencrypt: { profile: tlsserver }, house: { directory: "${HOUSE}" } }
certificates: [{ name: default, names: [lab.example.org], issuers: [house] }]`;
  assert.deepEqual((await understood(t, yaml)).warnings, ['no certificate lists the issuer letsencrypt: it is not used']);
  assert.deepEqual((await understood(t, yaml, { CERT_ISSUER: 'local-ca' })).warnings, []);
});

test('a lifetime or lead for a certificate that no local issuer gives is warned of', async (t) => {
  const yaml = 'certificates: [{ name: default, names: [lab.example.org], issuers: [letsencrypt], lifetime: 30d, renewBefore: 5d }]';
  const why = 'is not used: ACME servers say how long they certify, and when to renew';
  const { warnings } = await understood(t, yaml);
  assert.deepEqual(warnings, [`certificates[0].lifetime ${why}`, `certificates[0].renewBefore ${why}`]);
  assert.deepEqual((await understood(t, yaml.replace('letsencrypt', 'letsencrypt, local-ca'))).warnings, []);
});

test('a challenge listener may have the ports of Apache where nothing speaks of Apache', async (t) => {
  const yaml = `issuers: { house: { directory: "${HOUSE}", http01: { listen: "[::]:80" } } }\n`;
  const listed = 'certificates: [{ name: default, names: [lab.example.org], issuers: [house], consumers: [apache] }]\n';
  await understood(t, yaml);
  await understood(t, `${yaml + listed}consumers: { apache: { endpoints: ["https://elsewhere:443"] } }`);
  const [line] = await refused(t, yaml + listed);
  assert.match(line ?? '', /issuers\.house\.http01\.listen: port 80 is taken by apache\.http; leave out http01/);
});
