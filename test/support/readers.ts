import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';

import type { ReaderReport } from './publication-reader.ts';

/** Starts threads that read the certificate directory without a pause. `stop` gives what each saw. */
export function startReaders(t: Pick<TestContext, 'after'>, directory: string, count: number): { stop(): Promise<ReaderReport[]> } {
  const workers = Array.from(
    { length: count },
    () => new Worker(new URL('publication-reader.ts', import.meta.url), { workerData: directory }),
  );
  t.after(() => Promise.all(workers.map((worker) => worker.terminate())));
  return {
    stop: () =>
      Promise.all(
        workers.map(async (worker) => {
          const answer = once(worker, 'message') as Promise<[ReaderReport]>;
          worker.postMessage('stop');
          return (await answer)[0];
        }),
      ),
  };
}
