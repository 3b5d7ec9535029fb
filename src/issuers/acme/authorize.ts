import { keyAuthorization } from '../../acme/jwk.ts';
import type { AcmeIdentifier, Authorization, Challenge, Order, Polled } from '../../acme/resources.ts';
import { parseIdentifier, type Identifier } from '../../certificate/identifier.ts';
import type { ChallengeSolver, ChallengeTask } from '../../challenges/solver.ts';
import { eachLimited } from '../../platform/concurrency.ts';
import { describeError } from '../../platform/errors.ts';
import { failing, unsolved } from './classify.ts';
import { IssueFailure } from './failure.ts';
import { attemptOf, type Run } from './run.ts';
import { pauses } from './waiting.ts';

/** How many authorizations are worked on at once. */
const AT_ONCE = 10;
/** Some servers leave an order pending although an authorization has failed: then that is looked at instead. */
const LOOKS_AT_ORDER = 4;

/** An authorization to be answered, and by which of its challenges. */
interface Chosen {
  readonly challenge: Challenge;
  readonly task: ChallengeTask;
}

/** @throws IssueFailure; the signal's reason */
export function fetchAuthorizations(run: Run, order: Order): Promise<Authorization[]> {
  const { place, by, signal } = run;
  return eachLimited(order.authorizations, AT_ONCE, async (url) => {
    const { value } = await place.client.authorization(by, url, signal).catch(failing(attemptOf(run, 'authorization')));
    return value;
  });
}

/** Whether the order can still come to something. */
export function isOpen({ status }: Authorization): boolean {
  return status === 'pending' || status === 'valid';
}

/**
 * Answers what is pending and waits until the order is not, or an authorization has failed. Whatever was put in place
 * for it is taken away again.
 * @returns the order as it is then
 * @throws IssueFailure; the signal's reason
 */
export async function authorize(run: Run, order: Order, authorizations: readonly Authorization[]): Promise<Order> {
  const pending = authorizations.filter(({ status }) => status === 'pending');
  if (pending.length === 0) return settledOrder(run, order, [], undefined);
  const chosen = pending.map((authorization) => choose(run, authorization));
  const solver = await run.place.solver().catch(unsolvable(run));
  const presented: ChallengeTask[] = [];
  try {
    await eachLimited(chosen, AT_ONCE, async ({ task }) => {
      run.signal.throwIfAborted();
      await solver.present(task, run.signal).catch(unsolvable(run, task.identifier.value));
      presented.push(task);
    });
    const asked = await eachLimited(chosen, AT_ONCE, (one) => answer(run, one));
    return await settledOrder(run, order, pending, longest(asked));
  } finally {
    await cleanUp(run, solver, presented);
  }
}

function choose(run: Run, { challenges, identifier, wildcard }: Authorization): Chosen {
  const { place, by } = run;
  const { type } = place.config.challenge;
  const proven = canonical(identifier);
  if (!run.stored.identifiers.some((one) => one.type === proven.type && one.value.replace(/^\*\./, '') === proven.value)) {
    throw new IssueFailure(attemptOf(run, 'challenge').what, {
      kind: 'server',
      where: identifier.value,
      why: 'the CA wants this proven, which was not ordered',
      remedy: 'tell whoever runs the CA; nothing is wrong here',
    });
  }
  const challenge = challenges.find((one) => one.type === type);
  if (challenge?.token !== undefined) {
    return { challenge, task: { identifier: proven, token: challenge.token, keyAuthorization: keyAuthorization(challenge.token, by.key) } };
  }
  const name = `${wildcard ? '*.' : ''}${identifier.value}`;
  throw new IssueFailure(attemptOf(run, 'challenge').what, {
    kind: 'configuration',
    where: name,
    why: `the CA does not offer ${type} for it, but ${challenges.map((one) => one.type).join(', ') || 'nothing'}`,
    remedy: `set issuers.${place.config.name}.challenge to one of those${wildcard ? '; wildcards need dns-01' : ''}`,
  });
}

/** Servers may write addresses in other ways than we do. */
function canonical({ type, value }: AcmeIdentifier): Identifier {
  try {
    return parseIdentifier(value);
  } catch {
    return { type, value };
  }
}

/** Tells the server that it may look, unless it has been told in an earlier run. */
async function answer(run: Run, { challenge, task }: Chosen): Promise<number | undefined> {
  if (challenge.status !== 'pending') return undefined;
  const attempt = attemptOf(run, 'challenge', task.identifier.value);
  return (await run.place.client.answerChallenge(run.by, challenge.url, run.signal).catch(failing(attempt))).retryAfter;
}

/** The order is polled, not its authorizations: one request however many names there are. */
async function settledOrder(run: Run, order: Order, pending: readonly Authorization[], asked: number | undefined): Promise<Order> {
  const { place, by, patience, signal } = run;
  const pause = pauses(place.clock, patience, signal);
  let retryAfter: number | undefined;
  for (let look = 1; await pause(retryAfter); look += 1) {
    const polled: Polled<Order> = await place.client.order(by, order.url, signal).catch(failing(attemptOf(run, 'authorization')));
    if (polled.value.status !== 'pending') return polled.value;
    retryAfter = polled.retryAfter ?? asked;
    if (look % LOOKS_AT_ORDER === 0 && (await hasFailed(run, pending))) return polled.value;
  }
  throw tooSlow(run, 'the CA has not looked at the challenges', retryAfter);
}

async function hasFailed(run: Run, pending: readonly Authorization[]): Promise<boolean> {
  const { place, by, signal } = run;
  const now = await eachLimited(pending, AT_ONCE, ({ url }) =>
    place.client.authorization(by, url, signal).catch(failing(attemptOf(run, 'authorization'))),
  );
  return now.some(({ value }) => !isOpen(value));
}

/** An order that the server has not finished in time: it is asked about again at the next try. */
export function tooSlow(run: Run, why: string, retryAfter: number | undefined): IssueFailure {
  const { what, server, now } = attemptOf(run, 'order');
  return new IssueFailure(what, {
    kind: 'server',
    where: server,
    why: `${why} within the time of one try`,
    remedy: 'nothing to do here: the next try goes on with the same order',
    ...(retryAfter === undefined ? {} : { retryAt: now + retryAfter }),
  });
}

/** What is in place is taken away also when the order was given up. */
async function cleanUp({ place, signal }: Run, solver: ChallengeSolver, tasks: readonly ChallengeTask[]): Promise<void> {
  await eachLimited(tasks, AT_ONCE, async (task) => {
    try {
      await solver.cleanup(task, signal);
    } catch (error) {
      place.log.warn(
        { issuer: place.config.name, identifier: task.identifier.value },
        `the answer to a challenge was left behind: ${describeError(error)}`,
      );
    }
  });
}

function unsolvable(run: Run, subject?: string): (error: unknown) => never {
  return (error) => {
    throw unsolved(error, attemptOf(run, 'challenge', subject));
  };
}

function longest(asked: readonly (number | undefined)[]): number | undefined {
  const known = asked.filter((one) => one !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}
