import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';

import { addAccount } from '../../src/issuers/acme/account-file.ts';
import { HOUR, systemClock } from '../../src/platform/clock.ts';
import type { Finding } from '../../src/services/doctor/finding.ts';
import { startPebble, type Pebble } from '../support/daemons/pebble.ts';
import { lines, patient, type Patient } from '../support/doctor.ts';
import { opensslCa } from '../support/openssl-ca.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';

const cleanups: (() => unknown)[] = [];
const whole = { after: (work: unknown): void => void cleanups.push(work as () => unknown) };
let pebble: Pebble;
let foreignRoot: string;

before(async () => {
  pebble = await startPebble(whole);
  foreignRoot = (await opensslCa(scratchDirectory(whole), 'House')).rootFile;
});
after(async () => {
  for (const cleanup of cleanups) await cleanup();
});

/** One name that Pebble would validate, with fields of the issuer. */
function setup(t: TestContext, name: string, { issuer = {} }: { readonly issuer?: Readonly<Record<string, unknown>> } = {}): Patient {
  const challenge = { challenge: 'http-01', http01: { listen: `127.0.0.1:${pebble.httpPort}` } };
  return patient(t, {
    resolver: pebble.dns.dnsAddress,
    names: [name],
    ports: { http: pebble.httpPort, https: pebble.tlsPort },
    issuer: { directory: pebble.directory, caFile: pebble.caFile, ...challenge, ...issuer },
  });
}

test('CAA is judged by the name that the CA gives itself, with its parameters, up the tree', async (t) => {
  const own = setup(t, 'www.caa.test');
  const judged = async (tag: string, value: string): Promise<string> => {
    await pebble.dns.clearCaa('caa.test');
    await pebble.dns.addCaa('caa.test', { tag, value });
    return lines(await own.examine('caa')).join('\n');
  };
  assert.equal(
    await judged('issue', 'letsencrypt.example'),
    'problem: CAA of caa.test lets letsencrypt.example issue, not pebble.letsencrypt.org',
  );
  assert.equal(await judged('issue', 'pebble.letsencrypt.org'), 'good: CAA of caa.test allows pebble.letsencrypt.org');
  assert.match(
    await judged('issue', 'pebble.letsencrypt.org; validationmethods=dns-01'),
    /^problem: .* by dns-01 only, and http-01 is configured$/,
  );
  assert.match(await judged('issue', 'pebble.letsencrypt.org; validationmethods=http-01'), /^good/);
  const bound = `pebble.letsencrypt.org; accounturi=${pebble.origin}/my-account/7`;
  assert.match(await judged('issue', bound), /^problem: .* there is no account yet$/);
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const account = { directory: pebble.directory, key, url: `${pebble.origin}/my-account/7`, contact: [], createdAt: 0, nextKey: undefined };
  await addAccount(join(own.paths.acme, 'ca'), account);
  assert.match(await judged('issue', bound), /^good/);
  assert.match(
    await judged('issue', `pebble.letsencrypt.org; accounturi=${pebble.origin}/my-account/8`),
    /^problem: .* the account here is .*\/my-account\/7$/,
  );
});

test('an account file that is damaged is a problem', async (t) => {
  const own = setup(t, 'good.lab.test');
  mkdirSync(join(own.paths.acme, 'ca'), { recursive: true });
  writeFileSync(join(own.paths.acme, 'ca', 'account.json'), '{');
  assert.match(
    lines(await own.examine('account')).join('\n'),
    /^problem: the ACME account cannot be read: .*account\.json: it is not JSON$/,
  );
});

test('a CA that does not answer, or is none, is told with what to check', async (t) => {
  const judged = async (issuer: Readonly<Record<string, unknown>>): Promise<Finding> => {
    const own = setup(t, 'good.lab.test', { issuer });
    const [finding] = await own.examine('directory');
    assert.ok(finding !== undefined);
    return finding;
  };
  assert.equal((await judged({})).what, `its directory ${pebble.directory} answers`);
  const refused = await judged({ directory: `https://127.0.0.1:${await freePort()}/dir` });
  assert.equal(refused.ok, 'problem');
  assert.match(refused.remedy ?? '', /firewall/);
  const untrusted = await judged({ caFile: foreignRoot });
  assert.equal(untrusted.ok, 'problem');
  assert.match(untrusted.remedy ?? '', /holds the root/);
  const nothing = await judged({ directory: `${pebble.origin}/nonsense` });
  assert.equal(nothing.ok, 'problem');
  assert.match(nothing.remedy ?? '', /whether .*\/nonsense is its directory/);
});

test('a profile that is offered is good, another one a problem with those that are', async (t) => {
  const judged = async (profile: string): Promise<Finding[]> => setup(t, 'good.lab.test', { issuer: { profile } }).examine('profile');
  assert.deepEqual(lines(await judged('shortlived')), ['good: offers the profile shortlived']);
  const [wrong] = await judged('shortlife');
  assert.equal(wrong?.what, 'does not offer the profile shortlife');
  assert.match(wrong.remedy ?? '', /it offers .*shortlived/);
});

test('a CA that binds accounts wants a key', async (t) => {
  const binding = await startPebble(t, { eab: { 'kid-1': 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W' } });
  const server = { directory: binding.directory, caFile: binding.caFile };
  const [without] = await setup(t, 'good.lab.test', { issuer: server }).examine('external-account');
  assert.equal(without?.ok, 'problem');
  assert.match(without.remedy ?? '', /issuers\.ca\.eab\.kid/);
  const hmacFile = join(scratchDirectory(t), 'hmac');
  writeFileSync(hmacFile, 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n', { mode: 0o600 });
  const eab = { kid: 'kid-1', hmacFile };
  assert.deepEqual(
    (await setup(t, 'good.lab.test', { issuer: { ...server, eab } }).examine('external-account')).map(({ ok }) => ok),
    ['good'],
  );
  writeFileSync(hmacFile, '???');
  assert.match(
    lines(await setup(t, 'good.lab.test', { issuer: { ...server, eab } }).examine('external-account')).join('\n'),
    /^problem: the MAC key in .* cannot be used: it is not base64url$/,
  );
});

test("a clock that is off the CA's is told by how much", async (t) => {
  const own = setup(t, 'good.lab.test');
  const late = { ...systemClock, now: () => Date.now() - 3 * HOUR };
  const [, found] = await own.examine('clock', { clock: late });
  assert.deepEqual([found?.ok, found?.what], ['problem', "the clock is 3 hours behind the CA's"]);
});
