import { covers, displayIdentifier, parseIdentifier, type Identifier } from '../../certificate/identifier.ts';
import { isLocalIssuer } from '../../certificate/spec.ts';
import type { Config } from '../../config/config.ts';
import { nearest } from '../../config/nearest.ts';
import type { StatePaths } from '../../config/state.ts';
import { SECOND, type Clock } from '../../platform/clock.ts';
import { PodserveError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import { examineHost } from './ask-host.ts';
import { CA_PORTS, examine, type Examination } from './examine.ts';
import type { Finding } from './finding.ts';

export interface DoctorOptions {
  readonly config: Config;
  readonly paths: StatePaths;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Certificates, or names that certificates are for; none: everything. */
  readonly names: readonly string[];
  /** What CAs call 80 and 443: others in tests alone. */
  readonly ports?: Examination['ports'];
}

export interface Diagnosis {
  /** What was looked at with each ACME issuer; empty where only local issuers are asked. */
  readonly issuers: readonly { readonly issuer: string; readonly names: readonly string[] }[];
  readonly findings: readonly Finding[];
}

/** For many names and slow servers, ms. */
const TIMEOUT = 60 * SECOND;

/**
 * Looks at this host, and at every name with every ACME issuer that it is to come from.
 * @throws PodserveError USAGE for a name that is not configured; the signal's reason
 */
export async function diagnose({ config, paths, clock, log, signal, names, ports = CA_PORTS }: DoctorOptions): Promise<Diagnosis> {
  const wanted = wantedOf(config, names);
  const findings = [...examineHost(paths, clock.now())];
  const issuers: { issuer: string; names: string[] }[] = [];
  // One after the other: two issuers may be configured for the same port.
  for (const [name, identifiers] of wanted) {
    const issuer = config.issuers[name];
    if (issuer === undefined) continue;
    issuers.push({ issuer: name, names: identifiers.map(displayIdentifier) });
    findings.push(...(await examine({ config, identifiers, issuer, paths, clock, log, signal, timeoutMs: TIMEOUT, ports })));
  }
  return { issuers, findings: distinct(findings) };
}

/** By ACME issuer, each name once. */
function wantedOf(config: Config, names: readonly string[]): Map<string, Identifier[]> {
  const wanted = new Map<string, Map<string, Identifier>>();
  const chosen =
    names.length === 0
      ? config.certificates.map((spec) => ({ spec, identifiers: spec.identifiers }))
      : names.flatMap((name) => named(config, name));
  for (const { spec, identifiers } of chosen) {
    for (const issuer of spec.issuers) {
      if (isLocalIssuer(issuer)) continue;
      const known = wanted.get(issuer) ?? new Map<string, Identifier>();
      for (const identifier of identifiers) known.set(identifier.value, identifier);
      wanted.set(issuer, known);
    }
  }
  return new Map([...wanted].map(([issuer, known]) => [issuer, [...known.values()]]));
}

type Chosen = { readonly spec: Config['certificates'][number]; readonly identifiers: readonly Identifier[] };

function named(config: Config, name: string): Chosen[] {
  const byName = config.certificates.find((spec) => spec.name === name);
  if (byName !== undefined) return [{ spec: byName, identifiers: byName.identifiers }];
  const identifier = readIdentifier(name);
  const found = config.certificates.flatMap((spec): Chosen[] => {
    const exact = spec.identifiers.filter((one) => one.value === identifier?.value);
    const identifiers = exact.length > 0 || identifier === undefined ? exact : spec.identifiers.filter((one) => covers([one], identifier));
    return identifiers.length === 0 ? [] : [{ spec, identifiers }];
  });
  if (found.length > 0) return found;
  const known = config.certificates.flatMap((spec) => [spec.name, ...spec.identifiers.map(displayIdentifier)]);
  const guess = nearest(name, known);
  throw new PodserveError('USAGE', `no certificate ${JSON.stringify(name)} is configured, and none is for that name`, {
    remedy: guess === undefined ? 'podserve config show lists certificates and their names' : `did you mean ${guess}?`,
  });
}

function readIdentifier(text: string): Identifier | undefined {
  try {
    return parseIdentifier(text);
  } catch {
    return undefined;
  }
}

/** Two issuers find the same of a name's addresses. */
function distinct(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((finding) => [JSON.stringify(finding), finding])).values()];
}
