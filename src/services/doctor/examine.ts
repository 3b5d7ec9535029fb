import type { SolverOpener } from '../../challenges/shared.ts';
import { displayIdentifier, type Identifier } from '../../certificate/identifier.ts';
import type { AcmeIssuerConfig, Config } from '../../config/config.ts';
import type { StatePaths } from '../../config/state.ts';
import { SECOND, type Clock } from '../../platform/clock.ts';
import { eachLimited } from '../../platform/concurrency.ts';
import { PodserveError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import { vantageOf, type Vantage } from './address.ts';
import { askCa, directoryOf, type CaFacts } from './ask-ca.ts';
import { askNames, type Names } from './ask-names.ts';
import { openReach, type Reach } from './ask-reach.ts';
import { examineProgram, examineUpdates } from './ask-solver.ts';
import { troubled, warning, type Check, type Finding, type Judgement } from './finding.ts';
import { judgeCaa } from './judge-caa.ts';
import { judgeDelegation } from './judge-delegation.ts';
import { judgeOwnAddress, judgeResolution } from './judge-resolve.ts';

export interface Examination {
  readonly config: Config;
  readonly identifiers: readonly Identifier[];
  readonly issuer: AcmeIssuerConfig;
  readonly paths: StatePaths;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Where the orders that run meanwhile have theirs from; default: one of its own. */
  readonly solverFor?: SolverOpener | undefined;
  /** For everything together, ms. */
  readonly timeoutMs: number;
  /** What CAs call 80 and 443: others in tests alone. */
  readonly ports: { readonly http: number; readonly https: number };
}

/** RFC 8555 §8.3, RFC 8737 §3. */
export const CA_PORTS = { http: 80, https: 443 } as const;

/** A certificate may have a hundred names, and each asks some twenty questions. */
const AT_ONCE = 50;

/**
 * Everything that has a say in whether an order of these names at this issuer will do.
 * @throws the signal's reason
 */
export async function examine(examination: Examination): Promise<Finding[]> {
  const { config, identifiers, issuer, paths, clock, signal, timeoutMs } = examination;
  const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const names = askNames(config.resolvers, within);
  const ca = askCa(issuer, paths, clock, within);
  // Each who waits for it is told; nobody may, where another look fails before.
  ca.catch(() => undefined);
  await using reach = await reachFor(examination, names, within);
  const bound = bounds(signal, within, timeoutMs);
  const vantage = vantageOf(directoryOf(issuer), issuer.caFile);
  const place: Place = { issuer, names, reach, ca, vantage, clock, signal: within, bound };
  const [ofCa, ofProgram, ofNames] = await Promise.all([
    bound(issuer.name, 'directory', async () => (await ca).judgements.map((one) => ({ subject: issuer.name, ...one }))),
    examineSolver(issuer),
    eachLimited(identifiers, AT_ONCE, (identifier) => examineName(identifier, place)),
  ]);
  signal.throwIfAborted();
  return [...ofCa, ...ofProgram, ...ofNames.flat()];
}

type Bound = (subject: string, check: Check, work: () => Promise<Finding[]>) => Promise<Finding[]>;

interface Place {
  readonly issuer: AcmeIssuerConfig;
  readonly names: Names;
  readonly reach: Reach | undefined;
  readonly ca: Promise<CaFacts>;
  readonly vantage: Vantage;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly bound: Bound;
}

async function reachFor(examination: Examination, names: Names, signal: AbortSignal): Promise<Reach | undefined> {
  const { config, issuer, paths, clock, log, ports, solverFor } = examination;
  if (issuer.challenge.type === 'dns-01') return undefined;
  const surroundings = { challengesDirectory: paths.challenges, resolvers: config.resolvers, clock, log };
  return openReach({ challenge: issuer.challenge, surroundings, solverFor, names, ports, signal });
}

async function examineSolver({ name, challenge }: AcmeIssuerConfig): Promise<Finding[]> {
  if (challenge.type !== 'dns-01' || challenge.via !== 'exec') return [];
  return [{ subject: name, check: 'program', ...(await examineProgram(challenge.exec)) }];
}

/** What goes wrong in one look is a finding of its own, and what takes too long is said to. */
function bounds(signal: AbortSignal, within: AbortSignal, timeoutMs: number): Bound {
  return async (subject, check, work) => {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (within.aborted) {
        const what = `this was not seen to its end within ${timeoutMs / SECOND} s`;
        return [{ subject, check, ...warning(what, 'see what keeps the network or its name servers from answering') }];
      }
      if (!(error instanceof PodserveError)) throw error;
      return [{ subject, check, ...troubled(error) }];
    }
  };
}

async function examineName(identifier: Identifier, place: Place): Promise<Finding[]> {
  const subject = displayIdentifier(identifier);
  const { issuer, bound } = place;
  const { type } = issuer.challenge;
  const found = await Promise.all([
    type === 'dns-01' || identifier.value.startsWith('*.') ? [] : examineReach(identifier, subject, place),
    identifier.type === 'ip'
      ? []
      : bound(subject, 'caa', async () => [{ subject, check: 'caa', ...(await examineCaa(identifier, place)) }]),
    examineDelegation(identifier, subject, place),
  ]);
  return found.flat();
}

async function examineReach(identifier: Identifier, subject: string, { issuer, names, reach, vantage, bound }: Place): Promise<Finding[]> {
  const { type } = issuer.challenge;
  let addresses: string[] = [];
  const resolved = await bound(subject, 'resolve', async () => {
    if (identifier.type === 'ip') {
      addresses = [identifier.value];
      return [{ subject, check: 'resolve', ...judgeOwnAddress(identifier.value, vantage) }];
    }
    const resolution = await names.resolution(identifier.value);
    addresses = [resolution.a, resolution.aaaa].flatMap((lookup) => (lookup.state === 'found' ? lookup.addresses : []));
    return judgeResolution(resolution, type, vantage).map((one) => ({ subject, check: 'resolve', ...one }));
  });
  if (addresses.length === 0 || reach === undefined || type === 'dns-01') return resolved;
  const reached = await bound(subject, type, async () =>
    (await reach.test(identifier, addresses)).map((one) => ({ subject, check: type, ...one })),
  );
  return [...resolved, ...reached];
}

async function examineCaa({ value }: Identifier, { names, ca, issuer }: Place): Promise<Judgement> {
  const steps = await names.caa(value);
  const { meta, account } = await ca;
  return judgeCaa(steps, { wildcard: value.startsWith('*.'), identities: meta?.caaIdentities, challenge: issuer.challenge.type, account });
}

async function examineDelegation(identifier: Identifier, subject: string, place: Place): Promise<Finding[]> {
  const { names, clock, signal, bound } = place;
  const { challenge } = place.issuer;
  if (challenge.type !== 'dns-01') return [];
  let target: string | undefined;
  const delegated = await bound(subject, 'delegation', async () => {
    const delegation = await names.delegation(identifier, challenge.propagation.servers);
    target = delegation.chain.at(-1);
    return judgeDelegation(delegation).map((one) => ({ subject, check: 'delegation', ...one }));
  });
  const name = target;
  if (name === undefined || challenge.via !== 'update') return delegated;
  const updated = await bound(subject, 'update-key', async () => [
    { subject, check: 'update-key', ...(await examineUpdates(challenge, name, clock, signal)) },
  ]);
  return [...delegated, ...updated];
}
