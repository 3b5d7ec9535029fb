import { readFileSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { parseIdentifier } from '../certificate/identifier.ts';
import { CERTIFICATE_NAME } from '../certificate/spec.ts';
import { LOG_FORMATS, LOG_LEVELS, type LogConfig } from '../config/config.ts';
import { parseListen, type Listen } from '../config/listen.ts';
import { parseEndpoint, type Endpoint } from '../delivery/endpoint.ts';
import { SECOND } from '../platform/clock.ts';
import { PodserveError } from '../platform/errors.ts';
import { flag, many, text, type Arguments, type Context } from './command.ts';
import { pathsOf } from './settings.ts';

export const DEFAULT_TIMEOUT = 30;
const LONGEST_TIMEOUT = 3600;

/** What `podserve consume` was asked for. */
export interface Wish {
  readonly name: string;
  readonly publication: string;
  /** Where the copy may be, in order of preference. */
  readonly copies: readonly string[];
  /** The commands, for `sh -c`. */
  readonly onChange: string;
  readonly check: string | undefined;
  readonly endpoints: readonly Endpoint[];
  readonly servernames: readonly string[] | undefined;
  readonly gid: number | undefined;
  /** For each command. */
  readonly timeoutMs: number;
  readonly status: Listen | undefined;
  readonly log: LogConfig;
  readonly once: boolean;
}

/** @throws PodserveError USAGE */
export function readWish(args: Arguments, context: Context): Wish {
  const onChange = text(args, 'on-change')?.trim() ?? '';
  if (onChange === '') {
    throw new PodserveError('USAGE', 'there is no command that has the daemon take a new certificate', {
      where: '--on-change',
      remedy: "give one such as --on-change 'nginx -s reload'",
    });
  }
  const check = text(args, 'check')?.trim();
  if (check === '') throw usage('--check', '""', 'give a command, or leave it out');
  const name = text(args, 'name') ?? 'default';
  if (!CERTIFICATE_NAME.test(name)) throw usage('--name', name, 'at most 63 small letters, digits and hyphens, such as default');
  const dir = text(args, 'dir');
  const publication = dir === undefined ? pathsOf(args, context).certificates : resolve(context.cwd, dir);
  const probes = [...many(args, 'probe'), ...args.positionals];
  if (probes.length === 0) {
    throw new PodserveError('USAGE', 'there is no endpoint to see the certificate at', {
      where: '--probe',
      remedy: 'give one such as --probe https://localhost:8443',
    });
  }
  const status = text(args, 'status');
  const listen = status === undefined ? undefined : parseListen(status);
  if (status !== undefined && listen === undefined) throw usage('--status', status, 'write HOST:PORT, such as 127.0.0.1:9090');
  const servernames = many(args, 'servername');
  servernames.forEach(parseIdentifier);
  return {
    name,
    publication,
    copies: copiesOf(args, context, name, publication),
    onChange,
    check,
    endpoints: probes.map(parseEndpoint),
    servernames: servernames.length === 0 ? undefined : servernames,
    gid: readGroup(text(args, 'group')),
    timeoutMs: readTimeout(text(args, 'timeout')) * SECOND,
    status: listen,
    log: {
      level: oneOf(LOG_LEVELS, context.env['LOG_LEVEL'], 'LOG_LEVEL', 'info'),
      format: flag(args, 'json') ? 'json' : oneOf(LOG_FORMATS, context.env['LOG_FORMAT'], 'LOG_FORMAT', 'auto'),
    },
    once: flag(args, 'once'),
  };
}

function usage(option: string, value: string, remedy: string): PodserveError {
  return new PodserveError('USAGE', `${option} was not understood`, { where: JSON.stringify(value.slice(0, 80)), remedy });
}

function readTimeout(value: string | undefined): number {
  if (value === undefined) return DEFAULT_TIMEOUT;
  const seconds = Number(value);
  if (value.trim() !== '' && seconds > 0 && seconds <= LONGEST_TIMEOUT) return seconds;
  throw usage('--timeout', value, 'give seconds, such as 30');
}

function readGroup(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value);
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${value}:`));
  if (line !== undefined) return Number(line.split(':')[2]);
  throw usage('--group', value, 'this system has no such group: give its number, or make it');
}

function oneOf<T extends string>(known: readonly T[], value: string | undefined, variable: string, otherwise: T): T {
  const given = value?.trim().toLowerCase() ?? '';
  if (given === '') return otherwise;
  const found = known.find((one) => one === given);
  if (found === undefined) throw usage(variable, given, `one of ${known.join(', ')}`);
  return found;
}

function copiesOf(args: Arguments, context: Context, name: string, publication: string): string[] {
  const given = text(args, 'copy-to');
  const usual = [
    ...(process.geteuid?.() === 0 ? [join('/run/podserve/consume', name)] : []),
    join(pathsOf(args, context).state, 'consume', name),
  ];
  const paths = given === undefined ? usual : [resolve(context.cwd, given)];
  const shared = real(publication);
  if (given !== undefined && `${real(paths[0] ?? '')}/`.startsWith(`${shared}/`)) {
    throw usage('--copy-to', given, 'give a directory outside the publication, which is only read');
  }
  return paths;
}

/** Without links, as far as it exists. */
function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
