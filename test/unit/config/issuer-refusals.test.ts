import assert from 'node:assert/strict';
import { test } from 'node:test';

import { refused, understood } from './support.ts';

const HOUSE = 'directory: "https://ca.lab.example.org/acme/directory"';

function issuer(text: string, name = 'house'): string {
  return `issuers: { ${name}: { ${text} } }`;
}

/** A file with an issuer, and a certificate `default` that names it. */
function issued(text: string, { names = 'lab.example.org', name = 'house' } = {}): string {
  return `{ ${issuer(text, name)}, certificates: [{ name: default, names: [${names}], issuers: [${name}] }] }`;
}

async function eachRefused(t: Parameters<typeof refused>[0], cases: readonly [yaml: string, told: RegExp][]): Promise<void> {
  for (const [yaml, told] of cases) {
    const lines = await refused(t, yaml);
    assert.equal(lines.length, 1, `${yaml}\n${lines.join('\n')}`);
    assert.match(lines[0] ?? '', told, yaml);
    assert.match(lines[0] ?? '', /^the configuration is wrong: podserve\.yaml:1:\d+: /, yaml);
  }
}

test('an issuer that is not whole or not there is refused with the remedy', async (t) => {
  await eachRefused(t, [
    [issuer('challenge: http-01'), /: issuers\.house: the issuer house has no directory; give the https:\/\/ URL/],
    ['issuers: { house: }', /: issuers\.house: this must be a map of keys and values, it is empty/],
    [issuer('directory: "http://ca.example/dir"'), /issuers\.house\.directory: "http:\/\/ca\.example\/dir" is no https:\/\/ URL/],
    [issuer('directory: ca.example'), /directory: "ca\.example" is no https:\/\/ URL of an ACME directory; write it like/],
    [issuer('challenge: http-01', 'local-ca'), /: issuers\.local-ca: local-ca is built in and takes no configuration; remove it here/],
    [issuer('challenge: http-01', 'self-signed'), /self-signed is built in/],
    [issuer(HOUSE, 'House'), /"House" cannot be a name; use at most 63 lower-case letters/],
    [issuer(`${HOUSE}, challenge: dns`), /issuers\.house\.challenge: this must be one of http-01, tls-alpn-01, dns-01, it is "dns"/],
    [issuer(`${HOUSE}, prefile: x`), /issuers\.house\.prefile: there is no such key; did you mean profile\?/],
    [issuer(`${HOUSE}, profile: ""`), /issuers\.house\.profile: this is empty/],
    [issuer(`${HOUSE}, preferredChain: "a\\nb"`), /preferredChain: this has control characters in it/],
    [issuer(`${HOUSE}, email: me`), /issuers\.house\.email: "me" is no e-mail address/],
    [issuer(`${HOUSE}, caFile: ""`), /issuers\.house\.caFile: this is empty; give a path/],
    [issuer(`${HOUSE}, eab: { kid: a }`), /issuers\.house\.eab\.kid: an external account binding needs the file with the key, hmacFile/],
    [issuer(`${HOUSE}, eab: { hmacFile: a }`), /issuers\.house\.eab: an external account binding needs the key identifier, kid/],
    [issuer(`${HOUSE}, eab: {}`), /issuers\.house\.eab: an external account binding needs/],
    [issuer(`${HOUSE}, limits: { orders: 300 }`), /limits\.orders: this must be a text, it is the number 300; put it in quotes/],
    [issuer(`${HOUSE}, limits: { orders: "300" }`), /limits\.orders: "300" is no limit; write it like 300\/3h, or none/],
    [issuer(`${HOUSE}, limits: { orders: 0/3h }`), /"0\/3h" is no limit/],
    [issuer(`${HOUSE}, limits: { order: 1/3h }`), /limits\.order: there is no such key; did you mean orders\?/],
    [issuer(`${HOUSE}, rehearse: true`), /issuers\.house\.rehearse: only of letsencrypt it is known where to rehearse; give the https:/],
    [issuer('rehearse: true', 'letsencrypt-staging'), /rehearse: only of letsencrypt it is known/],
    [issuer(`${HOUSE}, rehearse: "http://x"`), /rehearse: "http:\/\/x" is no https:\/\/ URL/],
    [issuer(`${HOUSE}, rehearse: 5`), /rehearse: this must be true, or the https:\/\/ URL of a directory, it is the number 5/],
    [
      issuer(`${HOUSE}, rehearse: "https://ca.lab.example.org/acme/directory"`),
      /that is the directory itself: its certificates would be real/,
    ],
    ['resolvers: ["::1:x"]', /resolvers\[0\]: "::1:x" is no server; write host, host:port/],
    ['resolvers: [":53"]', /resolvers\[0\]: ":53" is no server/],
    ['certificates: [{ name: default, issuers: [hoise] }]', /issuers\[0\]: there is no issuer "hoise"; configure it in issuers, or use/],
    ['certificates: [{ name: default, issuers: [lets-encrypt] }]', /there is no issuer "lets-encrypt"; did you mean letsencrypt\?/],
    ['certificates: [{ name: default, issuers: ["http://ca.example/"] }]', /"http:\/\/ca\.example\/" is no https:\/\/ URL/],
    [
      'certificates: [{ name: default, names: [a.example.org], issuers: ["https://a.b/x", "https://a.b/y"] }]',
      /issuers\[1\]: https:\/\/a\.b\/y would be named a-b, and that is another issuer; configure it in issuers/,
    ],
  ]);
  const [typo] = await refused(t, `${issuer(HOUSE)}\ncertificates: [{ name: default, issuers: [hoise] }]`);
  assert.match(typo ?? '', /there is no issuer "hoise"; did you mean house\?/);
});

test('a password in the URL of a directory is refused without being quoted', async (t) => {
  for (const yaml of [
    issuer('directory: "https://user:geheim@ca.example.org/"'),
    'certificates: [{ name: default, issuers: ["https://user:geheim@ca.example.org/"] }]',
  ]) {
    const [line] = await refused(t, yaml);
    assert.match(line ?? '', /what has a password in it is no https:\/\/ URL of an ACME directory/);
    assert.doesNotMatch(line ?? '', /geheim/);
  }
});

test('mustStaple is refused with the reason, wherever somebody puts it', async (t) => {
  const told = /mustStaple: OCSP ended in 2025-08: .* a certificate that demands it would stop working; remove it/;
  await eachRefused(t, [
    [issuer(`${HOUSE}, mustStaple: true`), told],
    ['certificates: [{ name: default, mustStaple: true }]', told],
    ['certificates: [{ name: default, must-staple: false }]', /must-staple: OCSP ended/],
  ]);
});

test('settings of a challenge that contradict it or one another are refused', async (t) => {
  await eachRefused(t, [
    [
      issuer(`${HOUSE}, dns01: { exec: x }`),
      /issuers\.house\.dns01: the challenge is http-01, and this belongs to dns-01; remove it, or write/,
    ],
    [
      issuer(`${HOUSE}, challenge: tls-alpn-01, http01: { webroot: /x }`),
      /http01: the challenge is tls-alpn-01, and this belongs to http-01/,
    ],
    [issuer(`${HOUSE}, challenge: dns-01, dns01: { exec: x }, tlsAlpn01: {}`), /tlsAlpn01: the challenge is dns-01/],
    [
      issuer(`${HOUSE}, http01: { webroot: /x, listen: "80" }`),
      /http01: tokens are either put into webroot or served at listen, and this has/,
    ],
    [issuer(`${HOUSE}, http01: { listen: "x y" }`), /http01\.listen: "x y" is no place to listen/],
    [
      issuer(`${HOUSE}, challenge: dns-01`),
      /issuers\.house\.challenge: dns-01 needs a way to set records; give issuers\.house\.dns01 either/,
    ],
    [issuer(`${HOUSE}, challenge: dns-01, dns01: {}`), /issuers\.house\.dns01: dns-01 needs a way to set records/],
    [issuer(`${HOUSE}, challenge: dns-01, dns01: { server: dns }`), /dns01: updates are signed, and there is no tsigKeyFile; name a file/],
    [issuer(`${HOUSE}, challenge: dns-01, dns01: { tsigKeyFile: k }`), /dns01: there is no server that the records are sent to/],
    [
      issuer(`${HOUSE}, challenge: dns-01, dns01: { server: dns, tsigKeyFile: k, exec: x }`),
      /dns01: records are set either by exec or at a/,
    ],
    [issuer(`${HOUSE}, challenge: dns-01, dns01: { server: "a b", tsigKeyFile: k }`), /dns01\.server: "a b" is no server/],
    [
      issuer(`${HOUSE}, challenge: dns-01, dns01: { exec: x, propagation: { timeout: long } }`),
      /propagation\.timeout: "long" is no length of time/,
    ],
    [
      issuer(`${HOUSE}, challenge: dns-01, dns01: { exec: x, propagation: { timeout: 2d } }`),
      /propagation\.timeout: no order lives as long; write a day at most/,
    ],
  ]);
});

test('a listener for challenges at a port that another service has is refused', async (t) => {
  await eachRefused(t, [
    [
      `{ ${issuer(`${HOUSE}, http01: { listen: "[::]:8080" }`)}, apache: { http: "8080" } }`,
      /issuers\.house\.http01\.listen: port 8080 is taken by apache\.http; leave out http01: Apache answers this challenge/,
    ],
    [
      `{ ${issuer(`${HOUSE}, challenge: tls-alpn-01`)}, apache: { sites: [{ root: / }] } }`,
      /issuers\.house\.challenge: port 443 is taken by apache\.https; use http-01, which Apache answers/,
    ],
    [
      issuer(`${HOUSE}, http01: { listen: "127.0.0.1:9081" }`),
      /listen: port 9081 is taken by certificateService\.status; give each its own port/,
    ],
    [`{ ${issuer(`${HOUSE}, http01: { listen: "9443" }`)}, admin: { listen: "localhost:9443" } }`, /port 9443 is taken by admin\.listen/],
  ]);
});

function two(one: string, other: string): string {
  return `issuers: { house: { ${HOUSE}, ${one} }, other: { ${HOUSE}, ${other} } }`;
}

test('listeners of two issuers that cannot be open at once are refused, and the very same one is shared', async (t) => {
  await eachRefused(t, [
    [
      two('http01: { listen: "0.0.0.0:80" }', 'http01: { listen: "[::]:80" }'),
      /issuers\.other\.http01\.listen: port 80 is taken by issuers\.house\.http01\.listen; write both alike/,
    ],
    [two('http01: { listen: "443" }', 'challenge: tls-alpn-01'), /issuers\.other\.challenge: port 443 is taken by issuers\.house/],
  ]);
  await understood(t, two('http01: { listen: "80" }', 'http01: { listen: "[::]:80" }'));
});

test('a certificate that its issuer can never give is refused at the issuer in its list', async (t) => {
  const dns = `${HOUSE}, challenge: dns-01, dns01: { exec: x }`;
  await eachRefused(t, [
    [
      issued(HOUSE, { names: 'a.example.org, "*.a.example.org"' }),
      /certificates\[0\]\.issuers\[0\]: house uses http-01, and the wildcard \*\.a\.example\.org can be proven by dns-01 alone; give issuers\.house/,
    ],
    [issued(`${HOUSE}, challenge: tls-alpn-01`, { names: '"*.a.example.org"' }), /house uses tls-alpn-01, and the wildcard/],
    [
      issued(dns, { names: '192.0.2.1' }),
      /house uses dns-01, and the address 192\.0\.2\.1 cannot be proven by it; use an issuer with http-01/,
    ],
    [issued(dns, { names: '192.0.2.1, "*.example.org"' }), /can be proven by dns-01 alone, and 192\.0\.2\.1 never by dns-01; make it two/],
  ]);
});

function asked(names: string, text = 'challenge: http-01', name = 'letsencrypt'): string {
  return issued(text, { names, name });
}

function many(count: number): string {
  return Array.from({ length: count }, (_, index) => `n${index}.example.org`).join(', ');
}

test("what Let's Encrypt never certifies is refused with the name", async (t) => {
  await eachRefused(t, [
    [
      asked('a.example.org, localhost'),
      /letsencrypt can never certify this: localhost is the name of every host; take it out of the names, or/,
    ],
    [asked('nas'), /: nas is a single label, no name of the public DNS/],
    [asked('nas.local'), /: nas\.local is no public name: \.local is not in the public DNS/],
    [asked('a.internal'), /a\.internal is no public name/],
    [asked('a.test'), /a\.test is no public name/],
    [asked('a.example'), /a\.example is no public name/],
    [asked('x.home.arpa'), /: \.home\.arpa is not in the public DNS/],
    [asked('"*.a.lan"', 'challenge: dns-01, dns01: { exec: x }'), /: \*\.a\.lan is no public name/],
    [asked('192.168.1.5', 'profile: shortlived'), /: 192\.168\.1\.5 is no address of the public Internet/],
    [asked('"fd00::1"', 'profile: shortlived'), /: fd00::1 is no address of the public Internet/],
    [asked('"2001:db8::1"', 'profile: shortlived'), /: 2001:db8::1 is no address/],
    [
      asked('1.1.1.1'),
      /letsencrypt certifies the address 1\.1\.1\.1 with the profile shortlived alone; give issuers\.letsencrypt profile:/,
    ],
    [asked(many(101)), /101 names are too many: letsencrypt takes at most 100; make it several certificates/],
    [asked(many(26), 'profile: tlsserver'), /26 names are too many: letsencrypt takes at most 25 with the profile tlsserver/],
    [asked('nas.local', 'profile: tlsserver', 'letsencrypt-staging'), /letsencrypt-staging can never certify this: nas\.local/],
    [asked('nas.local', 'directory: "https://acme-v02.api.letsencrypt.org/directory"', 'ours'), /ours can never certify this: nas\.local/],
  ]);
  const [line] = await refused(t, '', { CERT_ISSUER: 'letsencrypt' });
  assert.match(line ?? '', /: CERT_ISSUER: letsencrypt can never certify this: localhost is the name of every host/);
});

test("what Let's Encrypt certifies, and what other servers may, is taken", async (t) => {
  await understood(t, issued('challenge: http-01', { names: many(100), name: 'letsencrypt' }));
  await understood(t, issued('profile: shortlived', { names: 'a.example.org, 1.1.1.1, "2606:4700::1111"', name: 'letsencrypt' }));
  await understood(t, issued(HOUSE, { names: `nas.local, localhost, nas, 192.168.1.5, ${many(101)}` }));
  await understood(t, issued(`${HOUSE}, challenge: dns-01, dns01: { exec: x }`, { names: '"*.a.internal", a.internal' }));
});
