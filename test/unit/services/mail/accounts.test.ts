import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { ACCOUNTS_FILE, readAccounts, type MailAccount } from '../../../../src/services/mail/accounts.ts';
import {
  anyAddress,
  changeAccounts,
  deleteMailbox,
  mailboxOf,
  ownAddress,
  withAccount,
  withAlias,
  withPassword,
  withoutAccount,
  withoutAlias,
} from '../../../../src/services/mail/change.ts';
import { hashPassword } from '../../../../src/services/mail/password.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

const HASH = '$argon2id$v=19$m=65536,t=3,p=1$c2FsdA$aGFzaA';
const account = (address: string): MailAccount => ({ address, hash: HASH, quota: undefined, sendAs: [] });
const NOBODY = { accounts: [], aliases: [] };

describe('accounts', () => {
  test('are kept for their owner alone, and read again as they were', async (t) => {
    const directory = join(scratchDirectory(t), 'mail');
    assert.deepEqual(readAccounts(directory), NOBODY);
    const alice = { ...account('alice@example.org'), quota: 5000, sendAs: ['office@example.org'] };
    await changeAccounts(directory, (now) => withAccount(now, alice));
    await changeAccounts(directory, (now) => withAlias(now, 'all@example.org', ['alice@example.org']));
    assert.deepEqual(readAccounts(directory), {
      accounts: [alice],
      aliases: [{ address: 'all@example.org', targets: ['alice@example.org'] }],
    });
    assert.equal(statSync(join(directory, ACCOUNTS_FILE)).mode & 0o777, 0o600);
  });

  test('of two changes at once none is lost', async (t) => {
    const directory = scratchDirectory(t);
    const names = Array.from({ length: 8 }, (_, index) => `user${index}@example.org`);
    await Promise.all(names.map((name) => changeAccounts(directory, (now) => withAccount(now, account(name)))));
    assert.deepEqual(
      readAccounts(directory)
        .accounts.map(({ address }) => address)
        .toSorted(),
      names,
    );
  });

  test('in a damaged file are not overwritten, and no hash is in the message', async (t) => {
    const directory = scratchDirectory(t);
    const file = join(directory, ACCOUNTS_FILE);
    writeFileSync(file, `{"version":1,"accounts":[{"address":"a@b","hash":"${HASH}"`);
    await assert.rejects(
      changeAccounts(directory, (now) => now),
      (error: Error) => 'code' in error && error.code === 'STATE_UNREADABLE' && !error.message.includes('argon2id'),
    );
    assert.match(readFileSync(file, 'utf8'), /^\{"version":1/);
  });

  test('a wrong change changes nothing, and says why', () => {
    const now = { accounts: [account('alice@example.org')], aliases: [{ address: 'all@example.org', targets: ['alice@example.org'] }] };
    for (const [change, why] of [
      [() => withAccount(now, account('alice@example.org')), /there is an account of this address/],
      [() => withAccount(now, account('all@example.org')), /there is an alias of this address/],
      [() => withAlias(now, 'alice@example.org', ['x@y.example']), /there is an account/],
      [() => withAlias(now, 'self@example.org', ['self@example.org']), /lead back to itself/],
      [() => withPassword(now, 'nobody@example.org', HASH), /no such account/],
      [() => withoutAccount(now, 'nobody@example.org'), /no such account/],
      [() => withoutAlias(now, 'nobody@example.org'), /no such alias/],
    ] as const) {
      assert.throws(change, (error: Error & { why?: string; exitCode?: number }) => why.test(error.why ?? '') && error.exitCode === 2);
    }
  });

  test('an alias over others that leads back is refused', () => {
    const now = withAlias(NOBODY, 'a@example.org', ['b@example.org']);
    assert.throws(() => withAlias(now, 'b@example.org', ['a@example.org']), { why: /lead back/ });
  });

  test('a removed account leaves its mailbox, until that is deleted', (t) => {
    const state = scratchDirectory(t);
    const mailbox = mailboxOf(state, 'alice@example.org');
    assert.equal(mailbox, join(state, 'boxes/example.org/alice'));
    mkdirSync(mailbox, { recursive: true });
    assert.deepEqual(withoutAccount({ ...NOBODY, accounts: [account('alice@example.org')] }, 'alice@example.org'), NOBODY);
    assert.ok(statSync(mailbox).isDirectory());
    deleteMailbox(state, 'alice@example.org');
    assert.throws(() => statSync(mailbox));
  });
});

describe('addresses', () => {
  test('are kept in lower case with an ASCII domain', () => {
    assert.equal(ownAddress('Alice@Example.ORG', ['example.org']), 'alice@example.org');
    assert.equal(anyAddress('x@bücher.example'), 'x@xn--bcher-kva.example');
    assert.equal(anyAddress('x+y@example.org'), 'x+y@example.org');
  });

  for (const wrong of [
    'alice',
    '@example.org',
    'a b@example.org',
    'a@',
    'a..b@example.org',
    `${'x'.repeat(65)}@example.org`,
    'a/../b c@example.org',
  ]) {
    test(`${JSON.stringify(wrong.slice(0, 30))} is refused`, () => {
      assert.throws(() => anyAddress(wrong), { code: 'USAGE' });
    });
  }

  test('of other domains, and subaddresses, are none of this server', () => {
    assert.throws(() => ownAddress('a@elsewhere.example', ['example.org']), { why: /none of the domains/ });
    assert.throws(() => ownAddress('a+b@example.org', ['example.org']), { why: /after? ?|follows a \+/ });
  });
});

test('a password becomes an argon2id hash in the form that Dovecot reads, another one each time', async () => {
  const [one, two] = await Promise.all([hashPassword('correct horse'), hashPassword('correct horse')]);
  assert.match(one ?? '', /^\$argon2id\$v=19\$m=65536,t=3,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.notEqual(one, two);
});
