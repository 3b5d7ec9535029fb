import assert from 'node:assert/strict';
import { test } from 'node:test';

import { systemClock } from '../../../../src/platform/clock.ts';
import { followLines, lastLines, sourcesOf, type LogLine } from '../../../../src/services/pods/logs.ts';
import { openPodman } from '../../../../src/services/pods/podman.ts';
import type { Pod } from '../../../../src/services/pods/pods.ts';
import { fakePodman } from '../../../support/fake-podman.ts';

function pod(name: string, service: string): Pod {
  const container = {
    name: `${name}-${service}`,
    service,
    image: '',
    imageId: '',
    state: 'running',
    exitCode: 0,
    pid: 0,
    restarts: 0,
    health: undefined,
    startedAt: undefined,
    tells: true,
  };
  return { name, ours: true, state: 'Running', dataDirectory: '/x', madeFrom: undefined, ports: [], containers: [container] };
}

const PODS = [pod('web', 'apache'), pod('certificates', 'certificates')];

test('the last lines of all are in the order of their times, to the nanosecond', async (t) => {
  const fake = fakePodman(t);
  const podman = openPodman({ env: fake.env, clock: systemClock });
  fake.put('logs-web-apache', 'no time\n2026-11-23T09:00:00.1Z second\n2026-11-23T09:00:01.000000002Z fourth\n');
  fake.put(
    'logs-certificates-certificates',
    '2026-11-23T09:00:00.09Z first\n2026-11-23T09:00:01.000000001Z third\n2026-11-23T10:00:01.5+01:00 fifth\n',
  );
  const sources = sourcesOf(PODS, []);
  assert.deepEqual(
    (await lastLines(podman, sources, 50)).map(({ text }) => text),
    ['first', 'second', 'third', 'fourth', 'fifth'],
  );
  assert.deepEqual(
    (await lastLines(podman, sources, 2)).map(({ text }) => text),
    ['fourth', 'fifth'],
  );
  assert.deepEqual(await lastLines(podman, sources, 0), []);
});

test('a service or a pod is chosen by its name; an unknown one is refused with those that there are', () => {
  assert.deepEqual(
    sourcesOf(PODS, ['apache']).map(({ container }) => container),
    ['web-apache'],
  );
  assert.deepEqual(
    sourcesOf(PODS, ['web']).map(({ container }) => container),
    ['web-apache'],
  );
  assert.equal(sourcesOf(PODS, []).length, 2);
  assert.throws(() => sourcesOf(PODS, ['mail']), { code: 'USAGE', remedy: 'there are certificates, apache, web' });
});

test('what is added is shown once, also after the container ended and came again', async (t) => {
  const fake = fakePodman(t);
  const podman = openPodman({ env: fake.env, clock: systemClock });
  const sources = sourcesOf(PODS, ['web']);
  fake.put('logs-web-apache', '2026-11-23T09:00:00.1Z old\n');
  const shown = await lastLines(podman, sources, 10);
  const stop = new AbortController();
  const lines: string[] = [];
  const show = ({ text }: LogLine): void => {
    lines.push(text);
    if (text === 'last') stop.abort();
    fake.put('logs-web-apache', '2026-11-23T09:00:00.1Z old\n2026-11-23T09:00:00.10000001Z new\n2026-11-23T09:00:09Z last\n');
  };
  fake.put('logs-web-apache', '2026-11-23T09:00:00.1Z old\n2026-11-23T09:00:00.10000001Z new\n');
  await followLines(podman, sources, shown, show, { clock: systemClock, signal: stop.signal });
  assert.deepEqual(lines, ['new', 'last']);
});
