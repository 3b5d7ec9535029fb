import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { readCurrent } from '../../src/publication/read.ts';
import { PODSERVE } from '../support/command.ts';
import { startCaddyAcme } from '../support/daemons/caddy.ts';
import { scratchDirectory } from '../support/scratch.ts';

for (const [challenge, way] of [
  ['http-01', { http01: { listen: '127.0.0.1:80' } }],
  ['tls-alpn-01', { tlsAlpn01: { listen: '127.0.0.1:443' } }],
] as const) {
  test(`Caddy's ACME server issues and renews by ${challenge}, with one account`, async (t) => {
    const names = ['a.lab.test', 'b.lab.test'];
    const caddy = await startCaddyAcme(t, { names });
    const cwd = scratchDirectory(t);
    const document = {
      issuers: { caddy: { directory: caddy.directory, caFile: caddy.caFile, challenge, ...way } },
      certificates: [{ name: 'default', names, issuers: ['caddy'] }],
    };
    writeFileSync(join(cwd, 'podserve.yaml'), JSON.stringify(document));
    const serials = new Set<string>();
    for (let number = 2; number <= 4; number += 1) {
      const args = ['certificates', '--mode', 'renew', '--state', 'data', ...(number === 2 ? [] : ['--force'])];
      const { code, stdout, stderr } = await caddy.inside(PODSERVE, args, { cwd });
      assert.equal(code, 0, `${stdout}${stderr}\n${caddy.daemon.output().split('\n').slice(-20).join('\n')}`);
      const current = await readCurrent(join(cwd, 'data/certificates'), 'default');
      assert.ok(current !== undefined);
      assert.deepEqual([current.number, current.manifest.issuer, [...current.manifest.identifiers].sort()], [number, 'caddy', names]);
      const [intermediate] = current.bundle.chain;
      assert.ok(intermediate !== undefined && current.bundle.leaf.verify(intermediate.publicKey), 'signed by what is sent with it');
      assert.ok(intermediate.verify(new X509Certificate(caddy.caPem).publicKey), 'which leads to the root of Caddy');
      serials.add(current.manifest.serial);
    }
    assert.equal(serials.size, 3);
    const check = await caddy.inside(PODSERVE, ['certificates', '--mode', 'check', '--state', 'data'], { cwd });
    assert.equal(check.code, 0, check.stderr);
  });
}
