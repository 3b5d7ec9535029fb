import assert from 'node:assert/strict';
import { test } from 'node:test';

import { defaultUlimits, explainPodman } from '../../../../src/services/pods/remedies.ts';

/** What podman 4.3.1 really wrote, shortened where it repeats itself, and what helps. */
const SAID: readonly (readonly [about: string, stderr: string, why: RegExp, remedy: RegExp])[] = [
  [
    'a low limit of open files',
    `failed to connect to syslog: Initialization
starting container 06ad9405837df7f92d03388b0c14afebd7572d5004eb5813d49ab8ceaa9dbdcc: runc: runc create failed: unable to start container process: error during container init: error setting rlimits for ready process: error setting rlimit type 7: operation not permitted: OCI permission denied
starting container 357c6bb632b6ac113b92ea7ad46412107ae5f726db7445a63b84fb080b46b72c: a dependency of container 357c6bb632b6ac113b92ea7ad46412107ae5f726db7445a63b84fb080b46b72c failed to start: container state improper
Error: failed to start 2 containers
`,
    /^this host allows fewer open files .*podman says: starting container 06ad9405837d: runc: runc create failed/,
    /^write default_ulimits = \["nofile=\d+:\d+", "nproc=\d+:\d+"\] below \[containers\]/,
  ],
  [
    'hybrid cgroups',
    'Error: crun: cgroups in hybrid mode not supported, drop all controllers from cgroupv1: OCI runtime error\n',
    /hybrid mode, which crun refuses/,
    /runtime = "runc"/,
  ],
  [
    'a missing runtime',
    'Error: default OCI runtime "crun" not found: invalid argument\n',
    /^the container runtime is missing/,
    /^apt-get install runc/,
  ],
  [
    'no catatonit',
    'Error: building local pause image: finding pause binary: exec: "catatonit": executable file not found in $PATH\n',
    /^the package catatonit is missing/,
    /^apt-get install catatonit$/,
  ],
  [
    'a port that was taken meanwhile',
    'starting container 148d: cannot listen on the TCP port: listen tcp4 :80: bind: address already in use\nError: failed to start 2 containers\n',
    /^a port that it publishes is taken/,
    /^stop what listens there/,
  ],
  [
    'a low port for an ordinary user',
    "Error: rootlessport cannot expose privileged port 80, you can add 'net.ipv4.ip_unprivileged_port_start=80' to /etc/sysctl.conf: listen tcp 0.0.0.0:80: bind: permission denied\n",
    /^ports below 1024 belong to root/,
    /sysctl net\.ipv4\.ip_unprivileged_port_start=80/,
  ],
  [
    'a user without a login session',
    'Error: failed to mount runtime directory for rootless netns: no such file or directory\n',
    /^this user has no login session/,
    /loginctl enable-linger/,
  ],
  [
    'limits without a cgroup of one’s own',
    'starting container b68f9574ccb2: runc: runc create failed: unable to start container process: error during container init: error setting cgroup config for procHooks process: cannot set memory limit: container could not join or create cgroup: OCI runtime error\nError: failed to start 2 containers\n',
    /^this user has no cgroup of its own to set limits in/,
    /^take the limits out of a copy of deploy\//,
  ],
  [
    'no subordinate ids',
    'Error: cannot find UID/GID for user alice: no subuid ranges found for user "alice" in /etc/subuid\n',
    /^this user has no subordinate ids/,
    /usermod --add-subuids/,
  ],
  ['no newuidmap', 'Error: exec: "newuidmap": executable file not found in $PATH\n', /^newuidmap is missing/, /apt-get install uidmap/],
  [
    'no netavark',
    'Error: could not find "netavark" in one of [/usr/libexec/podman /usr/lib/podman]\n',
    /^podman's network programs are missing/,
    /netavark aardvark-dns/,
  ],
  ['a full disk', 'Error: writing blob: storing blob: no space left on device\n', /^the disk is full/, /^free some space/],
  ['no settings', 'Error: configmap podserve-settings not found\n', /^the settings are missing/, /settings\.yaml/],
];

for (const [about, stderr, why, remedy] of SAID) {
  test(`${about} is one line with its remedy`, () => {
    const explained = explainPodman(stderr);
    assert.match(explained.why, why);
    assert.match(explained.remedy, remedy);
    assert.doesNotMatch(`${explained.why}${explained.remedy}`, /\n|syslog|failed to start 2 containers/);
  });
}

test('what is not known is quoted without noise, and leads to the doctor', () => {
  const noise = 'failed to connect to syslog: Initialization\ntime="2026-11-23T09:15:39Z" level=warning msg="something"\n';
  assert.deepEqual(explainPodman(`${noise}Error: a thing of ${'0'.repeat(64)}\n`), {
    why: 'a thing of 000000000000',
    remedy: 'podserve doctor --pods looks at what podman needs of this host',
  });
  assert.equal(explainPodman('').why, 'it gave no reason');
  assert.ok(explainPodman('x'.repeat(5000)).why.length < 310);
});

test('the limits in the remedy are those that this host allows', () => {
  assert.match(defaultUlimits(), /^default_ulimits = \["nofile=(\d+):\1", "nproc=(\d+):\2"\]$/);
});
