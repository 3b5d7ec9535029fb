import { Counter, Gauge, Registry } from 'prom-client';

import { version } from '../platform/version.ts';
import type { Metric } from './metric.ts';

/** The exposition of what a service counted. Loaded at the first /metrics request: most processes never get one. */
export async function prometheusText(
  service: string,
  ready: boolean,
  metrics: readonly Metric[],
): Promise<{ contentType: string; text: string }> {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  const common: Metric[] = [
    { name: 'podserve_build_info', help: 'The version that runs.', type: 'gauge', values: [{ labels: { version: version() }, value: 1 }] },
    {
      name: 'podserve_ready',
      help: 'Whether the service does its job: 1 or 0.',
      type: 'gauge',
      values: [{ labels: {}, value: ready ? 1 : 0 }],
    },
    {
      name: 'process_resident_memory_bytes',
      help: 'Resident memory size in bytes.',
      type: 'gauge',
      values: [{ labels: {}, value: process.memoryUsage.rss() }],
    },
  ];
  for (const metric of [...common, ...metrics]) register(registry, metric);
  return { contentType: registry.contentType, text: await registry.metrics() };
}

function register(registry: Registry, { name, help, type, values }: Metric): void {
  const labelNames = [...new Set(values.flatMap(({ labels }) => Object.keys(labels)))];
  const options = { name, help, labelNames, registers: [registry] };
  if (type === 'counter') {
    const counter = new Counter(options);
    for (const { labels, value } of values) counter.inc(labels, value);
  } else {
    const gauge = new Gauge(options);
    for (const { labels, value } of values) gauge.set(labels, value);
  }
}
