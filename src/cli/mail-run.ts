import { chmodSync, watch } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { PodserveError, describeError } from '../platform/errors.ts';
import type { ConsumerReport } from '../services/consumer.ts';
import { text, type Arguments, type Context } from './command.ts';
import { configLoader, stopped } from './resident.ts';
import { pathsOf } from './settings.ts';

/** `podserve mail`: the service itself, until SIGTERM. */
export async function runMail(args: Arguments, context: Context): Promise<number> {
  const { openLog, printingSink } = await import('../platform/open-log.ts');
  const { listenOf } = await import('../services/apache/sites.ts');
  const { startConsumer } = await import('../services/consumer.ts');
  const { openHold } = await import('../services/consumer/hold.ts');
  const { publishPair } = await import('../services/consumer/pair.ts');
  const { consumerStatus } = await import('../services/consumer/status.ts');
  const { publisherOf } = await import('../services/certificates/open.ts');
  const { ACCOUNTS_FILE } = await import('../services/mail/accounts.ts');
  const { findMailUsers } = await import('../services/mail/daemons.ts');
  const { makeMailDirectories } = await import('../services/mail/files.ts');
  const { lockMail } = await import('../services/mail/lock.ts');
  const { mailService } = await import('../services/mail/mail.ts');
  const { mailPlaces } = await import('../services/mail/places.ts');
  const { openSendPolicy } = await import('../services/mail/policy.ts');
  const { claimRuntimeDirectory } = await import('../services/runtime-directory.ts');
  const { serveStatus } = await import('../services/status.ts');

  const { clock, signal } = context;
  const files = pairOf(args, context);
  const load = configLoader(args, context);
  const config = await load();
  const paths = pathsOf(args, context);
  const log = await openLog(config.log.level, [await printingSink(config.log.format, context.interactive, (line) => context.out(line))]);
  for (const warning of config.warnings) log.warn({ warning }, 'configuration');
  const users = findMailUsers();
  const run = text(args, 'run');
  const directories = run === undefined ? ['/run/podserve/mail'] : [resolve(context.cwd, run)];
  await using runtime = await claimRuntimeDirectory(directories, [], '--run DIR');
  // Its daemons are users of their own; what is secret in it is a file of its owner's alone.
  chmodSync(runtime.path, 0o711);
  const publisher = publisherOf('mail', context.env);
  await using lock = await lockMail(paths.mail, publisher);
  void lock;
  const places = mailPlaces(paths.mail, runtime.path);
  makeMailDirectories(places, users);

  await using service = mailService(config, {
    state: paths.mail,
    places,
    runtimeDirectory: runtime.path,
    users,
    clock,
    log,
    onDaemonChange: () => consumer.daemonChanged(),
  });
  await using policy = await openSendPolicy({ socket: places.policy, gid: users.postfix.gid, limit: service.sendLimit, clock, log });
  void policy;
  const given = text(args, 'certificates');
  const root = files !== undefined ? join(runtime.path, 'pair') : given === undefined ? paths.certificates : resolve(context.cwd, given);
  await using pair =
    files === undefined ? undefined : await publishPair({ ...files, root, name: config.mail.certificate, publisher, clock, log });
  await using consumer = startConsumer({ service, root, hold: openHold(runtime.path), clock, log });
  const statusAt = { ...listenOf(config.mail.status, 'mail.status'), setting: 'mail.status' };
  const report = (): ConsumerReport => withTrouble(consumer.report(), pair?.trouble());
  await using status = await serveStatus(statusAt, consumerStatus('mail', { report }), log);
  await consumer.started;
  log.info({ hostname: config.mail.hostname, domains: config.mail.domains, status: status.url }, 'mail runs');

  const failing = (what: string) => (error: unknown) => log.error({ error: describeError(error) }, what);
  const watcher = watch(dirname(join(paths.mail, ACCOUNTS_FILE)), (_, file) => {
    if (file === ACCOUNTS_FILE) void service.refreshAccounts().catch(failing('the accounts are not taken: the old ones stay'));
  });
  const stopListening = context.onHangup(() => {
    void reconfigure().catch(failing('the new configuration is not taken: the old one stays'));
  });
  async function reconfigure(): Promise<void> {
    const next = await load();
    service.reconfigure(next);
    if (next.mail.status !== config.mail.status) log.warn({ setting: 'mail.status' }, 'a new status port is taken at the next start');
    consumer.reconfigured();
    log.info({ file: next.file ?? null }, 'the new configuration is taken');
  }
  await stopped(signal);
  stopListening();
  watcher.close();
  log.info({}, 'stopping');
  return 0;
}

/**
 * The files of SSL_CERT_FILE and SSL_KEY_FILE, unless `--certificates` names a publication.
 * @throws PodserveError USAGE when one of them is given alone
 */
function pairOf(args: Arguments, context: Context): { certFile: string; keyFile: string } | undefined {
  const [certFile = '', keyFile = ''] = ['SSL_CERT_FILE', 'SSL_KEY_FILE'].map((name) => context.env[name]);
  if (text(args, 'certificates') !== undefined || (certFile === '' && keyFile === '')) return undefined;
  if (certFile !== '' && keyFile !== '') return { certFile: resolve(context.cwd, certFile), keyFile: resolve(context.cwd, keyFile) };
  throw new PodserveError('USAGE', 'mail got half of a pair of files', {
    where: certFile === '' ? 'SSL_KEY_FILE' : 'SSL_CERT_FILE',
    why: 'a certificate and its key are given together',
    remedy: 'set both SSL_CERT_FILE and SSL_KEY_FILE, or neither and --certificates DIR',
  });
}

/** What is wrong with the files is said where everything else is. */
function withTrouble(report: ConsumerReport, trouble: string | undefined): ConsumerReport {
  if (trouble === undefined) return report;
  return { ...report, ready: false, reasons: [trouble, ...report.reasons], alarms: [trouble, ...report.alarms] };
}
