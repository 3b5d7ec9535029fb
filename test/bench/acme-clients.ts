import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { unpackedDebianPackage } from '../support/debian-packages.ts';
import type { AcmeServer } from './acme-server.ts';
import { isInstalled, type Program } from './measure.ts';
import { emptyDirectory, type Place } from './place.ts';

/** A program that gets one certificate by http-01 through a webroot, whole processes only. */
export interface AcmeClientProgram {
  readonly name: string;
  /** Makes its account, and whatever else it needs once. */
  readonly once: readonly Program[];
  /** Another certificate for the same name, however young the last one is. */
  readonly renew: Program;
  /** A command that gives it the server's root to trust, where it takes none itself. */
  readonly within?: readonly string[];
  /** How often it is measured. */
  readonly rounds: number;
}

const ROUNDS = 15;
/** They sleep for seconds. */
const FEW_ROUNDS = 3;
const RELEASE = 'bookworm';

/** PodServe bundled, and those of certbot, lego, uacme and dehydrated that can be had here. */
export async function acmeClients(place: Place, server: AcmeServer): Promise<AcmeClientProgram[]> {
  const rivals = await Promise.all([certbot(place, server), lego(place, server), uacme(place, server), dehydrated(place, server)]);
  return [podserve(place, server), ...rivals.filter((one) => one !== undefined)];
}

function podserve(place: Place, { directory, caFile, webroot }: AcmeServer): AcmeClientProgram {
  const [home, config] = [emptyDirectory(place, 'acme-podserve'), join(place.directory, 'acme-podserve.json')];
  const issuer = { directory, caFile, challenge: 'http-01', http01: { webroot } };
  const certificate = { name: 'default', names: ['podserve.lab.test'], issuers: ['pebble'] };
  writeFileSync(config, JSON.stringify({ issuers: { pebble: issuer }, certificates: [certificate] }));
  const program = (...more: string[]): Program => ({
    argv: place.podserve('certificates', '--mode', 'renew', ...more, '--state', join(home, 'state'), '--config', config),
    env: place.env,
  });
  return { name: 'podserve', once: [program()], renew: program('--name', 'default', '--force'), rounds: ROUNDS };
}

async function certbot(place: Place, { directory, caFile, webroot }: AcmeServer): Promise<AcmeClientProgram | undefined> {
  if (!isInstalled('certbot')) return undefined;
  const home = emptyDirectory(place, 'acme-certbot');
  const places = ['config', 'work', 'logs'].flatMap((name) => [`--${name}-dir`, join(home, name)]);
  const account = ['--agree-tos', '--register-unsafely-without-email'];
  const wish = ['--webroot', '--webroot-path', webroot, '--domain', 'certbot.lab.test', '--force-renewal'];
  const program: Program = {
    argv: ['certbot', 'certonly', ...places, '--server', directory, '--non-interactive', ...account, ...wish],
    env: { REQUESTS_CA_BUNDLE: caFile },
  };
  return { name: 'certbot', once: [program], renew: program, rounds: FEW_ROUNDS };
}

async function lego(place: Place, { directory, caFile, webroot }: AcmeServer): Promise<AcmeClientProgram | undefined> {
  const lego4 = await unpacked('lego');
  if (lego4 === undefined) return undefined;
  const account = ['--server', directory, '--path', emptyDirectory(place, 'acme-lego'), '--email', 'admin@lab.test', '--accept-tos'];
  const wish = ['--domains', 'lego.lab.test', '--key-type', 'ec256', '--http', '--http.webroot', webroot];
  const program = (...verb: string[]): Program => ({ argv: [lego4, ...account, ...wish, ...verb], env: { LEGO_CA_CERTIFICATES: caFile } });
  return { name: 'lego', once: [program('run')], renew: program('renew', '--days', '10000', '--no-random-sleep'), rounds: FEW_ROUNDS };
}

async function uacme(place: Place, { directory, caFile, webroot }: AcmeServer): Promise<AcmeClientProgram | undefined> {
  const uacme1 = await unpacked('uacme');
  // Built without a way to trust other roots than the system's, it sees a file system of its own.
  const within = ['unshare', ...(process.getuid?.() === 0 ? [] : ['--map-root-user']), '--mount', 'sh', '-c'];
  const trusting = [...within, 'mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec "$@"', caFile];
  if (uacme1 === undefined || !succeeds([...trusting, 'sh', '-c', '"$0" --version 2>&1 | grep -q ^uacme', uacme1])) return undefined;
  const home = emptyDirectory(place, 'acme-uacme');
  const hook = join(home, 'hook');
  writeFileSync(hook, hookScript(join(webroot, '.well-known/acme-challenge')));
  chmodSync(hook, 0o755);
  const common = ['--acme-url', directory, '--confdir', join(home, 'config'), '--type', 'EC'];
  return {
    name: 'uacme',
    once: [{ argv: [uacme1, ...common, '--yes', 'new'] }],
    renew: { argv: [uacme1, ...common, '--hook', hook, '--force', 'issue', 'uacme.lab.test'] },
    within: trusting,
    rounds: ROUNDS,
  };
}

/** The arguments are: begin, done or failed; the challenge's type; the name; the token; the key authorization. */
function hookScript(directory: string): string {
  return `#!/bin/sh
[ "$2" = http-01 ] || exit 1
case $1 in
  begin) printf %s "$5" >"${directory}/$4" ;;
  *) rm -f "${directory}/$4" ;;
esac
`;
}

async function dehydrated(place: Place, { directory, caFile, webroot }: AcmeServer): Promise<AcmeClientProgram | undefined> {
  const script = await unpacked('dehydrated');
  if (script === undefined || !['bash', 'curl', 'openssl'].every(isInstalled)) return undefined;
  const home = emptyDirectory(place, 'acme-dehydrated');
  const config = join(home, 'config');
  const wellKnown = join(webroot, '.well-known/acme-challenge');
  const settings = { CA: directory, BASEDIR: home, WELLKNOWN: wellKnown, CURL_OPTS: `--cacert ${caFile}`, KEY_ALGO: 'prime256v1' };
  mkdirSync(home, { recursive: true });
  writeFileSync(
    config,
    Object.entries(settings)
      .map(([name, value]) => `${name}='${value}'\n`)
      .join(''),
  );
  const common = ['bash', script, '--config', config];
  return {
    name: 'dehydrated',
    once: [{ argv: [...common, '--register', '--accept-terms'] }],
    renew: { argv: [...common, '--cron', '--force', '--domain', 'dehydrated.lab.test'] },
    rounds: FEW_ROUNDS,
  };
}

/** The program of a Debian package that is not installed; undefined where it cannot be fetched. */
async function unpacked(name: string): Promise<string | undefined> {
  const directory = await unpackedDebianPackage(name, RELEASE).catch(() => undefined);
  return directory === undefined ? undefined : join(directory, 'usr/bin', name);
}

function succeeds([program = '', ...args]: readonly string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}
