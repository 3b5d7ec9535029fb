import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { command } from '../../../src/cli/acme.ts';
import { openLedger } from '../../../src/ledger/open.ts';
import { DAY, HOUR, systemClock } from '../../../src/platform/clock.ts';
import { freePort, scratchDirectory } from '../../support/scratch.ts';

interface Outcome {
  readonly code: number;
  readonly out: string[];
  readonly err: string[];
}

async function acme(cwd: string, words: string[], values: Record<string, string | boolean> = {}): Promise<Outcome> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await command.run(
    { values, positionals: words },
    {
      env: {},
      cwd,
      clock: systemClock,
      signal: new AbortController().signal,
      onHangup: () => () => undefined,
      out: (line) => void out.push(line),
      err: (line) => void err.push(line),
      interactive: false,
    },
  );
  return { code, out, err };
}

/** A home whose certificate names these issuers, at a port where nothing listens. */
async function homeWith(t: TestContext, issuers: readonly string[]): Promise<string> {
  const cwd = scratchDirectory(t);
  const directory = `https://127.0.0.1:${await freePort()}/dir`;
  const document = {
    issuers: Object.fromEntries(issuers.map((name) => [name, { directory }])),
    certificates: [{ name: 'default', names: ['a.lab.test'], issuers: issuers.length === 0 ? ['local-ca'] : issuers }],
  };
  writeFileSync(join(cwd, 'podserve.yaml'), JSON.stringify(document));
  return cwd;
}

test('what is not understood is wrong usage, with what would be', async (t) => {
  const cwd = await homeWith(t, ['house', 'other']);
  for (const words of [[], ['show'], ['account'], ['account', 'shwo'], ['account', 'show', 'x'], ['order', 'show']]) {
    await assert.rejects(acme(cwd, words), {
      code: 'USAGE',
      why: /it takes account show, account rollover, account deactivate, or limits/,
    });
  }
  await assert.rejects(acme(cwd, ['account', 'show'], { issuer: 'hoise' }), { code: 'USAGE', remedy: 'did you mean house?' });
  await assert.rejects(acme(cwd, ['account', 'show'], { issuer: 'constructor' }), { remedy: 'there are house, other' });
  await assert.rejects(acme(cwd, ['account', 'rollover']), {
    why: /several issuers .*: house, other/,
    remedy: 'say which with --issuer NAME',
  });
});

test('without an ACME server there is nothing to change, and show says so', async (t) => {
  const cwd = await homeWith(t, []);
  const { code, out, err } = await acme(cwd, ['account', 'show']);
  assert.deepEqual([code, out], [0, []]);
  assert.match(err.join(), /no ACME server is configured/);
  assert.deepEqual(
    (await acme(cwd, ['account', 'show'], { json: true })).out.map((line) => JSON.parse(line) as unknown),
    [{ accounts: [] }],
  );
  await assert.rejects(acme(cwd, ['account', 'deactivate'], { yes: true }), { code: 'USAGE', why: 'no ACME server is configured' });
});

test('an issuer without an account has none, without asking the server and without leaving a trace', async (t) => {
  const cwd = await homeWith(t, ['house']);
  const { code, out, err } = await acme(cwd, ['account', 'show']);
  assert.deepEqual([code, err, out[1]], [0, [], '  account  none yet: the first order makes one']);
  await assert.rejects(acme(cwd, ['account', 'rollover']), { code: 'ISSUE_FAILED', why: /there is no account with https:/ });
  await assert.rejects(acme(cwd, ['account', 'deactivate'], { yes: true }), {
    code: 'ISSUE_FAILED',
    why: /there is no account with https:/,
  });
  assert.deepEqual(readdirSync(cwd), ['podserve.yaml']);
});

test('deactivation without --yes changes nothing and says what it would do', async (t) => {
  const cwd = await homeWith(t, ['house']);
  await assert.rejects(acme(cwd, ['account', 'deactivate']), {
    code: 'USAGE',
    exitCode: 2,
    why: /would be deactivated for good: no server makes it valid again/,
    remedy: 'podserve acme account deactivate --issuer house --yes does it',
  });
});

test('limits says what is used, what is left and when the next slot is, and what a CA holds back', async (t) => {
  const cwd = await homeWith(t, ['letsencrypt']);
  writeFileSync(
    join(cwd, 'podserve.yaml'),
    JSON.stringify({ certificates: [{ name: 'default', names: ['a.example.org'], issuers: ['letsencrypt'] }] }),
  );
  const now = Date.now();
  mkdirSync(join(cwd, 'data/authority'), { recursive: true });
  {
    using opened = openLedger(join(cwd, 'data/authority/ledger.sqlite'), now).ledger;
    for (let uses = 1; uses <= 5; uses += 1) {
      opened.recordUse({ issuer: 'letsencrypt', kind: 'duplicate', subject: 'a.example.org', at: now - uses * DAY });
    }
    opened.recordUse({ issuer: 'letsencrypt', kind: 'order', subject: '', at: now - HOUR });
    opened.keepHold({ issuer: 'letsencrypt', until: now + HOUR, why: 'too many', link: 'https://ca.example/unpause' });
  }
  const { code, out } = await acme(cwd, ['limits']);
  assert.equal(code, 0);
  const text = out.join('\n');
  assert.match(text, /takes no orders until .*: too many; a person can end this at https:\/\/ca\.example\/unpause/);
  assert.match(text, /certificates for exactly the same names for a\.example\.org: 5 of 5 used in 7 days, the next is free at /);
  assert.match(text, /orders: 1 of 300 used in 3 h, 299 left/);
  assert.match(text, /failed authorizations: none of 5 used in 1 h/);
  const json = JSON.parse((await acme(cwd, ['limits'], { json: true })).out.join('')) as { issuers: { limits: { nextSlot: string }[] }[] };
  const slots = json.issuers[0]?.limits.map(({ nextSlot }) => Math.round((Date.parse(nextSlot) - now) / DAY));
  assert.deepEqual(slots?.toSorted(), [0, 2]);
});
