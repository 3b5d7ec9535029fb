import assert from 'node:assert/strict';
import { chmodSync, createReadStream, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { domainToASCII } from 'node:url';

import { apacheStack } from '../support/apache.ts';
import { acmeLab, type AcmeLab } from '../support/acme-lab.ts';
import { startFaultProxy, type FaultProxy } from '../support/acme-fault-proxy.ts';
import { changeJson } from '../support/acme-faults.ts';
import { PODSERVE, start } from '../support/command.ts';
import { grant, startNameServer, tsigKey, type RunningNameServer } from '../support/daemons/name-server.ts';
import { startPebble, type Pebble } from '../support/daemons/pebble.ts';
import { listenUntilEnd } from '../support/fault-server.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';

/** Issues, and renews with nothing of the first order to lean on; the certificate has exactly these names. */
async function issuesAndRenews(lab: AcmeLab, pebble: Pebble, names: readonly string[]): Promise<void> {
  for (const number of [1, 2]) {
    const { code, stdout, stderr } = await lab.certificates('renew', ['--force']);
    assert.equal(code, 0, `${stdout}${stderr}\n${pebble.log().split('\n').slice(-30).join('\n')}`);
    const current = await lab.current();
    assert.ok(current !== undefined);
    assert.equal(current.number, number + 1, 'one each, after the placeholder');
    assert.equal(current.manifest.issuer, 'pebble');
    assert.deepEqual(new Set(current.manifest.identifiers), new Set(names));
  }
  assert.deepEqual(lab.ordersUnderWay(), []);
}

/** Serves a directory on a port as any web server would. */
async function webServer(t: TestContext, root: string): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    createReadStream(join(root, request.url ?? ''))
      .on('error', () => response.writeHead(404).end())
      .pipe(response);
  });
  return { port: await listenUntilEnd(t, server), asked };
}

describe('http-01', () => {
  test('by files in a webroot that somebody else serves; none is left', async (t) => {
    const webroot = scratchDirectory(t);
    const { port, asked } = await webServer(t, webroot);
    const pebble = await startPebble(t, { httpPort: port, authzReuse: 0 });
    const lab = await acmeLab(t, pebble, pebble, { issuer: { challenge: 'http-01', http01: { webroot } } });
    await issuesAndRenews(lab, pebble, ['a.lab.test']);
    assert.ok(asked.length >= 2 && asked.every((url) => url.startsWith('/.well-known/acme-challenge/')), asked.join(' '));
    assert.deepEqual(readdirSync(join(webroot, '.well-known/acme-challenge')), []);
  });

  test('by files in the challenges volume, served by our Apache, which has no certificate yet', async (t) => {
    const web = await apacheStack(t, {});
    const service = web.start();
    await web.until(() => true, 20_000);
    const pebble = await startPebble(t, { httpPort: web.http, authzReuse: 0 });
    const lab = await acmeLab(t, pebble, pebble, { state: web.state, issuer: { challenge: 'http-01' } });
    await issuesAndRenews(lab, pebble, ['a.lab.test']).catch((error: unknown) => {
      console.log(service.output());
      throw error;
    });
    assert.deepEqual(readdirSync(join(web.state, 'challenges')), []);
  });

  for (const listen of ['127.0.0.1', '[::]']) {
    test(`by its own listener on ${listen}`, async (t) => {
      const pebble = await startPebble(t, { authzReuse: 0 });
      const lab = await acmeLab(t, pebble, pebble, {
        issuer: { challenge: 'http-01', http01: { listen: `${listen}:${pebble.httpPort}` } },
      });
      await issuesAndRenews(lab, pebble, ['a.lab.test']);
    });
  }

  test('over IPv6 for a name that has no other address', async (t) => {
    const pebble = await startPebble(t, { authzReuse: 0, dns: { defaultIPv4: '', defaultIPv6: '::1' } });
    const lab = await acmeLab(t, pebble, pebble, { issuer: { challenge: 'http-01', http01: { listen: `[::]:${pebble.httpPort}` } } });
    await issuesAndRenews(lab, pebble, ['a.lab.test']);
  });
});

describe('tls-alpn-01', () => {
  test('for several names', async (t) => {
    const pebble = await startPebble(t, { authzReuse: 0 });
    const names = ['a.lab.test', 'b.lab.test', 'c.lab.test'];
    const lab = await acmeLab(t, pebble, pebble, {
      issuer: { challenge: 'tls-alpn-01', tlsAlpn01: { listen: `127.0.0.1:${pebble.tlsPort}` } },
      certificate: { names },
    });
    await issuesAndRenews(lab, pebble, names);
  });
});

describe('addresses', () => {
  for (const challenge of ['http-01', 'tls-alpn-01'] as const) {
    test(`IPv4 and IPv6 together by ${challenge}`, async (t) => {
      const pebble = await startPebble(t, { authzReuse: 0 });
      const way =
        challenge === 'http-01' ? { http01: { listen: `[::]:${pebble.httpPort}` } } : { tlsAlpn01: { listen: `[::]:${pebble.tlsPort}` } };
      const lab = await acmeLab(t, pebble, pebble, {
        issuer: { challenge, ...way, profile: 'shortlived' },
        certificate: { names: ['127.0.0.1', '::1'] },
      });
      await issuesAndRenews(lab, pebble, ['127.0.0.1', '::1']);
    });
  }
});

interface Zone {
  readonly named: RunningNameServer;
  readonly pebble: Pebble;
  readonly issuer: Readonly<Record<string, unknown>>;
}

/** BIND with lab.test and dynamic.test, whose challenge records one TSIG key may change; Pebble asks it. */
async function zones(t: TestContext, granted: readonly string[], records: readonly string[] = []): Promise<Zone> {
  const key = await tsigKey(t, 'podserve');
  const statements = grant(key, ...granted);
  const named = await startNameServer(t, {
    keys: [key],
    zones: [
      // With a zone to ask others for it is a resolver too, and follows aliases from one of its zones to another; nothing leaves this host.
      { name: '.', forwardTo: 9 },
      { name: 'test' },
      { name: 'lab.test', records, ...(granted.some((name) => name.endsWith('lab.test')) ? { statements } : {}) },
      { name: 'dynamic.test', ...(granted.some((name) => name.endsWith('dynamic.test')) ? { statements } : {}) },
    ],
  });
  const pebble = await startPebble(t, { authzReuse: 0, dnsAddress: named.server });
  const dns01 = { server: named.server, tsigKeyFile: key.file, propagation: { servers: [named.server], timeout: '10s' } };
  return { named, pebble, issuer: { challenge: 'dns-01', dns01 } };
}

describe('dns-01', () => {
  test('wildcard and apex together, by signed updates of a real BIND; no record is left', async (t) => {
    const { named, pebble, issuer } = await zones(t, ['_acme-challenge.lab.test']);
    const names = ['*.lab.test', 'lab.test'];
    const lab = await acmeLab(t, pebble, pebble, { issuer, certificate: { names }, config: { resolvers: [named.server] } });
    await issuesAndRenews(lab, pebble, names);
    assert.deepEqual(await named.dig('_acme-challenge.lab.test', 'TXT'), []);
  });

  test('through a CNAME into another zone, which alone the key may change', async (t) => {
    const { named, pebble, issuer } = await zones(t, ['www.dynamic.test'], ['_acme-challenge.www CNAME www.dynamic.test.']);
    const lab = await acmeLab(t, pebble, pebble, {
      issuer,
      certificate: { names: ['www.lab.test'] },
      config: { resolvers: [named.server] },
    });
    await issuesAndRenews(lab, pebble, ['www.lab.test']);
    assert.deepEqual(await named.dig('www.dynamic.test', 'TXT'), []);
  });

  test('by a program', async (t) => {
    const pebble = await startPebble(t, { authzReuse: 0 });
    const directory = scratchDirectory(t);
    const exec = join(directory, 'provider');
    const script = [
      '#!/bin/sh -e',
      `echo "$1 $2" >> ${directory}/calls`,
      'case $1 in present) action=set-txt ;; cleanup) action=clear-txt ;; esac',
      `curl -sSf -d "{\\"host\\":\\"$2.\\",\\"value\\":\\"$3\\"}" ${pebble.dns.managementUrl}/$action`,
    ];
    writeFileSync(exec, `${script.join('\n')}\n`);
    chmodSync(exec, 0o755);
    const lab = await acmeLab(t, pebble, pebble, {
      issuer: { challenge: 'dns-01', dns01: { exec, propagation: { servers: [pebble.dns.dnsAddress], timeout: '10s' } } },
      certificate: { names: ['a.lab.test', 'b.lab.test'] },
    });
    await issuesAndRenews(lab, pebble, ['a.lab.test', 'b.lab.test']);
  });
});

describe('names and keys', () => {
  test('100 names', async (t) => {
    const pebble = await startPebble(t);
    const names = Array.from({ length: 100 }, (_, index) => `n${index}.lab.test`);
    const lab = await acmeLab(t, pebble, pebble, { certificate: { names } });
    await issuesAndRenews(lab, pebble, names);
  });

  test('an internationalised name', async (t) => {
    const pebble = await startPebble(t, { authzReuse: 0 });
    const lab = await acmeLab(t, pebble, pebble, { certificate: { names: ['bücher.lab.test'] } });
    await issuesAndRenews(lab, pebble, [domainToASCII('bücher.lab.test')]);
  });

  for (const keyType of ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-4096']) {
    test(`a key ${keyType}`, async (t) => {
      const pebble = await startPebble(t);
      const lab = await acmeLab(t, pebble, pebble, { certificate: { keyType } });
      await issuesAndRenews(lab, pebble, ['a.lab.test']);
      assert.equal((await lab.current())?.manifest.keyType, keyType);
    });
  }
});

/** Suggests for each certificate a window of four seconds that begins a little after a third of its life: nothing is ordered anew before that. */
function suggestNarrowWindows(proxy: FaultProxy): Map<string, { start: number; end: number }> {
  const windows = new Map<string, { start: number; end: number }>();
  const about = (): string => proxy.seen.findLast(({ kind }) => kind === 'renewalInfo')?.path ?? '';
  const suggest = changeJson(() => {
    const soon = Date.now() + 33_000;
    const window = windows.get(about()) ?? { start: soon, end: soon + 4000 };
    windows.set(about(), window);
    return { suggestedWindow: { start: new Date(window.start).toISOString(), end: new Date(window.end).toISOString() } };
  });
  proxy.fault({ on: 'renewalInfo', fault: suggest });
  return windows;
}

test('certificates that live for minutes are renewed by the resident service inside the window that the CA suggests', async (t) => {
  const pebble = await startPebble(t, { profiles: { minutes: { validitySeconds: 90 } } });
  const proxy = await startFaultProxy(t, pebble);
  const windows = suggestNarrowWindows(proxy);
  const status = await freePort();
  const lab = await acmeLab(t, pebble, proxy, {
    issuer: { profile: 'minutes' },
    config: { certificateService: { status: `127.0.0.1:${status}` } },
  });
  const cron = start(t, PODSERVE, lab.args('cron'), { cwd: lab.cwd });
  const began = Date.now();
  while (((await lab.current())?.number ?? 0) < 4 && Date.now() - began < 110_000) await new Promise((resolve) => setTimeout(resolve, 250));
  const orders = proxy.seen.filter(({ kind, status: code }) => kind === 'newOrder' && code === 201);
  assert.ok(orders.length >= 3, `${orders.length} orders:\n${cron.output()}`);
  const inOrder = [...windows.values()];
  for (const [index, order] of orders.slice(1).entries()) {
    const window = inOrder[index];
    assert.ok(window !== undefined);
    const late = order.at - window.end;
    assert.ok(
      order.at >= window.start && late <= 2000,
      `renewal ${index + 1}: ${order.at - window.start} ms after the start, ${late} after the end`,
    );
  }
  const replaced = new Set(proxy.seen.filter(({ kind }) => kind === 'newOrder').map(({ payload }) => payload?.['replaces']));
  replaced.delete(undefined);
  assert.ok(replaced.size >= orders.length - 1, 'each renewal says what it replaces');
});
