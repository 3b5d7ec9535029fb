import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, readlinkSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';

import { freePort } from '../support/scratch.ts';
import { isInstalled, median, milliseconds, timeOf, type Row } from './measure.ts';
import { emptyDirectory, type Place } from './place.ts';
import { ended, ready } from './resident.ts';

const RENEWALS = 11;
const GIVE_UP_MS = 20_000;

/** From the rename of a new generation to Apache serving it, beside a bare graceful reload, with one and with many names. */
export async function measureApache(place: Place): Promise<Row[]> {
  if (!isInstalled('apache2')) return [];
  const rows: Row[] = [];
  for (const names of [1, 50]) {
    const ours = await renameToServed(place, names);
    const graceful = await bareGraceful(place, names);
    const beyond = ours - graceful;
    rows.push({
      what: `rename to served by Apache, ${names === 1 ? 'one site' : `${names} sites renewed at once`}`,
      ours: milliseconds(ours),
      peer: `graceful itself ${milliseconds(graceful)}`,
      ratio: `+ ${milliseconds(Math.max(0, beyond))}`,
      aim: '≤ + 100 ms',
      met: beyond <= 100,
    });
  }
  return rows;
}

async function renameToServed(place: Place, count: number): Promise<number> {
  const directory = emptyDirectory(place, `apache-${count}`);
  const [http, https, status] = [await freePort(), await freePort(), await freePort()];
  const config = place.configuration(count);
  const sites = siteNames(count).map((name) => `    - { certificate: ${name} }\n`);
  appendFileSync(
    config,
    `apache:\n  http: '127.0.0.1:${http}'\n  https: '127.0.0.1:${https}'\n  status: '127.0.0.1:${status}'\n  sites:\n${sites.join('')}`,
  );
  const state = join(directory, 'state');
  const common = ['--state', state, '--config', config];
  timeOf({ argv: place.podserve('certificates', '--mode', 'init', ...common), env: place.env });
  const [program = '', ...args] = place.podserve('apache', '--run', join(directory, 'run'), ...common);
  const child = spawn(program, args, { env: { ...process.env, ...place.env }, stdio: 'ignore' });
  const last = siteNames(count).at(-1) ?? 'default';
  try {
    await ready(child, status);
    const times: number[] = [];
    for (let renewal = 0; renewal < RENEWALS; renewal += 1) {
      const before = await served(https, `${last}.lab.example.org`);
      const link = join(state, 'certificates', last, '..data');
      const generation = readlinkSync(link);
      const renewing = start(place.podserve('certificates', '--mode', 'renew', '--force', ...common), place.env);
      await until(() => readlinkSync(link) !== generation);
      const renamed = performance.now();
      await until(async () => (await served(https, `${last}.lab.example.org`)) !== before);
      times.push(performance.now() - renamed);
      await finished(renewing);
      // The consumer's own look at what it serves belongs to this renewal, not to the next.
      await sleep(500);
    }
    return median(times);
  } finally {
    await ended(child);
  }
}

/** Apache by itself: the files replaced, a graceful, and the time until a handshake shows the new certificate. */
async function bareGraceful(place: Place, count: number): Promise<number> {
  const directory = emptyDirectory(place, `graceful-${count}`);
  const port = await freePort();
  for (const pair of ['a', 'b']) makePair(join(directory, pair));
  const current = join(directory, 'current.pem');
  copyFileSync(join(directory, 'a'), current);
  const config = join(directory, 'httpd.conf');
  writeFileSync(config, plainConfiguration(directory, current, port, count));
  const child = spawn('apache2', ['-f', config, '-DFOREGROUND'], { stdio: 'ignore' });
  const last = `${siteNames(count).at(-1)}.lab.example.org`;
  try {
    await until(async () => (await served(port, last)) !== undefined);
    const times: number[] = [];
    for (let turn = 0; turn < RENEWALS; turn += 1) {
      const before = await served(port, last);
      copyFileSync(join(directory, turn % 2 === 0 ? 'b' : 'a'), `${current}.new`);
      renameSync(`${current}.new`, current);
      const began = performance.now();
      child.kill('SIGUSR1');
      await until(async () => (await served(port, last)) !== before);
      times.push(performance.now() - began);
      await sleep(300);
    }
    return median(times);
  } finally {
    await ended(child);
  }
}

function plainConfiguration(directory: string, certificate: string, port: number, count: number): string {
  mkdirSync(join(directory, 'www'), { recursive: true });
  const modules = ['mpm_event', 'authz_core', 'ssl', 'http2', 'socache_shmcb'];
  const sites = siteNames(count).flatMap((name) => [
    `<VirtualHost 127.0.0.1:${port}>`,
    `ServerName ${name}.lab.example.org`,
    'SSLEngine on',
    `SSLCertificateFile ${certificate}`,
    '</VirtualHost>',
  ]);
  return [
    `ServerRoot ${directory}`,
    'ServerName localhost',
    `PidFile ${directory}/httpd.pid`,
    `ErrorLog ${directory}/error.log`,
    ...modules.map((module) => `LoadModule ${module}_module /usr/lib/apache2/modules/mod_${module}.so`),
    'User www-data',
    'Group www-data',
    `Listen 127.0.0.1:${port}`,
    `DocumentRoot ${directory}/www`,
    'Protocols h2 http/1.1',
    ...sites,
    '',
  ].join('\n');
}

function makePair(file: string): void {
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=lab.example.org'];
  execFileSync('openssl', [...request, '-keyout', `${file}.key`, '-out', `${file}.crt`], { stdio: 'ignore' });
  writeFileSync(file, Buffer.concat([readFileSync(`${file}.key`), readFileSync(`${file}.crt`)]), { mode: 0o600 });
}

function siteNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => (index === 0 ? 'default' : `name-${index}`));
}

/** The fingerprint of the leaf that is served for a name now; undefined while nothing answers. */
async function served(port: number, servername: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const socket = connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false });
  socket.once('secureConnect', () => {
    const leaf = socket.getPeerX509Certificate();
    socket.destroy();
    resolve(leaf === undefined ? undefined : new X509Certificate(leaf.raw).fingerprint256);
  });
  socket.once('error', () => resolve(undefined));
  return promise;
}

async function until(wish: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + GIVE_UP_MS;
  while (performance.now() < end) {
    if (await wish()) return;
    await sleep(1);
  }
  throw new Error(`it did not happen within ${GIVE_UP_MS} ms`);
}

function start([program = '', ...args]: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
  return spawn(program, args, { env: { ...process.env, ...env }, stdio: 'ignore' });
}

async function finished(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once('close', () => resolve());
  await promise;
}
