import { displayIdentifier, parseIdentifier } from '../../certificate/identifier.ts';
import type { Origin } from '../../certificate/generation.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import type { Config } from '../../config/config.ts';
import type { Condition, Delivery, Event, Failure, Ledger } from '../../ledger/ledger.ts';
import type { StatePaths } from '../../config/state.ts';
import { eachLimited } from '../../platform/concurrency.ts';
import { checkCertificate, type Finding } from './check.ts';
import { clockAlarm } from './clock.ts';
import { issuersStatus, type IssuerStatus } from './issuers-status.ts';
import { rootsStatus, type RootStatus } from './roots-status.ts';

/** How the certificate service stands, for people and machines. Times are ISO 8601 in UTC. No secrets. */
export interface ServiceStatus {
  readonly at: string;
  readonly publication: string;
  /** Whether somebody has to do something. */
  readonly attention: boolean;
  /** What concerns the whole service: one line each. */
  readonly alarms: readonly string[];
  readonly certificates: readonly CertificateStatus[];
  /** How many certificates were left out, with `limit`. */
  readonly omitted: number;
  readonly roots: readonly RootStatus[];
  /** The ACME servers. */
  readonly issuers: readonly IssuerStatus[];
  /** Newest first. */
  readonly events: readonly EventStatus[];
}

export interface CertificateStatus {
  readonly name: string;
  readonly condition: Condition;
  /** What a look at the files found; `good` also while renewals fail. */
  readonly state: Finding['state'];
  /** One line; empty when all is well. */
  readonly why: string;
  /** As configured, as people write them. */
  readonly wanted: readonly string[];
  readonly published: PublishedStatus | null;
  readonly renewalAt: string | null;
  readonly failure: FailureStatus | null;
  readonly deliveries: readonly DeliveryStatus[];
}

interface FailureStatus {
  readonly count: number;
  readonly at: string;
  readonly nextTry: string;
  readonly message: string;
  /** Of an ACME server's failure: its kind, and where a person can end it. */
  readonly kind: string | null;
  readonly link: string | null;
}

interface PublishedStatus {
  readonly generation: number;
  readonly issuer: string;
  readonly origin: Origin;
  readonly placeholder: boolean;
  readonly keyType: string;
  /** As people write them. */
  readonly names: readonly string[];
  readonly notBefore: string;
  readonly notAfter: string;
  readonly publishedAt: string;
  readonly leafSha256: string;
}

export interface DeliveryStatus {
  readonly endpoint: string;
  readonly servername: string;
  readonly generation: number;
  readonly state: Delivery['state'];
  readonly at: string;
  readonly detail: string;
}

export interface EventStatus {
  readonly at: string;
  readonly certificate: string | null;
  readonly kind: Event['kind'];
  readonly reason: string;
  readonly detail: string;
  readonly generation: number | null;
}

/** Where a status is read from: nothing has to run. */
export interface StatusSource {
  readonly config: Config;
  readonly paths: StatePaths;
  /** Undefined where there is none yet, or none that can be read. */
  readonly ledger: Ledger | undefined;
  /** Why the service could do nothing at all at its last pass. */
  readonly trouble?: string | undefined;
}

export interface StatusOptions {
  readonly now: number;
  /** At most so many certificates, those in trouble first; all when left out. */
  readonly limit?: number;
  readonly events?: number;
}

const AT_ONCE = 16;
const EVENTS = 30;
/** Each day and each start leaves a look that found nothing; it takes so many events to find one worth showing. */
const LOOK_BACK = 20;

/** Reads and proves what is published, and adds what the ledger knows of it. Changes nothing. */
export async function serviceStatus(source: StatusSource, options: StatusOptions): Promise<ServiceStatus> {
  const { config, paths, ledger } = source;
  const { now } = options;
  const chosen = choose(config.certificates, ledger, options.limit);
  const [certificates, roots] = await Promise.all([
    eachLimited(chosen, AT_ONCE, (spec) => certificateStatus(source, spec, now)),
    rootsStatus(config, paths.certificates, now),
  ]);
  const alarms = [
    ...(source.trouble === undefined ? [] : [source.trouble]),
    ...(ledger !== undefined && clockAlarm({ ledger })
      ? ['the clock is behind what is on record: nothing is issued until it is set right']
      : []),
  ];
  return {
    at: new Date(now).toISOString(),
    publication: paths.certificates,
    attention: alarms.length > 0 || certificates.some(({ condition }) => condition !== 'well'),
    alarms,
    certificates,
    omitted: config.certificates.length - chosen.length,
    roots,
    issuers: issuersStatus(config, ledger, now),
    events: eventsStatus(ledger, options.events ?? EVENTS),
  };
}

/** Without the looks that found nothing. */
function eventsStatus(ledger: Ledger | undefined, limit: number): EventStatus[] {
  const events = (ledger?.events({ limit: LOOK_BACK * limit }) ?? []).filter(({ kind }) => kind !== 'checked');
  return events.slice(0, limit).map((event) => ({ ...event, at: iso(event.at) }));
}

async function certificateStatus(source: StatusSource, spec: CertificateSpec, now: number): Promise<CertificateStatus> {
  const { ledger } = source;
  const finding = await checkCertificate(source.paths.certificates, spec, now, ledger);
  const failure = ledger?.failure(spec.name);
  const deliveries = deliveriesOf(source, spec);
  const refused = deliveries.find(({ state, generation }) => state === 'rejected' && generation === finding.manifest?.generation);
  return {
    name: spec.name,
    condition: finding.attention ? 'emergency' : failure === undefined && refused === undefined ? 'well' : 'failing',
    state: finding.state,
    why: [finding.why, failure?.message, refusal(refused)].find((line) => line !== undefined && line !== '') ?? '',
    wanted: spec.identifiers.map(displayIdentifier),
    published: publishedStatus(finding),
    renewalAt: finding.renewalAt === undefined ? null : iso(finding.renewalAt),
    failure: failure === undefined ? null : failureStatus(failure),
    deliveries,
  };
}

/** What is on record of the endpoints that are configured now. */
function deliveriesOf({ config, ledger }: StatusSource, spec: CertificateSpec): DeliveryStatus[] {
  const endpoints = new Set(spec.consumers.flatMap((consumer) => config.consumers[consumer]?.endpoints ?? []));
  return (ledger?.deliveries(spec.name) ?? []).filter(({ endpoint }) => endpoints.has(endpoint)).map(deliveryStatus);
}

function refusal(delivery: DeliveryStatus | undefined): string | undefined {
  return delivery === undefined ? undefined : `${delivery.endpoint} does not serve generation ${delivery.generation}: ${delivery.detail}`;
}

function publishedStatus({ manifest }: Finding): PublishedStatus | null {
  if (manifest === undefined) return null;
  const { generation, issuer, origin, placeholder, keyType, notBefore, notAfter, publishedAt, leafSha256 } = manifest;
  const names = manifest.identifiers.map((value) => displayIdentifier(parseIdentifier(value)));
  return { generation, issuer, origin, placeholder, keyType, names, notBefore, notAfter, publishedAt, leafSha256 };
}

function failureStatus({ count, at, retryAt, message, kind, link }: Failure): FailureStatus {
  return { count, at: iso(at), nextTry: iso(retryAt), message, kind: kind ?? null, link: link ?? null };
}

function deliveryStatus({ endpoint, servername, generation, state, at, detail }: Delivery): DeliveryStatus {
  return { endpoint, servername, generation, state, at: iso(at), detail };
}

/** All, or the first of them: those that the ledger knows to be in trouble, then in configured order. */
function choose(specs: readonly CertificateSpec[], ledger: Ledger | undefined, limit: number | undefined): readonly CertificateSpec[] {
  if (limit === undefined || specs.length <= limit) return specs;
  const troubled = new Set(
    (ledger?.outlooks() ?? []).filter(({ condition }) => condition !== 'well').map(({ certificate }) => certificate),
  );
  return [...specs.filter(({ name }) => troubled.has(name)), ...specs.filter(({ name }) => !troubled.has(name))].slice(0, limit);
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
