import { chmodSync, chownSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { CertificateSpec } from '../../certificate/spec.ts';
import type { MailConfig } from '../../config/config.ts';
import { describeError } from '../../platform/errors.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import type { HeldCertificates, TlsService } from '../service.ts';
import { superviseDaemon, type Daemon, type DaemonProgram } from '../supervisor.ts';
import { readAccounts } from './accounts.ts';
import { dovecotProgram, postfixProgram, rspamdProgram, type MailUsers } from './daemons.ts';
import { keepDkimKeys } from './dkim.ts';
import { adoptBoxes, compileSieve, makeMailDirectories, preparePostfix, rewrite, testDovecot, writeMaps, writeSni } from './files.ts';
import { renderMaps } from './maps.ts';
import type { MailPlaces } from './places.ts';
import { planMail, servedByMail, startable, wantedBy, type Plan } from './plan.ts';
import { renderDovecot, renderDovecotLogin } from './render-dovecot.ts';
import { renderMain, renderMaster } from './render-postfix.ts';
import { renderRspamd } from './render-rspamd.ts';

export interface MailOptions {
  /** STATE/mail */
  readonly state: string;
  readonly places: MailPlaces;
  /** For the pipes of the daemons' output. */
  readonly runtimeDirectory: string;
  readonly users: MailUsers;
  readonly clock: Clock;
  readonly log: Log;
  readonly onDaemonChange: () => void;
}

/** The part of the configuration that it is made from. */
export interface Wish {
  readonly mail: MailConfig;
  readonly email: string | undefined;
  readonly certificates: readonly CertificateSpec[];
}

export interface MailService extends TlsService, AsyncDisposable {
  /** Takes a new configuration, for the next `apply`. @throws PodserveError CONFIG_INVALID; then the old one stays */
  reconfigure(wish: Wish): void;
  /** Reads the accounts again and tells the daemons, which need no reload for it. @throws PodserveError */
  refreshAccounts(): Promise<void>;
  readonly sendLimit: () => number;
}

/**
 * Postfix, Dovecot and Rspamd as a service: everything that the shared consumer does not know. None of them runs before
 * there is a certificate: no password and no message goes over the net in clear.
 */
export function mailService(first: Wish, options: MailOptions): MailService {
  const { places, users, clock, log } = options;
  const supervised = (program: DaemonProgram, onChange = options.onDaemonChange): Daemon =>
    superviseDaemon(program, { runtimeDirectory: options.runtimeDirectory, clock, log, onChange });
  const rspamd = supervised(rspamdProgram(places));
  const postfix = supervised(postfixProgram(places));
  const login = supervised(dovecotProgram('dovecot-login', places.loginConfig));
  const dovecot = supervised(dovecotProgram('dovecot', places.dovecotConfig), () => void followDovecot());
  const daemons = [postfix, login, dovecot, rspamd];
  /** Whether what Dovecot runs with is older than what was rendered for it. */
  let outdated = true;
  let wish = first;
  let plan = planMail(first.mail, first.certificates);
  let prepared = false;

  /** What is there before any daemon is: directories, keys of DKIM, files that never change. */
  async function prepare(): Promise<void> {
    makeMailDirectories(places, users);
    adoptBoxes(places, users);
    await keepDkim();
    for (const [file, text] of Object.entries(renderRspamd(places))) rewrite(join(places.rspamdConfig, 'local.d', file), text, 0o644);
    rewrite(join(places.postfixConfig, 'master.cf'), renderMaster(places), 0o644);
    prepared = true;
  }

  async function keepDkim(): Promise<void> {
    await keepDkimKeys(places.dkim, wish.mail.domains);
    chownSync(places.dkim, 0, users.rspamd.gid);
    chmodSync(places.dkim, 0o750);
    for (const file of readdirSync(places.dkim)) {
      chownSync(join(places.dkim, file), 0, users.rspamd.gid);
      chmodSync(join(places.dkim, file), 0o640);
    }
  }

  async function refreshAccounts(): Promise<void> {
    const accounts = readAccounts(options.state);
    const changed = await writeMaps(places, users, renderMaps(accounts, wish.mail, wish.email));
    if (changed) log.info({ accounts: accounts.accounts.length, aliases: accounts.aliases.length }, 'accounts are taken');
  }

  async function render(next: Plan, held: HeldCertificates): Promise<void> {
    const { relay } = next.mail;
    if (relay?.credentialsFile !== undefined) {
      const [, host = '', port = ''] = /^\[?([^\]]*)\]?:(\d+)$/.exec(relay.server) ?? [];
      writeFileSync(places.relayPasswords, `[${host}]:${port} ${readFileSync(relay.credentialsFile, 'utf8').trim()}\n`, { mode: 0o600 });
    }
    rewrite(join(places.postfixConfig, 'main.cf'), renderMain(next, places, held), 0o644);
    if (rewrite(places.dovecotConfig, renderDovecot(next, places), 0o644)) outdated = true;
    rewrite(places.loginConfig, renderDovecotLogin(next, places, held), 0o644);
    const named = next.certificates.flatMap(({ name, names }) => {
      const file = held.get(name)?.file;
      return file === undefined ? [] : names.map((one) => [one, file] as const);
    });
    await Promise.all([writeSni(places, named), testDovecot(places.loginConfig), outdated ? testDovecot(places.dovecotConfig) : undefined]);
  }

  /** Nobody can log in without the other Dovecot: the ports are closed with it, and opened when it is there again. */
  async function followDovecot(): Promise<void> {
    try {
      await (dovecot.report().state === 'running' ? login.start() : login.stop());
    } catch (error) {
      log.error({ error: describeError(error) }, 'the ports of IMAP stay closed');
    }
    options.onDaemonChange();
  }

  return {
    name: 'mail',
    wanted: () => wantedBy(plan),
    async apply(held) {
      if (!startable(plan, held)) return;
      if (!prepared) await prepare();
      await render(plan, held);
      await refreshAccounts();
      if (postfix.report().state !== 'running') {
        await compileSieve(places);
        await preparePostfix(places);
      }
      // Rspamd has no certificate, and takes seconds to start; Postfix asks senders to wait for it.
      const judging = rspamd.report().state === 'running' ? undefined : rspamd.start();
      // With accounts and mailboxes nothing changes at a renewal: a log-in that is on its way goes on.
      if (outdated || dovecot.report().state !== 'running') await dovecot.reload('SIGHUP');
      outdated = false;
      await Promise.all([login.reload('SIGHUP'), postfix.reload('SIGHUP'), judging]);
    },
    servedAt: (held) => servedByMail(plan, held),
    daemons: () => daemons.map((daemon) => daemon.report()),
    reconfigure(next) {
      plan = planMail(next.mail, next.certificates);
      wish = next;
      prepared = false;
    },
    async refreshAccounts() {
      if (prepared) await refreshAccounts();
    },
    sendLimit: () => wish.mail.sendLimit,
    async [Symbol.asyncDispose]() {
      await Promise.all(daemons.map((daemon) => daemon[Symbol.asyncDispose]()));
    },
  };
}
