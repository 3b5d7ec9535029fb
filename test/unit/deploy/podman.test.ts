import assert from 'node:assert/strict';
import { test } from 'node:test';

import { containersOf, podFiles } from './files.ts';

const SHIPPED = podFiles().filter(({ name }) => !name.includes('/'));

test('shipped pods come back by themselves and have no init container, which podman 4.3 would restart as well', () => {
  assert.deepEqual(
    SHIPPED.map(({ name }) => name),
    ['certificates.yaml', 'consumer.yaml', 'mail.yaml', 'same-pod.yaml', 'web.yaml'],
  );
  for (const { name, pod } of SHIPPED) {
    assert.equal(pod.spec?.restartPolicy, 'Always', name);
    assert.equal(pod.spec.initContainers, undefined, name);
  }
});

test('a pod with an init container is restarted on failure alone', () => {
  const waiting = podFiles().filter(({ pod }) => pod.spec?.initContainers !== undefined);
  assert.ok(waiting.length >= 2);
  for (const { name, pod } of waiting) assert.equal(pod.spec?.restartPolicy, 'OnFailure', name);
});

test('no init container waits for a certificate service of its own pod, which would never start', () => {
  for (const { name, pod } of podFiles()) {
    const issues = pod.spec?.containers.some(({ image }) => image?.includes('podserve-harmony-certificates'));
    assert.ok(issues !== true || pod.spec?.initContainers === undefined, name);
  }
});

test('a port is named only where it is published', () => {
  for (const { name, pod } of podFiles()) {
    for (const { ports = [] } of containersOf(pod)) {
      for (const { containerPort, hostPort, protocol } of ports) {
        assert.ok(hostPort !== undefined, `${name}: podman 4.3 publishes ${containerPort} on every address`);
        assert.equal(protocol, undefined, name);
        assert.notEqual(hostPort, 53, `${name}: podman's own DNS has port 53`);
      }
    }
  }
});

test('a probe is one path without arguments, and the restart it asks for can happen', () => {
  for (const { name, pod } of podFiles()) {
    for (const container of containersOf(pod)) {
      if (container.livenessProbe === undefined) continue;
      assert.deepEqual(container.livenessProbe.exec?.command, ['/usr/local/bin/podserve-alive'], name);
    }
  }
  for (const { name, pod } of SHIPPED) {
    for (const container of containersOf(pod)) {
      const serves = container.image !== 'localhost/podserve-harmony-base:latest';
      assert.equal(container.livenessProbe !== undefined, serves, `${name}: ${container.name}`);
    }
  }
});

test('every emptyDir has a name of its own among all pods, for podman 4.3 takes those of one name for one', () => {
  const owners = new Map<string, string>();
  for (const { name, pod } of podFiles()) {
    for (const { name: volume, emptyDir } of pod.spec?.volumes ?? []) {
      if (emptyDir === undefined) continue;
      assert.equal(owners.get(volume), undefined, `${name}: ${volume}`);
      owners.set(volume, name);
      assert.ok(volume.startsWith(`${pod.metadata?.name}-`), `${name}: ${volume}`);
    }
  }
  assert.ok(owners.size > 0);
});

test('no volume is a claim or a secret: the one clashes at the second start, the other gives everybody the file', () => {
  for (const { name, pod } of podFiles()) {
    for (const volume of pod.spec?.volumes ?? []) {
      assert.deepEqual(
        Object.keys(volume).filter((key) => !['name', 'hostPath', 'emptyDir'].includes(key)),
        [],
        name,
      );
    }
  }
});

test('host directories are absolute, and made where they are missing', () => {
  for (const { name, pod } of podFiles()) {
    for (const { hostPath } of pod.spec?.volumes ?? []) {
      if (hostPath === undefined) continue;
      assert.match(hostPath.path, /^\/var\/lib\/podserve\/[a-z]+$/, name);
      assert.equal(hostPath.type, 'DirectoryOrCreate', name);
    }
  }
});

test('no image is fetched where one of that name was built here', () => {
  for (const { name, pod } of podFiles()) {
    for (const { image, imagePullPolicy } of containersOf(pod)) {
      assert.equal(imagePullPolicy, 'IfNotPresent', `${name}: ${image}`);
    }
  }
});

test('every volume is mounted, and every mount has its volume', () => {
  for (const { name, pod } of podFiles()) {
    const mounted = new Set(containersOf(pod).flatMap(({ volumeMounts = [] }) => volumeMounts.map((mount) => mount.name)));
    assert.deepEqual(mounted, new Set(pod.spec?.volumes?.map((volume) => volume.name)), name);
  }
});
