import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describeError } from '../../../src/platform/errors.ts';
import { refusal, refused } from './support.ts';

test('an unknown key is told with line, column, path and the key that was meant', async (t) => {
  const yaml = 'certificates:\n  - name: default\n  - name: web\n    nmaes: [a.example.org]\n';
  assert.deepEqual(await refused(t, yaml), [
    'the configuration is wrong: podserve.yaml:4:5: certificates[1].nmaes: there is no such key; did you mean names?',
  ]);
  assert.match((await refused(t, 'zzz: 1'))[0] ?? '', /podserve\.yaml:1:1: zzz: there is no such key; the keys here are domain, email/);
});

test('keys that objects have by nature are unknown keys like any other', async (t) => {
  for (const key of ['__proto__', 'constructor', 'toString', '<<']) {
    assert.match((await refused(t, `${key}: { domain: x }`))[0] ?? '', /there is no such key/, key);
  }
  assert.match(
    (await refused(t, 'certificates: [{ name: default, consumers: [constructor] }]'))[0] ?? '',
    /there is no consumer "constructor"/,
  );
});

test('everything that is wrong is told at once, one line each, in the order of the file', async (t) => {
  const error = await refusal(
    t,
    `
domain: 10.0.0.1
emial: x@y
certificates:
  - { name: default, keyType: ecdsa-p257, lifetime: 400d }
  - { name: web, names: [www.example.org, "a..b", 1.2], consumers: [wbe] }
keyGid: many
`,
    { LOG_LEVEL: 'loud' },
  );
  assert.deepEqual([error.code, error.exitCode, error.where, error.why], ['CONFIG_INVALID', 2, 'podserve.yaml', '9 problems']);
  assert.deepEqual(error.problems, [
    'LOG_LEVEL: this must be one of debug, info, warn, error, it is "loud"',
    'podserve.yaml:2:9: domain: 10.0.0.1 is an address, not a domain; give the domain here, and list it in the names of a certificate',
    'podserve.yaml:3:1: emial: there is no such key; did you mean email?',
    'podserve.yaml:5:31: certificates[0].keyType: this must be one of ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096, it is "ecdsa-p257"; did you mean ecdsa-p256?',
    'podserve.yaml:5:53: certificates[0].lifetime: 400d is longer than 397d: browsers refuse such certificates; give a shorter one',
    'podserve.yaml:6:43: certificates[1].names[1]: "a..b": it has an empty label; remove the double dot',
    'podserve.yaml:6:51: certificates[1].names[2]: this must be a text, it is the number 1.2; put it in quotes: "1.2"',
    'podserve.yaml:6:69: certificates[1].consumers[0]: there is no consumer "wbe"; add it to consumers, with its endpoints',
    'podserve.yaml:7:9: keyGid: this must be a whole number, it is "many"',
  ]);
});

test('in a log the problems stand on one line', async (t) => {
  const error = await refusal(t, 'emial: 1\ndomian: 2');
  assert.equal(
    describeError(error),
    'the configuration is wrong: podserve.yaml: 2 problems | podserve.yaml:1:1: emial: there is no such key; did you mean email?' +
      ' | podserve.yaml:2:1: domian: there is no such key; did you mean domain?',
  );
});

test('a hundred problems are counted, twenty told', async (t) => {
  const names = Array.from({ length: 100 }, (_, index) => `"a..${index}"`).join(', ');
  const error = await refusal(t, `certificates: [{ name: default, names: [${names}] }]`);
  assert.equal(error.problems.length, 21);
  assert.equal(error.problems[20], 'podserve.yaml: and 80 more');
});

test('what is wrong with a name keeps its cause', async (t) => {
  const { cause } = await refusal(t, 'certificates: [{ name: default, names: ["a b"] }]');
  assert.ok(cause instanceof Error && 'code' in cause);
  assert.equal(cause.code, 'IDENTIFIER_INVALID');
});

test('broken YAML is told with line and column, and the usual remedy', async (t) => {
  const cases: [yaml: string, told: RegExp][] = [
    ['domain: [a', /podserve\.yaml:1:\d+: this is no YAML: /],
    ['a: 1\n\tb: 2', /podserve\.yaml:2:\d: this is no YAML: .*; indent with spaces/],
    ['apache:\n  http: [::]:80\n', /podserve\.yaml:2:\d+: .*; quote texts/],
    [
      'certificates:\n  - name: default\n    names: [*.example.org]',
      /podserve\.yaml:3:13: \*\.example\.org without quotes is a YAML alias .*; write "\*\.example\.org"/,
    ],
    ['domain: a.example\n---\ndomain: b.example', /podserve\.yaml:2:1: a second document begins here/],
    ['domain: !secret x', /podserve\.yaml:1:9: this is no YAML: Unresolved tag: !secret/],
    ['? [a, b]\n: 1', /podserve\.yaml:1:3: a key must be a plain text/],
    ['- domain', /podserve\.yaml:1:1: the file must hold keys and values, it holds a list/],
    ['domain', /podserve\.yaml:1:1: the file must hold keys and values, it holds "domain"/],
  ];
  for (const [yaml, told] of cases) {
    const [line] = await refused(t, yaml);
    assert.match(line ?? '', told);
  }
});

test('a key that stands twice is refused at its second place', async (t) => {
  assert.match((await refused(t, 'domain: a.example\ndomain: b.example'))[0] ?? '', /podserve\.yaml:2:1: domain: this key stands twice/);
});

test('a file that is not UTF-8 is told the line', async (t) => {
  const bytes = Buffer.concat([Buffer.from('domain: a.example\n# '), Buffer.from([0xff, 0xfe]), Buffer.from('\n')]);
  assert.match((await refused(t, bytes))[0] ?? '', /podserve\.yaml:2: this line is not UTF-8; save the file as UTF-8/);
});

test('aliases that multiply, aliases in a circle and endless nesting end quickly', async (t) => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 10; level++) {
    const before = String.fromCodePoint(96 + level);
    const name = String.fromCodePoint(97 + level);
    bomb.push(`${name}: &${name} [${Array(10).fill(`*${before}`).join(', ')}]`);
  }
  const begun = performance.now();
  assert.match((await refused(t, bomb.join('\n')))[0] ?? '', /podserve\.yaml:6:\d+: this holds more than 1000000 values/);
  assert.match((await refused(t, 'a: &a [*a]'))[0] ?? '', /podserve\.yaml:1:8: the alias \*a stands inside what it stands for/);
  assert.match((await refused(t, '['.repeat(200_000)))[0] ?? '', /nested too deeply|no YAML/);
  assert.ok(performance.now() - begun < 20_000);
});

function site(text: string): string {
  return `apache: { sites: [${text}] }`;
}

function certificate(text: string): string {
  return `certificates: [{ name: default, ${text} }]`;
}

test('contradictions are refused', async (t) => {
  const cases: [yaml: string, told: RegExp][] = [
    [certificate('lifetime: 7d, renewBefore: 7d'), /renewBefore: 7d is not shorter than the lifetime, 7d/],
    [certificate('renewBefore: 90d'), /90d is not shorter than the lifetime, 90d/],
    [certificate('lifetime: 398d'), /398d is longer than 397d/],
    [certificate('lifetime: 7'), /this must be a text, it is the number 7; put it in quotes: "7"/],
    [certificate('lifetime: 7w'), /"7w" is no length of time; write it like 7d/],
    [certificate('lifetime: 0d'), /"0d" is no length of time/],
    [certificate('names: []'), /certificates\[0\]\.names: the certificate default has no names/],
    [certificate('issuers: []'), /there is no issuer in it; list local-ca, self-signed, letsencrypt or another ACME server/],
    [certificate('issuers: [localca]'), /there is no issuer "localca"; did you mean local-ca\?/],
    ['certificates: [{ name: web }]', /certificates\[0\]: the certificate web has no names/],
    ['certificates: [{ names: [a.example.org] }]', /certificates\[0\]\.name: this is missing/],
    [
      'certificates: [{ name: a, names: [a.example] }, { name: a, names: [b.example] }]',
      /certificates\[1\]\.name: there is a certificate a already: certificates\[0\]/,
    ],
    ['certificates: [{ name: A, names: [a.example] }]', /"A" cannot be a name; use at most 63 lower-case letters/],
    [`certificates: [{ name: ${'a'.repeat(64)}, names: [a.example] }]`, /"a{64}" cannot be a name, it has 64; use at most 63/],
    [`certificates: [{ name: ../x, names: [a.example] }]`, /"..\/x" cannot be a name/],
    [certificate(`names: [${'a'.repeat(64)}.example]`), /names\[0\]: .*the label a+… has 64 characters; a label has at most 63/],
    [certificate(`names: [${'a'.repeat(300)}]`), /names\[0\]: ".{0,80}": .*300 characters/],
    [certificate(`names: [${Array(60).fill('abcd').join('.')}]`), /it has 299 characters; a DNS name has at most 253/],
    ['consumers: { web: { endpoints: [] } }', /consumers\.web\.endpoints: there is no endpoint in it/],
    ['consumers: { web: { endpoints: ["ftp://web"] } }', /consumers\.web\.endpoints\[0\]: "ftp:\/\/web": the scheme ftp is unknown/],
    ['consumers: { web: }', /consumers\.web: this must be a map of keys and values, it is empty/],
    ['consumers: { web: { endpoints: } }', /consumers\.web\.endpoints: this is missing/],
    [site('{ root: /x, proxy: "http://a" }'), /a site has either root or proxy, this one has both/],
    [site('{ certificate: deflaut }'), /there is no certificate "deflaut"; did you mean default\?/],
    [site('{ names: [www.example.org] }'), /the certificate default does not cover www\.example\.org; add it to the names/],
    [site('{ names: ["127.0.0.1"] }'), /127\.0\.0\.1 is an address; sites are told apart by DNS names/],
    [site('{ root: /x }, { root: /y }'), /apache\.sites\[1\]: localhost belongs to apache\.sites\[0\] already/],
    [site('{ proxy: "https://a" }'), /"https:\/\/a" is no plain http:\/\/ URL/],
    [site('{ proxy: "http://user:word@a" }'), /is no plain http:\/\/ URL/],
    [site('{ root: "/x\\ny" }'), /this has control characters in it/],
    ['apache: { hsts: -1 }', /-1 seconds is no length of time/],
    ['apache: { hsts: true }', /this must be a length of time such as 365d, or whole seconds, it is true/],
    ['apache: { http: "99999" }', /"99999" is no place to listen/],
    ['apache: { http: "::1:80" }', /"::1:80" is no place to listen/],
    ['apache: { http: "8080", https: "127.0.0.1:8080" }', /apache\.https: port 8080 is taken by apache\.http/],
    ['admin: { status: "127.0.0.1:8443" }', /admin\.status: port 8443 is taken by admin\.listen/],
    ['admin: { certificate: web }', /admin\.certificate: there is no certificate "web"/],
    ['onEvent: { exec: "" }', /onEvent\.exec: this is empty/],
    ['onEvent: {}', /onEvent\.exec: this is missing/],
    ['keyGid: -1', /-1 is no group number/],
    ['keyGid: 1.5', /keyGid: this must be a whole number, it is the number 1\.5/],
    ['email: nobody', /"nobody" is no e-mail address/],
    ['domain: "*.example.org"', /\*\.example\.org is a wildcard, not a domain/],
  ];
  for (const [yaml, told] of cases) {
    const lines = await refused(t, yaml);
    assert.equal(lines.length, 1, `${yaml}\n${lines.join('\n')}`);
    assert.match(lines[0] ?? '', told, yaml);
    assert.match(lines[0] ?? '', /^the configuration is wrong: podserve\.yaml:1:\d+: /, yaml);
  }
});
