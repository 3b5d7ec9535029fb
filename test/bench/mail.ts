import { execFile, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { buildImages } from '../../scripts/test/podman.ts';
import { BOB, HOSTNAME, addAccount, mailbox, untilMailReady, untilMailServes } from '../support/mail.ts';
import { PODMAN_ENV, eventually, podHost, type PodHost } from '../support/pods.ts';
import { publishedLeaf, renew, untilPublished } from '../support/pods-web.ts';
import { freePort } from '../support/scratch.ts';
import { isInstalled, median, milliseconds, type Row } from './measure.ts';

const MESSAGES = 200;
const SESSIONS = 10;
const BYTES = 4000;
const ROUNDS = 3;
const PAUSE_MS = 2000;
const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * A name server for the pod alone that knows no name: Rspamd asks it about every stranger, and how soon the lists of the
 * world answer is not ours to measure.
 */
const NO_SUCH_NAME = `const server = require('node:dgram').createSocket('udp4');
server.on('message', (query, { port, address }) => {
  query[2] |= 0x80;
  query[3] = 0x83;
  server.send(query, port, address);
});
server.bind(53, '127.0.0.1');`;
const OWN_DNS = "spec:\n  dnsPolicy: None\n  dnsConfig: { nameservers: ['127.0.0.1'] }\n";

/** The mail pod as it is shipped: how soon it is ready, what it takes, how much it takes in, and what renewals cost it. */
export async function measureMail(): Promise<Row[]> {
  if (process.getuid?.() !== 0 || !isInstalled('podman') || !isInstalled('smtp-source')) return [];
  const complaint = await buildImages({ env: PODMAN_ENV, checkout: CHECKOUT, signal: AbortSignal.timeout(15 * 60_000) });
  if (complaint !== '') throw new Error(complaint);
  await using ends = new AsyncDisposableStack();
  const host = await podHost({ after: (end) => ends.defer(async () => void (await end())) });
  const config = {
    domain: 'lab.example',
    certificates: [{ name: 'default', names: [HOSTNAME], consumers: ['mail'] }],
    mail: { hostname: HOSTNAME },
  };
  writeFileSync(join(host.data, 'config/podserve.yaml'), JSON.stringify(config));
  const settings = { DOMAIN: '', CERT_CONSUMERS: '' };
  await host.play('certificates.yaml', { settings });
  await untilPublished(host);

  const first = await timed(() => host.play('mail.yaml', { settings, edit: withOwnDns }), host);
  await addAccount(host, BOB);
  const again: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await host.must(['pod', 'stop', '--time', '10', 'mail']);
    again.push(await timed(async () => void (await host.must(['pod', 'start', 'mail'])), host));
  }
  await host.must(['exec', '--detach', 'mail-mail', 'node', '-e', NO_SUCH_NAME]);
  const idle = await memoryOf(host);

  const plain: number[] = [];
  const renewing: number[] = [];
  const served: number[] = [];
  const sink: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    sink.push(await rateOfSink());
    plain.push(await rateOf('127.0.0.1:25'));
    const stop = new AbortController();
    const renewals = renewAllTheTime(host, served, stop.signal);
    renewing.push(await rateOf('127.0.0.1:25'));
    stop.abort();
    await renewals;
  }
  const sent = 2 * ROUNDS * MESSAGES;
  await eventually(async () => (await countOf(host)) >= sent, 'every message that was accepted is delivered', 120_000);
  const loaded = await memoryOf(host);

  return [
    row('mail: pod played to ready, the first time', milliseconds(first)),
    row('mail: started again to ready, rules compiled before', milliseconds(median(again))),
    row('mail: memory of the pod (PSS), idle', `${idle} MiB`, `after ${sent} messages ${loaded} MiB`),
    row(
      `mail: messages of ${BYTES} bytes over ${SESSIONS} connections`,
      `${rounded(median(plain))}/s`,
      `smtp-sink ${rounded(median(sink))}/s`,
      (median(plain) / median(sink)).toFixed(4),
    ),
    row(
      `mail: the same, certificates renewed every ${PAUSE_MS / 1000} s`,
      `${rounded(median(renewing))}/s`,
      `without renewals ${rounded(median(plain))}/s`,
      (median(renewing) / median(plain)).toFixed(2),
    ),
    row(
      `mail: published to served on five ports under it`,
      milliseconds(median(served)),
      `most ${milliseconds(Math.max(...served))}, of ${served.length}`,
    ),
  ];
}

function withOwnDns(text: string): string {
  return text.replace('spec:\n', OWN_DNS);
}

function row(what: string, ours: string, peer = '', ratio = ''): Row {
  return { what, ours, peer, ratio, aim: '', met: undefined };
}

async function timed(start: () => Promise<void>, host: PodHost): Promise<number> {
  const began = performance.now();
  await start();
  await untilMailReady(host, 120_000);
  return performance.now() - began;
}

/** Messages a second, accepted. */
async function rateOf(server: string): Promise<number> {
  const options = [
    '-s',
    SESSIONS,
    '-m',
    MESSAGES,
    '-l',
    BYTES,
    '-M',
    'client.outside.example',
    '-f',
    'stranger@outside.example',
    '-t',
    BOB,
    server,
  ];
  const began = performance.now();
  await promisify(execFile)('smtp-source', options.map(String));
  return (MESSAGES / (performance.now() - began)) * 1000;
}

/** What the sender and the network of this machine can do: a server that throws everything away. */
async function rateOfSink(): Promise<number> {
  const port = await freePort();
  const child = spawn('smtp-sink', ['-u', 'nobody', `127.0.0.1:${port}`, '100'], { stdio: 'ignore' });
  try {
    await sleep(300);
    return await rateOf(`127.0.0.1:${port}`);
  } finally {
    child.kill();
  }
}

async function renewAllTheTime(host: PodHost, served: number[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const old = await publishedLeaf(host);
    const renewal = renew(host);
    await eventually(async () => (await publishedLeaf(host)) !== old, 'a renewal is published');
    served.push(await untilMailServes(host, Date.now()));
    await renewal;
    await sleep(PAUSE_MS);
  }
}

async function countOf(host: PodHost): Promise<number> {
  const client = await mailbox(host, BOB);
  try {
    let count = 0;
    for (const box of ['INBOX', 'Junk']) {
      const status = await client.status(box, { messages: true });
      count += status === false ? 0 : (status.messages ?? 0);
    }
    return count;
  } finally {
    await client.logout();
  }
}

/** MiB: what the processes share is counted once. */
async function memoryOf(host: PodHost): Promise<number> {
  const pids = (await host.must(['top', 'mail-mail', 'hpid'])).split('\n').slice(1);
  const kibibytes = pids.map((pid) => {
    try {
      return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid.trim()}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      return 0;
    }
  });
  return Math.round(kibibytes.reduce((sum, one) => sum + one, 0) / 1024);
}

function rounded(rate: number): string {
  return rate.toFixed(rate < 100 ? 1 : 0);
}
