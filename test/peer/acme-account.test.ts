import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { loadConfig } from '../../src/config/load.ts';
import { ensureAccount } from '../../src/issuers/acme/account.ts';
import { openClient } from '../../src/issuers/acme/open-client.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { podserve, type Finished } from '../support/command.ts';
import { startPebble, type Pebble } from '../support/daemons/pebble.ts';
import { scratchDirectory } from '../support/scratch.ts';

interface Shown {
  readonly accounts: readonly {
    readonly account: { readonly url: string; readonly status: string; readonly thumbprint: string; readonly file: string } | null;
    readonly error?: { readonly code: string };
  }[];
}

interface Home {
  readonly cwd: string;
  /** authority/acme/pebble */
  readonly directory: string;
  readonly pebble: Pebble;
  /** What an order does first. @returns the account's URL */
  makeAccount(): Promise<string>;
  account(...words: string[]): Promise<Finished>;
  shown(): Promise<Shown['accounts'][number]>;
}

async function home(t: TestContext): Promise<Home> {
  const pebble = await startPebble(t);
  const cwd = scratchDirectory(t);
  const document = {
    email: 'admin@lab.test',
    issuers: { pebble: { directory: pebble.directory, caFile: pebble.caFile } },
    certificates: [{ name: 'default', names: ['a.lab.test'], issuers: ['pebble'] }],
  };
  writeFileSync(join(cwd, 'podserve.yaml'), JSON.stringify(document));
  const directory = join(cwd, 'data', 'authority', 'acme', 'pebble');
  const account: Home['account'] = (...words) => podserve(['acme', 'account', ...words], { cwd });
  return {
    cwd,
    directory,
    pebble,
    account,
    async makeAccount() {
      const config = (await loadConfig({ cwd, env: {} })).issuers['pebble'] ?? assert.fail();
      await using client = await openClient(config);
      const place = { config, directory, clock: systemClock, log: silentLog, client, onUse: () => undefined };
      return (await ensureAccount(place, 'test', AbortSignal.timeout(30_000))).url;
    },
    async shown() {
      const { stdout } = await account('show', '--json');
      return (JSON.parse(stdout) as Shown).accounts[0] ?? assert.fail(stdout);
    },
  };
}

function done(finished: Finished): string {
  assert.equal(finished.code, 0, finished.stdout + finished.stderr);
  return finished.stdout;
}

test('podserve acme account show has what the server says, and no key', async (t) => {
  const one = await home(t);
  assert.match(done(await one.account('show')), /^pebble: https.*\n {2}account {2}none yet: the first order makes one\n$/);
  const url = await one.makeAccount();
  const shown = done(await one.account('show'));
  for (const line of [
    `  account  ${url}`,
    '  status   valid',
    '  contact  admin@lab.test',
    `  file     ${join(one.directory, 'account.json')}`,
  ]) {
    assert.ok(shown.split('\n').includes(line), `${line}\n\n${shown}`);
  }
  const { account } = await one.shown();
  assert.deepEqual([account?.url, account?.status], [url, 'valid']);
  assert.doesNotMatch(shown + JSON.stringify(account), /PRIVATE/);
});

test('after a rollover the account is the same and its key another, and the old key opens it no more', async (t) => {
  const one = await home(t);
  const url = await one.makeAccount();
  const file = join(one.directory, 'account.json');
  const [before, old] = [await one.shown(), readFileSync(file)];
  const said = done(await one.account('rollover'));
  assert.match(said, /^pebble: the account .* has a new key; the old one opens it no more\n[\s\S]*\nnext: podserve backup FILE/);
  const after = await one.shown();
  assert.deepEqual([after.account?.url, after.account?.status], [url, 'valid']);
  assert.notEqual(after.account?.thumbprint, before.account?.thumbprint);
  assert.ok(said.includes(after.account?.thumbprint ?? '?'));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  writeFileSync(file, old);
  const { code, stderr } = await one.account('show');
  assert.equal(code, 1, stderr);
  assert.match(stderr, /^podserve acme: the account of pebble could not be asked for/);
});

test('a deactivated account is gone for good, and the next order makes another', async (t) => {
  const one = await home(t);
  const url = await one.makeAccount();
  assert.equal((await one.account('deactivate')).code, 2);
  assert.equal((await one.shown()).account?.status, 'valid', 'without --yes nothing happens');
  const said = done(await one.account('deactivate', '--yes'));
  assert.match(said, /^pebble: the account with .* is deactivated; certificates that it got stay valid\n/);
  assert.match(said, /\nnext: take pebble out of the issuers of default; otherwise the next order makes a new account\n$/);
  const [aside = ''] = readdirSync(one.directory);
  assert.match(aside, /^account\.json\.deactivated-/);
  assert.ok(said.includes(join(one.directory, aside)), said);
  assert.equal((await one.shown()).account, null);
  assert.notEqual(await one.makeAccount(), url);
  writeFileSync(join(one.directory, 'account.json'), readFileSync(join(one.directory, aside)));
  assert.notEqual((await one.account('show')).code, 0, 'the server takes the old account no more');
});

test('a server that is not there is one line, exit code 1, and what is kept stays', async (t) => {
  const one = await home(t);
  await one.makeAccount();
  one.pebble.daemon.child.kill('SIGKILL');
  await one.pebble.daemon.done;
  const kept = readFileSync(join(one.directory, 'account.json'), 'utf8');
  for (const words of [['show'], ['deactivate', '--yes']]) {
    const { code, stderr } = await one.account(...words);
    assert.deepEqual([code, stderr.trimEnd().split('\n').length], [1, 1], stderr);
    assert.match(stderr, /ECONNREFUSED|refused/);
  }
  const { account, error } = await one.shown();
  assert.deepEqual([account, error?.code], [null, 'ISSUE_FAILED']);
  assert.equal(readFileSync(join(one.directory, 'account.json'), 'utf8'), kept);
});
