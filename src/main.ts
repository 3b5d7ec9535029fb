import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';

import type { Arguments, Command, Context } from './cli/command.ts';
import { systemClock } from './platform/clock.ts';
import { PodserveError, errorLines } from './platform/errors.ts';
import { version } from './platform/version.ts';

/** Summary here and module behind a function, so that `--help` loads no command and a command loads only itself. */
const COMMANDS: Readonly<Record<string, { summary: string; load: () => Promise<{ command: Command }> }>> = {
  acme: { summary: 'show, re-key and end the accounts with ACME servers, and their rate limits', load: () => import('./cli/acme.ts') },
  apache: { summary: 'run Apache httpd on the published certificates', load: () => import('./cli/apache.ts') },
  backup: { summary: 'put authority, certificates and configuration into one archive', load: () => import('./cli/backup.ts') },
  ca: { summary: 'show, export and trust the root of the built-in CA', load: () => import('./cli/ca.ts') },
  certificates: { summary: 'make, renew and publish the configured certificates', load: () => import('./cli/certificates.ts') },
  config: { summary: 'check or show the configuration as it is understood', load: () => import('./cli/config.ts') },
  consume: { summary: 'keep a daemon of your own on a published certificate', load: () => import('./cli/consume.ts') },
  doctor: { summary: 'look for what would make the order of a certificate fail', load: () => import('./cli/doctor.ts') },
  down: { summary: 'end what runs in a state directory', load: () => import('./cli/down.ts') },
  images: { summary: 'build the container images, or say how large they are', load: () => import('./cli/images.ts') },
  import: { summary: 'take over the certificates and accounts of an existing certbot', load: () => import('./cli/import.ts') },
  logs: { summary: 'show the log of podserve up', load: () => import('./cli/logs.ts') },
  mail: { summary: 'run the mail service, and look after its accounts', load: () => import('./cli/mail.ts') },
  probe: { summary: 'shake hands with endpoints and judge the certificates they serve', load: () => import('./cli/probe.ts') },
  restore: { summary: 'put the contents of a backup in place', load: () => import('./cli/restore.ts') },
  status: { summary: 'say how certificates, roots and endpoints stand', load: () => import('./cli/status.ts') },
  up: { summary: 'run the certificate service and the status page here, until Ctrl-C', load: () => import('./cli/up.ts') },
  'wait-for-certs': { summary: 'wait until a complete, matching certificate is published', load: () => import('./cli/wait-for-certs.ts') },
};

const SHARED_OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  config: { type: 'string' },
  state: { type: 'string' },
  json: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig;

const SAME_WISH_MS = 500;

async function run(argv: readonly string[], context: Context): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    context.out(overview());
    return name === undefined ? 2 : 0;
  }
  if (name === '--version' || name === '-v') {
    context.out(version());
    return 0;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) {
    throw new PodserveError('USAGE', `there is no command ${JSON.stringify(name)}`, { remedy: 'podserve --help lists them' });
  }
  const { command } = await entry.load();
  const args = readArguments(name, command, rest);
  if (args.values['help'] === true) {
    context.out(command.help);
    return 0;
  }
  return command.run(args, context);
}

function readArguments(name: string, command: Command, argv: readonly string[]): Arguments {
  try {
    return parseArgs({
      args: [...argv],
      options: { ...SHARED_OPTIONS, ...command.options },
      allowPositionals: command.positionals,
    });
  } catch (cause) {
    throw new PodserveError('USAGE', `podserve ${name} was not understood`, {
      why: misread(cause instanceof Error ? cause.message : ''),
      remedy: `podserve ${name} --help shows its options`,
      cause,
    });
  }
}

/** The message of `parseArgs` as one clause: it comes in sentences, over several lines. */
function misread(message: string): string {
  const [, option = ''] = /^Option '(?:-\w, )?(--?[\w-]+)/.exec(message) ?? [];
  if (message.includes('argument is ambiguous')) {
    return `what follows ${option} begins with a dash, so it is an option and no value (${option.replace(/^-\w$/, '--OPTION')}=VALUE takes any)`;
  }
  if (message.includes('argument missing')) return `${option} needs a value`;
  if (message.includes('does not take an argument')) return `${option} takes no value`;
  const [, unknown] = /^Unknown option '(.*?)'/s.exec(message) ?? [];
  if (unknown !== undefined) return `there is no option ${unknown}`;
  const [, word] = /^Unexpected argument '(.*)'\. /s.exec(message) ?? [];
  return word === undefined ? message.replace(/\.\s.*/s, '') : `it takes no words, and ${JSON.stringify(word)} is one`;
}

function overview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    'usage: podserve COMMAND [options]',
    '',
    ...lines,
    '',
    'Every command takes --help. Those that read the configuration take --config FILE (default ./podserve.yaml,',
    'then /data/config/podserve.yaml), those that use the state directory --state DIR (default ./data), and those',
    'that report --json; podserve COMMAND --help shows which.',
    'Exit codes: 0 done, 1 it failed or needs attention, 2 wrong usage or configuration.',
  ].join('\n');
}

function processContext(): Context {
  const stop = new AbortController();
  let askedAt = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (!stop.signal.aborted) {
        askedAt = performance.now();
        stop.abort(signal);
        return;
      }
      // npm passes on a Ctrl-C that the terminal has sent to us as well: that is one wish, not two.
      if (performance.now() - askedAt > SAME_WISH_MS) process.exit(signal === 'SIGINT' ? 130 : 143);
    });
  }
  return {
    env: process.env,
    cwd: process.cwd(),
    clock: systemClock,
    signal: stop.signal,
    onHangup(listener) {
      process.on('SIGHUP', listener);
      return () => process.off('SIGHUP', listener);
    },
    out: (line) => process.stdout.write(`${line}\n`),
    err: (line) => process.stderr.write(`${line}\n`),
    interactive: process.stdout.isTTY === true,
  };
}

// A reader that went away (podserve … | head) is no failure of ours, and neither is a terminal that was closed.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
  });
}

/** No await at the top, so that it can be bundled as CommonJS, which starts sooner. */
async function main(): Promise<void> {
  const context = processContext();
  try {
    process.exitCode = await run(process.argv.slice(2), context);
  } catch (error) {
    if (context.signal.aborted && !(error instanceof PodserveError)) {
      process.stderr.write('podserve: stopped before it was done\n');
      process.exitCode = 1;
      return;
    }
    process.stderr.write(`podserve: ${errorLines(error).join('\n  ')}\n`);
    if (!(error instanceof PodserveError)) process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`);
    process.exitCode = error instanceof PodserveError ? error.exitCode : 1;
  }
}

void main();
