import { setTimeout } from 'node:timers/promises';

import { servedLeafSha256 } from '../../delivery/probe.ts';
import type { Daemon } from '../supervisor.ts';
import type { HeldCertificates, ServedAt } from '../service.ts';

/** How long after a reload the new workers may take before the master is nudged, ms, besides as long as the reload took. */
const NUDGE_AFTER = [50, 100];
const LOOK_EVERY = 5;

/**
 * Has Apache take its new configuration and certificates, connections in flight living on.
 *
 * SIGUSR1 to the master itself; `apache2ctl graceful` would read Debian's own configuration and environment. After a
 * graceful the master starts new workers in the place of old ones that have ended, but looks for those only at once
 * and then after a sleep of one second (server/mpm/event, server_main_loop). When every old worker was busy at that
 * instant, nobody answers for this second. A further graceful makes it look again; it costs nothing, because there
 * are no new workers yet that it could end. Whether there are any is asked by a handshake: the ids and start times
 * of processes (the alternative) do not tell workers that the old generation started last from new ones. While all
 * old workers stay busy (a long download in each), the second has to pass.
 * @param watched a place where the certificate has changed; without one nothing is waited for
 */
export async function reloadGracefully(daemon: Daemon, watched: ServedAt | undefined, held: HeldCertificates): Promise<void> {
  for (const ms of NUDGE_AFTER) {
    const began = performance.now();
    await daemon.reload('SIGUSR1');
    const patience = ms + performance.now() - began;
    if (watched === undefined || (await servedWithin(patience, watched, held))) return;
  }
  await daemon.reload('SIGUSR1');
}

async function servedWithin(ms: number, { endpoint, servername, certificate }: ServedAt, held: HeldCertificates): Promise<boolean> {
  const deadline = performance.now() + ms;
  for (let left = ms; left > 0; left = deadline - performance.now()) {
    try {
      const leaf = await servedLeafSha256(endpoint, { servername, timeoutMs: left });
      if (leaf === held.get(certificate)?.leafSha256) return true;
    } catch {
      // Refused, broken or late: the verification that follows says which, if it stays so.
    }
    await setTimeout(LOOK_EVERY);
  }
  return false;
}
