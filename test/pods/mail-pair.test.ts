import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, test } from 'node:test';

import { fullchainPem, leafSha256, type Bundle } from '../../src/certificate/bundle.ts';
import { makeBundle } from '../support/bundles.ts';
import { run } from '../support/command.ts';
import { HOSTNAME, mailStatus, servedByMailPorts, untilMailReady } from '../support/mail.ts';
import { opensslCa } from '../support/openssl-ca.ts';
import { eventually, podHost } from '../support/pods.ts';

const host = await podHost({ after });

/** What programs in the container trust, as on a machine with the roots of public CAs. */
const store = join(host.data, 'store');

/** As somebody does who keeps the files by other means. */
function put(bundle: Bundle, key = bundle.privateKeyPem): void {
  writeFileSync(join(host.data, 'certificates/fullchain.pem'), fullchainPem(bundle));
  writeFileSync(join(host.data, 'certificates/privkey.pem'), key, { mode: 0o640 });
}

/** Where a file of that CA is in the container. */
function inside(file: string): string {
  return `/data/config/public/${basename(file)}`;
}

async function untilServed({ leaf }: Bundle): Promise<void> {
  const served = async (): Promise<boolean> => (await servedByMailPorts()).every((one) => one === leafSha256(leaf));
  await eventually(served, 'every port serves it', 20_000, () => host.logs('mail-mail'));
}

test('a pair that SSL_CERT_FILE and SSL_KEY_FILE name is waited for, checked, and followed; no half of one is ever served', async () => {
  mkdirSync(join(host.data, 'certificates'));
  writeFileSync(
    join(host.data, 'config/podserve.yaml'),
    JSON.stringify({ domain: 'lab.example', certificates: [{ name: 'default', names: [HOSTNAME] }], mail: { hostname: HOSTNAME } }),
  );
  mkdirSync(store);
  const edit = (text: string): string =>
    [
      [' --certificates, /data/ssl,', ''],
      [
        '      envFrom:',
        '      env:\n        - { name: SSL_CERT_FILE, value: /data/ssl/fullchain.pem }\n        - { name: SSL_KEY_FILE, value: /data/ssl/privkey.pem }\n      envFrom:',
      ],
      ['      volumeMounts:\n', '      volumeMounts:\n        - { name: store, mountPath: /etc/ssl/certs, readOnly: true }\n'],
      ['  volumes:\n', `  volumes:\n    - name: store\n      hostPath: { path: ${store} }\n`],
    ].reduce((edited, [from = '', to = '']) => {
      assert.ok(edited.includes(from), from);
      return edited.replace(from, to);
    }, text);
  await host.play('mail.yaml', { settings: { DOMAIN: '' }, edit });
  const says = (what: RegExp) => async (): Promise<boolean> => what.test((await mailStatus(host)).reasons.join('\n'));
  await eventually(
    says(/\/data\/ssl\/fullchain\.pem and \/data\/ssl\/privkey\.pem are not taken: .*no such file/),
    'it says what it waits for',
  );

  const [first, other, second] = [await makeBundle({ names: [HOSTNAME] }), await makeBundle(), await makeBundle({ names: [HOSTNAME] })];
  put(first);
  await untilMailReady(host);
  await untilServed(first);

  put(second, other.privateKeyPem);
  await eventually(says(/are not taken: .*the private key does not belong to the certificate/), 'it says what is wrong');
  assert.notEqual((await host.exec('mail-mail', ['podserve-ready'])).code, 0);
  await untilServed(first);

  put(second);
  await untilServed(second);
  await untilMailReady(host);
});

test('an HTTPS server of a CA that the system trusts verifies from Postfix, and no daemon has a variable that leads OpenSSL astray', async () => {
  const ca = await opensslCa(join(host.data, 'config/public'));
  const { certificateFile, chainFile, keyFile } = await ca.leaf('www', { names: ['www.public.example'] });
  const hash = (await run('openssl', ['x509', '-noout', '-hash', '-in', ca.rootFile])).stdout.trim();
  copyFileSync(ca.rootFile, join(store, `${hash}.0`));
  const server = ['openssl', 's_server', '-quiet', '-www', '-accept', '8443', '-cert', inside(certificateFile), '-key', inside(keyFile)];
  await host.must(['exec', '--detach', 'mail-mail', ...server, '-cert_chain', inside(chainFile)]);
  const asks = (environment: readonly string[]): ReturnType<typeof host.exec> => {
    const client = 'openssl s_client -quiet -connect 127.0.0.1:8443 -servername www.public.example -verify_hostname www.public.example';
    const script = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | env -i "$@" ${client} -verify_return_error`;
    return host.exec('mail-mail', ['bash', '-c', script, 'bash', ...environment]);
  };
  const answered = async (): Promise<boolean> => /HTTP\/1\.0 200/.test((await asks([])).stdout);
  await eventually(answered, 'the server answers');
  // The variable that is set for the container breaks it: so this can fail.
  assert.notEqual((await asks(['SSL_CERT_FILE=/data/ssl/fullchain.pem', 'SSL_CERT_DIR=/nowhere'])).code, 0);

  const { daemons } = await mailStatus(host);
  assert.deepEqual(daemons.map(({ name }) => name).toSorted(), ['dovecot', 'dovecot-login', 'postfix', 'rspamd']);
  const processes = (await host.must(['top', 'mail-mail', 'pid', 'hpid'])).split('\n').map((line) => line.trim().split(/\s+/));
  for (const { name, pid } of daemons) {
    // From outside: in the container not even root may look at it.
    const outside = processes.find(([inContainer]) => inContainer === String(pid))?.[1];
    const environment = readFileSync(`/proc/${outside}/environ`, 'utf8').split('\0').filter(Boolean);
    assert.equal(
      environment.find((variable) => variable.includes('SSL_')),
      undefined,
      name,
    );
    // Dovecot and Rspamd write their titles over where their environment was.
    if (name !== 'postfix') continue;
    assert.ok(
      environment.some((variable) => variable.startsWith('PATH=')),
      name,
    );
    const { code, stdout, stderr } = await asks(environment);
    assert.equal(code, 0, `${name}: ${stderr}`);
    assert.match(stdout, /HTTP\/1\.0 200/, name);
  }
});
