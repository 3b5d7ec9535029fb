import { generateKeyPairSync, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import type { AcmeClient, NewOrder } from '../../src/acme/client.ts';
import { keyAuthorization } from '../../src/acme/jwk.ts';
import type { Order, Polled, Signatory } from '../../src/acme/resources.ts';
import { run } from './command.ts';
import { scratchDirectory } from './scratch.ts';

export function ecKey(curve = 'P-256'): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: curve }).privateKey;
}

/** A PKCS #10 request that OpenSSL made, with its key. */
export interface MadeRequest {
  readonly der: Buffer;
  readonly keyPem: string;
}

export async function opensslRequest(t: Pick<TestContext, 'after'>, names: readonly string[]): Promise<MadeRequest> {
  const directory = scratchDirectory(t);
  const config = join(directory, 'request.cnf');
  const alternative = names.map((name) => (/^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`)).join(',');
  writeFileSync(config, `[req]\ndistinguished_name=dn\nreq_extensions=ext\nprompt=no\n[dn]\n[ext]\nsubjectAltName=${alternative}\n`);
  const [key, der] = [join(directory, 'key.pem'), join(directory, 'request.der')];
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-outform', 'DER', '-out', der];
  const { code, stderr } = await run('openssl', ['req', '-new', '-config', config, '-subj', '/', ...made]);
  if (code !== 0) throw new Error(`openssl req failed: ${stderr}`);
  return { der: readFileSync(der), keyPem: readFileSync(key, 'utf8') };
}

/** Answers http-01 on a port of loopback until the test ends. */
export async function http01Answers(t: Pick<TestContext, 'after'>, port: number): Promise<Map<string, string>> {
  const answers = new Map<string, string>();
  const server = createServer((request, response) => {
    const answer = answers.get((request.url ?? '').replace('/.well-known/acme-challenge/', ''));
    response.writeHead(answer === undefined ? 404 : 200).end(answer);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(port, '127.0.0.1', resolve);
  await promise;
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return answers;
}

export async function pause(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, ms);
  await promise;
}

const SOON = 20;

/** Asks for the order until it is in one of the states. */
async function orderIn(
  client: AcmeClient,
  by: Signatory,
  first: Polled<Order>,
  states: readonly Order['status'][],
  signal: AbortSignal,
): Promise<Order> {
  let order = first.value;
  while (!states.includes(order.status)) {
    await pause(SOON);
    order = (await client.order(by, order.url, signal)).value;
  }
  return order;
}

/** Orders, proves by http-01, finalizes, and gives the order in `valid`: what an issuer does, without its care. */
export async function validOrder(
  client: AcmeClient,
  by: Signatory,
  request: NewOrder,
  csr: Uint8Array,
  answers: Map<string, string>,
  signal: AbortSignal,
): Promise<Order> {
  const placed = await client.newOrder(by, request, signal);
  for (const url of placed.value.authorizations) {
    let authorization = (await client.authorization(by, url, signal)).value;
    if (authorization.status === 'pending') {
      const challenge = authorization.challenges.find(({ type }) => type === 'http-01');
      if (challenge?.token === undefined) throw new Error('no http-01 is offered');
      answers.set(challenge.token, keyAuthorization(challenge.token, by.key));
      await client.answerChallenge(by, challenge.url, signal);
    }
    while (authorization.status === 'pending') {
      await pause(SOON);
      authorization = (await client.authorization(by, url, signal)).value;
    }
    if (authorization.status !== 'valid') throw new Error(`the authorization is ${authorization.status}: ${JSON.stringify(authorization)}`);
  }
  const ready = await orderIn(client, by, placed, ['ready'], signal);
  return orderIn(client, by, await client.finalize(by, ready, csr, signal), ['valid', 'invalid'], signal);
}

export function certificatesIn(pem: string): X509Certificate[] {
  return pem
    .split(/(?<=-----END CERTIFICATE-----)/)
    .filter((block) => block.includes('BEGIN'))
    .map((block) => new X509Certificate(block));
}
