import { spawnSync } from 'node:child_process';
import { existsSync, globSync, rmSync, writeFileSync } from 'node:fs';

/** What the tests run against, by Debian package, and a file that shows that it is there. */
const PACKAGES: Readonly<Record<string, string>> = {
  'apache2-bin': '/usr/sbin/apache2',
  'apache2-utils': '/usr/bin/ab',
  bind9: '/usr/sbin/named',
  'bind9-dnsutils': '/usr/bin/nsupdate',
  'bind9-utils': '/usr/bin/named-checkconf',
  certbot: '/usr/bin/certbot',
  chromium: '/usr/bin/chromium',
  curl: '/usr/bin/curl',
  'debian-archive-keyring': '/usr/share/keyrings/debian-archive-keyring.gpg',
  'dovecot-imapd': '/usr/lib/dovecot/imap',
  'dovecot-pop3d': '/usr/lib/dovecot/pop3',
  faketime: '/usr/lib/*/faketime/libfaketime.so.1',
  'gnutls-bin': '/usr/bin/certtool',
  haproxy: '/usr/sbin/haproxy',
  iproute2: '/{usr/bin,bin,sbin}/ip',
  knot: '/usr/sbin/knotd',
  libatomic1: '/usr/lib*/{*/,}libatomic.so.1',
  'libnss3-tools': '/usr/bin/certutil',
  mkcert: '/usr/bin/mkcert',
  'nginx-light': '/usr/sbin/nginx',
  openssl: '/usr/bin/openssl',
  'pdns-backend-sqlite3': '/usr/lib/*/pdns/libgsqlite3backend.so',
  'pdns-server': '/usr/sbin/pdns_server',
  postfix: '/usr/sbin/postfix',
  socat: '/usr/bin/socat',
  strace: '/usr/bin/strace',
  'util-linux': '/{usr/bin,bin}/unshare',
};

/** What the tests of the pods need besides. */
const POD_PACKAGES: Readonly<Record<string, string>> = {
  'python3-dkim': '/usr/lib/python3/dist-packages/dkim/__init__.py',
  swaks: '/usr/bin/swaks',
  'aardvark-dns': '/usr/lib/podman/aardvark-dns',
  buildah: '/usr/bin/buildah',
  catatonit: '/usr/{bin,libexec/podman}/catatonit',
  'containernetworking-plugins': '/usr/lib/cni/bridge',
  'fuse-overlayfs': '/usr/bin/fuse-overlayfs',
  iptables: '/usr/sbin/iptables',
  mmdebstrap: '/usr/bin/mmdebstrap',
  netavark: '/usr/lib/podman/netavark',
  podman: '/usr/bin/podman',
  runc: '/usr/{bin,sbin}/runc',
  slirp4netns: '/usr/bin/slirp4netns',
  'libnet-ssleay-perl': '/usr/lib/*/perl5/*/Net/SSLeay.pm',
  'testssl.sh': '/usr/bin/testssl',
  uidmap: '/usr/bin/newuidmap',
};

/** Debian asks this file whether a freshly installed daemon may start; 101 means no. */
const POLICY = '/usr/sbin/policy-rc.d';

/** The packages that are not installed. @param pods whether pods are to be played */
export function missingPackages(pods: boolean): string[] {
  const wanted = pods ? { ...PACKAGES, ...POD_PACKAGES } : PACKAGES;
  return Object.entries(wanted).flatMap(([name, shows]) => (globSync(shows).length === 0 ? [name] : []));
}

/** Installs packages where that is possible: as root, with apt. Starts no daemon. Returns what is still missing. */
export function installPackages(missing: readonly string[], say: (line: string) => void): string[] {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return [...missing];
  say(`installing ${missing.length} Debian packages: ${missing.join(' ')}`);
  const guard = !existsSync(POLICY);
  if (guard) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    apt(['update'], say);
    apt(['install', '--yes', '--no-install-recommends', ...missing], say);
  } finally {
    if (guard) rmSync(POLICY, { force: true });
  }
  return missing.filter((name) => globSync({ ...PACKAGES, ...POD_PACKAGES }[name] ?? '').length === 0);
}

/** How a person installs them. */
export function installCommand(missing: readonly string[]): string {
  return `sudo apt-get install --no-install-recommends ${missing.join(' ')}`;
}

function apt(args: readonly string[], say: (line: string) => void): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const { status, stderr, error } = spawnSync('apt-get', ['--quiet=2', '-o', 'DPkg::Lock::Timeout=120', ...args], {
    env,
    encoding: 'utf8',
  });
  if (status !== 0) say(`apt-get ${args[0]} failed: ${(stderr || String(error)).trim()}`);
}
