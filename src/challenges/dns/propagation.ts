import type { DnsPropagationConfig } from '../../config/config.ts';
import { SECOND, type Clock } from '../../platform/clock.ts';
import { formatDuration } from '../../platform/duration.ts';
import { PodserveError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import { DnsFailure } from './exchange.ts';
import { query } from './query.ts';
import { authoritativeServers, findZone, type NameServer } from './zone.ts';

export interface Awaited {
  /** Where the CNAMEs have led to. */
  readonly name: string;
  readonly value: string;
  readonly propagation: DnsPropagationConfig;
}

export interface PropagationSurroundings {
  readonly resolvers: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
}

const FIRST_PAUSE = SECOND / 4;
const LONGEST_PAUSE = 5 * SECOND;
const QUERY_TIMEOUT = 2 * SECOND;
/** A name server that is down keeps no resolver, and so no CA, from the others: it is waited for this many rounds. */
const SILENT_ROUNDS = 3;

/** What was seen of one server in a round. */
type Sight = { readonly state: 'has' } | { readonly state: 'lacks' | 'silent'; readonly why: string };

/**
 * Resolves when every name server of the zone, or each of `propagation.servers`, answers with the value. One that gives
 * no usable answer is left out, with a warning, when all others have it.
 * @throws PodserveError CHALLENGE_FAILED, naming the servers that lack it, after the time-out; the signal's reason
 */
export async function waitForText(
  { name, value, propagation }: Awaited,
  { resolvers, clock, log }: PropagationSurroundings,
  signal: AbortSignal,
): Promise<void> {
  const until = clock.now() + propagation.timeout;
  const servers = await serversOf(name, propagation, { resolvers, signal });
  const recursion = propagation.servers.length > 0;
  const sights = new Map<NameServer, Sight>();
  let pause = FIRST_PAUSE;
  for (let round = 1; ; round++) {
    const timeoutMs = Math.max(SECOND / 4, Math.min(QUERY_TIMEOUT, until - clock.now()));
    const open = servers.filter((server) => sights.get(server)?.state !== 'has');
    await Promise.all(
      open.map(async (server) => void sights.set(server, await look(server, { name, value, recursion, timeoutMs, signal }))),
    );
    const missing = servers.filter((server) => sights.get(server)?.state !== 'has');
    if (missing.length === 0) return;
    const onlySilent = missing.every((server) => sights.get(server)?.state === 'silent');
    if (onlySilent && missing.length < servers.length && round >= SILENT_ROUNDS) {
      log.warn(
        { name, servers: described(missing, sights) },
        'name servers that do not answer were not waited for: the others have the record',
      );
      return;
    }
    if (clock.now() + pause > until) throw tooLate(name, propagation, described(missing, sights), onlySilent);
    await clock.sleep(pause, signal);
    signal.throwIfAborted();
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }
}

async function serversOf(
  name: string,
  { servers }: DnsPropagationConfig,
  asking: { readonly resolvers: readonly string[]; readonly signal: AbortSignal },
): Promise<NameServer[]> {
  if (servers.length > 0) return servers.map((server) => ({ name: server, addresses: [server] }));
  return await authoritativeServers(await findZone(name, asking), asking);
}

interface Look {
  readonly name: string;
  readonly value: string;
  readonly recursion: boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** A server has it when all of its addresses that answer have it: IPv6 may not lead anywhere from here. */
async function look({ addresses }: NameServer, asked: Look): Promise<Sight> {
  if (addresses.length === 0) return { state: 'silent', why: 'its name has no address' };
  const sights = await Promise.all(addresses.map((address) => lookAt(address, asked)));
  return sights.find(({ state }) => state === 'lacks') ?? sights.find(({ state }) => state === 'has') ?? sights[0] ?? NOTHING;
}

const NOTHING: Sight = { state: 'silent', why: 'it was not asked' };

async function lookAt(address: string, { name, value, recursion, timeoutMs, signal }: Look): Promise<Sight> {
  try {
    const { rcode, answers } = await query(address, name, 'TXT', { recursion, timeoutMs, tries: 2, signal });
    if (answers.some((record) => record.type === 'TXT' && record.value === value)) return { state: 'has' };
    if (rcode === 'NOERROR' || rcode === 'NXDOMAIN') return { state: 'lacks', why: `${address} does not have the record` };
    return { state: 'silent', why: `${address} answers ${rcode}` };
  } catch (error) {
    if (error instanceof DnsFailure) return { state: 'silent', why: error.message };
    throw error;
  }
}

function described(missing: readonly NameServer[], sights: ReadonlyMap<NameServer, Sight>): string[] {
  return missing.map((server) => {
    const sight = sights.get(server) ?? NOTHING;
    const why = sight.state === 'has' ? '' : sight.why;
    return why.includes(server.name) ? why : `${server.name} (${why})`;
  });
}

function tooLate(name: string, { timeout, servers }: DnsPropagationConfig, missing: readonly string[], onlySilent: boolean): PodserveError {
  const remedy = onlySilent
    ? 'see that they run and can be reached from here, or name servers that can in dns01.propagation.servers'
    : 'see that changes reach them (NOTIFY and transfers), or give them more time with dns01.propagation.timeout';
  return new PodserveError('CHALLENGE_FAILED', 'the record of a challenge did not reach every name server', {
    where: name,
    why: `after ${formatDuration(timeout)}${servers.length > 0 ? '' : ' these name servers of the zone'} lack it: ${missing.join(', ')}`,
    remedy,
  });
}
