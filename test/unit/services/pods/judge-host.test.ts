import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { PodHost } from '../../../../src/services/pods/host.ts';
import { judgePodHost, lowPorts, ownUsers } from '../../../../src/services/pods/judge-host.ts';

const GOOD: PodHost = {
  hybridCgroups: false,
  openFiles: 1_048_576,
  processes: 100_000,
  mayRaiseLimits: false,
  unprivilegedPortStart: 1024,
  containersConf: '',
  has: () => true,
};

interface Told {
  readonly version?: string;
  readonly runtime?: string;
  readonly rootless?: boolean;
  readonly backend?: string;
  readonly uidmap?: readonly object[];
}

function info({ version = '4.3.1', runtime = 'crun', rootless = false, backend = 'netavark', uidmap = [] }: Told = {}): unknown {
  return {
    version: { Version: version },
    host: { ociRuntime: { name: runtime }, networkBackend: backend, security: { rootless, selinuxEnabled: false }, idMappings: { uidmap } },
  };
}

function odd(told: Told, host: Partial<PodHost>, env: Record<string, string> = {}): string[] {
  return judgePodHost(info(told), { ...GOOD, ...host }, env).flatMap(({ ok, what, remedy }) =>
    ok === 'good' ? [] : [`${ok}: ${what}; ${remedy}`],
  );
}

test('a host that lacks nothing is good, as root and as a user', () => {
  assert.deepEqual(odd({}, {}), []);
  assert.deepEqual(odd({ rootless: true, uidmap: [{}, {}] }, {}), []);
  assert.deepEqual(odd({ version: '5.4.0' }, {}), []);
});

test('each thing that podman lacks is a problem with its remedy', () => {
  assert.match(odd({ version: '3.0.1' }, {}).join(), /^problem: podman 3\.0\.1: the pods need 4\.3; install a newer podman$/);
  assert.match(odd({}, { hybridCgroups: true }).join(), /hybrid mode, which crun refuses; install runc/);
  assert.deepEqual(odd({ runtime: 'runc' }, { hybridCgroups: true }), []);
  assert.match(
    odd({}, { openFiles: 20_000 }).join(),
    /^problem: containers would get 1048576 open files, and this host allows 20000; write default_ulimits/,
  );
  for (const enough of [{ mayRaiseLimits: true }, { containersConf: '[containers]\ndefault_ulimits = ["nofile=20000:20000"]' }]) {
    assert.deepEqual(odd({}, { openFiles: 20_000, ...enough }), []);
  }
  assert.match(
    odd({}, { has: (program) => program !== 'catatonit' }).join(),
    /^problem: catatonit cannot be found, .*; apt-get install catatonit$/,
  );
  assert.match(odd({ rootless: true }, {}).join(), /^problem: this user has no subordinate ids/);
  assert.match(
    odd({ backend: 'cni' }, { has: (program) => program !== 'dnsname' }).join(),
    /^warning: .*CNI without names.*network_backend = "netavark"/,
  );
});

test('users of each pod its own are refused, whoever asks for them', () => {
  const conf = { containersConf: '[containers]\nuserns = "auto"\n' };
  assert.match(odd({}, conf).join(), /^problem: --userns=auto gives each pod users of its own: .*; take userns out of containers\.conf$/);
  assert.match(odd({}, {}, { PODMAN_USERNS: 'auto:size=5000' }).join(), /^problem: --userns=auto:size=5000 .*; unset PODMAN_USERNS$/);
  for (const fine of ['', 'host']) assert.equal(ownUsers(GOOD, { PODMAN_USERNS: fine }), undefined);
  assert.equal(ownUsers({ containersConf: '# userns = "auto"' }, {}), undefined);
});

test('ports below 1024 are a problem for an ordinary user alone, and only where the host reserves them', () => {
  assert.match(lowPorts(info({ rootless: true }), [80, 443], GOOD)?.what ?? '', /^ports 80 and 443 belong to root$/);
  assert.equal(lowPorts(info({ rootless: true }), [80, 443], { ...GOOD, unprivilegedPortStart: 80 }), undefined);
  assert.equal(lowPorts(info(), [80, 443], GOOD), undefined);
});
