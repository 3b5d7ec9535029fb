import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { PodserveError, messageOf } from '../../platform/errors.ts';
import { makeDirectories, replaceFile } from '../../platform/files.ts';
import type { Podman } from './podman.ts';
import type { Pod } from './pods.ts';

/** The file that the pods read as /data/config/podserve.yaml. */
export function configFileOf(dataDirectory: string): string {
  return join(dataDirectory, 'config', 'podserve.yaml');
}

/** What of the pods' configuration was last told to them; in the data directory's `deploy`. */
function toldFile(dataDirectory: string): string {
  return join(dataDirectory, 'deploy', 'told.sha256');
}

export type Placed = 'same' | 'placed' | 'differs';

/**
 * Puts a configuration file where the pods read it. What lies there is replaced only when that was asked for: somebody
 * may have written it for the pods.
 * @throws PodserveError STATE_UNWRITABLE, CONFIG_UNREADABLE
 */
export async function placeConfig(source: string, dataDirectory: string, replace: boolean): Promise<Placed> {
  const target = configFileOf(dataDirectory);
  const bytes = read(source);
  const there = existsSync(target);
  if (there && read(target) === bytes) return 'same';
  if (there && !replace) return 'differs';
  await write(target, bytes);
  return 'placed';
}

/**
 * Lets pods that were left running read their configuration again when it is another than they were told last.
 * @param told whether all pods were started just now, and so have read it
 * @returns the names of those that were asked
 * @throws PodserveError CONFIG_INVALID: then none was asked, and all go on with what they have
 */
export async function tellConfig(
  podman: Podman,
  pods: readonly Pod[],
  dataDirectory: string,
  told: ReadonlySet<string>,
): Promise<string[]> {
  const file = configFileOf(dataDirectory);
  const digest = createHash('sha256')
    .update(existsSync(file) ? read(file) : '')
    .digest('hex');
  const record = toldFile(dataDirectory);
  const known = existsSync(record) ? read(record).trim() : undefined;
  const resident = pods.flatMap((pod) =>
    pod.containers.filter(({ tells, state }) => tells && state === 'running').map(({ name }) => ({ pod: pod.name, name })),
  );
  const waiting = known === digest ? [] : resident.filter(({ pod }) => !told.has(pod));
  if (known !== undefined && waiting.length > 0) {
    await checkInside(podman, waiting[0]?.name ?? '', file);
    for (const { name } of waiting) await podman.run(`${name} could not be told`, ['kill', '--signal', 'HUP', name]);
  }
  if (known !== digest) await write(record, `${digest}\n`);
  return known === undefined ? [] : waiting.map(({ pod }) => pod);
}

/** By a service's own eyes: with its variables, and with paths as they are there. */
async function checkInside(podman: Podman, container: string, file: string): Promise<void> {
  const { code, stderr } = await podman.ask(['exec', container, 'podserve', 'config', 'check']);
  if (code === 0) return;
  const lines = stderr.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('failed to connect to syslog'));
  throw new PodserveError('CONFIG_INVALID', 'the pods go on with the configuration that they have', {
    where: file,
    why: lines.map((line) => line.trim().replace(/^podserve: /, '')).join('; ') || 'podserve config check refuses it',
    remedy: 'correct it, and call podserve up --pods again',
  });
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new PodserveError('CONFIG_UNREADABLE', 'the configuration of the pods cannot be read', {
      where: file,
      why: messageOf(cause),
      cause,
    });
  }
}

async function write(file: string, text: string): Promise<void> {
  try {
    makeDirectories(join(file, '..'), 0o755);
    await replaceFile(file, text, 0o644);
  } catch (cause) {
    throw new PodserveError('STATE_UNWRITABLE', 'the configuration of the pods cannot be put in place', {
      where: file,
      why: messageOf(cause),
      remedy: 'make it writable for this user, or choose another state directory with --state DIR',
      cause,
    });
  }
}
