import { basename, dirname } from 'node:path';

import { parseIdentifier } from '../../certificate/identifier.ts';
import type { Endpoint } from '../../delivery/endpoint.ts';
import type { Clock } from '../../platform/clock.ts';
import { scrubbedEnvironment } from '../../platform/environment.ts';
import type { Log } from '../../platform/log.ts';
import { currentLink } from '../../publication/layout.ts';
import type { HeldCertificates, ServedAt, TlsService } from '../service.ts';
import type { Copy } from './copy.ts';
import { runShell, type ShellCommand } from './shell.ts';

export interface ConsumeOptions {
  /** The certificate. */
  readonly name: string;
  /** The publication, or the directory of this one certificate. */
  readonly publication: string;
  readonly copy: Copy;
  readonly endpoints: readonly Endpoint[];
  /** What to ask the endpoints for; undefined: every DNS name of the certificate. */
  readonly servernames: readonly string[] | undefined;
  /** Has the daemon take what is in the copy. */
  readonly onChange: string;
  /** Asks the daemon whether it would. */
  readonly check: string | undefined;
  /** How long either may take, ms. */
  readonly timeoutMs: number;
  /** The environment of both, before what is secret is taken out. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends a command under way. */
  readonly stop: AbortSignal;
}

/** A daemon of somebody else's as a service: it reads the copy, and a command has it take a new one. */
export function consumeService(options: ConsumeOptions): TlsService {
  const { name, publication, copy, endpoints, servernames, clock, log, timeoutMs, stop } = options;
  const identifiers = (servernames ?? []).map(parseIdentifier);
  const inherited = scrubbedEnvironment(options.env);

  async function run(command: ShellCommand, held: HeldCertificates): Promise<void> {
    const certificate = held.get(name);
    if (certificate === undefined) return;
    const env = {
      ...inherited,
      PODSERVE_NAME: name,
      PODSERVE_GENERATION: String(certificate.generation),
      PODSERVE_DIR: copy.directory,
    };
    await runShell(command, { env, clock, log, timeoutMs, stop });
  }

  return {
    name: 'consume',
    foreign: true,
    wanted: () => [{ name, at: placeIn(publication, name), identifiers }],
    async check(held) {
      if (options.check !== undefined) await run({ option: '--check', line: options.check }, held);
    },
    apply: (held) => run({ option: '--on-change', line: options.onChange }, held),
    servedAt(held) {
      if (!held.has(name)) return [];
      const covered = copy.identifiers().flatMap(({ type, value }) => (type === 'dns' ? [value] : []));
      const names = servernames ?? covered;
      const asked = names.length === 0 ? [undefined] : names;
      return endpoints.flatMap((endpoint) => asked.map((servername): ServedAt => ({ endpoint, servername, certificate: name })));
    },
    daemons: () => [],
  };
}

/** Where a certificate is below what was mounted: `.` when only its own directory was. */
export function placeIn(publication: string, name: string): string {
  return currentLink(dirname(publication), basename(publication))?.startsWith('..gen-') === true ? '.' : name;
}
