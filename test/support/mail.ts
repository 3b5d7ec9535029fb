import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as secureConnect } from 'node:tls';

import { ImapFlow } from 'imapflow';
import { createTransport, type Transporter } from 'nodemailer';

import { leafSha256 } from '../../src/certificate/bundle.ts';
import { parseEndpoint } from '../../src/delivery/endpoint.ts';
import { servedLeafSha256 } from '../../src/delivery/probe.ts';
import type { StatusAnswer } from './apache.ts';
import { eventually, type PodHost } from './pods.ts';

export const HOSTNAME = 'mail.lab.example';
export const ALICE = 'alice@lab.example';
export const BOB = 'bob@lab.example';
export const PASSWORD = 'correct horse battery';
/** Every port with TLS, as an endpoint. */
const ENDPOINTS = ['smtp', 'submission', 'smtps', 'imap', 'imaps'].map((scheme) => `${scheme}://127.0.0.1`);

export async function mailStatus(host: PodHost): Promise<StatusAnswer> {
  return (await host.status('mail-mail', 9083)) as unknown as StatusAnswer;
}

export async function untilMailReady(host: PodHost, ms = 60_000): Promise<void> {
  const ready = async (): Promise<boolean> => (await mailStatus(host)).ready;
  await eventually(ready, 'mail is ready', ms, async () => `${JSON.stringify(await mailStatus(host))}\n${await host.logs('mail-mail')}`);
}

/** `podserve mail …` in the container. */
export async function mailCommand(host: PodHost, args: readonly string[], input = ''): ReturnType<PodHost['podman']> {
  return host.podman(['exec', '--interactive', 'mail-mail', 'podserve', 'mail', ...args, '--state', '/data/state'], { input });
}

export async function addAccount(host: PodHost, address: string, ...options: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await mailCommand(host, ['user', 'add', address, '--password-file', '-', ...options], `${PASSWORD}\n`);
  assert.equal(code, 0, stdout + stderr);
}

function caOf(host: PodHost): string {
  return readFileSync(join(host.data, 'certificates/ca.pem'), 'utf8');
}

export interface SubmissionWish {
  readonly user?: string;
  readonly password?: string;
  readonly port?: 465 | 587;
  readonly pool?: boolean;
}

/** nodemailer on the submission port, with the chain and the name verified. */
export function submission(
  host: PodHost,
  { user = ALICE, password = PASSWORD, port = 587, pool = false }: SubmissionWish = {},
): Transporter {
  const options = { host: '127.0.0.1', port, secure: port === 465, requireTLS: true, pool, maxConnections: 1 };
  return createTransport({ ...options, auth: { user, pass: password }, tls: { ca: caOf(host), servername: HOSTNAME } });
}

/** imapflow, logged in, with the chain and the name verified. */
export async function mailbox(host: PodHost, user = ALICE, password = PASSWORD, port: 143 | 993 = 993): Promise<ImapFlow> {
  const client = new ImapFlow({
    host: '127.0.0.1',
    port,
    secure: port === 993,
    doSTARTTLS: port === 143,
    servername: HOSTNAME,
    auth: { user, pass: password },
    tls: { ca: caOf(host) },
    logger: false,
  });
  await client.connect();
  return client;
}

/** The whole messages in a mailbox. */
export async function messagesIn(host: PodHost, user = ALICE, box = 'INBOX'): Promise<string[]> {
  const client = await mailbox(host, user);
  try {
    await client.mailboxOpen(box);
    const found: string[] = [];
    for await (const { source } of client.fetch('1:*', { source: true })) {
      // Without one it tells of flags that somebody else has changed.
      if (source !== undefined) found.push(source.toString());
    }
    return found;
  } catch (error) {
    // An empty mailbox has no message 1.
    if (/Invalid messageset/i.test(String((error as { responseText?: string }).responseText))) return [];
    throw error;
  } finally {
    await client.logout();
  }
}

/** Waits until a message with this text is there. @returns it */
export async function untilDelivered(host: PodHost, text: string, user = ALICE, box = 'INBOX'): Promise<string> {
  let found: string | undefined;
  const arrived = async (): Promise<boolean> => {
    found = (await messagesIn(host, user, box)).find((message) => message.includes(text));
    return found !== undefined;
  };
  await eventually(arrived, `${text} is in ${box} of ${user}`, 20_000, () => host.logs('mail-mail'));
  return found ?? '';
}

/** The fingerprint of what each port serves, by handshakes. */
export function servedByMailPorts(servername = HOSTNAME): Promise<string[]> {
  return Promise.all(ENDPOINTS.map((url) => servedLeafSha256(parseEndpoint(url), { servername, timeoutMs: 3000 })));
}

/** Waits until every port serves what is published. @returns ms since `began`, of the last port */
export async function untilMailServes(host: PodHost, began: number, servername = HOSTNAME, name = 'default'): Promise<number> {
  const wanted = leafSha256((await host.current(name))!.bundle.leaf);
  await Promise.all(
    ENDPOINTS.map((url) => {
      const serves = async (): Promise<boolean> => (await servedLeafSha256(parseEndpoint(url), { servername, timeoutMs: 3000 })) === wanted;
      return eventually(serves, `${url} serves it`, 10_000, () => host.logs('mail-mail'));
    }),
  );
  return Date.now() - began;
}

/**
 * Speaks SMTP word for word: each line is sent when the one before was answered, but for parts that are sent as they are.
 * @returns the answers, the greeting first
 */
export async function smtpDialogue(
  lines: readonly string[],
  { port = 25, tls = false }: { port?: number; tls?: boolean } = {},
): Promise<string[]> {
  const socket = tls ? secureConnect({ port, host: '127.0.0.1', rejectUnauthorized: false }) : connect(port, '127.0.0.1');
  const answers: string[] = [];
  let pending = '';
  const waiting: ((line: string) => void)[] = [];
  socket.setEncoding('utf8');
  socket.on('data', (data: string) => {
    pending += data;
    for (
      let match = /^(?:\d{3}-[^\n]*\n)*\d{3} [^\n]*\n/.exec(pending);
      match !== null;
      match = /^(?:\d{3}-[^\n]*\n)*\d{3} [^\n]*\n/.exec(pending)
    ) {
      answers.push(match[0].trim());
      pending = pending.slice(match[0].length);
      waiting.shift()?.(match[0]);
    }
  });
  const ended = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  socket.once('error', () => undefined);
  const answered = (): Promise<void> =>
    Promise.race([
      ended,
      new Promise<void>((resolve) => waiting.push(() => resolve())),
      new Promise<void>((resolve) => setTimeout(resolve, 10_000)),
    ]);
  await answered();
  for (const line of lines) {
    if (socket.destroyed) break;
    const next = answered();
    socket.write(line.endsWith('\n') ? line : `${line}\r\n`);
    await next;
  }
  socket.end();
  socket.destroy();
  return answers;
}
