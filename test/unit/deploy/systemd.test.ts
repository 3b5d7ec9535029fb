import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { DEPLOY } from './files.ts';

const SYSTEMD = join(DEPLOY, 'systemd');
const PODS = ['certificates', 'web'];

/** As systemd-escape does, for these paths. */
function instanceOf(pod: string): string {
  return `podman-kube@-etc-podserve-${pod}.yaml.service`;
}

function dropInOf(pod: string): string {
  return readFileSync(join(SYSTEMD, 'podman-kube', `${instanceOf(pod)}.d/podserve.conf`), 'utf8');
}

function quadletOf(pod: string): string {
  return readFileSync(join(SYSTEMD, 'quadlet', `podserve-${pod}.kube`), 'utf8');
}

test('each pod has a drop-in for podman-kube@ and a Quadlet unit, and nothing else has', () => {
  assert.deepEqual(
    readdirSync(join(SYSTEMD, 'podman-kube')).sort(),
    PODS.map((pod) => `${instanceOf(pod)}.d`),
  );
  assert.deepEqual(
    readdirSync(join(SYSTEMD, 'quadlet')).sort(),
    PODS.map((pod) => `podserve-${pod}.kube`),
  );
});

test('every unit plays a file of deploy/ with the settings, after the disk with the data is there', () => {
  for (const pod of PODS) {
    assert.ok(existsSync(join(DEPLOY, `${pod}.yaml`)));
    assert.match(
      quadletOf(pod),
      new RegExp(`^\\[Kube\\]\nYaml=/etc/podserve/${pod}\\.yaml\nConfigMap=/etc/podserve/settings\\.yaml$`, 'm'),
    );
    assert.match(dropInOf(pod), /^ExecStart=\nExecStart=\/usr\/bin\/podman kube play .*--configmap \/etc\/podserve\/settings\.yaml %I$/m);
    for (const unit of [quadletOf(pod), dropInOf(pod)]) assert.match(unit, /^RequiresMountsFor=\/var\/lib\/podserve$/m);
  }
});

test('web starts after certificates, and does without them', () => {
  for (const [unit, certificates] of [
    [quadletOf('web'), 'podserve-certificates.service'],
    [dropInOf('web'), instanceOf('certificates')],
  ] as const) {
    assert.ok(unit.includes(`\nWants=${certificates}\nAfter=${certificates}\n`));
    assert.doesNotMatch(unit, /^(Requires|BindsTo)=/m);
  }
});
