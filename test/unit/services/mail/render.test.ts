import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import type { MailConfig } from '../../../../src/config/config.ts';
import { HOUR } from '../../../../src/platform/clock.ts';
import { silentLog } from '../../../../src/platform/log.ts';
import { keepDkimKeys, readDkimKeys } from '../../../../src/services/mail/dkim.ts';
import { mailDnsRecords, zoneLines } from '../../../../src/services/mail/dns-records.ts';
import { renderMaps } from '../../../../src/services/mail/maps.ts';
import { mailPlaces } from '../../../../src/services/mail/places.ts';
import { planMail, servedByMail, wantedBy } from '../../../../src/services/mail/plan.ts';
import { openSendPolicy } from '../../../../src/services/mail/policy.ts';
import { renderDovecot, renderDovecotLogin } from '../../../../src/services/mail/render-dovecot.ts';
import { renderMain, renderMaster } from '../../../../src/services/mail/render-postfix.ts';
import type { HeldCertificate } from '../../../../src/services/service.ts';
import { testClock, testSpec } from '../../../support/certificate-service.ts';
import { newBundle } from '../../../support/apache.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

const MAIL: MailConfig = {
  hostname: 'mail.example.org',
  domains: ['example.org', 'example.net'],
  certificate: 'default',
  pop3: false,
  messageSize: 1_000_000,
  quota: 2_000_000,
  relay: undefined,
  sendLimit: 3,
  status: '127.0.0.1:9083',
};
const SPECS = [
  testSpec({ name: 'default', names: ['example.org', 'mail.example.org'] }),
  testSpec({ name: 'other', names: ['mail.example.net', 'mail.example.org'], consumers: ['mail'] }),
  testSpec({ name: 'web', names: ['www.example.org'], consumers: ['apache'] }),
];
const PLACES = mailPlaces('/data/state/mail', '/run/podserve/mail');

function held(...names: readonly string[]): Map<string, HeldCertificate> {
  return new Map(
    names.map((name) => [
      name,
      { name, generation: 1, file: `/run/podserve/mail/${name}.pem`, leafSha256: name, notBefore: 0, notAfter: 0 },
    ]),
  );
}

test('mail wants its own certificate and those that list it, and each name has one of them', () => {
  const plan = planMail(MAIL, SPECS);
  assert.deepEqual(
    wantedBy(plan).map(({ name }) => name),
    ['default', 'other'],
  );
  assert.deepEqual(
    plan.certificates.map(({ names }) => names),
    [['example.org', 'mail.example.org'], ['mail.example.net']],
  );
  assert.throws(() => planMail({ ...MAIL, certificate: 'none' }, SPECS), { code: 'CONFIG_INVALID', where: 'mail.certificate' });
});

test('every port is looked at for every name, and once without a name', () => {
  const plan = planMail(MAIL, SPECS);
  const seen = servedByMail(plan, held('default', 'other'));
  assert.equal(seen.length, 5 * 4);
  assert.deepEqual(
    seen.filter(({ endpoint }) => endpoint.port === 993).map(({ servername, certificate }) => `${servername} ${certificate}`),
    ['undefined default', 'example.org default', 'mail.example.org default', 'mail.example.net other'],
  );
  assert.equal(servedByMail(planMail({ ...MAIL, pop3: true }, SPECS), held('default')).length, 7 * 3);
  assert.deepEqual(servedByMail(plan, held('other')), [], 'nothing listens before the certificate of the host name is there');
});

test('Postfix relays for nobody by address, and submission takes nobody without a password and a sender of theirs', () => {
  const main = renderMain(planMail(MAIL, SPECS), PLACES, held('default'));
  assert.match(main, /^mynetworks =$/m);
  assert.match(main, /^mydestination =$/m);
  assert.doesNotMatch(main, /permit_mynetworks|permit_inet/);
  assert.match(main, /^smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination$/m);
  assert.match(main, /^smtpd_forbid_bare_newline = reject$/m);
  assert.match(main, /^smtpd_tls_chain_files = \/run\/podserve\/mail\/default\.pem$/m);
  assert.match(main, /^message_size_limit = 1000000$/m);
  assert.doesNotMatch(main, /relayhost/);
  const master = renderMaster(PLACES);
  for (const service of ['submission ', 'submissions']) {
    const options = master.slice(master.indexOf(service)).split(/\n(?! )/)[0] ?? '';
    assert.match(options, /smtpd_sasl_auth_enable=yes/);
    assert.match(options, /reject_sender_login_mismatch/);
    assert.match(options, /smtpd_client_restrictions=permit_sasl_authenticated,reject/);
    assert.match(options, /smtpd_tls_(?:security_level=encrypt|wrappermode=yes)/);
  }
});

test('a relay is asked with TLS that is verified, and its password is in a file alone', () => {
  const relay = { server: 'smtp.relay.example:465', credentialsFile: '/data/config/relay' };
  const main = renderMain(planMail({ ...MAIL, relay }, SPECS), PLACES, held('default'));
  assert.match(main, /^relayhost = \[smtp\.relay\.example\]:465$/m);
  assert.match(main, /^smtp_tls_wrappermode = yes$/m);
  assert.match(main, /^smtp_tls_security_level = verify$/m);
  assert.match(main, /^smtp_sasl_password_maps = texthash:\/run\/podserve\/mail\/maps\/relay$/m);
});

test('Dovecot serves each name with its copy, and log-ins with TLS alone', () => {
  const text = renderDovecotLogin(planMail(MAIL, SPECS), PLACES, held('default', 'other'));
  assert.match(text, /^dovecot_config_version = /);
  assert.match(text, /^ssl_server_cert_file = \/run\/podserve\/mail\/default\.pem$/m);
  assert.match(text, /^local_name mail\.example\.net \{\n {2}ssl_server_cert_file = \/run\/podserve\/mail\/other\.pem$/m);
  assert.match(text, /^ssl = required$/m);
  assert.match(text, /^auth_allow_cleartext = no$/m);
  assert.doesNotMatch(text, /pop3/);
  assert.match(renderDovecotLogin(planMail({ ...MAIL, pop3: true }, SPECS), PLACES, held('default')), /^protocols = imap pop3$/m);
});

test('the Dovecot that keeps the mailboxes knows no certificate, and need not be reloaded for one', () => {
  const text = renderDovecot(planMail(MAIL, SPECS), PLACES);
  assert.doesNotMatch(text, /ssl_server|\.pem/);
  assert.match(text, /^ {2}inet_listener imaps \{\n {4}port = 0$/m);
  assert.match(text, /quota_storage_size = 2000000 B/);
  assert.doesNotMatch(renderDovecot(planMail({ ...MAIL, quota: undefined }, SPECS), PLACES), /quota_storage_size/);
});

test('the daemons know accounts, aliases, who sends as whom, and somebody for postmaster at every domain', () => {
  const accounts = [
    { address: 'alice@example.org', hash: '$argon2id$x', quota: 9, sendAs: ['office@example.org'] },
    { address: 'bob@example.net', hash: '$argon2id$y', quota: undefined, sendAs: ['office@example.org'] },
  ];
  const aliases = [{ address: 'postmaster@example.net', targets: ['bob@example.net', 'x@elsewhere.example'] }];
  const maps = renderMaps({ accounts, aliases }, MAIL, undefined);
  assert.equal(maps.users, 'alice@example.org:$argon2id$x::::::userdb_quota_storage_size=9B\nbob@example.net:$argon2id$y::::::\n');
  assert.equal(maps.mailboxes, 'alice@example.org x\nbob@example.net x\n');
  assert.deepEqual(maps.aliases.split('\n').filter(Boolean), [
    'postmaster@example.net bob@example.net, x@elsewhere.example',
    'postmaster@example.org alice@example.org',
    'abuse@example.org alice@example.org',
    'abuse@example.net alice@example.org',
  ]);
  assert.equal(
    maps.senders,
    'alice@example.org alice@example.org\noffice@example.org alice@example.org, bob@example.net\nbob@example.net bob@example.net\n',
  );
  assert.deepEqual(renderMaps({ accounts: [], aliases: [] }, MAIL, undefined), { users: '', mailboxes: '', aliases: '', senders: '' });
});

test('keys of DKIM are made once, and what belongs in DNS is a zone file that names them', async (t) => {
  const directory = join(scratchDirectory(t), 'dkim');
  assert.deepEqual(readDkimKeys(directory, MAIL.domains), []);
  await keepDkimKeys(directory, ['example.org']);
  const [key] = readDkimKeys(directory, MAIL.domains);
  const before = readFileSync(key?.file ?? '');
  await keepDkimKeys(directory, ['example.org', 'example.net']);
  assert.deepEqual(readFileSync(key?.file ?? ''), before, 'a key whose record is in DNS is never replaced');
  assert.equal(statSync(key?.file ?? '').mode & 0o777, 0o640);
  assert.equal(createPublicKey(createPrivateKey(before)).export({ type: 'spki', format: 'der' }).toString('base64'), key?.publicKey);

  const { leaf } = await newBundle();
  const records = mailDnsRecords(MAIL, readDkimKeys(directory, MAIL.domains), leaf);
  assert.deepEqual(
    records.map(({ name, type }) => `${name} ${type}`),
    [
      'example.org. MX',
      'example.org. TXT',
      'podserve1._domainkey.example.org. TXT',
      '_dmarc.example.org. TXT',
      'example.net. MX',
      'example.net. TXT',
      'podserve1._domainkey.example.net. TXT',
      '_dmarc.example.net. TXT',
      '_25._tcp.mail.example.org. TLSA',
    ],
  );
  const lines = zoneLines(records);
  assert.equal(lines[0], 'example.org. 3600 IN MX 10 mail.example.org.');
  assert.match(lines[2] ?? '', /^podserve1\._domainkey\.example\.org\. 3600 IN TXT "v=DKIM1; k=rsa; p=[^"]{1,237}" "[^"]{1,255}"$/);
  assert.match(lines.at(-1) ?? '', / IN TLSA 3 1 1 [0-9a-f]{64}$/);
});

test('an account that has sent to so many recipients in an hour is asked to wait, and no other', async (t) => {
  const clock = testClock();
  const socket = join(scratchDirectory(t), 'policy');
  await using policy = await openSendPolicy({ socket, gid: process.getgid?.() ?? 0, limit: () => MAIL.sendLimit, clock, log: silentLog });
  void policy;
  const client = connect(socket);
  t.after(() => client.destroy());
  client.setEncoding('utf8');
  const ask = async (account: string, recipients: number): Promise<string> => {
    const answer = Promise.withResolvers<string>();
    client.once('data', (data: string) => answer.resolve(data));
    client.write(`request=smtpd_access_policy\nsasl_username=${account}\nrecipient_count=${recipients}\n\n`);
    return answer.promise;
  };
  assert.equal(await ask('alice@example.org', 2), 'action=DUNNO\n\n');
  assert.match(await ask('alice@example.org', 2), /^action=defer 4\.7\.1 alice@example\.org may send to 3 recipients in an hour/);
  assert.equal(await ask('Alice@example.org', 1), 'action=DUNNO\n\n');
  assert.equal(await ask('bob@example.org', 3), 'action=DUNNO\n\n');
  await clock.sleep(HOUR + 1);
  assert.equal(await ask('alice@example.org', 3), 'action=DUNNO\n\n');
});
