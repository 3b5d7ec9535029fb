import { once } from 'node:events';

import { openSolver } from '../../src/challenges/open.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { describeError } from '../../src/platform/errors.ts';
import { silentLog } from '../../src/platform/log.ts';
import { challengeTask } from './challenge-tasks.ts';

/** `challenge-process.ts LISTEN TOKEN`: answers http-01 in a process of its own until SIGTERM, or says why it cannot. */
const [listen = '', token = ''] = process.argv.slice(2);
const surroundings = { challengesDirectory: '/nonexistent', resolvers: [], clock: systemClock, log: silentLog };
const solver = await openSolver({ type: 'http-01', via: 'listen', listen }, surroundings);
const task = challengeTask('www.example.org', token);
try {
  await solver.present(task, AbortSignal.timeout(10_000));
  console.log(`answers ${task.keyAuthorization}`);
  await once(process, 'SIGTERM');
} catch (error) {
  console.log(`fails: ${describeError(error)}`);
} finally {
  await solver[Symbol.asyncDispose]();
}
