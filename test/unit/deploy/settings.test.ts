import assert from 'node:assert/strict';
import { test } from 'node:test';

import { VARIABLES } from '../../../src/config/variables.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { ROOT, writeConfig } from '../config/support.ts';
import { containersOf, deployFiles, podFiles } from './files.ts';

/** Those that hold what the ConfigMap must not, or that mean nothing without an issuer of podserve.yaml. */
const IN_THE_FILE = ['CERT_ACME_CA_FILE', 'CERT_EAB_KID', 'CERT_EAB_HMAC_FILE'];

function settings(): Record<string, string> {
  const manifest = deployFiles().find(({ name }) => name === 'settings.yaml')?.documents[0];
  assert.ok(manifest?.kind === 'ConfigMap');
  return manifest.data ?? {};
}

test('the ConfigMap has every variable, none that is unknown, and is a right configuration', async (t) => {
  assert.deepEqual(new Set(Object.keys(settings())), new Set(Object.values(VARIABLES).filter((name) => !IN_THE_FILE.includes(name))));
  const config = await loadConfig({ cwd: writeConfig(t, ''), env: settings(), traits: ROOT });
  assert.deepEqual(config.warnings, []);
  assert.deepEqual(config.certificates[0]?.consumers, ['apache']);
  assert.deepEqual(config.consumers['apache']?.endpoints, ['https://web:443']);
});

test('every service takes its settings from that ConfigMap', () => {
  for (const { name, pod } of podFiles()) {
    if (name.includes('/') || name === 'consumer.yaml') continue;
    for (const { name: container, envFrom } of containersOf(pod)) {
      assert.deepEqual(envFrom, [{ configMapRef: { name: 'podserve-settings' } }], `${name}: ${container}`);
    }
  }
});
