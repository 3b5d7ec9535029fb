import type { Config } from '../config/config.ts';

/**
 * The same configuration, in which a consumer that this program runs itself is listed at the certificates that it
 * serves: whoever runs the status page need not write down that it is one.
 */
export function withConsumer(config: Config, consumer: string, certificates: readonly string[]): Config {
  return {
    ...config,
    certificates: config.certificates.map((spec) =>
      !certificates.includes(spec.name) || spec.consumers.includes(consumer) ? spec : { ...spec, consumers: [...spec.consumers, consumer] },
    ),
  };
}
