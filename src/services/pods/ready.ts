import { SECOND } from '../../platform/clock.ts';
import { PodserveError } from '../../platform/errors.ts';
import { listAt } from './answer.ts';
import { parseList, type Podman, type PodmanAnswer } from './podman.ts';
import type { PodContainer } from './pods.ts';

export interface Readiness {
  readonly ready: boolean;
  /** Why not. */
  readonly reasons: readonly string[];
  /** Whether the service itself said so. */
  readonly answers: boolean;
}

const READY_PROGRAM = '/usr/local/bin/podserve-ready';
const ANSWER_WITHIN = 10 * SECOND;

/** Asks the service in a container whether it does its job; of one without a status port, whether it runs. */
export async function askReady(podman: Podman, container: PodContainer, signal: AbortSignal): Promise<Readiness> {
  const { state, exitCode, name, tells } = container;
  if (state !== 'running') return notYet(`its container is ${state}${state === 'exited' ? ` (exit code ${exitCode})` : ''}`);
  if (!tells) return { ready: true, reasons: [], answers: false };
  const answer = await askPatiently(podman, name, signal);
  if (answer === undefined) return notYet(`it does not answer within ${ANSWER_WITHIN / SECOND} s`);
  const { code, stdout, stderr } = answer;
  if (code === 0) return { ready: true, reasons: [], answers: true };
  if (/container state improper|is not running/.test(stderr)) return notYet(`it does not stay up${times(container.restarts)}`);
  const reasons = listAt(parseList(stdout.slice(Math.max(0, stdout.indexOf('{'))))[0], 'reasons').map(String);
  return reasons.length > 0
    ? { ready: false, reasons, answers: true }
    : notYet(lastLine(stdout) ?? lastLine(stderr) ?? 'it does not answer');
}

/** The last line that a container wrote, for an error; undefined when there is none. */
export async function lastWords(podman: Podman, container: string): Promise<string | undefined> {
  const { stdout, stderr } = await podman.ask(['logs', '--tail', '1', container], { timeoutMs: ANSWER_WITHIN });
  return lastLine(stdout) ?? lastLine(stderr);
}

async function askPatiently(podman: Podman, name: string, signal: AbortSignal): Promise<PodmanAnswer | undefined> {
  try {
    return await podman.ask(['exec', name, READY_PROGRAM], { timeoutMs: ANSWER_WITHIN, signal });
  } catch (error) {
    if (error instanceof PodserveError && error.code === 'PODMAN_FAILED') return undefined;
    throw error;
  }
}

function times(restarts: number): string {
  return restarts === 0 ? '' : `: it was started again ${restarts === 1 ? 'once' : `${restarts} times`}`;
}

function notYet(reason: string): Readiness {
  return { ready: false, reasons: [reason], answers: false };
}

function lastLine(text: string): string | undefined {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('failed to connect to syslog'));
  return lines.at(-1)?.trim();
}
