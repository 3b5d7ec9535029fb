import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { systemClock } from '../../../../src/platform/clock.ts';
import { PodserveError, describeError } from '../../../../src/platform/errors.ts';
import { openPodman, parseList, type Podman } from '../../../../src/services/pods/podman.ts';
import { listPods, podsOf } from '../../../../src/services/pods/pods.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

/** A podman that does what the shell script says. */
function podmanThat(t: TestContext, script: string): { podman: Podman; directory: string } {
  const directory = scratchDirectory(t);
  mkdirSync(join(directory, 'bin'));
  const program = join(directory, 'bin', 'podman');
  writeFileSync(program, `#!/bin/sh\ncd '${directory}'\n${script}\n`);
  chmodSync(program, 0o755);
  return {
    podman: openPodman({ env: { PATH: `${join(directory, 'bin')}:/usr/bin:/bin`, CERT_EAB_HMAC_FILE: 'secret' }, clock: systemClock }),
    directory,
  };
}

async function refusal(promise: Promise<unknown>): Promise<PodserveError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof PodserveError, String(error));
    return error;
  }
  return assert.fail('it should have been refused');
}

test('without podman the packages are named, and the way without pods', async () => {
  const error = await refusal(openPodman({ env: { PATH: '/nonexistent' }, clock: systemClock }).ask(['info']));
  assert.equal(error.code, 'PODMAN_MISSING');
  assert.match(
    describeError(error),
    /^pods need podman, and it is not installed: there is none on the search path; install it \(apt-get install podman .*podserve up without --pods/,
  );
});

test('what podman printed is given, and its failure quotes the line that says why', async (t) => {
  const { podman } = podmanThat(t, 'if [ "$1" = good ]; then echo fine; exit; fi; echo "Error: no such thing" >&2; exit 125');
  assert.equal(await podman.run('it', ['good']), 'fine\n');
  const error = await refusal(podman.run('the thing could not be done', ['bad']));
  assert.equal(error.code, 'PODMAN_FAILED');
  assert.match(describeError(error), /^the thing could not be done: no such thing; podserve doctor --pods/);
  assert.equal((await podman.ask(['bad'])).code, 125);
});

test('a podman that hangs is ended with all that it started', async (t) => {
  const { podman, directory } = podmanThat(t, 'sleep 60 & echo $! > child; wait');
  const error = await refusal(podman.ask(['pod', 'ps'], { timeoutMs: 300 }));
  assert.match(describeError(error), /^podman pod ps did not end within 0\.3 s; /);
  const child = Number(readFileSync(join(directory, 'child'), 'utf8'));
  assert.match(stateOf(child), /^[ZX-]$/);
});

/** As in proc(5); `-` when it is gone. A zombie that nobody has reaped is as good. */
function stateOf(pid: number): string {
  try {
    return /^\d+ \(.*\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? '?';
  } catch {
    return '-';
  }
}

test('an abort ends it at once, with the reason of the abort', async (t) => {
  const { podman } = podmanThat(t, 'exec sleep 60');
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error('enough')), 200);
  const began = performance.now();
  await assert.rejects(podman.ask(['build'], { signal: stop.signal }), /^Error: enough$/);
  assert.ok(performance.now() - began < 3000);
});

test('secrets of the environment are not passed on', async (t) => {
  const { podman } = podmanThat(t, 'env');
  assert.doesNotMatch(await podman.run('it', ['env']), /HMAC/);
});

test('lines of both streams are followed as they come', async (t) => {
  const { podman } = podmanThat(t, 'echo one; echo two >&2; exec sleep 60');
  const stop = new AbortController();
  const lines: string[] = [];
  await podman.follow(
    ['logs'],
    (line) => {
      lines.push(line);
      if (lines.length === 2) stop.abort();
    },
    stop.signal,
  );
  assert.deepEqual(lines.toSorted(), ['one', 'two']);
});

test('JSON is read with warnings before it, as null, as nothing, and when it is damaged', () => {
  assert.deepEqual(parseList('time="…" level=warning msg="x"\n[{"a":1}]\n'), [{ a: 1 }]);
  assert.deepEqual(parseList('{"a":1}'), [{ a: 1 }]);
  for (const nothing of ['', 'null\n', '[]', '[{"a":', 'Error: no']) assert.deepEqual(parseList(nothing), []);
});

const LISTED = [
  {
    Id: 'aa',
    Name: 'web',
    Status: 'Running',
    Labels: { 'app.kubernetes.io/part-of': 'podserve' },
    Containers: [{ Id: 'a0' }, { Id: 'a1' }],
  },
  { Id: 'bb', Name: 'other', Status: 'Exited', Labels: null, Containers: null },
];
const INSPECTED = [
  {
    Id: 'a0',
    Pod: 'aa',
    IsInfra: true,
    Name: 'aa-infra',
    HostConfig: { PortBindings: { '443/tcp': [{ HostIp: '', HostPort: '8443' }], '53/udp': [{ HostPort: '53' }] } },
  },
  {
    Id: 'a1',
    Pod: 'aa',
    IsInfra: false,
    Name: 'web-apache',
    Image: 'id',
    ImageName: 'localhost/x:latest',
    RestartCount: 2,
    State: { Status: 'exited', ExitCode: 3, Health: { Status: '' } },
    Config: { Env: ['PODSERVE_STATUS_PORT=9082'], Annotations: { 'io.podserve.made-from': 'abc' } },
    Mounts: [
      { Type: 'bind', Source: '/srv/x/config', Destination: '/data/config' },
      { Type: 'bind', Source: '/srv/x/certificates', Destination: '/etc/ssl/podserve' },
      { Type: 'volume', Source: '/var/lib/containers/certificates', Destination: '/run' },
    ],
  },
];

test('pods are listed with data directory, ports and containers; those of others by name', async (t) => {
  const { podman, directory } = podmanThat(
    t,
    'case "$1" in pod) cat pods;; container) cat containers; echo "Error: no such container" >&2; exit 125;; esac',
  );
  writeFileSync(join(directory, 'pods'), JSON.stringify(LISTED));
  writeFileSync(join(directory, 'containers'), JSON.stringify(INSPECTED));
  const pods = await listPods(podman);
  assert.deepEqual(pods[0], {
    name: 'web',
    ours: true,
    state: 'Running',
    dataDirectory: '/srv/x',
    madeFrom: 'abc',
    containers: [
      {
        name: 'web-apache',
        service: 'apache',
        image: 'localhost/x:latest',
        imageId: 'id',
        state: 'exited',
        exitCode: 3,
        pid: 0,
        restarts: 2,
        health: undefined,
        startedAt: undefined,
        tells: true,
      },
    ],
    ports: [{ hostIp: '', hostPort: 8443, containerPort: 443 }],
  });
  assert.deepEqual([pods[1]?.name, pods[1]?.ours, pods[1]?.containers], ['other', false, []]);
  assert.deepEqual(
    podsOf(pods, '/srv/x').map(({ name }) => name),
    ['web'],
  );
  assert.deepEqual(podsOf(pods, '/srv'), []);
});
