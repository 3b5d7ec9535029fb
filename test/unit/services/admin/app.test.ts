import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { HttpBindings } from '@hono/node-server';

import { parseIdentifiers } from '../../../../src/certificate/identifier.ts';
import { systemClock } from '../../../../src/platform/clock.ts';
import { statusPage, type PageSource } from '../../../../src/services/admin/app.ts';
import { isOurHost } from '../../../../src/services/admin/hosts.ts';
import { testSignal } from '../../../support/certificate-service.ts';

const SOURCE: PageSource = {
  status: async () => ({
    at: '2026-11-23T12:00:00.000Z',
    publication: '/data/certificates',
    attention: false,
    alarms: [],
    certificates: [],
    omitted: 0,
    roots: [],
    issuers: [],
    events: [],
  }),
  roots: async () => '-----BEGIN CERTIFICATE-----\n',
  about: () => ({ version: '1.2.3', host: 'harmony', startedAt: 0, trustCommand: 'podserve ca trust' }),
  hosts: () => parseIdentifiers(['lab.example.org', '*.apps.lab.example.org']),
};

const ENV = { incoming: { socket: { localAddress: '192.168.7.2' } } } as unknown as HttpBindings;

async function ask(t: Parameters<typeof testSignal>[0], path: string, init: RequestInit = {}, source = SOURCE): Promise<Response> {
  const { app } = statusPage(source, systemClock, testSignal(t));
  const { headers, ...rest } = init;
  return app.request(path, { headers: { host: 'localhost:8443', ...(headers as Record<string, string>) }, ...rest }, ENV);
}

test('the page forbids everything to the browser but its own style and script', async (t) => {
  const one = await ask(t, '/');
  const other = await ask(t, '/');
  assert.equal(one.status, 200);
  const policy = one.headers.get('content-security-policy') ?? '';
  const nonce = /script-src 'nonce-([^']+)'/.exec(policy)?.[1] ?? '';
  assert.match(policy, /^default-src 'none';/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.equal(/unsafe|\*/.test(policy), false);
  assert.ok(nonce.length >= 22);
  assert.ok((await one.text()).includes(`<script nonce="${nonce}"`));
  assert.equal((other.headers.get('content-security-policy') ?? '').includes(nonce), false, 'a nonce is used once');
  assert.equal(one.headers.get('strict-transport-security'), null, 'HSTS would bind all of localhost');
});

for (const path of ['/', '/status.json', '/ca.pem', '/favicon.svg', '/nothing']) {
  test(`${path} is sent with the headers that keep it from being framed, sniffed or kept`, async (t) => {
    const { headers } = await ask(t, path);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('x-frame-options'), 'DENY');
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'/);
  });
}

for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
  test(`${method} changes nothing and is told so`, async (t) => {
    const response = await ask(t, '/', { method });
    assert.equal(response.status, 405);
    assert.equal(response.headers.get('allow'), 'GET, HEAD');
  });
}

test('HEAD gets the same without a body, also of the event stream', async (t) => {
  for (const path of ['/', '/events']) {
    const response = await ask(t, path, { method: 'HEAD' });
    assert.equal(response.status, 200);
    assert.equal(await response.text(), '');
  }
});

test('a page whose name was pointed at this address reads nothing (DNS rebinding)', async (t) => {
  for (const path of ['/', '/status.json', '/events', '/ca.pem']) {
    const response = await ask(t, path, { headers: { host: 'evil.example' } });
    assert.equal(response.status, 421);
    assert.equal((await response.text()).includes('harmony'), false);
  }
});

test('the names of the certificate, loopback and the address that was connected to are ours, nothing else is', () => {
  const ours = parseIdentifiers(['lab.example.org', '*.apps.lab.example.org', '10.0.0.9']);
  for (const host of [
    'localhost',
    'localhost:8443',
    'LOCALHOST.',
    '127.0.0.1:8443',
    '[::1]:8443',
    'lab.example.org',
    'x.apps.lab.example.org:1',
    '10.0.0.9',
    '192.168.7.2:8443',
  ]) {
    assert.equal(isOurHost(host, ours, '::ffff:192.168.7.2'), true, host);
  }
  for (const host of [
    undefined,
    '',
    'evil.example',
    'lab.example.org.evil.example',
    'a.b.apps.lab.example.org',
    'localhost@evil.example',
    '192.168.7.3',
    '[::2]:8443',
    'a b',
    'localhost:x',
  ]) {
    assert.equal(isOurHost(host, ours, '192.168.7.2'), false, String(host));
  }
});

test('the root can be downloaded as a file, and where there is none that is said', async (t) => {
  const response = await ask(t, '/ca.pem');
  assert.equal(response.headers.get('content-disposition'), 'attachment; filename="podserve-ca.pem"');
  assert.match(await response.text(), /BEGIN CERTIFICATE/);
  assert.equal((await ask(t, '/ca.pem', {}, { ...SOURCE, roots: async () => undefined })).status, 404);
});

test('a state that cannot be read is an error without its inner words', async (t) => {
  const broken = { ...SOURCE, status: () => Promise.reject(new Error('/secret/path is broken')) };
  const response = await ask(t, '/', {}, broken);
  assert.equal(response.status, 500);
  assert.equal((await response.text()).includes('/secret/path'), false);
});

test('the event stream tells the state at once and again when it has changed', { timeout: 10_000 }, async (t) => {
  let alarm = 'first';
  const source: PageSource = { ...SOURCE, status: async (limit) => ({ ...(await SOURCE.status(limit)), alarms: [alarm] }) };
  // Its time stands still: what is told is told because of the poke.
  const clock = {
    now: () => 0,
    sleep: (_ms: number, signal?: AbortSignal) => new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve())),
  };
  const { app, feed } = statusPage(source, clock, testSignal(t));
  const response = await app.request('/events', { headers: { host: 'localhost' } }, ENV);
  assert.ok(response.body !== null);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  t.after(() => reader.cancel());
  let seen = '';
  const until = async (text: string): Promise<void> => {
    while (!seen.includes(text)) {
      const { value, done } = await reader.read();
      assert.equal(done, false, seen);
      seen += value;
    }
  };
  await until('first');
  alarm = 'second';
  feed.poke();
  await until('second');
  assert.match(seen, /^event: state$/m);
});
