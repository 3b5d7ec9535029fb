import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Fault, FaultProxy, Reply } from './acme-fault-proxy.ts';
import { run } from './command.ts';
import { fakeDate } from './fake-time.ts';
import { opensslCa } from './openssl-ca.ts';

const ERROR = 'urn:ietf:params:acme:error:';

/** A problem document (RFC 7807) as an ACME server sends it; `type` without its prefix. */
export function problem(
  status: number,
  type: string,
  detail: string,
  more: { readonly headers?: Reply['headers']; readonly subproblems?: readonly unknown[] } = {},
): Fault {
  const body = JSON.stringify({ type: `${ERROR}${type}`, detail, status, subproblems: more.subproblems });
  return { do: 'answer', reply: { status, headers: { 'content-type': 'application/problem+json', ...more.headers }, body } };
}

/** What is not ACME at all: a load balancer's page, nonsense, another type. */
export function raw(status: number, contentType: string, body: string, headers: Reply['headers'] = {}): Fault {
  return { do: 'answer', reply: { status, headers: { 'content-type': contentType, ...headers }, body } };
}

/** Changes fields of a JSON answer that is no error. */
export function changeJson(change: (body: Record<string, unknown>) => Record<string, unknown>): Fault {
  return {
    do: 'change',
    change(reply) {
      if (reply.status >= 400) return reply;
      return { ...reply, body: Buffer.from(JSON.stringify(change(JSON.parse(reply.body.toString()) as Record<string, unknown>))) };
    },
  };
}

/** An answer that is no error, with another text. */
export function changeText(change: (text: string) => string): Fault {
  return {
    do: 'change',
    change: (reply) => (reply.status >= 400 ? reply : { ...reply, body: Buffer.from(change(reply.body.toString())) }),
  };
}

/** An order that never gets done, and a server that wants an hour for it. */
export function staysProcessing(): Fault {
  return {
    do: 'change',
    change(reply) {
      if (reply.status >= 400) return reply;
      const order = JSON.parse(reply.body.toString()) as Record<string, unknown>;
      if (order['status'] !== 'valid') return reply;
      const body = Buffer.from(JSON.stringify({ ...order, status: 'processing', certificate: undefined }));
      // Longer than anybody waits within one order.
      return { ...reply, headers: { ...reply.headers, 'retry-after': '3600' }, body };
    },
  };
}

/** An authorization whose validation failed, as an ACME server tells it; the challenge has the reason. */
export function turnsInvalid(type: string, detail: string, subproblems: readonly unknown[] = []): Fault {
  const error = { type: `${ERROR}${type}`, detail, status: 403, subproblems };
  return changeJson((authorization) => ({
    ...authorization,
    status: 'invalid',
    challenges: (authorization['challenges'] as Record<string, unknown>[]).map((one, index) =>
      index === 0 ? { ...one, status: 'invalid', error } : one,
    ),
  }));
}

export type WrongCertificate = 'other names' | 'another key' | 'broken chain' | 'expired' | 'no certificate';

/** A certificate download that is not what was asked for. `directory` takes the CA that makes it. */
export function wrongCertificate(kind: WrongCertificate, directory: string, names: readonly string[], proxy: FaultProxy): Fault {
  return {
    do: 'change',
    async change(reply) {
      if (reply.status !== 200) return reply;
      return { ...reply, body: Buffer.from(await wrongPem(kind, directory, names, proxy, reply.body.toString())) };
    },
  };
}

async function wrongPem(
  kind: WrongCertificate,
  directory: string,
  names: readonly string[],
  proxy: FaultProxy,
  right: string,
): Promise<string> {
  if (kind === 'no certificate') return right.slice(0, 200);
  const ca = await opensslCa(directory, 'Wrong CA');
  const intermediate = readFileSync(join(directory, 'intermediate.pem'), 'utf8');
  if (kind === 'another key') return readFileSync((await ca.leaf('other', { names })).fullchainFile, 'utf8');
  if (kind === 'broken chain') return `${right.slice(0, right.indexOf('-----END'))}-----END CERTIFICATE-----\n${intermediate}`;
  const wrong = kind === 'other names' ? { names: ['elsewhere.test'], days: 30 } : { names, days: 1, at: '2020-01-01' };
  return (await signed(directory, proxy.lastCsr(), wrong)) + intermediate;
}

/** A certificate for the key of a CSR, whatever names that asks for. */
async function signed(directory: string, csr: Buffer, wanted: { names: readonly string[]; days: number; at?: string }): Promise<string> {
  const at = (name: string): string => join(directory, name);
  writeFileSync(at('asked.der'), csr);
  const alternative = wanted.names.map((name) => (/^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`)).join(',');
  writeFileSync(at('asked.ext'), `basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=${alternative}\n`);
  const authority = ['-CA', at('intermediate.pem'), '-CAkey', at('intermediate.key'), '-set_serial', '0x4711'];
  const args = [
    'x509',
    '-req',
    '-inform',
    'DER',
    '-in',
    at('asked.der'),
    ...authority,
    '-days',
    String(wanted.days),
    '-extfile',
    at('asked.ext'),
  ];
  const { code, stdout, stderr } = await run('openssl', args, { env: fakeDate(wanted.at ?? '1 hour ago') });
  if (code !== 0) throw new Error(`openssl ${args.join(' ')} failed:\n${stderr}`);
  return stdout;
}
