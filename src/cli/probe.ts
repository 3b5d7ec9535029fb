import type { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { parseCertificates } from '../certificate/bundle.ts';
import { parseEndpoint } from '../delivery/endpoint.ts';
import { probe, type ProbeResult, type Served } from '../delivery/probe.ts';
import { DAY, SECOND } from '../platform/clock.ts';
import { PodserveError, describeError, systemCode } from '../platform/errors.ts';
import { flag, text, type Arguments, type Command, type Context } from './command.ts';
import { pathsOf } from './settings.ts';

const DEFAULT_TIMEOUT = 10;

export const command: Command = {
  summary: 'shake hands with endpoints and judge the certificates they serve',
  help: `usage: podserve probe ENDPOINT… [--servername NAME] [--expect FILE] [--ca FILE] [--timeout SECONDS] [--json]

Connects, speaks STARTTLS where the protocol has it, shakes hands, and judges name, chain and dates.
An endpoint is SCHEME://HOST[:PORT]; IPv6 addresses stand in brackets. The schemes and their default ports:
  https 443   smtp 25 (STARTTLS)   submission 587 (STARTTLS)   smtps 465   imap 143 (STARTTLS)   imaps 993
  pop3 110 (STLS)   pop3s 995   dot 853   tls (needs a port)

  --servername NAME   ask for this name and judge by it (default: the endpoint's host); *.x asks for podserve-probe.x,
                      an address is judged but not sent
  --expect FILE       the first certificate in this PEM file must be served; it is then trusted without a root
  --ca FILE           judge the chain by the roots in this PEM file alone (default: ca.pem of the publication
                      in the state directory, and the roots of this host)
  --timeout SECONDS   for each endpoint (default: ${DEFAULT_TIMEOUT})
  --state DIR         the state directory (default: ./data)
  --json              print the result as JSON

Exit codes: 0 every endpoint serves what it should, 1 one does not, 2 wrong usage.

  podserve probe https://localhost:8443
  podserve probe smtp://mail.example.org imaps://mail.example.org --servername mail.example.org
  podserve probe https://192.0.2.7 --servername www.example.org --expect data/certificates/default/cert.pem`,
  options: {
    servername: { type: 'string' },
    expect: { type: 'string' },
    ca: { type: 'string' },
    timeout: { type: 'string' },
  },
  positionals: true,
  run,
};

async function run(args: Arguments, context: Context): Promise<number> {
  if (args.positionals.length === 0) {
    throw new PodserveError('USAGE', 'there is no endpoint to probe', { remedy: 'give one such as https://localhost:8443' });
  }
  const endpoints = args.positionals.map(parseEndpoint);
  const options = {
    servername: text(args, 'servername'),
    timeoutMs: readTimeout(text(args, 'timeout')) * SECOND,
    signal: context.signal,
    clock: context.clock,
    trust: await readTrust(args, context),
    ...readExpected(text(args, 'expect'), context.cwd),
  };
  const results = await Promise.all(endpoints.map((endpoint) => probe(endpoint, options)));
  const failed = results.filter((result) => result.failures.length > 0).length;
  if (flag(args, 'json')) context.out(JSON.stringify({ ok: failed === 0, endpoints: results.map(asJson) }, null, 2));
  else for (const result of results) report(result, context);
  return failed === 0 ? 0 : 1;
}

function readTimeout(value: string | undefined): number {
  if (value === undefined) return DEFAULT_TIMEOUT;
  const seconds = Number(value);
  if (value.trim() !== '' && seconds > 0 && seconds <= 3600) return seconds;
  throw new PodserveError('USAGE', '--timeout was not understood', { where: JSON.stringify(value), remedy: 'give seconds, such as 2.5' });
}

async function readTrust(args: Arguments, context: Context): Promise<string> {
  const given = text(args, 'ca');
  if (given !== undefined) {
    readPem('--ca', resolve(context.cwd, given));
    return readFileSync(resolve(context.cwd, given), 'utf8');
  }
  const { systemRoots } = await import('../delivery/roots.ts');
  return [publishedRoots(pathsOf(args, context).certificates), systemRoots()].join('\n');
}

function publishedRoots(root: string): string {
  try {
    return readFileSync(join(root, 'ca.pem'), 'utf8');
  } catch {
    // No publication here, or not ours to read: the host's own roots are left.
    return '';
  }
}

function readExpected(file: string | undefined, cwd: string): { expected?: X509Certificate } {
  if (file === undefined) return {};
  const [expected] = readPem('--expect', resolve(cwd, file));
  return expected === undefined ? {} : { expected };
}

/** @throws PodserveError USAGE unless the file holds a certificate */
function readPem(option: string, file: string): X509Certificate[] {
  const wrong = (why: string, cause?: unknown): PodserveError => {
    return new PodserveError('USAGE', `the file given with ${option} cannot be used`, {
      where: file,
      why,
      remedy: 'give a PEM file',
      cause,
    });
  };
  try {
    const certificates = parseCertificates(readFileSync(file, 'utf8'));
    if (certificates.length > 0) return certificates;
  } catch (cause) {
    throw wrong(cause instanceof PodserveError ? (cause.why ?? cause.message) : (systemCode(cause) ?? describeError(cause)), cause);
  }
  throw wrong('there is no certificate in it');
}

function report(result: ProbeResult, context: Context): void {
  const verdict = result.failures.length === 0 ? 'ok' : `FAILED: ${result.failures.map(({ step }) => step).join(', ')}`;
  context.out(`${result.endpoint.url}  ${verdict}`);
  if (result.served !== undefined) for (const line of describeServed(result, result.served, context)) context.out(`  ${line}`);
  for (const failure of result.failures) context.err(`podserve probe: ${describeError(failure)}`);
}

function describeServed(result: ProbeResult, served: Served, context: Context): string[] {
  const [leaf, ...others] = served.chain;
  if (leaf === undefined) return [];
  const asked = result.serverName === undefined ? `without a server name, judged for ${result.name}` : `asked for ${result.name}`;
  const days = Math.floor((Date.parse(leaf.notAfter) - context.clock.now()) / DAY);
  return [
    `handshake  ${served.address}, ${asked}, ${served.protocol} ${served.cipher}, ${result.tookMs} ms`,
    `leaf       ${leaf.subject === '' ? '(no subject)' : leaf.subject}, serial ${leaf.serial}`,
    `issuer     ${leaf.issuer}`,
    `names      ${served.names.join(', ')}`,
    `valid      ${leaf.notBefore} to ${leaf.notAfter} (${days} d left)`,
    `SHA-256    ${leaf.sha256}`,
    ...others.map((one, index) => `chain ${index + 1}    ${one.subject}, to ${one.notAfter}, SHA-256 ${one.sha256}`),
  ];
}

function asJson(result: ProbeResult): object {
  const { endpoint, failures, ...rest } = result;
  return {
    ...endpoint,
    ok: failures.length === 0,
    ...rest,
    failures: failures.map(({ step, afterMs, peerSaid, why, remedy, message }) => ({ step, afterMs, peerSaid, message, why, remedy })),
  };
}
