import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { CertificateSpec } from '../../../../src/certificate/spec.ts';
import { parseIdentifiers } from '../../../../src/certificate/identifier.ts';
import type { SiteConfig } from '../../../../src/config/config.ts';
import { PodserveError } from '../../../../src/platform/errors.ts';
import { renderApache } from '../../../../src/services/apache/render.ts';
import { planSites, servedByApache, wantedBy, type Plan } from '../../../../src/services/apache/sites.ts';
import type { HeldCertificate } from '../../../../src/services/service.ts';

function spec(name: string, names: readonly string[]): CertificateSpec {
  return {
    name,
    identifiers: parseIdentifiers(names),
    keyType: 'ecdsa-p256',
    issuers: ['local-ca'],
    lifetime: 2,
    renewBefore: 1,
    consumers: [],
  };
}

const CERTIFICATES = [spec('default', ['lab.example', '*.lab.example', 'mail.lab.example', '192.0.2.1']), spec('shop', ['shop.example'])];

function plan(sites: readonly Partial<SiteConfig>[], hsts?: number): Plan {
  const full = sites.map((site) => ({ certificate: 'default', names: [], root: undefined, proxy: undefined, ...site }));
  return planSites({ http: '[::]:80', https: '[::]:443', status: '127.0.0.1:9082', hsts, sites: full }, CERTIFICATES);
}

function held(...names: string[]): Map<string, HeldCertificate> {
  return new Map(
    names.map((name) => [name, { name, generation: 1, file: `/run/x/${name}.pem`, leafSha256: name, notBefore: 0, notAfter: 1 }]),
  );
}

function render(wanted: Plan, certificates = held('default', 'shop'), challenges = '/data/state/challenges'): string {
  const apache = { modules: new Set(['http2']), modulesDirectory: '/usr/lib/apache2/modules', mimeTypes: undefined, workers: undefined };
  return renderApache({ apache, runtimeDirectory: '/run/x', challenges, plan: wanted, held: certificates });
}

function isConfigInvalid(error: unknown): boolean {
  return error instanceof PodserveError && error.code === 'CONFIG_INVALID';
}

test('a site without names takes those of its certificate that no other site asks for', () => {
  const { sites } = plan([{}, { names: ['mail.lab.example'] }]);
  assert.deepEqual(sites[0]?.exact, ['lab.example', '192.0.2.1']);
  assert.deepEqual(sites[0]?.wildcards, ['*.lab.example']);
  assert.deepEqual(sites[1]?.exact, ['mail.lab.example']);
});

test('an exact name of a later site wins over a wildcard of an earlier one', () => {
  const text = render(plan([{}, { names: ['mail.lab.example'] }]));
  assert.ok(text.indexOf('ServerName mail.lab.example') < text.indexOf('ServerAlias *.lab.example'));
  assert.ok(text.indexOf('ServerName lab.example') < text.indexOf('ServerName mail.lab.example'), 'the first site must stay first');
});

test('every name is looked at with its own certificate, and an address without SNI only at the first site', () => {
  const places = servedByApache(plan([{}, { certificate: 'shop' }]), held('default', 'shop'));
  assert.deepEqual(
    places.map(({ servername, certificate }) => [servername, certificate]),
    [
      [undefined, 'default'],
      ['lab.example', 'default'],
      ['mail.lab.example', 'default'],
      ['*.lab.example', 'default'],
      ['shop.example', 'shop'],
    ],
  );
  assert.equal(places[0]?.endpoint.url, 'https://127.0.0.1:443');
  assert.deepEqual(
    servedByApache(plan([{}, { certificate: 'shop' }]), held('shop')).map(({ certificate }) => certificate),
    ['shop'],
  );
});

test('a certificate must cover the names of all its sites together', () => {
  const [wanted] = wantedBy(plan([{ names: ['lab.example'] }, { names: ['mail.lab.example'] }]));
  assert.deepEqual(
    wanted?.identifiers.map(({ value }) => value),
    ['lab.example', 'mail.lab.example'],
  );
});

test('without any certificate there is no HTTPS, and plain HTTP leads nowhere but to challenges', () => {
  const text = render(plan([{}]), held());
  assert.ok(!text.includes('SSLEngine'));
  assert.ok(!text.includes(':443'));
  assert.match(text, /R=503/);
  assert.match(text, /acme-challenge/);
});

test('a site whose certificate is missing answers 503 itself instead of leaving its name to another site', () => {
  const text = render(plan([{}, { certificate: 'shop', root: '/srv/shop' }]), held('default'));
  const host = text.slice(text.indexOf('ServerName shop.example'), text.indexOf('</VirtualHost>', text.indexOf('ServerName shop.example')));
  assert.match(host, /R=503/);
  assert.ok(!host.includes('/srv/shop'));
});

test('redirects name the HTTPS port only where it is not 443', () => {
  assert.match(render(plan([{}])), /https:\/\/%1%\{REQUEST_URI\}/);
  const other = planSites(
    {
      http: '[::]:8080',
      https: '[::]:8444',
      status: '',
      hsts: undefined,
      sites: [{ certificate: 'default', names: [], root: undefined, proxy: undefined }],
    },
    CERTIFICATES,
  );
  assert.match(render(other), /https:\/\/%1:8444%\{REQUEST_URI\}/);
});

test('HSTS is sent only when it is configured', () => {
  assert.ok(!render(plan([{}])).includes('Strict-Transport-Security'));
  assert.match(render(plan([{}], 31_536_000)), /Strict-Transport-Security "max-age=31536000"/);
});

test('no value of the configuration can become a directive', () => {
  for (const root of ['/a"\nLoadModule x', '/a\nRequire all granted', '/a${PATH}', '/a\\', '/a*', '/a\u0000b', '/a[b]', '/$1']) {
    assert.throws(() => render(plan([{ root }])), isConfigInvalid, JSON.stringify(root));
    assert.throws(() => render(plan([{}]), held('default'), root), isConfigInvalid, JSON.stringify(root));
  }
  for (const name of ['a b', 'a"b', 'a\nb', '${A}', 'a<b', '*']) assert.throws(() => render(plan([{ names: [name] }])), name);
  for (const proxy of ['https://a/', 'http://u:p@a/', 'http://a/?b', 'unix:/x|http://a/', 'a']) {
    assert.throws(() => plan([{ proxy }]), isConfigInvalid, proxy);
  }
  // What a URL may hold is encoded before it is quoted.
  assert.match(render(plan([{ proxy: 'http://[::1]:1/x" y' }])), /ProxyPass "\/" "http:\/\/\[::1\]:1\/x%22%20y"/);
});
