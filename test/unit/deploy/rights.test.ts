import assert from 'node:assert/strict';
import { test } from 'node:test';

import { containerOf, containersOf, podFiles } from './files.ts';

const KEY_GROUP = 60_800;
const MAIL = 'localhost/podserve-harmony-mail:latest';

function mounts(file: string, container: string): string[] {
  return (containerOf(file, container).volumeMounts ?? []).map(
    ({ mountPath, readOnly }) => `${mountPath}${readOnly === true ? ' ro' : ''}`,
  );
}

test('no container gains rights, writes to its image, or has a capability that is not listed here', () => {
  const allowed: Record<string, readonly string[]> = {
    'localhost/podserve-harmony-certificates:latest': ['CHOWN', 'FOWNER', 'DAC_OVERRIDE'],
    'localhost/podserve-harmony-apache:latest': ['NET_BIND_SERVICE'],
    [MAIL]: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'KILL', 'NET_BIND_SERVICE', 'SETGID', 'SETUID', 'SYS_CHROOT'],
  };
  for (const { name, pod } of podFiles()) {
    for (const { name: container, image = '', securityContext } of containersOf(pod)) {
      const where = `${name}: ${container}`;
      assert.equal(securityContext?.allowPrivilegeEscalation, false, where);
      assert.equal(securityContext.readOnlyRootFilesystem, true, where);
      assert.deepEqual(securityContext.capabilities?.drop, ['ALL'], where);
      const added = securityContext.capabilities.add ?? [];
      assert.deepEqual(
        added.filter((capability) => !(allowed[image] ?? []).includes(capability)),
        [],
        where,
      );
    }
  }
});

test('only the certificate service and mail are root: Postfix and Dovecot give everything to users of their own', () => {
  for (const { name, pod } of podFiles()) {
    for (const { name: container, image, securityContext } of containersOf(pod)) {
      if (image === 'localhost/podserve-harmony-certificates:latest' || image === MAIL) {
        assert.equal(securityContext?.runAsUser, 0, name);
      } else {
        assert.ok((securityContext?.runAsUser ?? 0) > 0, `${name}: ${container}`);
        assert.equal(securityContext?.runAsNonRoot, true, `${name}: ${container}`);
      }
    }
  }
});

test('who reads keys without being root is in their group', () => {
  for (const { name, pod } of podFiles()) {
    if (containersOf(pod).every(({ securityContext }) => securityContext?.runAsUser === 0)) continue;
    assert.deepEqual(pod.spec?.securityContext?.supplementalGroups, [KEY_GROUP], name);
  }
});

test('the certificate service alone writes to the publication, the authority and the challenges', () => {
  for (const { name, pod } of podFiles()) {
    for (const { name: container, image, volumeMounts = [] } of containersOf(pod)) {
      if (image === 'localhost/podserve-harmony-certificates:latest') continue;
      for (const { name: volume, mountPath, readOnly } of volumeMounts) {
        const where = `${name}: ${container}: ${volume}`;
        assert.doesNotMatch(volume, /authority/, where);
        const hostPath = pod.spec?.volumes?.find((one) => one.name === volume)?.hostPath;
        // Its own, which no other pod mounts.
        if (image === MAIL && volume === 'mail') continue;
        if (hostPath !== undefined || mountPath.includes('ssl')) assert.equal(readOnly, true, where);
      }
    }
  }
});

test('mounts are those of the design', () => {
  const certificates = ['/data/state/certificates', '/data/state/authority', '/data/state/challenges', '/data/config ro', '/tmp'];
  const apache = ['/etc/ssl/podserve ro', '/data/state/challenges ro', '/data/state/apache ro', '/data/config ro', '/run', '/tmp'];
  for (const file of ['certificates.yaml', 'same-pod.yaml']) assert.deepEqual(mounts(file, 'certificates'), certificates, file);
  for (const file of ['web.yaml', 'same-pod.yaml']) assert.deepEqual(mounts(file, 'apache'), apache, file);
  assert.deepEqual(mounts('consumer.yaml', 'consumer'), ['/data/ssl ro']);
  assert.deepEqual(mounts('mail.yaml', 'mail'), ['/data/ssl ro', '/data/state/mail', '/data/config ro', '/run', '/tmp']);
});

test('the same-pod form runs its two containers exactly as the two pods do', () => {
  const image = ['image', 'args', 'securityContext', 'livenessProbe', 'resources', 'ports'] as const;
  for (const [file, name] of [
    ['certificates.yaml', 'certificates'],
    ['web.yaml', 'apache'],
  ] as const) {
    const [alone, together] = [containerOf(file, name), containerOf('same-pod.yaml', name)];
    for (const field of image) assert.deepEqual(together[field], alone[field], `${name}: ${field}`);
  }
});

test('every container has what it asks for and what it may take at most', () => {
  for (const { name, pod } of podFiles()) {
    for (const { name: container, resources } of containersOf(pod)) {
      for (const part of [resources?.requests, resources?.limits]) {
        assert.deepEqual(Object.keys(part ?? {}), ['cpu', 'memory'], `${name}: ${container}`);
      }
    }
  }
});
