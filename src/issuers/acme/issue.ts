import type { X509Certificate } from 'node:crypto';

import { AcmeTransportError } from '../../acme/problem.ts';
import type { Order } from '../../acme/resources.ts';
import type { Bundle } from '../../certificate/bundle.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import { describeError } from '../../platform/errors.ts';
import { newKeyPair } from '../../x509/key.ts';
import type { Replaced } from './acme.ts';
import { ensureAccount, makeAccountAnew, serverOf, type KnownAccount } from './account.ts';
import { certificateId } from './certificate-id.ts';
import { failing, problemIn } from './classify.ts';
import { IssueFailure } from './failure.ts';
import { isUnknownAccount } from './find-account.ts';
import { problemType } from './kinds.ts';
import { isFor, keepOrder, readOrder, setOrderAside, unfit, type StoredOrder } from './order-file.ts';
import { forget, pursue, resume } from './order.ts';
import type { OrderPlace } from './place.ts';
import { attemptOf, newRun, noCertificate, type Run } from './run.ts';
import { removeAbandoned } from './secret-directory.ts';

export interface IssueWish {
  readonly signal: AbortSignal;
  readonly replaces: Replaced | undefined;
  /** Runs one after the other what must not run twice at once. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
}

/**
 * A certificate from an ACME server: an order of an earlier run is continued where it still fits, else a new one made.
 * @throws IssueFailure; PodserveError AUTHORITY_UNREADABLE, AUTHORITY_UNWRITABLE; the signal's reason
 */
export async function issueCertificate(place: OrderPlace, spec: CertificateSpec, wish: IssueWish): Promise<Bundle> {
  const { signal, inTurn } = wish;
  const what = noCertificate(place.config.name, spec.name);
  await checkProfile(place, what, signal);
  const account = await inTurn(() => ensureAccount(place, what, signal));
  try {
    return await continueOrBegin(place, account, spec, wish);
  } catch (error) {
    if (!isUnknownAccount(error)) throw error;
    const anew = await inTurn(() => makeAccountAnew(place, account, what, signal));
    return continueOrBegin(place, anew, spec, wish);
  }
}

async function continueOrBegin(place: OrderPlace, account: KnownAccount, spec: CertificateSpec, wish: IssueWish): Promise<Bundle> {
  const kept = fittingOrder(place, spec, wish.replaces);
  if (kept?.url !== undefined) {
    const bundle = await resume(newRun(place, account, kept, wish.signal), kept.url);
    if (bundle !== undefined) return bundle;
  }
  const stored = kept?.url === undefined && kept !== undefined ? kept : await newOrderFile(place, spec);
  const run = newRun(place, account, stored, wish.signal);
  const { order, exempt } = await placeOrder(run, wish.replaces);
  const ordered = await keepOrder(place.directory, { ...stored, url: order.url, exempt });
  return pursue({ ...run, stored: ordered }, order);
}

/** The profile is looked up before an order is made: a misspelt one shall not count as an order. */
async function checkProfile({ client, config, clock }: OrderPlace, what: string, signal: AbortSignal): Promise<void> {
  const attempt = { what, issuer: config.name, server: config.directory, step: 'directory', now: clock.now() } as const;
  const { meta } = await client.directory(signal).catch(failing(attempt));
  if (config.profile === undefined || Object.hasOwn(meta.profiles, config.profile)) return;
  const offered = Object.keys(meta.profiles);
  throw new IssueFailure(what, {
    kind: 'configuration',
    scope: 'issuer',
    where: config.directory,
    why: `it does not offer the profile ${JSON.stringify(config.profile)}, but ${offered.length === 0 ? 'none at all' : offered.join(', ')}`,
    remedy:
      offered.length === 0 ? `remove issuers.${config.name}.profile` : `set issuers.${config.name}.profile to one of those, or remove it`,
  });
}

/** The order of an earlier run, if it is of use for what is wanted now. */
function fittingOrder(place: OrderPlace, spec: CertificateSpec, replaces: Replaced | undefined): StoredOrder | undefined {
  const { directory, config, clock, log } = place;
  removeAbandonedFiles(place);
  const found = readOrder(directory, spec.name);
  if (found === undefined) return undefined;
  if (typeof found === 'string') {
    const aside = setOrderAside(directory, spec.name, clock.now());
    log.warn(
      { issuer: config.name, certificate: spec.name, file: aside, why: found },
      'the file of an order under way is damaged; it was set aside',
    );
    return undefined;
  }
  const why = unfitFor(place, spec, found, replaces?.leaf);
  if (why === undefined) return found;
  log.info({ issuer: config.name, certificate: spec.name, why }, 'an order of an earlier run is of no use now');
  forget(place, spec.name);
  return undefined;
}

function unfitFor(
  { config, clock }: Pick<OrderPlace, 'config' | 'clock'>,
  spec: CertificateSpec,
  found: StoredOrder,
  published: X509Certificate | undefined,
): string | undefined {
  const wanted = { directory: serverOf(config), profile: config.profile, identifiers: spec.identifiers, keyType: spec.keyType };
  return unfit(found, wanted, published && spkiOf(published), clock.now());
}

/** Forgets the order that a published leaf came from: a run that was killed after publishing it has kept it, and its key. */
export function forgetPublished(
  place: Pick<OrderPlace, 'config' | 'log' | 'directory'>,
  certificate: string,
  published: X509Certificate,
): void {
  try {
    const found = readOrder(place.directory, certificate);
    if (typeof found === 'object' && isFor(found, spkiOf(published))) forget(place, certificate);
  } catch {
    // What cannot be read is told by the order that meets it.
  }
}

function spkiOf({ publicKey }: X509Certificate): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' });
}

/** Whether an order that the server has taken would be continued. What cannot be read is told by the order that meets it. */
export function isOrdered(
  place: Pick<OrderPlace, 'config' | 'clock' | 'directory'>,
  spec: CertificateSpec,
  published: X509Certificate | undefined,
): boolean {
  try {
    const found = readOrder(place.directory, spec.name);
    return typeof found === 'object' && found.url !== undefined && unfitFor(place, spec, found, published) === undefined;
  } catch {
    return false;
  }
}

function removeAbandonedFiles({ directory, log, config }: OrderPlace): void {
  try {
    for (const path of [directory, `${directory}/orders`]) removeAbandoned(path, Date.now());
  } catch (error) {
    log.warn({ issuer: config.name, error: describeError(error) }, 'what a killed process left behind could not be removed');
  }
}

async function newOrderFile({ directory, config, clock }: OrderPlace, spec: CertificateSpec): Promise<StoredOrder> {
  const { privateKey } = await newKeyPair(spec.keyType);
  return keepOrder(directory, {
    directory: serverOf(config),
    certificate: spec.name,
    identifiers: spec.identifiers,
    keyType: spec.keyType,
    profile: config.profile,
    key: privateKey,
    createdAt: clock.now(),
    url: undefined,
    exempt: false,
    counted: false,
  });
}

/** RFC 9773 §5: a server that does not agree that the order replaces the certificate is asked once more without it. */
async function placeOrder(run: Run, replaced: Replaced | undefined): Promise<{ order: Order; exempt: boolean }> {
  const { place, signal } = run;
  const replaces = await replacedId(place, replaced, signal);
  const exempt = replaces !== undefined && replaced?.inWindow === true;
  try {
    return { order: await newOrder(run, replaces, exempt), exempt };
  } catch (error) {
    if (replaces === undefined || !refusesReplacement(error)) throw error;
    place.log.info(
      { issuer: place.config.name, certificate: run.stored.certificate, error: describeError(error) },
      'the server takes the order for no replacement; it is made as an ordinary one',
    );
    return { order: await newOrder(run, undefined, false), exempt: false };
  }
}

async function newOrder(run: Run, replaces: string | undefined, exempt: boolean): Promise<Order> {
  const { place, by, stored, signal } = run;
  const { identifiers, profile } = stored;
  const request = { identifiers, ...(profile === undefined ? {} : { profile }), ...(replaces === undefined ? {} : { replaces }) };
  try {
    const { value } = await place.client.newOrder(by, request, signal);
    if (!exempt) place.onUse('order', '');
    return value;
  } catch (error) {
    // The server may have made it without our hearing of it.
    if (error instanceof AcmeTransportError && error.fault !== 'dns' && error.fault !== 'tls') place.onUse('order', '');
    return failing(attemptOf(run, 'order'))(error);
  }
}

async function replacedId({ client }: OrderPlace, replaced: Replaced | undefined, signal: AbortSignal): Promise<string | undefined> {
  if (replaced === undefined) return undefined;
  const { renewalInfo } = await client.directory(signal);
  return renewalInfo === undefined ? undefined : certificateId(replaced.leaf);
}

/**
 * Also where the server failed inside: one that cannot look the replaced certificate up (Pebble 2.10 for each serial
 * number with a leading 00) would fail in the same way at every try, and no renewal may hang on what it replaces.
 */
function refusesReplacement(error: unknown): boolean {
  const problem = problemIn(error);
  if (problem === undefined) return false;
  return [404, 409, 500].includes(problem.status) || ['alreadyReplaced', 'malformed', 'unauthorized'].includes(problemType(problem));
}
