import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { servedLeafSha256 } from '../../src/delivery/probe.ts';
import { parseEndpoint } from '../../src/delivery/endpoint.ts';
import { run } from '../support/command.ts';
import {
  ALICE,
  BOB,
  HOSTNAME,
  PASSWORD,
  addAccount,
  mailCommand,
  mailStatus,
  mailbox,
  messagesIn,
  smtpDialogue,
  submission,
  untilDelivered,
  untilMailReady,
  untilMailServes,
} from '../support/mail.ts';
import { eventually, podHost } from '../support/pods.ts';
import { publishedLeaf, renew, untilPublished } from '../support/pods-web.ts';
import { scratchDirectory } from '../support/scratch.ts';

const host = await podHost({ after });
writeFileSync(
  join(host.data, 'config/podserve.yaml'),
  JSON.stringify({
    domain: 'lab.example',
    certificates: [
      { name: 'default', names: [HOSTNAME, 'lab.example'], consumers: ['mail'] },
      { name: 'other', names: ['mail.other.example'], consumers: ['mail'] },
    ],
    mail: { hostname: HOSTNAME, domains: ['lab.example', 'other.example'] },
  }),
);

before(async () => {
  await host.play('mail.yaml', { settings: { DOMAIN: '' } });
});

test('played first it waits with closed ports, says for what, and comes up by itself', async (t) => {
  await eventually(
    async () => /is missing/.test((await mailStatus(host)).reasons.join()),
    'it says what it waits for',
    20_000,
    () => host.logs('mail-mail'),
  );
  await assert.rejects(servedLeafSha256(parseEndpoint('imaps://127.0.0.1'), { servername: HOSTNAME, timeoutMs: 2000 }));
  const began = Date.now();
  await host.play('certificates.yaml', { settings: { DOMAIN: '', CERT_CONSUMERS: '' } });
  await untilPublished(host);
  await untilMailReady(host);
  t.diagnostic(`ready ${Date.now() - began} ms after the certificates pod was played`);
  assert.equal(await host.must(['inspect', '--format', '{{.RestartCount}}', 'mail-mail']), '0');
});

test('every port has TLS that openssl verifies against ca.pem, and each domain its own certificate by SNI', async () => {
  const ca = join(host.data, 'certificates/ca.pem');
  for (const [port, starttls] of [
    [25, 'smtp'],
    [587, 'smtp'],
    [465, undefined],
    [143, 'imap'],
    [993, undefined],
  ] as const) {
    for (const name of [HOSTNAME, 'mail.other.example']) {
      const args = [
        's_client',
        '-connect',
        `127.0.0.1:${port}`,
        '-servername',
        name,
        '-verify_hostname',
        name,
        '-verify_return_error',
        '-CAfile',
        ca,
      ];
      const { code, stdout, stderr } = await run('openssl', [...args, ...(starttls === undefined ? [] : ['-starttls', starttls])]);
      assert.equal(code, 0, `${port} ${name}: ${stderr}`);
      assert.match(stdout, /Verify return code: 0 \(ok\)/, `${port} ${name}`);
    }
  }
});

test('accounts are made, changed and removed without a restart', async () => {
  await addAccount(host, ALICE);
  await addAccount(host, BOB);
  const names = JSON.parse((await mailCommand(host, ['user', 'list', '--json'])).stdout) as { address: string }[];
  assert.deepEqual(names.map(({ address }) => address).toSorted(), [ALICE, BOB]);
  for (const port of [993, 143] as const) {
    await eventually(
      async () => (await mailbox(host, ALICE, PASSWORD, port).then((client) => client.logout()), true),
      `alice can log in on ${port}`,
    );
  }
  const changed = await mailCommand(host, ['user', 'passwd', BOB, '--password-file', '-'], 'another long one\n');
  assert.equal(changed.code, 0, changed.stderr);
  await eventually(
    async () => (await mailbox(host, BOB, 'another long one').then((client) => client.logout()), true),
    'bob’s new password counts',
  );
  await assert.rejects(mailbox(host, BOB, PASSWORD));
  assert.equal((await mailCommand(host, ['user', 'passwd', BOB, '--password-file', '-'], `${PASSWORD}\n`)).code, 0);
  await eventually(async () => (await mailbox(host, BOB).then((client) => client.logout()), true), 'bob can log in');
  assert.equal((await mailCommand(host, ['alias', 'add', 'sales@lab.example', ALICE, BOB])).code, 0);
});

test('a message sent on 587 arrives by IMAP on 993 with a DKIM signature that the published key verifies', async () => {
  await submission(host).sendMail({ from: ALICE, to: BOB, subject: 'first', text: 'hello bob 587' });
  const message = await untilDelivered(host, 'hello bob 587', BOB);
  const records = JSON.parse((await mailCommand(host, ['dns-records', '--json'])).stdout) as {
    name: string;
    type: string;
    value: string;
  }[];
  const key = records.find(({ name, type }) => type === 'TXT' && name === 'podserve1._domainkey.lab.example.');
  assert.ok(key !== undefined, JSON.stringify(records));
  const judge =
    'import dkim,sys\nmessage=sys.stdin.buffer.read()\nsys.exit(0 if dkim.verify(message, dnsfunc=lambda name, timeout=5: sys.argv[1].encode()) else 1)';
  const published = key.value.replaceAll(/"\s*"|"/g, '');
  const verified = await run('/usr/bin/python3', ['-c', judge, published], { input: message.slice(message.indexOf('DKIM-Signature:')) });
  assert.equal(verified.code, 0, `${verified.stderr}\n${message}`);
  const tampered = await run('/usr/bin/python3', ['-c', judge, published], {
    input: message.slice(message.indexOf('DKIM-Signature:')).replace('hello bob', 'hello rob'),
  });
  assert.equal(tampered.code, 1, 'a changed message does not verify');
});

test('swaks sends on both submission ports with a verified chain, and what a dubious stranger brings on 25 is filed as spam', async () => {
  const ca = join(host.data, 'certificates/ca.pem');
  const swaks = (port: number, text: string, ...more: string[]): ReturnType<typeof run> =>
    run('swaks', ['--server', `127.0.0.1:${port}`, '--tls-verify', '--tls-ca-path', ca, '--to', BOB, '--body', text, ...more]);
  const login = ['--from', ALICE, '--auth', 'PLAIN', '--auth-user', ALICE, '--auth-password', PASSWORD];
  for (const [port, ...more] of [
    [587, '--tls', ...login],
    [465, '--tlsc', ...login],
    [25, '--tls', '--from', 'stranger@outside.example', '--helo', 'nobody'],
  ] as const) {
    const { code, stdout, stderr } = await swaks(port, `swaks on ${port}`, ...more);
    assert.equal(code, 0, stdout + stderr);
    // Who greets with a name that cannot be theirs is judged to be no friend.
    await untilDelivered(host, `swaks on ${port}`, BOB, port === 25 ? 'Junk' : 'INBOX');
  }
});

test('on 465 too, to an alias, to a subaddress and to a message of another domain', async () => {
  await submission(host, { port: 465 }).sendMail({ from: ALICE, to: 'sales@lab.example', subject: 'alias', text: 'to both 465' });
  await untilDelivered(host, 'to both 465', ALICE);
  await untilDelivered(host, 'to both 465', BOB);
  await submission(host).sendMail({ from: ALICE, to: 'bob+lists@lab.example', subject: 'sub', text: 'to a subaddress' });
  await untilDelivered(host, 'to a subaddress', BOB);
});

test('nobody relays without logging in: not to elsewhere, not with a forged sender, not by percent hack or source route', async () => {
  const hello = 'EHLO outside.example';
  for (const [from, to] of [
    ['stranger@outside.example', 'victim@elsewhere.example'],
    [ALICE, 'victim@elsewhere.example'],
    ['', 'victim@elsewhere.example'],
    ['stranger@outside.example', 'victim%elsewhere.example@lab.example'],
    ['stranger@outside.example', 'victim%elsewhere.example@[127.0.0.1]'],
    ['stranger@outside.example', '@lab.example:victim@elsewhere.example'],
    ['stranger@outside.example', 'elsewhere.example!victim'],
    ['stranger@outside.example', '"victim@elsewhere.example"@lab.example'],
    ['stranger@outside.example', 'nobody@lab.example'],
  ]) {
    const answers = await smtpDialogue([hello, `MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, 'QUIT']);
    assert.match(answers.at(-2) ?? '', /^[45]\d\d/, `${from} to ${to}: ${answers.join(' | ')}`);
  }
  // From inside of the network of the pods, and from the container itself.
  const inside =
    "exec 3<>/dev/tcp/127.0.0.1/25; read -r _ <&3; for l in 'HELO x.example' 'MAIL FROM:<a@outside.example>' 'RCPT TO:<v@elsewhere.example>'; do printf '%s\\r\\n' \"$l\" >&3; read -r a <&3; done; echo \"$a\"";
  for (const container of ['mail-mail']) {
    assert.match((await host.exec(container, ['bash', '-c', inside])).stdout, /^[45]\d\d/);
  }
  const other = inside.replace('127.0.0.1', 'mail');
  assert.match((await host.exec('certificates-certificates', ['bash', '-c', other])).stdout, /^[45]\d\d/);
  for (const port of [587, 465]) {
    const answers = await smtpDialogue([hello, `MAIL FROM:<${ALICE}>`, `RCPT TO:<${BOB}>`, 'QUIT'], { port, tls: port === 465 });
    assert.match(answers.join('\n'), /^530 |^5\d\d .*(?:STARTTLS|Access denied|Client host rejected)/m, answers.join(' | '));
  }
});

test('a second message hidden behind a bare line end is not taken for one', async () => {
  const hidden = 'smuggled 4711';
  const rest = `MAIL FROM:<admin@outside.example>\r\nRCPT TO:<${ALICE}>\r\nDATA\r\nFrom: admin@outside.example\r\nSubject: x\r\n\r\n${hidden}\r\n.\r\n`;
  for (const end of ['\n.\n', '\n.\r\n', '\r\n.\n', '\r.\r', '\r\n.\r']) {
    const data = `From: a@outside.example\r\nTo: ${ALICE}\r\nSubject: s\r\nMessage-ID: <${Math.random()}@outside.example>\r\n\r\nbody${end}${rest}`;
    await smtpDialogue(['EHLO outside.example', 'MAIL FROM:<a@outside.example>', `RCPT TO:<${ALICE}>`, 'DATA', data, 'QUIT']);
  }
  await submission(host).sendMail({ from: ALICE, to: ALICE, subject: 'after', text: 'after the smuggling' });
  await untilDelivered(host, 'after the smuggling');
  const smuggled = (await messagesIn(host)).filter((message) =>
    /^From: admin@outside\.example/m.test(message.slice(0, message.indexOf('\r\n\r\n'))),
  );
  assert.deepEqual(smuggled, []);
});

test('an account sends as itself alone, unless it may as another too', async () => {
  await assert.rejects(submission(host).sendMail({ from: BOB, to: ALICE, subject: 'as bob', text: 'not me' }), /553|not owned/);
  await addAccount(host, 'carol@lab.example', '--send-as', 'office@lab.example');
  const carol = submission(host, { user: 'carol@lab.example' });
  const sent = async (): Promise<boolean> => {
    await carol.sendMail({ from: 'office@lab.example', to: ALICE, subject: 'as the office', text: 'from the office' });
    return true;
  };
  await eventually(sent, 'carol sends as the office');
  await untilDelivered(host, 'from the office');
});

test('wrong passwords are slow, and never say whether there is such an account', async () => {
  const began = Date.now();
  const wrong = await submission(host, { password: 'wrong password' })
    .verify()
    .catch((error: unknown) => String(error));
  assert.match(String(wrong), /535/);
  assert.ok(Date.now() - began > 1500, `${Date.now() - began} ms`);
  const unknown = await submission(host, { user: 'nobody@lab.example', password: 'wrong password' })
    .verify()
    .catch((error: unknown) => String(error));
  assert.equal(unknown, wrong);
});

test('no password and no message goes in clear: log-ins wait for TLS', async () => {
  const plain = await smtpDialogue(['EHLO outside.example', 'AUTH PLAIN AGFsaWNlAHg=', 'QUIT'], { port: 587 });
  assert.doesNotMatch(plain[1] ?? '', /AUTH/);
  assert.match(plain[2] ?? '', /^5\d\d/);
});

test('a renewal is served on every port within 3 s, and a session that was opened before goes on', async (t) => {
  const session = await mailbox(host);
  await session.mailboxOpen('INBOX');
  const old = await publishedLeaf(host);
  // Now and then podman exec takes five seconds to see that its program has ended.
  const renewing = renew(host);
  await eventually(async () => (await publishedLeaf(host)) !== old, 'a renewal is published');
  const took = await untilMailServes(host, Date.now());
  await renewing;
  t.diagnostic(`all five ports serve it ${took} ms after it was published`);
  assert.ok(took < 3000, `${took} ms`);
  assert.equal(session.usable, true);
  await session.noop();
  await session.logout();
  await untilMailReady(host, 10_000);
});

let archive = '';
let kept: readonly string[] = [];

test('a backup is taken while mail is sent and read', async (t) => {
  archive = join(scratchDirectory(t), 'backup.tar.gz');
  const stop = new AbortController();
  const reading = (async () => {
    const client = await mailbox(host, BOB);
    await client.mailboxOpen('INBOX');
    for (let seen = true; !stop.signal.aborted; seen = !seen) {
      await (seen ? client.messageFlagsAdd('1:*', ['\\Seen']) : client.messageFlagsRemove('1:*', ['\\Seen']));
    }
    await client.logout();
  })();
  kept = (await messagesIn(host, BOB)).toSorted();
  const { code, stdout, stderr } = await host.podserve(['backup', archive, '--state', host.data]);
  stop.abort();
  await reading;
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^ {2}mail {11}accounts, mailboxes and keys of DKIM$/m);
});

test('kill -9 of the container: every accepted message is there afterwards', async () => {
  const transport = submission(host, { pool: true });
  const accepted: string[] = [];
  const sending = (async () => {
    for (let count = 0; count < 60; count += 1) {
      const text = `number ${count} of the killed`;
      try {
        await transport.sendMail({ from: ALICE, to: BOB, subject: `n${count}`, text });
        accepted.push(text);
      } catch {
        return;
      }
    }
  })();
  await eventually(async () => accepted.length >= 5, 'some are accepted');
  process.kill(Number(await host.must(['inspect', '--format', '{{.State.Pid}}', 'mail-mail'])), 'SIGKILL');
  await sending;
  transport.close();
  await untilMailReady(host);
  const missing = async (): Promise<string[]> => {
    const there = (await messagesIn(host, BOB)).join('\n');
    return accepted.filter((text) => !there.includes(`${text}\r\n`));
  };
  await eventually(
    async () => (await missing()).length === 0,
    'every accepted message is delivered',
    60_000,
    async () => JSON.stringify(await missing()),
  );
});

test('SIGTERM ends it in under 5 s, with the queue as it was', async (t) => {
  const began = Date.now();
  await host.must(['pod', 'stop', '--time', '10', 'mail']);
  t.diagnostic(`stopped in ${Date.now() - began} ms`);
  assert.ok(Date.now() - began < 6000, `${Date.now() - began} ms`);
  assert.equal(await host.must(['inspect', '--format', '{{.State.ExitCode}}', 'mail-mail']), '0');
});

test('a restored backup has every account, message and key, and is refused while mail runs', async () => {
  const keys = dkimKey();
  await host.must(['pod', 'start', 'mail']);
  await untilMailReady(host);
  await host.removePod('certificates');
  const restore = ['restore', archive, '--force', '--state', host.data, '--config', join(host.data, 'config/restored.yaml')];
  const refused = await host.podserve(restore);
  assert.equal(refused.code, 1, refused.stdout);
  assert.match(refused.stderr, /mail runs on this state directory already/);

  await host.removePod('mail');
  rmSync(join(host.data, 'mail'), { recursive: true });
  const restored = await host.podserve(restore);
  assert.equal(restored.code, 0, restored.stdout + restored.stderr);
  await host.play('certificates.yaml', { settings: { DOMAIN: '', CERT_CONSUMERS: '' } });
  await host.play('mail.yaml', { settings: { DOMAIN: '' } });
  await untilMailReady(host);
  assert.deepEqual((await messagesIn(host, BOB)).toSorted(), kept);
  assert.equal(dkimKey(), keys);
  await submission(host).sendMail({ from: ALICE, to: BOB, subject: 'anew', text: 'sent after the restore' });
  await untilDelivered(host, 'sent after the restore', BOB);
});

/** The key of DKIM. */
function dkimKey(): string {
  return readFileSync(join(host.data, 'mail/dkim/lab.example.podserve1.key'), 'utf8');
}
