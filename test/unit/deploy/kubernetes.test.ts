import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Pod } from 'kubernetes-models/v1/Pod';
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { deployFiles, podFiles, type Manifest } from './files.ts';
import { PODMAN_FIELDS, fieldsOf } from './fields.ts';

/** @throws Error with everything that is wrong */
function validate(manifest: Manifest): void {
  if (manifest.kind === 'Pod') new Pod(manifest).validate();
  else new ConfigMap(manifest).validate();
}

test('every file of deploy/ is one object, and a right one to Kubernetes', () => {
  const files = deployFiles();
  assert.ok(files.length >= 8);
  for (const { name, documents } of files) {
    assert.equal(documents.length, 1, `${name}: podman kube down fails half-way over a file with several pods`);
    for (const document of documents) assert.doesNotThrow(() => validate(document), name);
  }
});

test('the schema of Kubernetes is really asked', () => {
  const [first] = podFiles();
  assert.ok(first?.pod.spec !== undefined);
  const { containers } = first.pod.spec;
  const wrong = [
    { restartPolicy: 'Sometimes', containers },
    { containers: containers.map((container) => ({ ...container, name: undefined })) },
    { containers: containers.map((container) => ({ ...container, resources: { limits: { memory: '12 apples' } } })) },
  ];
  for (const spec of wrong) assert.throws(() => validate({ ...first.pod, spec } as never));
});

test('no file has a field that is not known to be right in podman 4.3 and Kubernetes alike', () => {
  for (const { name, documents } of deployFiles()) {
    for (const document of documents) {
      for (const field of fieldsOf(document))
        assert.ok(PODMAN_FIELDS.has(field), `${name}: ${field}: try it with podman 4.3, then list it`);
    }
  }
});

test('every pod and setting can be found by the label of the stack', () => {
  for (const { name, documents } of deployFiles()) {
    for (const { metadata } of documents) assert.equal(metadata?.labels?.['app.kubernetes.io/part-of'], 'podserve', name);
  }
  for (const { name, pod } of podFiles()) assert.equal(pod.metadata?.labels?.['app.kubernetes.io/name'], pod.metadata?.name, name);
});
