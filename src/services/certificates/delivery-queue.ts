import type { Result } from './result.ts';

/** What was looked at and is to be seen at its endpoints. */
export interface DeliveryQueue {
  /** In place of what is still in the queue for the same certificates. */
  add(results: readonly Result[]): void;
  /** Resolves when nothing is left. */
  idle(): Promise<void>;
}

/**
 * Has everything that came meanwhile verified together when one verification is over: a consumer that does not answer
 * takes its whole deadline, and with hundreds of orders that end one by one the last would be looked at hours later.
 * @param deliver must not reject
 */
export function deliveryQueue(deliver: (results: readonly Result[]) => Promise<void>): DeliveryQueue {
  const waiting = new Map<string, Result>();
  let work: Promise<void> | undefined;

  async function run(): Promise<void> {
    while (waiting.size > 0) {
      const results = [...waiting.values()];
      waiting.clear();
      await deliver(results);
    }
    work = undefined;
  }

  return {
    add(results) {
      for (const result of results) waiting.set(result.spec.name, result);
      if (waiting.size > 0) work ??= run();
    },
    idle: async () => work,
  };
}
