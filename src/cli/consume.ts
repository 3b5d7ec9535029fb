import type { Arguments, Command, Context } from './command.ts';
import { flag } from './command.ts';
import { DEFAULT_TIMEOUT, readWish } from './consume-wish.ts';
import { SECOND, type Clock } from '../platform/clock.ts';
import { minute } from '../platform/dates.ts';
import type { Consumer } from '../services/consumer.ts';
import type { CertificateReport } from '../services/consumer/report.ts';

/** A command under way when we are asked to end has so long to finish, then it is ended. */
const STOP_AFTER = 2 * SECOND;
/** Daemons that are not ours may have much to read; a wrong answer is asked for again so long. */
const SERVED_WITHIN = 10 * SECOND;
/** Nothing tells when the old processes of a daemon that is not ours have stopped to accept: it is looked at longer. */
const LOOKS_MORE = 2;
const LOOK_EVERY = 30;
const LOOK_FOR_PLACE = SECOND;

export const command: Command = {
  summary: 'keep a daemon of your own on a published certificate',
  help: `usage: podserve consume --on-change 'COMMAND' --probe ENDPOINT… [options]

Stays beside a daemon that somebody else runs (nginx, HAProxy, PostgreSQL …). Each new certificate is checked, copied
to a directory that the daemon's configuration names, the command has the daemon take it, and every endpoint is asked
until it serves exactly that one. If it does not within ${SERVED_WITHIN / SECOND} s, or a command fails, the last good copy is put back and
the command is run again, with an alarm; the refused one is tried again later. Waits for the files when there are none.

  --on-change COMMAND  has the daemon read its files again; run through sh -c
  --probe ENDPOINT     where the daemon serves it, such as https://localhost:8443; as often as needed
  --check COMMAND      asked before --on-change, with the new files in place: a failure refuses them
  --name NAME          the certificate (default: default)
  --dir DIR            the publication, or the directory of this certificate alone
                       (default: the publication in the state directory)
  --copy-to DIR        where the daemon finds combined.pem, fullchain.pem, privkey.pem, cert.pem and chain.pem
                       (default: /run/podserve/consume/NAME, or STATE/consume/NAME without the right to make that)
  --group GROUP        name or number of the group that may read the keys in the copy (default: their owner alone)
  --servername NAME    ask for this name, as often as needed (default: every DNS name of the certificate)
  --timeout SECONDS    for each command (default: ${DEFAULT_TIMEOUT})
  --status HOST:PORT   /healthz, /readyz, /status and /metrics in plain HTTP (default: none)
  --once               deliver the current certificate and end; a daemon that does not run yet may then be started
  --state DIR          the state directory (default: ./data)
  --json               with --once print the result as JSON; else write the log as JSON

The commands have PODSERVE_NAME, PODSERVE_GENERATION and PODSERVE_DIR (the copy) in their environment.
LOG_LEVEL and LOG_FORMAT are as everywhere. SIGTERM ends it and leaves daemon and copy as they are.

Exit codes: 0 ended as asked (--once: delivered), 1 it failed or was refused, 2 wrong usage.

  podserve consume --dir /etc/ssl/podserve --probe https://localhost \\
    --check 'nginx -t -q' --on-change 'nginx -s reload'`,
  options: {
    'on-change': { type: 'string' },
    probe: { type: 'string', multiple: true },
    check: { type: 'string' },
    name: { type: 'string' },
    dir: { type: 'string' },
    'copy-to': { type: 'string' },
    group: { type: 'string' },
    servername: { type: 'string', multiple: true },
    timeout: { type: 'string' },
    status: { type: 'string' },
    once: { type: 'boolean' },
  },
  positionals: true,
  run,
};

async function run(args: Arguments, context: Context): Promise<number> {
  const wish = readWish(args, context);
  const { openLog, printingSink } = await import('../platform/open-log.ts');
  const { consumeService, placeIn } = await import('../services/consume/consume.ts');
  const { claimCopy } = await import('../services/consume/claim.ts');
  const { startConsumer } = await import('../services/consumer.ts');
  const { consumerStatus } = await import('../services/consumer/status.ts');
  const { serveStatus } = await import('../services/status.ts');
  const { verifyServed } = await import('../delivery/verify.ts');

  const { clock, signal } = context;
  const log = await openLog(wish.log.level, [
    await printingSink(wish.log.format, context.interactive, (line) => (wish.once ? context.err(line) : context.out(line))),
  ]);
  const { name, publication } = wish;
  await using claimed = await claimCopy(wish.copies, { name, gid: wish.gid, signal });
  const { copy } = claimed;
  using stop = later(signal, STOP_AFTER, clock);
  const service = consumeService({ ...wish, copy, env: context.env, clock, log, stop: stop.signal });
  await using consumer = startConsumer({
    service,
    root: publication,
    hold: copy,
    clock,
    log,
    verify: (targets, options) => {
      const confirmations = LOOKS_MORE * (options?.confirmations ?? 1);
      return verifyServed(targets, { deadlineMs: SERVED_WITHIN, intervalMs: LOOK_EVERY, ...options, confirmations });
    },
  });
  await using status =
    wish.status === undefined
      ? undefined
      : await serveStatus({ ...wish.status, setting: '--status' }, consumerStatus('consume', consumer), log);
  const over = new AbortController();
  const following = followPlace();
  try {
    if (wish.once) return await deliverOnce(consumer, copy.directory, args, context);
    log.info({ certificate: name, publication, copy: copy.directory, status: status?.url ?? null }, 'consume runs');
    await stopped(signal);
    log.info({}, 'stopping: daemon and copy stay as they are');
    return 0;
  } finally {
    over.abort();
    await following;
  }

  /** What is mounted may come after us, and be the publication or the directory of one certificate. */
  async function followPlace(): Promise<void> {
    const ends = AbortSignal.any([signal, over.signal]);
    for (let place = placeIn(publication, name); !ends.aborted; await clock.sleep(LOOK_FOR_PLACE, ends)) {
      const now = placeIn(publication, name);
      if (now !== place) consumer.reconfigured();
      place = now;
    }
  }
}

/** Returns when the current certificate is in the copy and, where a daemon runs, is served by it. */
async function deliverOnce(consumer: Consumer, copy: string, args: Arguments, { clock, signal, ...context }: Context): Promise<number> {
  await consumer.started;
  for (let told = false; !signal.aborted; await clock.sleep(50, signal)) {
    const report = consumer.report();
    const [certificate] = report.certificates;
    if (certificate === undefined || certificate.state === 'missing') {
      if (!told) context.err(`waiting for a certificate: ${certificate?.reason} in ${report.publication}`);
      told = true;
      continue;
    }
    const delivered = certificate.state === 'served' || (certificate.state === 'pending' && certificate.silent);
    if (flag(args, 'json')) context.out(JSON.stringify({ ok: delivered, copy, ...certificate, alarms: report.alarms }, null, 2));
    else if (delivered) context.out(describe(certificate, copy));
    else for (const line of report.reasons) context.err(`podserve consume: ${line}`);
    return delivered ? 0 : 1;
  }
  return 1;
}

function describe({ name, published, silent }: CertificateReport, copy: string): string {
  const until = published?.notAfter === undefined || published.notAfter === null ? '' : `, until ${minute(Date.parse(published.notAfter))}`;
  const next = silent ? 'nothing listens at the endpoints yet: the daemon may be started' : 'it is served';
  return `${name}: generation ${published?.generation}${until}, is in ${copy}; ${next}`;
}

/** A signal that follows `first` after some time. */
function later(first: AbortSignal, ms: number, clock: Clock): { readonly signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const done = new AbortController();
  first.addEventListener('abort', () => void clock.sleep(ms, done.signal).then(() => controller.abort()), { once: true });
  return { signal: controller.signal, [Symbol.dispose]: () => done.abort() };
}

async function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const stop = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => stop.resolve(), { once: true });
  await stop.promise;
}
