import assert from 'node:assert/strict';
import { test } from 'node:test';

import { body, page, type About } from '../../../../src/services/admin/page.ts';
import type { CertificateStatus, ServiceStatus } from '../../../../src/services/certificates/status.ts';

const AT = '2026-11-23T12:00:00.000Z';
const ABOUT: About = { version: '1.2.3', host: 'harmony', startedAt: Date.parse(AT), trustCommand: 'bin/podserve ca trust' };
const EVIL = `"><script>alert('x')</script>&`;
const ESCAPED = '&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;';

function certificate(changes: Partial<CertificateStatus> = {}): CertificateStatus {
  return {
    name: 'default',
    condition: 'well',
    state: 'good',
    why: '',
    wanted: ['lab.example.org'],
    published: {
      generation: 12,
      issuer: 'local-ca',
      origin: 'issued',
      placeholder: false,
      keyType: 'ecdsa-p256',
      names: ['lab.example.org'],
      notBefore: '2026-10-24T12:00:00.000Z',
      notAfter: '2027-01-22T12:00:00.000Z',
      publishedAt: '2026-10-24T12:00:00.000Z',
      leafSha256: 'ab'.repeat(32),
    },
    renewalAt: '2027-01-15T12:00:00.000Z',
    failure: null,
    deliveries: [],
    ...changes,
  };
}

function status(changes: Partial<ServiceStatus> = {}): ServiceStatus {
  return {
    at: AT,
    publication: '/data/certificates',
    attention: false,
    alarms: [],
    certificates: [certificate()],
    omitted: 0,
    roots: [],
    issuers: [],
    events: [],
    ...changes,
  };
}

test('a good certificate is shown with its dates, issuer, generation, fingerprint and next renewal', async () => {
  const text = String(await body(status(), ABOUT));
  assert.match(text, /The certificate is good/);
  assert.match(text, /The next renewal is that of default, in 53 days \(2027-01-15 12:00 UTC\)/);
  for (const shown of ['in 60 days', '2027-01-22 12:00 UTC', 'local-ca', '12<small>', 'AB:AB:AB', 'ecdsa-p256']) {
    assert.ok(text.includes(shown), shown);
  }
  assert.match(text, /33 % of its lifetime is over/);
});

test('a certificate in trouble comes first, with the reason, the count of failures and the next try', async () => {
  const failure = {
    count: 2,
    at: '2026-11-23T11:50:00.000Z',
    nextTry: '2026-11-23T13:30:00.000Z',
    message: 'the disk is full',
    kind: 'paused',
    link: 'https://ca.example/unpause',
  };
  const failing = certificate({ name: 'mail', condition: 'failing', why: 'the disk is full', failure });
  const gone = certificate({ name: 'ldap', condition: 'emergency', state: 'missing', why: 'nothing is published', published: null });
  const text = String(await body(status({ certificates: [certificate(), failing, gone], attention: true }), ABOUT));
  assert.match(text, /<h1>1 certificate needs attention now<\/h1>/);
  assert.ok(text.indexOf('certificate-ldap') < text.indexOf('certificate-mail'));
  assert.ok(text.indexOf('certificate-mail') < text.indexOf('certificate-default'));
  assert.match(text, /2 tries failed, the last 10 minutes ago; next try in 90 minutes/);
  assert.match(text, /The next renewal is that of mail/);
  assert.match(text, /A person can end this at https:\/\/ca\.example\/unpause/);
});

test('an alarm of the whole service is never under a green heading', async () => {
  const text = String(await body(status({ alarms: ['the clock is behind'], attention: true }), ABOUT));
  assert.match(text, /banner emergency/);
  assert.match(text, /<h1>The service needs attention<\/h1>/);
  assert.match(text, /the clock is behind/);
});

test('an endpoint that refuses a certificate is shown as such, with the reason', async () => {
  const refused = {
    endpoint: 'smtp://mail:25',
    servername: 'lab.example.org',
    generation: 12,
    state: 'rejected' as const,
    at: AT,
    detail: 'got another leaf',
  };
  const text = String(
    await body(status({ certificates: [certificate({ condition: 'failing', why: 'not served', deliveries: [refused] })] }), ABOUT),
  );
  assert.match(text, /<li class="rejected">\s*smtp:\/\/mail:25 for lab.example.org: rejected: got another leaf\s*<\/li>/);
  assert.match(text, /not served everywhere/);
});

test('nothing that comes from outside can become markup', async () => {
  const published = { ...certificate().published!, issuer: EVIL, names: [EVIL], keyType: EVIL };
  const evil = certificate({
    name: EVIL,
    condition: 'failing',
    why: EVIL,
    published,
    failure: { count: 1, at: AT, nextTry: AT, message: `${EVIL}2`, kind: EVIL, link: EVIL },
    deliveries: [{ endpoint: EVIL, servername: EVIL, generation: 1, state: 'rejected', at: AT, detail: EVIL }],
  });
  const events = [{ at: AT, certificate: EVIL, kind: 'failed' as const, reason: EVIL, detail: EVIL, generation: null }];
  const roots = [{ name: EVIL, sha256: 'ab'.repeat(32), notBefore: AT, notAfter: AT, state: 'signs' as const, signsFrom: null }];
  const text = String(
    await page(status({ alarms: [EVIL], certificates: [evil], events, roots }), { ...ABOUT, host: EVIL, trustCommand: EVIL }, 'nonce'),
  );
  assert.equal(text.includes(EVIL), false);
  assert.equal(text.split('<script').length, 2, 'the one script is ours');
  assert.ok(text.split(ESCAPED).length > 12);
});

test('without JavaScript the page still renews itself, and every style and script carries the nonce', async () => {
  const text = String(await page(status(), ABOUT, 'n0nce'));
  assert.match(text, /<noscript><meta http-equiv="refresh" content="60" \/><\/noscript>/);
  assert.equal(text.match(/<(?:style|script) nonce="n0nce"/g)?.length, 2);
  assert.equal(/ style="| on[a-z]+="/.test(text), false);
});

test('of many certificates the details are folded and the rest is counted', async () => {
  const many = Array.from({ length: 7 }, (_, index) => certificate({ name: `c${index}` }));
  const text = String(await body(status({ certificates: many, omitted: 9993 }), ABOUT));
  assert.match(text, /All 10000 certificates are good/);
  assert.match(text, /9993 more are not shown here/);
  assert.equal(/<details id="details-c0" open/.test(text), false);
});
