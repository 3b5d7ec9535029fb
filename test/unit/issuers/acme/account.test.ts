import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { jwkThumbprint } from '../../../../src/acme/jwk.ts';
import { changeAccountKey, deactivateAccount, showAccount } from '../../../../src/issuers/acme/account-commands.ts';
import { readAccount } from '../../../../src/issuers/acme/account-file.ts';
import { adoptAccount } from '../../../../src/issuers/acme/adopt.ts';
import { externalAccount } from '../../../../src/issuers/acme/eab.ts';
import { describeError } from '../../../../src/platform/errors.ts';
import { issuing, NOW, wanted, type Issuing } from '../../../support/acme-issuing.ts';
import { refusal } from '../../../support/fake-acme-server.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

const SERVER = 'https://acme.test/directory';
const never = new AbortController().signal;

const accountFile = ({ directory }: Issuing): string => join(directory, 'account.json');

async function issue(set: Issuing, change: Parameters<Issuing['open']>[0] = {}): Promise<void> {
  const issuer = await set.open(change);
  await issuer.issue(wanted(), { now: NOW });
  issuer.settled('default');
}

describe('the account', () => {
  test('has its key on the disk before the server is asked, for the owner alone', async (t) => {
    const set = await issuing(t);
    let seen = '';
    set.server.hook = (call, done) => {
      if (call === 'newAccount' && !done) seen = readFileSync(accountFile(set), 'utf8');
    };
    await issue(set);
    const before = JSON.parse(seen) as Record<string, unknown>;
    const after = JSON.parse(readFileSync(accountFile(set), 'utf8')) as Record<string, unknown>;
    assert.equal(before['url'], undefined);
    assert.equal(after['key'], before['key']);
    assert.equal(after['url'], [...set.server.accounts.values()][0]?.account.url);
    assert.deepEqual(after['contact'], ['mailto:admin@example.org']);
    assert.equal(statSync(accountFile(set)).mode & 0o777, 0o600);
    for (const directory of ['.', '..', '../..', 'orders']) {
      assert.equal(statSync(join(set.directory, directory)).mode & 0o777, 0o700, directory);
    }
  });

  test('is made once by orders that begin at once, and once by two processes', async (t) => {
    const set = await issuing(t);
    const one = await set.open();
    const other = await set.open();
    const names = ['a', 'b', 'c', 'd'];
    await Promise.all(names.map((name, at) => (at % 2 === 0 ? one : other).issue(wanted([`${name}.example.org`], { name }), { now: NOW })));
    assert.equal(set.server.accounts.size, 1);
    assert.deepEqual(readdirSync(set.directory).sort(), ['account.json', 'orders']);
  });

  test('is asked for once by one process, however many orders begin at once', async (t) => {
    const set = await issuing(t);
    const issuer = await set.open();
    await Promise.all(['a', 'b', 'c'].map((name) => issuer.issue(wanted([`${name}.example.org`], { name }), { now: NOW })));
    assert.equal(set.server.calls.filter((call) => call === 'newAccount').length, 1);
  });

  test('is told of a changed e-mail address once, and of a removed one never', async (t) => {
    const set = await issuing(t);
    await issue(set);
    for (let time = 0; time < 2; time += 1) await issue(set, { email: 'new@example.org' });
    await issue(set, { email: undefined });
    assert.equal(set.server.calls.filter((call) => call === 'updateContact').length, 1);
    assert.deepEqual([...set.server.accounts.values()][0]?.account.contact, ['mailto:new@example.org']);
  });

  test('with an e-mail address that the CA refuses gives certificates on, with a warning', async (t) => {
    const set = await issuing(t);
    await issue(set);
    set.server.hook = (call, done) => {
      if (call === 'updateContact' && !done) throw refusal('invalidContact', 400, 'forbidden domain');
    };
    await issue(set, { email: 'x@example.com' });
    assert.match(set.logged.join('\n'), /warn: the CA does not take the new e-mail address.*forbidden domain/);
    set.server.forgetAll();
    set.server.hook = () => undefined;
    await issue(set, { email: 'y@example.com' });
    assert.deepEqual([...set.server.accounts.values()][0]?.account.contact, ['mailto:y@example.com']);
  });

  test('of each server of one issuer is kept, and found again when the server is changed back', async (t) => {
    const set = await issuing(t);
    await issue(set);
    await issue(set, { directory: 'https://other.test/directory' });
    await issue(set);
    assert.equal(set.server.accounts.size, 2);
    assert.deepEqual(readdirSync(set.directory).sort(), ['account-2.json', 'account.json', 'orders']);
    assert.equal(set.server.calls.filter((call) => call === 'newAccount').length, 2);
  });

  test('whose file is damaged is an error that names it; no other account is made', async (t) => {
    for (const text of ['', '{', 'null', '{"version":2}', `{"version":1,"directory":"${SERVER}","key":"-----BEGIN PRIVATE KEY-----"}`]) {
      const set = await issuing(t);
      await issue(set);
      writeFileSync(accountFile(set), text);
      await assert.rejects(issue(set), (error) => {
        const line = describeError(error);
        assert.equal((error as { code: string }).code, 'AUTHORITY_UNREADABLE');
        assert.ok(line.includes(accountFile(set)), line);
        assert.match(line, /restore it from a backup/);
        assert.doesNotMatch(line, /PRIVATE KEY/);
        return true;
      });
      assert.equal(set.server.accounts.size, 1);
      assert.equal(readFileSync(accountFile(set), 'utf8'), text);
    }
  });

  test('is made anew with the same key, once, when the server has forgotten it', async (t) => {
    const set = await issuing(t);
    await issue(set);
    const { key } = JSON.parse(readFileSync(accountFile(set), 'utf8')) as { key: string };
    set.server.forgetAll();
    await issue(set);
    assert.equal(set.server.accounts.size, 1);
    assert.equal((JSON.parse(readFileSync(accountFile(set), 'utf8')) as { key: string }).key, key);
    assert.match(set.logged.join('\n'), /warn: the ACME server has forgotten the account/);
    set.server.hook = (call, done) => {
      if (call.startsWith('newOrder') && !done) throw refusal('accountDoesNotExist', 400);
    };
    set.server.calls.length = 0;
    await assert.rejects(issue(set), { kind: 'account' });
    assert.equal(set.server.calls.filter((call) => call === 'newAccount').length, 1);
  });

  test('that is deactivated is named with what to do', async (t) => {
    const set = await issuing(t);
    await issue(set);
    for (const entry of set.server.accounts.values()) entry.account = { ...entry.account, status: 'deactivated' };
    await assert.rejects(issue(set), (error: { kind: string; scope: string; remedy: string }) => {
      assert.equal(error.kind, 'account');
      assert.equal(error.scope, 'issuer');
      assert.match(error.remedy, /podserve acme account show --issuer fake/);
      return true;
    });
  });
});

describe('external account binding', () => {
  test('is sent where it is configured', async (t) => {
    const set = await issuing(t);
    const hmacFile = join(scratchDirectory(t), 'eab');
    writeFileSync(hmacFile, 'c2VjcmV0IGtleSBvZiB0aGUgQ0E\n');
    set.server.directory.meta = { ...set.server.directory.meta, externalAccountRequired: true };
    await issue(set, { eab: { kid: 'abc', hmacFile } });
    assert.equal(set.server.accounts.size, 1);
  });

  test('that is wanted but not configured is told before a key is made', async (t) => {
    const set = await issuing(t);
    set.server.directory.meta = { ...set.server.directory.meta, externalAccountRequired: true };
    await assert.rejects(issue(set), {
      kind: 'configuration',
      remedy: 'set issuers.fake.eab.kid and issuers.fake.eab.hmacFile to what the CA gave you',
    });
    assert.deepEqual(set.server.calls, []);
    assert.equal(readAccount(set.directory, SERVER), undefined);
  });

  test('is not used twice when a kill left the account without its URL', async (t) => {
    const set = await issuing(t);
    const hmacFile = join(scratchDirectory(t), 'eab');
    writeFileSync(hmacFile, 'c2VjcmV0');
    set.server.hook = (call, done) => {
      if (call === 'newAccount' && done) throw new Error('killed');
    };
    await assert.rejects(issue(set, { eab: { kid: 'abc', hmacFile } }), /killed/);
    set.server.hook = () => undefined;
    await issue(set, { eab: { kid: 'abc', hmacFile } });
    assert.equal(set.server.accounts.size, 1);
  });

  test('keys are read as CAs print them and editors save them', (t) => {
    const directory = scratchDirectory(t);
    const key = Buffer.from(Array.from({ length: 32 }, (_, index) => 255 - index * 7));
    const plain = key.toString('base64url');
    const file = join(directory, 'eab');
    const spaced = `  ${key.toString('base64').slice(0, 20)}\r\n${key.toString('base64').slice(20)}\n`;
    for (const text of [plain, `${plain}\n`, `${plain}=`, key.toString('base64'), spaced]) {
      writeFileSync(file, text);
      const read = externalAccount({ name: 'fake', eab: { kid: 'abc', hmacFile: file } } as never);
      assert.deepEqual(Buffer.from(read?.hmacKey ?? []), key, JSON.stringify(text));
    }
    symlinkSync(file, join(directory, 'link'));
    assert.ok(externalAccount({ name: 'fake', eab: { kid: 'abc', hmacFile: join(directory, 'link') } } as never));
  });

  test('keys that cannot be one are refused without a word of them', (t) => {
    const directory = scratchDirectory(t);
    const file = join(directory, 'eab');
    for (const text of ['', ' \n', 'se!cret', 'secre', 'x'.repeat(20_000)]) {
      writeFileSync(file, text);
      assert.throws(
        () => externalAccount({ name: 'fake', eab: { kid: 'abc', hmacFile: file } } as never),
        (error) => {
          const line = describeError(error);
          assert.ok(line.includes(file), line);
          assert.match(line, /issuers\.fake\.eab\.hmacFile/);
          assert.doesNotMatch(line, /se!cret|secre|xxx/);
          return true;
        },
      );
    }
    assert.throws(() => externalAccount({ name: 'fake', eab: { kid: 'abc', hmacFile: join(directory, 'none') } } as never), {
      kind: 'configuration',
    });
  });
});

describe('the account for people', () => {
  test('is shown as the files and the server have it', async (t) => {
    const set = await issuing(t);
    assert.equal(await showAccount(set.place(), never), undefined);
    await issue(set);
    const shown = await showAccount(set.place(), never);
    const [entry] = set.server.accounts.values();
    assert.deepEqual(shown, {
      issuer: 'fake',
      server: SERVER,
      file: accountFile(set),
      url: entry?.account.url,
      keyType: 'ecdsa-p256',
      thumbprint: entry === undefined ? '' : jwkThumbprint(entry.key),
      createdAt: NOW,
      contact: ['mailto:admin@example.org'],
      status: 'valid',
    });
  });

  test('gets a new key, whenever the program is killed meanwhile', async (t) => {
    for (const heard of [undefined, false, true]) {
      const set = await issuing(t);
      await issue(set);
      const [before] = set.server.accounts.keys();
      set.server.hook = (call, done) => {
        if (call === 'changeKey' && done === heard) throw new Error('killed');
      };
      const changing = changeAccountKey(set.place(), never);
      if (heard === undefined) assert.notEqual((await changing).thumbprint, before);
      else await assert.rejects(changing, /killed/);
      set.server.hook = () => undefined;
      await issue(set);
      const [after] = set.server.accounts.keys();
      assert.equal(set.server.accounts.size, 1, String(heard));
      assert.notEqual(after, before, 'it is brought to its end by the next order');
      const stored = readAccount(set.directory, SERVER);
      assert.equal(stored === undefined ? '' : jwkThumbprint(stored.key), after);
      assert.equal(stored?.nextKey, undefined);
    }
  });

  test('keeps its old key, and the new one beside it, while the server refuses the change', async (t) => {
    const set = await issuing(t);
    await issue(set);
    set.server.hook = (call, done) => {
      if (call === 'changeKey' && !done) throw refusal('malformed', 400, 'no');
    };
    await assert.rejects(changeAccountKey(set.place(), never), { kind: 'account' });
    await issue(set);
    assert.match(set.logged.join('\n'), /warn: the new account key is not in use yet/);
    assert.notEqual(readAccount(set.directory, SERVER)?.nextKey, undefined);
    assert.equal(set.server.issued.length, 2);
  });

  test('is deactivated for good, its file kept, and the next order makes a new one', async (t) => {
    const set = await issuing(t);
    await issue(set);
    const aside = await deactivateAccount(set.place(), never);
    assert.match(readFileSync(aside, 'utf8'), /BEGIN PRIVATE KEY/);
    assert.equal([...set.server.accounts.values()][0]?.account.status, 'deactivated');
    await issue(set);
    assert.equal(set.server.accounts.size, 2);
    await assert.rejects(deactivateAccount({ ...set.place(), directory: scratchDirectory(t) }, never), {
      kind: 'account',
      why: /there is no account/,
    });
  });

  test('is taken over from another program, RSA keys too', async (t) => {
    const set = await issuing(t);
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const made = await set.server.client.newAccount(privateKey, { contact: [], termsOfServiceAgreed: true }, never);
    const key = createPrivateKey({ key: privateKey.export({ format: 'jwk' }), format: 'jwk' });
    const { adopted } = await adoptAccount(set.directory, { directoryUrl: SERVER, key, url: made.url }, NOW);
    assert.equal(adopted, true);
    await issue(set);
    assert.equal(set.server.accounts.size, 1);
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    assert.equal((await adoptAccount(set.directory, { directoryUrl: SERVER, key: other, url: made.url }, NOW)).adopted, false);
    assert.equal((await adoptAccount(set.directory, { directoryUrl: SERVER, key, url: made.url }, NOW)).adopted, true);
    const { privateKey: unfit } = generateKeyPairSync('ed25519');
    await assert.rejects(adoptAccount(set.directory, { directoryUrl: SERVER, key: unfit, url: made.url }, NOW), { code: 'IMPORT_FAILED' });
  });

  test('cannot be kept where the directory cannot be made: one line says why', async (t) => {
    const set = await issuing(t);
    mkdirSync(join(set.directory, '../..'), { recursive: true });
    writeFileSync(join(set.directory, '..'), 'a file');
    await assert.rejects(issue(set), (error) => {
      assert.ok(describeError(error).includes(set.directory), describeError(error));
      return true;
    });
    assert.deepEqual(set.server.calls, []);
  });
});
