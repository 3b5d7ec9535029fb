import type { Order, Polled } from '../../acme/resources.ts';
import type { Bundle } from '../../certificate/bundle.ts';
import { messageOf } from '../../platform/errors.ts';
import { certificateRequest } from '../../x509/request.ts';
import { authorize, fetchAuthorizations, isOpen, tooSlow } from './authorize.ts';
import { preferredChain } from './chain.ts';
import { failing, problemIn } from './classify.ts';
import type { FailureKind } from '../../certificate/fallback.ts';
import { IssueFailure } from './failure.ts';
import { orderFailure } from './invalid.ts';
import { judgeIssued } from './judge.ts';
import { problemType } from './kinds.ts';
import { forgetOrder, keepOrder } from './order-file.ts';
import type { OrderPlace } from './place.ts';
import { attemptOf, type Run } from './run.ts';
import { issuanceUses } from './uses.ts';
import { pauses } from './waiting.ts';

/** Refusals of a finalization after which the order may still come to something. */
const PASSING: readonly (FailureKind | undefined)[] = [undefined, 'unreachable', 'server', 'rate-limited', 'paused'];

/**
 * Works an order off from whatever state it is in, until its certificate is there and found good.
 * @param order as the server has it now
 * @throws IssueFailure; the signal's reason
 */
export async function pursue(run: Run, order: Order): Promise<Bundle> {
  const open = order.status === 'pending' ? await proven(run, order) : order;
  const valid = open.status === 'valid' ? open : await issued(run, open);
  if (order.status !== 'valid') await count(run);
  return received(run, valid);
}

/**
 * The same for an order of an earlier run.
 * @returns undefined where it leads nowhere any more: it is forgotten then
 */
export async function resume(run: Run, url: string): Promise<Bundle | undefined> {
  const { place, by, stored, signal } = run;
  try {
    const { value: order } = await place.client.order(by, url, signal).catch(failing(attemptOf(run, 'order')));
    if (await isDead(run, order)) return abandon(run, `it is ${order.status}`);
    if (order.status === 'valid' && !stored.counted) {
      await count(run);
      await keepOrder(place.directory, { ...stored, counted: true });
    }
    place.log.info(
      { issuer: place.config.name, certificate: stored.certificate, order: url, status: order.status },
      'an order of an earlier run is continued',
    );
    return await pursue(run, order);
  } catch (error) {
    if (isGone(error)) return abandon(run, 'the server has it no more');
    if (error instanceof IssueFailure && error.kind === 'bad-certificate') return abandon(run, error.why ?? 'its certificate is of no use');
    throw error;
  }
}

/** Takes the file of an order away: the next try makes a new one, with a new key. */
export function forget({ directory, log, config }: Pick<OrderPlace, 'directory' | 'log' | 'config'>, certificate: string): void {
  try {
    forgetOrder(directory, certificate);
  } catch (error) {
    log.warn({ issuer: config.name, certificate, error: messageOf(error) }, 'the file of an order that is over could not be removed');
  }
}

function abandon({ place, stored }: Run, why: string): undefined {
  place.log.info(
    { issuer: place.config.name, certificate: stored.certificate, order: stored.url, why },
    'an order of an earlier run is given up',
  );
  forget(place, stored.certificate);
}

/** Whether an order of an earlier run has come to nothing meanwhile. What failed in it is counted. */
async function isDead(run: Run, order: Order): Promise<boolean> {
  if (order.status !== 'invalid' && order.status !== 'pending') return false;
  const authorizations = await fetchAuthorizations(run, order).catch((error: unknown) => {
    if (isGone(error)) return undefined;
    throw error;
  });
  if (authorizations !== undefined && order.status === 'pending' && authorizations.every(isOpen)) return false;
  for (const { status, identifier } of authorizations ?? []) if (status === 'invalid') run.place.onUse('failure', identifier.value);
  return true;
}

/** Whether the server no longer knows what was asked for, or no longer as ours. */
function isGone(error: unknown): boolean {
  const problem = problemIn(error);
  if (problem === undefined || problemType(problem) === 'accountDoesNotExist') return false;
  return problem.status === 404 || problem.status === 410 || ['malformed', 'unauthorized'].includes(problemType(problem));
}

/** @throws IssueFailure when a name could not be proven: the order is forgotten then */
async function proven(run: Run, order: Order): Promise<Order> {
  const authorizations = await fetchAuthorizations(run, order);
  const after = authorizations.every(isOpen) ? await authorize(run, order, authorizations) : order;
  return after.status === 'pending' || after.status === 'invalid' ? failed(run, after) : after;
}

async function failed(run: Run, order: Order): Promise<never> {
  const authorizations = await fetchAuthorizations(run, order).catch((error: unknown) => {
    run.signal.throwIfAborted();
    run.place.log.warn({ issuer: run.place.config.name, error: messageOf(error) }, 'why an order failed could not be asked');
    return [];
  });
  forget(run.place, run.stored.certificate);
  throw orderFailure(run, order, authorizations);
}

/** Finalizes what is ready, and waits for what is in the works. */
async function issued(run: Run, order: Order): Promise<Order> {
  const { place, by, patience, signal } = run;
  const pause = pauses(place.clock, patience, signal);
  const submitted = order.status === 'ready' ? await submit(run, order) : undefined;
  let again = order.status === 'ready' && submitted === undefined;
  let polled = submitted ?? { value: order, retryAfter: undefined };
  while (polled.value.status !== 'valid') {
    if (polled.value.status === 'invalid') return failed(run, polled.value);
    if (!(await pause(polled.retryAfter))) throw tooSlow(run, 'the CA has not signed', polled.retryAfter);
    polled = await place.client.order(by, order.url, signal).catch(failing(attemptOf(run, 'finalize')));
    if (!again || polled.value.status !== 'ready') continue;
    again = false;
    polled = (await submit(run, polled.value)) ?? polled;
  }
  return polled.value;
}

/** @returns undefined where the server is not as far as it said */
async function submit(run: Run, order: Order): Promise<Polled<Order> | undefined> {
  const { place, by, stored, signal } = run;
  const request = certificateRequest(stored.identifiers, stored.key);
  try {
    return await place.client.finalize(by, order, request, signal).catch(failing(attemptOf(run, 'finalize')));
  } catch (error) {
    const problem = problemIn(error);
    if (problem !== undefined && problemType(problem) === 'orderNotReady') return undefined;
    const kind = error instanceof IssueFailure ? error.kind : undefined;
    if (!PASSING.includes(kind)) forget(place, stored.certificate);
    throw error;
  }
}

/** @throws IssueFailure: of kind bad-certificate when the order is forgotten with it */
async function received(run: Run, order: Order): Promise<Bundle> {
  const { place, by, stored, signal } = run;
  const attempt = attemptOf(run, 'certificate');
  if (order.certificate === undefined) throw bad(run, 'the order is valid, but has no certificate');
  const download = await place.client.download(by, order.certificate, signal).catch(failing(attempt));
  const pem = await preferredChain(place, by, download, signal);
  const key = stored.key.export({ type: 'pkcs8', format: 'pem' });
  const judged = judgeIssued(key, pem, stored.identifiers, place.clock.now());
  if ('bundle' in judged) return judged.bundle;
  if ('wrong' in judged) throw bad(run, judged.wrong);
  throw new IssueFailure(attempt.what, {
    kind: 'unreachable',
    scope: 'issuer',
    where: attempt.server,
    why: `what was downloaded is no certificate: ${judged.unreadable}`,
    remedy: 'see that no proxy answers for the CA; the next try asks for the same certificate again',
  });
}

function bad(run: Run, why: string): IssueFailure {
  const { what, server } = attemptOf(run, 'certificate');
  forget(run.place, run.stored.certificate);
  return new IssueFailure(what, {
    kind: 'bad-certificate',
    where: server,
    why: `what was issued is not what was asked for: ${why}`,
    remedy: 'tell whoever runs the CA; what is published stays',
  });
}

async function count({ place, stored }: Run): Promise<void> {
  if (stored.exempt) return;
  for (const [kind, subject] of await issuanceUses(stored.identifiers)) place.onUse(kind, subject);
}
