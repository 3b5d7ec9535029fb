import { join, resolve } from 'node:path';

import { CERTIFICATE_NAME } from '../certificate/spec.ts';
import { SECOND } from '../platform/clock.ts';
import { PodserveError } from '../platform/errors.ts';
import type { Generation } from '../publication/read.ts';
import { flag, text, type Arguments, type Command, type Context } from './command.ts';
import { inDays, minute } from '../platform/dates.ts';
import { pathsOf } from './settings.ts';

const DEFAULT_TIMEOUT = 300;
const LONGEST_TIMEOUT = 365 * 24 * 3600;

export const command: Command = {
  summary: 'wait until a complete, matching certificate is published',
  help: `usage: podserve wait-for-certs [--dir DIR] [--name NAME] [--timeout SECONDS] [--json]

Returns as soon as key, certificate and chain are published and belong together; meant for init containers.
Says what it waits for, and why what is there does not do. An expired certificate is complete, too.

  --dir DIR           a publication, or the directory of one certificate in it
                      (default: the publication in the state directory)
  --name NAME         the certificate in the publication (default: default)
  --timeout SECONDS   give up after so long (default: ${DEFAULT_TIMEOUT})
  --state DIR         the state directory (default: ./data)
  --json              print what was found as JSON

Exit codes: 0 it is there, 1 it did not come in time, 2 wrong usage.

  podserve wait-for-certs --dir /etc/ssl/podserve --timeout 60 && exec nginx -g 'daemon off;'`,
  options: {
    dir: { type: 'string' },
    name: { type: 'string' },
    timeout: { type: 'string' },
  },
  positionals: false,
  run,
};

async function run(args: Arguments, context: Context): Promise<number> {
  const timeoutMs = readTimeout(text(args, 'timeout')) * SECOND;
  const name = readName(text(args, 'name'));
  const dir = text(args, 'dir');
  const base = dir === undefined ? pathsOf(args, context).certificates : resolve(context.cwd, dir);
  const directory = name === undefined ? base : join(base, name);
  const { waitForCertificates } = await import('../publication/wait.ts');
  const generation = await waitForCertificates(directory, {
    timeoutMs,
    clock: context.clock,
    signal: context.signal,
    onReason: (reason) => context.err(`waiting for a certificate: ${reason}`),
  });
  report(generation, args, context);
  return 0;
}

function readTimeout(value: string | undefined): number {
  if (value === undefined) return DEFAULT_TIMEOUT;
  const seconds = Number(value);
  if (value.trim() !== '' && seconds >= 0 && seconds <= LONGEST_TIMEOUT) return seconds;
  throw new PodserveError('USAGE', '--timeout was not understood', { where: JSON.stringify(value), remedy: 'give seconds, such as 60' });
}

function readName(value: string | undefined): string | undefined {
  if (value === undefined || CERTIFICATE_NAME.test(value)) return value;
  throw new PodserveError('USAGE', '--name was not understood', {
    where: JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}…` : value),
    why: 'the name of a certificate has at most 63 small letters, digits and hyphens',
    remedy: 'give a name such as default',
  });
}

function report({ number, directory, manifest }: Generation, args: Arguments, context: Context): void {
  const { name, issuer, placeholder, identifiers, notAfter, leafSha256 } = manifest;
  if (flag(args, 'json')) {
    context.out(JSON.stringify({ name, generation: number, directory, issuer, placeholder, identifiers, notAfter, leafSha256 }, null, 2));
    return;
  }
  const expiry = Date.parse(notAfter);
  const left = inDays(expiry - context.clock.now());
  context.out(
    `${name}: generation ${number} of ${issuer} for ${identifiers.join(', ')}, expires ${minute(expiry)} (${left}), in ${directory}`,
  );
}
