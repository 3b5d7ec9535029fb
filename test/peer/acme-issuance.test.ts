import assert from 'node:assert/strict';
import { randomBytes, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { startFaultProxy } from '../support/acme-fault-proxy.ts';
import { acmeLab, type AcmeLab } from '../support/acme-lab.ts';
import type { Finished } from '../support/command.ts';
import { startPebble, type Pebble } from '../support/daemons/pebble.ts';
import { scaled } from '../support/scale.ts';

function assertDone(result: Finished, pebble: Pebble): void {
  assert.equal(result.code, 0, `${result.stdout}${result.stderr}\n${pebble.log().split('\n').slice(-40).join('\n')}`);
}

/** The certificates from the leaf to the last one sent. */
async function sent(lab: AcmeLab): Promise<X509Certificate[]> {
  const current = await lab.current();
  assert.ok(current !== undefined, 'nothing is published');
  return [current.bundle.leaf, ...current.bundle.chain];
}

/** Whether a chain leads to a root, each certificate signed by the next. */
function leadsTo(chain: readonly X509Certificate[], rootPem: string): boolean {
  const whole = [...chain, new X509Certificate(rootPem)];
  return whole.every(
    (certificate, index) => index === whole.length - 1 || certificate.verify((whole[index + 1] as X509Certificate).publicKey),
  );
}

for (const [percent, nonceReject] of [
  ['5 %', undefined],
  ['50 %', 50],
] as const) {
  const count = scaled(200);
  test(`${count} issuances in a row succeed with ${percent} of nonces refused, all with one account`, async (t) => {
    const pebble = await startPebble(t, nonceReject === undefined ? {} : { nonceReject });
    const proxy = await startFaultProxy(t, pebble);
    const lab = await acmeLab(t, pebble, proxy);
    for (let number = 1; number <= count; number += 1) {
      assertDone(await lab.certificates('renew', ['--force']), pebble);
      const current = await lab.current();
      assert.equal(current?.number, number + 1, 'one generation each, after the placeholder');
      assert.equal(current?.manifest.issuer, 'pebble');
      assert.equal((await pebble.status(current.manifest.serial))?.status, 'Valid');
    }
    const refused = proxy.seen.filter(({ problem }) => problem === 'badNonce').length;
    console.log(`# ${count} issuances: ${proxy.seen.length} requests, ${refused} nonces refused`);
    assert.ok(refused > 0, 'nonces were refused');
    assert.equal(proxy.seen.filter(({ kind, status }) => kind === 'newAccount' && status === 201).length, 1, 'accounts made');
    assert.equal(proxy.seen.filter(({ kind, status }) => kind === 'newOrder' && status === 201).length, count, 'orders made');
    assert.deepEqual(lab.ordersUnderWay(), []);
  });
}

test('a public certificate is first ordered behind a placeholder, and replaces it', async (t) => {
  const pebble = await startPebble(t);
  const lab = await acmeLab(t, pebble, pebble);
  assertDone(await lab.certificates('init'), pebble);
  assert.equal((await lab.current())?.manifest.placeholder, true);
  assertDone(await lab.certificates('renew'), pebble);
  const { manifest } = (await lab.current()) ?? assert.fail('nothing is published');
  assert.deepEqual([manifest.placeholder, manifest.issuer, manifest.generation], [false, 'pebble', 2]);
  const again = await lab.certificates('renew');
  assertDone(again, pebble);
  assert.equal((await lab.current())?.number, 2, 'nothing more was due');
});

for (const [profile, days] of [
  ['default', 90],
  ['shortlived', 6],
] as const) {
  test(`the profile ${profile} is asked for and given`, async (t) => {
    const pebble = await startPebble(t);
    const proxy = await startFaultProxy(t, pebble);
    const lab = await acmeLab(t, pebble, proxy, { issuer: { profile } });
    assertDone(await lab.certificates('renew'), pebble);
    const [leaf] = await sent(lab);
    assert.ok(leaf !== undefined);
    assert.equal(Math.round((Date.parse(leaf.validTo) - Date.parse(leaf.validFrom)) / 86_400_000), days);
    assert.equal(proxy.seen.find(({ kind }) => kind === 'newOrder')?.payload?.['profile'], profile);
    assert.equal(leaf.subject ?? '', '', 'no common name was asked for');
  });
}

test('a profile that the server does not offer is refused before an order is made, naming those it has', async (t) => {
  const pebble = await startPebble(t);
  const proxy = await startFaultProxy(t, pebble);
  const lab = await acmeLab(t, pebble, proxy, { issuer: { profile: 'longlived' } });
  const result = await lab.certificates('renew');
  assert.equal(result.code, 1, result.stdout);
  assert.match(result.stderr, /longlived/);
  assert.match(result.stderr, /default/);
  assert.match(result.stderr, /shortlived/);
  assert.equal(proxy.count('newOrder'), 0);
  assert.equal(lab.ledger((ledger) => ledger.failure('default'))?.kind, 'configuration');
});

async function bound(t: TestContext, key: string): Promise<{ pebble: Pebble; lab: AcmeLab }> {
  const pebble = await startPebble(t, { eab: { 'kid-1': key } });
  const lab = await acmeLab(t, pebble, pebble);
  const hmacFile = join(lab.cwd, 'hmac');
  writeFileSync(hmacFile, `${key}\n`, { mode: 0o600 });
  lab.configure({ issuer: { eab: { kid: 'kid-1', hmacFile } } });
  return { pebble, lab };
}

test('a server that requires external account binding gets it', async (t) => {
  const { pebble, lab } = await bound(t, randomBytes(48).toString('base64url'));
  assertDone(await lab.certificates('renew'), pebble);
  assertDone(await lab.certificates('renew', ['--force']), pebble);
  assert.deepEqual([(await lab.current())?.number, (await lab.current())?.manifest.issuer], [3, 'pebble']);
});

test('without external account binding where it is required: one line that names the settings, and no secret', async (t) => {
  const key = randomBytes(48).toString('base64url');
  const { pebble, lab } = await bound(t, key);
  lab.configure({});
  const result = await lab.certificates('renew');
  assert.equal(result.code, 1, result.stdout);
  assert.match(result.stderr, /issuers\.pebble\.eab/);
  assert.equal(lab.ledger((ledger) => ledger.failure('default'))?.kind, 'configuration');
  const hmacFile = join(lab.cwd, 'hmac');
  const other = randomBytes(48).toString('base64url');
  writeFileSync(hmacFile, other);
  lab.configure({ issuer: { eab: { kid: 'kid-1', hmacFile } } });
  const wrong = await lab.certificates('renew', ['--force']);
  assert.equal(wrong.code, 1, wrong.stdout);
  assert.ok(!(wrong.stdout + wrong.stderr).includes(other), 'the key is shown');
  assert.match(wrong.stderr, /unauthorized|external|signature/i, pebble.log());
});

test('the chain to an alternate root is taken where it is preferred, else the default one', async (t) => {
  const pebble = await startPebble(t, { alternateRoots: 3 });
  const roots = await Promise.all([0, 1, 2, 3].map((index) => pebble.root(index)));
  const names = roots.map((root) => new X509Certificate(root).subject.replace('CN=', ''));
  const lab = await acmeLab(t, pebble, pebble);
  for (const [wanted, index] of [
    [undefined, 0],
    [names[2], 2],
    [names[3], 3],
    [names[0], 0],
    ['No Such Root', 0],
  ] as const) {
    lab.configure({ issuer: wanted === undefined ? {} : { preferredChain: wanted } });
    assertDone(await lab.certificates('renew', ['--force']), pebble);
    const chain = await sent(lab);
    const reached = roots.findIndex((root) => leadsTo(chain, root));
    assert.equal(reached, index, `preferred ${wanted}: the chain leads to root ${reached}, ${names[reached]}`);
  }
});

test('a chain of three intermediates is published whole and in order', async (t) => {
  const pebble = await startPebble(t, { chainLength: 3 });
  const lab = await acmeLab(t, pebble, pebble);
  assertDone(await lab.certificates('renew'), pebble);
  const chain = await sent(lab);
  assert.equal(chain.length, 4);
  assert.ok(leadsTo(chain, await pebble.root()), chain.map(({ subject, issuer }) => `${subject} by ${issuer}`).join('\n'));
  const check = await lab.certificates('check');
  assert.equal(check.code, 0, check.stderr);
});

test('a long Retry-After is obeyed, a missing one does not slow the order down', async (t) => {
  const times: Record<string, number> = {};
  for (const [label, retryAfter] of [
    ['absent', undefined],
    ['long', { authz: 4, order: 4 }],
  ] as const) {
    const pebble = await startPebble(t, { authzReuse: 0, ...(retryAfter === undefined ? {} : { retryAfter }) });
    const proxy = await startFaultProxy(t, pebble);
    const lab = await acmeLab(t, pebble, proxy);
    const began = performance.now();
    assertDone(await lab.certificates('renew'), pebble);
    times[label] = performance.now() - began;
    const polls = proxy.seen.filter(({ kind, problem }) => (kind === 'order' || kind === 'authorization') && problem !== 'badNonce');
    assert.ok(polls.length <= 6, `${polls.length} polls with Retry-After ${label}: ${polls.map(({ kind }) => kind).join(' ')}`);
  }
  console.log(`# ${JSON.stringify(times)} ms`);
  assert.ok((times['absent'] ?? 0) < 4000 && (times['long'] ?? 0) >= 3000, JSON.stringify(times));
});

test('with everything that Pebble does by default (validation sleeps, Retry-After, refused nonces), a certificate comes', async (t) => {
  const pebble = await startPebble(t, { sleepSeconds: 5, retryAfter: { authz: 3, order: 5 } });
  const lab = await acmeLab(t, pebble, pebble);
  assertDone(await lab.certificates('renew'), pebble);
  assert.equal((await lab.current())?.manifest.issuer, 'pebble');
});
