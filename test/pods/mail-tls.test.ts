import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { run } from '../support/command.ts';
import { HOSTNAME, untilMailReady } from '../support/mail.ts';
import { podHost } from '../support/pods.ts';
import { untilPublished } from '../support/pods-web.ts';

const host = await podHost({ after });

before(async () => {
  const settings = { DOMAIN: '', CERT_CONSUMERS: '' };
  const certificates = [{ name: 'default', names: [HOSTNAME], consumers: ['mail'] }];
  writeFileSync(
    join(host.data, 'config/podserve.yaml'),
    JSON.stringify({ domain: 'lab.example', certificates, mail: { hostname: HOSTNAME } }),
  );
  await host.play('certificates.yaml', { settings });
  await untilPublished(host);
  await host.play('mail.yaml', { settings });
  await untilMailReady(host);
});

test('testssl.sh finds nothing above LOW on any port', async (t) => {
  // Those of the built-in CA name no list of revoked certificates: nobody outside asks for one.
  const OF_THE_BUILT_IN_CA = ['cert_revocation'];
  const found = await Promise.all(
    [25, 465, 587, 143, 993].map(async (port) => {
      const file = join(host.data, `testssl-${port}.json`);
      const starttls = port === 143 ? ['--starttls', 'imap'] : port === 25 || port === 587 ? ['--starttls', 'smtp'] : [];
      const options = ['--quiet', '--color', '0', '--warnings', 'off', '--ip', '127.0.0.1', '--jsonfile', file];
      const ca = ['--add-ca', join(host.data, 'certificates/ca.pem')];
      const { stdout, stderr } = await run('testssl', [...options, ...ca, ...starttls, `${HOSTNAME}:${port}`]);
      const findings = JSON.parse(readFileSync(file, 'utf8')) as { id: string; severity: string; finding: string }[];
      assert.ok(
        findings.some(({ id, severity }) => id === 'TLS1_3' && severity === 'OK'),
        `${port} was not looked at: ${stdout}${stderr}`,
      );
      t.diagnostic(`${port}: ${findings.length} findings, of them LOW ${findings.filter(({ severity }) => severity === 'LOW').length}`);
      return findings
        .filter(({ id, severity }) => ['MEDIUM', 'HIGH', 'CRITICAL', 'FATAL'].includes(severity) && !OF_THE_BUILT_IN_CA.includes(id))
        .map(({ id, finding }) => `${port} ${id}: ${finding}`);
    }),
  );
  assert.deepEqual(found.flat(), []);
});
