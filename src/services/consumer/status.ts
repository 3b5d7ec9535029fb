import type { Consumer, ConsumerReport } from '../consumer.ts';
import type { Metric } from '../metric.ts';
import type { StatusSource } from '../status.ts';

/** What the status port of a service with a consumer tells. */
export function consumerStatus(service: string, consumer: Pick<Consumer, 'report'>): StatusSource {
  return {
    service,
    readiness() {
      const { ready, reasons } = consumer.report();
      return { ready, reasons };
    },
    details() {
      const { publication, certificates, daemons, alarms } = consumer.report();
      return {
        publication,
        certificates,
        daemons: daemons.map((daemon) => ({ ...daemon, since: new Date(daemon.since).toISOString() })),
        alarms,
      };
    },
    metrics: () => metricsOf(consumer.report()),
  };
}

function metricsOf({ certificates, daemons, alarms, tally }: ConsumerReport): Metric[] {
  const perCertificate = (name: string, help: string, value: (one: (typeof certificates)[number]) => number | undefined): Metric => ({
    name,
    help,
    type: 'gauge',
    values: certificates.flatMap((one) => {
      const found = value(one);
      return found === undefined ? [] : [{ labels: { certificate: one.name }, value: found }];
    }),
  });
  return [
    perCertificate(
      'podserve_certificate_not_after_seconds',
      'When the served certificate expires, seconds since the epoch.',
      ({ served }) => (typeof served?.notAfter === 'string' ? Date.parse(served.notAfter) / 1000 : undefined),
    ),
    perCertificate('podserve_certificate_served', 'Whether the published certificate was seen served: 1 or 0.', ({ state }) =>
      state === 'served' ? 1 : 0,
    ),
    perCertificate(
      'podserve_delivery_seconds',
      'From the switch of the publication to the first handshake that showed the last certificate.',
      ({ servedAfterMs }) => (servedAfterMs === null ? undefined : servedAfterMs / 1000),
    ),
    counter('podserve_reloads_total', 'Starts and graceful reloads for certificates or configuration.', tally.reloads),
    counter('podserve_reload_failures_total', 'Those of them that failed.', tally.failedReloads),
    counter('podserve_rejected_total', 'Generations that were not taken.', tally.refusals),
    counter('podserve_returns_total', 'How often the former certificates were put back.', tally.returns),
    {
      name: 'podserve_alarms',
      help: 'Alarms that a person should look at.',
      type: 'gauge',
      values: [{ labels: {}, value: alarms.length }],
    },
    {
      name: 'podserve_daemon_restarts_total',
      help: 'How often a daemon was started again after it had ended by itself.',
      type: 'counter',
      values: daemons.map(({ name, restarts }) => ({ labels: { daemon: name }, value: restarts })),
    },
  ];
}

function counter(name: string, help: string, value: number): Metric {
  return { name, help, type: 'counter', values: [{ labels: {}, value }] };
}
