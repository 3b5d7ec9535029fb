import type { Outlook } from '../../ledger/ledger.ts';
import type { Metric } from '../metric.ts';
import type { StatusSource } from '../status.ts';
import { clockAlarm } from './clock.ts';
import type { CronState } from './cron.ts';
import { serviceStatus } from './status.ts';

/** A probe shall not have to read ten thousand lines to learn that something is wrong. */
const MOST_REASONS = 20;
const CONDITIONS = { well: 0, failing: 1, emergency: 2 } as const;

/**
 * What the status port of the certificate service tells. Readiness and metrics come from the ledger alone, so that
 * asking is cheap.
 * @param hasLooked whether the first pass is over: before that the ledger may know nothing at all
 */
export function certificatesStatusPort(state: CronState, hasLooked: () => boolean): StatusSource {
  return {
    service: 'certificates',
    readiness() {
      const reasons = hasLooked() ? reasonsOf(state) : ['it has just started and is looking at its certificates'];
      return { ready: reasons.length === 0, reasons };
    },
    async details() {
      const { config, paths, ledger, clock } = state.service;
      return { ...(await serviceStatus({ config, paths, ledger, trouble: state.trouble }, { now: clock.now() })) };
    },
    metrics: () => metricsOf(state),
  };
}

function reasonsOf({ trouble, service }: CronState): string[] {
  const urgent = service.ledger.outlooks().filter(({ condition }) => condition === 'emergency');
  const shown = urgent.slice(0, MOST_REASONS).map(({ certificate, reason, detail }) => `certificate ${certificate}: ${reason}: ${detail}`);
  return [
    ...(trouble === undefined ? [] : [trouble]),
    ...(clockAlarm(service) ? ['the clock is behind what is on record'] : []),
    ...shown,
    ...(urgent.length > shown.length ? [`and ${urgent.length - shown.length} more certificates`] : []),
  ];
}

function metricsOf({ trouble, service }: CronState): Metric[] {
  const { ledger } = service;
  const outlooks = ledger.outlooks();
  const perCertificate = (name: string, help: string, value: (outlook: Outlook) => number | null): Metric => ({
    name,
    help,
    type: 'gauge',
    values: outlooks.flatMap((outlook) => {
      const found = value(outlook);
      return found === null ? [] : [{ labels: { certificate: outlook.certificate }, value: found }];
    }),
  });
  return [
    perCertificate(
      'podserve_certificate_not_after_seconds',
      'When the published certificate expires, seconds since the epoch.',
      ({ notAfter }) => (notAfter === null ? null : notAfter / 1000),
    ),
    perCertificate(
      'podserve_certificate_next_look_seconds',
      'When it is to be renewed or tried again, seconds since the epoch.',
      ({ nextLook }) => nextLook / 1000,
    ),
    perCertificate(
      'podserve_certificate_condition',
      'How it stands: 0 well, 1 failing, 2 emergency.',
      ({ condition }) => CONDITIONS[condition],
    ),
    perCertificate(
      'podserve_certificate_failures',
      'How often in a row its renewal has failed.',
      ({ certificate }) => ledger.failure(certificate)?.count ?? 0,
    ),
    {
      name: 'podserve_certificate_served',
      help: 'Whether the endpoint was seen serving what is published: 1 or 0.',
      type: 'gauge',
      values: ledger.deliveries().map(({ certificate, endpoint, servername, state }) => ({
        labels: { certificate, endpoint, servername },
        value: state === 'served' ? 1 : 0,
      })),
    },
    {
      name: 'podserve_clock_alarm',
      help: 'Whether the clock is behind what is on record: 1 or 0.',
      type: 'gauge',
      values: one(clockAlarm(service)),
    },
    {
      name: 'podserve_trouble',
      help: 'Whether the last pass could do nothing at all: 1 or 0.',
      type: 'gauge',
      values: one(trouble !== undefined),
    },
  ];
}

function one(value: boolean): Metric['values'] {
  return [{ labels: {}, value: value ? 1 : 0 }];
}
