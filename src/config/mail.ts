import { covers, parseIdentifier } from '../certificate/identifier.ts';
import type { CertificateSpec } from '../certificate/spec.ts';
import { findCertificate, readFilePath } from './apache.ts';
import type { MailConfig } from './config.ts';
import { DEFAULTS } from './defaults.ts';
import { parseListen } from './listen.ts';
import { short, type Path } from './problem.ts';
import { attempt, elements, type Scope } from './scope.ts';
import type { Raw } from './shape.ts';

type RawMail = NonNullable<Raw['mail']>;

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, kB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
/** What SMTP servers must take at the very least (RFC 5321 §4.5.3.1.7). */
const LEAST_MESSAGE = 64 * 1024;

export function interpretMail(
  scope: Scope,
  raw: Raw['mail'],
  around: { readonly domain: string; readonly certificates: readonly CertificateSpec[]; readonly status: string },
): MailConfig {
  const path: Path = ['mail'];
  const certificate = raw?.certificate ?? 'default';
  const spec = findCertificate(scope, certificate, [...path, 'certificate'], around.certificates);
  const hostname = readName(scope, raw?.hostname, [...path, 'hostname']) ?? around.domain;
  const domains = elements(raw?.domains, [...path, 'domains']).flatMap(({ value, path: at }) => readName(scope, value, at) ?? []);
  if (raw?.hostname !== undefined && spec !== undefined && !covers(spec.identifiers, parseIdentifier(hostname)))
    scope.warn(`mail.hostname: the certificate ${certificate} does not cover ${hostname}; add it to its names`);
  const messageSize = readSize(scope, raw?.messageSize ?? DEFAULTS.messageSize, [...path, 'messageSize']);
  const quota = raw?.quota === 'none' ? undefined : readSize(scope, raw?.quota ?? DEFAULTS.quota, [...path, 'quota']);
  if (messageSize < LEAST_MESSAGE)
    scope.report({ path: [...path, 'messageSize'] }, `${messageSize} bytes are less than any server must take`, 'give at least 64KiB');
  if (quota !== undefined && quota < messageSize)
    scope.report({ path: [...path, 'quota'] }, 'a mailbox that is smaller than a message takes none', 'raise quota, or lower messageSize');
  return {
    hostname,
    domains: domains.length > 0 ? [...new Set(domains)] : [around.domain],
    certificate,
    pop3: raw?.pop3 ?? false,
    messageSize,
    quota,
    relay: readRelay(scope, raw?.relay),
    sendLimit: readLimit(scope, raw?.sendLimit),
    status: around.status,
  };
}

/** Bytes, from `50MiB`, `20MB` or a plain number; undefined where it is none. */
export function parseSize(value: string | number): number | undefined {
  const [, number = '', unit = ''] = /^(\d{1,15})\s*([A-Za-z]*)$/.exec(String(value)) ?? [];
  const factor = UNITS[unit];
  const bytes = Number(number) * (factor ?? Number.NaN);
  return number !== '' && Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
}

function readSize(scope: Scope, value: string | number, path: Path): number {
  const bytes = parseSize(value);
  if (bytes === undefined) scope.report({ path }, `${JSON.stringify(value)} is no size`, 'write it like 50MiB, 2GiB or bytes');
  return bytes ?? Number.MAX_SAFE_INTEGER;
}

function readName(scope: Scope, value: string | undefined, path: Path): string | undefined {
  if (value === undefined) return undefined;
  const identifier = attempt(scope, { path }, () => parseIdentifier(value));
  if (identifier === undefined) return undefined;
  if (identifier.type === 'dns' && !identifier.value.startsWith('*.')) return identifier.value;
  scope.report({ path }, `${short(value)} is no DNS name of one host or domain`, 'write it like mail.example.org');
  return undefined;
}

function readRelay(scope: Scope, raw: RawMail['relay']): MailConfig['relay'] {
  if (raw?.server === undefined) return undefined;
  const path = ['mail', 'relay', 'server'];
  const server = /:\d+$/.test(raw.server) ? raw.server : `${raw.server}:${DEFAULTS.relayPort}`;
  const known = parseListen(server) !== undefined || /^[a-z0-9.-]+:\d{1,5}$/i.test(server);
  if (!known) scope.report({ path }, `${JSON.stringify(short(raw.server))} is no server`, 'write it like smtp.example.org:587');
  return {
    server,
    credentialsFile:
      raw.credentialsFile === undefined ? undefined : readFilePath(scope, raw.credentialsFile, ['mail', 'relay', 'credentialsFile']),
  };
}

function readLimit(scope: Scope, value: number | undefined): number {
  if (value === undefined) return DEFAULTS.sendLimit;
  if (value < 1) scope.report({ path: ['mail', 'sendLimit'] }, `${value} is no number of messages`, 'give 1 or more');
  return value;
}
