import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { CertificateSpec } from '../../certificate/spec.ts';
import type { ApacheConfig } from '../../config/config.ts';
import { formatListen, type Listen } from '../../config/listen.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import { assertPortFree } from '../../platform/ports.ts';
import type { HeldCertificates, TlsService } from '../service.ts';
import { superviseDaemon } from '../supervisor.ts';
import { apacheProgram, testConfiguration, type Apache } from './daemon.ts';
import { reloadGracefully } from './graceful.ts';
import { closedTo } from './readable.ts';
import { renderApache } from './render.ts';
import { planSites, servedByApache, wantedBy, type Plan } from './sites.ts';

export interface ApacheOptions {
  readonly apache: Apache;
  /** Its own, emptied at start. */
  readonly runtimeDirectory: string;
  readonly challenges: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly onDaemonChange: () => void;
}

/** The part of the configuration that it is made from. */
export interface Wish {
  readonly apache: ApacheConfig;
  readonly certificates: readonly CertificateSpec[];
}

export interface ApacheService extends TlsService, AsyncDisposable {
  /**
   * Takes a new configuration, for the next `apply`, after Apache has read it without serving it.
   * @throws PodserveError CONFIG_INVALID, PORT_TAKEN, PORT_DENIED; then the old one stays
   */
  reconfigure(wish: Wish): Promise<void>;
}

const NOTHING: HeldCertificates = new Map();

/** Apache httpd as a service: everything that the shared consumer does not know. */
export function apacheService(first: Wish, options: ApacheOptions): ApacheService {
  const { apache, runtimeDirectory, challenges, clock, log } = options;
  const file = join(runtimeDirectory, 'httpd.conf');
  const daemon = superviseDaemon(apacheProgram(apache, file), { runtimeDirectory, clock, log, onChange: options.onDaemonChange });
  let plan = planSites(first.apache, first.certificates);
  let held = NOTHING;
  let rendered = '';
  /** Digests of the leaves that were applied last, by certificate. */
  let applied: ReadonlyMap<string, string> = new Map();
  let listening: readonly Listen[] = [];
  warnOfClosed(plan);

  function render(next: Plan): string {
    return renderApache({ apache, runtimeDirectory, challenges, plan: next, held });
  }

  /** Apache dies when it meets a taken port at a reload. */
  async function assertNewPortsFree(next: Plan): Promise<void> {
    const running = daemon.report().pid !== undefined;
    const ours = new Set(running ? listening.map(formatListen) : []);
    for (const [listen, setting] of [[next.http, 'apache.http'] as const, [next.https, 'apache.https'] as const]) {
      if (!ours.has(formatListen(listen))) await assertPortFree({ ...listen, setting });
    }
  }

  async function test(text: string): Promise<string> {
    const candidate = join(runtimeDirectory, 'httpd.conf.new');
    writeFileSync(candidate, text, { mode: 0o600 });
    await testConfiguration(apache, candidate);
    return candidate;
  }

  function warnOfClosed(next: Plan): void {
    if (apache.workers === undefined) return;
    const roots = next.sites.flatMap(({ content }) => (content.kind === 'files' ? [content.root] : []));
    for (const directory of [challenges, ...roots]) {
      const closed = closedTo(apache.workers, directory);
      if (closed === undefined) continue;
      const remedy = `chmod o+x ${closed}, or keep it elsewhere`;
      log.warn({ directory, closed, user: apache.workers.user, remedy }, "Apache's workers may not enter a directory that they serve from");
    }
  }

  return {
    name: 'apache',
    wanted: () => wantedBy(plan),
    async apply(next) {
      held = next;
      const text = render(plan);
      if (text !== rendered) {
        await assertNewPortsFree(plan);
        renameSync(await test(text), file);
        rendered = text;
      }
      const changed = servedByApache(plan, next).find(({ certificate }) => next.get(certificate)?.leafSha256 !== applied.get(certificate));
      applied = new Map([...next].map(([name, { leafSha256 }]) => [name, leafSha256]));
      await reloadGracefully(daemon, changed, next);
      listening = plan.sites.some(({ certificate }) => next.has(certificate)) ? [plan.http, plan.https] : [plan.http];
    },
    servedAt: (current) => servedByApache(plan, current),
    daemons: () => [daemon.report()],
    async reconfigure(wish) {
      const next = planSites(wish.apache, wish.certificates);
      await assertNewPortsFree(next);
      await test(render(next));
      plan = next;
      warnOfClosed(plan);
    },
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}
