import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';

import type { ReaderReport, ReaderTask } from './publication-reader.ts';

/** Starts a thread that reads a publication without pause. What it gives stops the thread and tells what that met. */
export function startReader(t: Pick<TestContext, 'after'>, task: ReaderTask): () => Promise<ReaderReport> {
  const worker = new Worker(new URL('publication-reader.ts', import.meta.url), { workerData: task });
  t.after(() => worker.terminate());
  return async () => {
    worker.postMessage('stop');
    const [report] = (await once(worker, 'message')) as [ReaderReport];
    return report;
  };
}
