import { resolve } from 'node:path';

import type { Config } from '../config/config.ts';
import { reachableHost } from '../config/listen.ts';
import { describeError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { text, type Arguments, type Command, type Context } from './command.ts';
import { pathsOf, sourceOf } from './settings.ts';

export const command: Command = {
  summary: 'run Apache httpd on the published certificates',
  help: `usage: podserve apache [options]

Runs Debian's Apache (package apache2-bin) in the foreground with a configuration of its own:
HTTP is redirected to HTTPS but for ACME challenges, each site has its own certificate, and every
new certificate is checked, loaded without breaking a connection, and seen served. Stays until
SIGTERM or Ctrl-C; SIGHUP reads the configuration again.

  --config FILE  default ./podserve.yaml, then /data/config/podserve.yaml, else built-in values
  --state DIR    where everything is kept, default ./data
  --certificates DIR
                 the publication, default STATE/certificates
  --run DIR      for what may be lost, checked copies of keys among it;
                 default /run/podserve/apache, or STATE/apache/run without the right to make that

ports, sites and the status port are in the section apache of the configuration

examples:
  podserve apache
  curl http://127.0.0.1:9082/status`,
  options: { certificates: { type: 'string' }, run: { type: 'string' } },
  positionals: false,
  run: runApache,
};

async function runApache(args: Arguments, context: Context): Promise<number> {
  const { loadConfig } = await import('../config/load.ts');
  const { openLog, printingSink } = await import('../platform/open-log.ts');
  const { assertPortFree } = await import('../platform/ports.ts');
  const { apacheService } = await import('../services/apache/apache.ts');
  const { findApache } = await import('../services/apache/daemon.ts');
  const { PID_FILE } = await import('../services/apache/render.ts');
  const { listenOf } = await import('../services/apache/sites.ts');
  const { startConsumer } = await import('../services/consumer.ts');
  const { openHold } = await import('../services/consumer/hold.ts');
  const { consumerStatus } = await import('../services/consumer/status.ts');
  const { claimRuntimeDirectory } = await import('../services/runtime-directory.ts');
  const { serveStatus } = await import('../services/status.ts');

  const { clock, signal } = context;
  const config = await loadConfig(sourceOf(args, context));
  const paths = pathsOf(args, context);
  const publication = text(args, 'certificates');
  const certificates = publication === undefined ? paths.certificates : resolve(context.cwd, publication);
  const log = await openLog(config.log.level, [await printingSink(config.log.format, context.interactive, (line) => context.out(line))]);
  for (const warning of config.warnings) log.warn({ warning }, 'configuration');

  const given = text(args, 'run');
  const ownDirectory = resolve(paths.state, 'apache/run');
  const systemDirectory = process.geteuid?.() === 0 ? ['/run/podserve/apache'] : [];
  const apache = findApache();
  const directories = given === undefined ? [...systemDirectory, ownDirectory] : [resolve(context.cwd, given)];
  await using runtime = await claimRuntimeDirectory(directories, [PID_FILE], '--run DIR');
  const statusAt = { ...listenOf(config.apache.status, 'apache.status'), setting: 'apache.status' };
  for (const setting of ['http', 'https'] as const) {
    await assertPortFree({ ...listenOf(config.apache[setting], `apache.${setting}`), setting: `apache.${setting}` });
  }

  await using service = apacheService(config, {
    apache,
    runtimeDirectory: runtime.path,
    challenges: paths.challenges,
    clock,
    log,
    onDaemonChange: () => consumer.daemonChanged(),
  });
  await using consumer = startConsumer({ service, root: certificates, hold: openHold(runtime.path), clock, log });
  await using status = await serveStatus(statusAt, consumerStatus('apache', consumer), log);
  await consumer.started;
  announce(config, consumer.report(), { log, context, status: status.url });

  const stopListening = context.onHangup(() => {
    void reconfigure().catch((error: unknown) =>
      log.error({ error: describeError(error) }, 'the new configuration is not taken: the old one stays'),
    );
  });
  async function reconfigure(): Promise<void> {
    const next = await loadConfig(sourceOf(args, context));
    await service.reconfigure(next);
    if (next.apache.status !== config.apache.status) log.warn({ setting: 'apache.status' }, 'a new status port is taken at the next start');
    consumer.reconfigured();
    log.info({ file: next.file ?? null }, 'the new configuration is taken');
  }
  await stopped(signal);
  stopListening();
  log.info({}, 'stopping');
  return 0;
}

interface Audience {
  readonly log: Log;
  readonly context: Context;
  readonly status: string;
}

type Report = ReturnType<import('../services/consumer.ts').Consumer['report']>;

/** What is now true: for people on a terminal, and as one line of log for everybody else. */
function announce({ apache, log: { format } }: Config, { certificates, reasons }: Report, { log, context, status }: Audience): void {
  const http = urlOf('http', apache.http, 80);
  const https = urlOf('https', apache.https, 443);
  log.info({ http, https, status, ready: reasons.length === 0 }, 'apache serves');
  if (format === 'json' || (format === 'auto' && !context.interactive)) return;
  const anyServed = certificates.some(({ served }) => served !== null);
  context.out(`Apache answers on ${http}${anyServed ? ` and ${https}` : '; HTTPS follows as soon as a certificate is published'}`);
  for (const { name, served, state, reason } of certificates) {
    const what = served === null ? 'nothing is served' : `generation ${served.generation}, until ${served.notAfter?.slice(0, 10)}`;
    context.out(`  certificate ${name}: ${what} (${state}${reason === null ? '' : `: ${reason}`})`);
  }
  context.out(`Status on ${status}/status and ${status}/readyz. Stop with Ctrl-C, read the configuration again with SIGHUP.`);
}

function urlOf(scheme: string, listen: string, usual: number): string {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(listen) ?? [];
  const shown = reachableHost(host.replaceAll(/^\[|\]$/g, ''));
  return `${scheme}://${shown.includes(':') ? `[${shown}]` : shown}${Number(port) === usual ? '' : `:${port}`}/`;
}

async function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const stop = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => stop.resolve(), { once: true });
  await stop.promise;
}
