import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { PodserveError, messageOf } from '../../platform/errors.ts';
import { makeDirectories, replaceFile } from '../../platform/files.ts';
import { listAt, numberAt, textAt } from './answer.ts';
import { renderDeploy } from './render.ts';

/** The pods that `up --pods` plays, in boot order; each is a file of deploy/ by that name. */
export const BOOT_ORDER = ['certificates', 'web', 'mail', 'consumer'] as const;
export type BootPod = (typeof BOOT_ORDER)[number];

const SETTINGS = 'settings.yaml';

/** A file of deploy/ as it is played on this host. */
export interface DeployFile {
  readonly role: BootPod;
  /** Of its pod: the role, as shipped. */
  readonly name: string;
  /** As shipped: for the reader's eyes. */
  readonly source: string;
  /** What podman plays. */
  readonly file: string;
  /** The ConfigMap, or undefined where the pod uses none. */
  readonly settings: string | undefined;
  readonly images: readonly string[];
  readonly ports: readonly { readonly hostIp: string; readonly hostPort: number }[];
  /** Changes whenever the pod would become another by playing the file. Without the images. */
  readonly digest: string;
}

/**
 * Reads the files of the pods and writes them for this data directory into its `deploy`, where they can be read, and
 * played by hand or by systemd.
 * @throws PodserveError CONFIG_UNREADABLE, CONFIG_INVALID, STATE_UNWRITABLE
 */
export async function renderFiles(deploy: string, dataDirectory: string, pods: readonly BootPod[]): Promise<DeployFile[]> {
  const settings = read(join(deploy, SETTINGS));
  const rendered = pods.map((pod) => {
    const source = join(deploy, `${pod}.yaml`);
    return { pod, source, text: renderDeploy(read(source), dataDirectory) };
  });
  const files = await Promise.all(rendered.map(async (one) => describe(one, settings, dataDirectory)));
  await write(join(dataDirectory, 'deploy', SETTINGS), settings);
  for (const { pod, text } of rendered) await write(deployedFile(dataDirectory, pod), text);
  return files;
}

function deployedFile(dataDirectory: string, pod: string): string {
  return join(dataDirectory, 'deploy', `${pod}.yaml`);
}

async function describe(
  { pod, source, text }: { pod: BootPod; source: string; text: string },
  settings: string,
  dataDirectory: string,
): Promise<DeployFile> {
  const document = await parse(source, text);
  const name = textAt(document, 'metadata', 'name');
  const containers = listAt(document, 'spec', 'containers');
  if (textAt(document, 'kind') !== 'Pod' || name === undefined || containers.length === 0) {
    throw new PodserveError('CONFIG_INVALID', 'a file of deploy/ is no pod', {
      where: source,
      why: 'it must hold one document of the kind Pod, with a name and containers',
      remedy: 'compare it with the one in the repository',
    });
  }
  const usesSettings = /\bconfigMap(?:Key)?Ref\b/.test(text);
  return {
    role: pod,
    name,
    source,
    file: deployedFile(dataDirectory, pod),
    settings: usesSettings ? join(dataDirectory, 'deploy', SETTINGS) : undefined,
    images: [...new Set(containers.flatMap((container) => textAt(container, 'image') ?? []))],
    ports: containers.flatMap((container) => listAt(container, 'ports').flatMap(hostPort)),
    digest: createHash('sha256')
      .update(JSON.stringify([text, usesSettings ? settings : null]))
      .digest('hex'),
  };
}

function hostPort(port: unknown): DeployFile['ports'] {
  const number = numberAt(port, 'hostPort');
  if (number === undefined || (textAt(port, 'protocol') ?? 'TCP') !== 'TCP') return [];
  return [{ hostIp: textAt(port, 'hostIP') ?? '', hostPort: number }];
}

async function parse(source: string, text: string): Promise<unknown> {
  const { parse: parseYaml } = await import('yaml');
  try {
    return parseYaml(text);
  } catch (cause) {
    throw new PodserveError('CONFIG_INVALID', 'a file of deploy/ is no YAML', {
      where: source,
      why: messageOf(cause).split('\n')[0] ?? '',
      cause,
    });
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new PodserveError('CONFIG_UNREADABLE', 'a file of the pods cannot be read', {
      where: file,
      why: messageOf(cause),
      remedy: 'run podserve from a checkout of its repository, or say where the files are with --deploy DIR',
      cause,
    });
  }
}

async function write(file: string, text: string): Promise<void> {
  try {
    makeDirectories(join(file, '..'), 0o755);
    await replaceFile(file, text, 0o644);
  } catch (cause) {
    throw new PodserveError('STATE_UNWRITABLE', 'the files of the pods cannot be written', {
      where: file,
      why: messageOf(cause),
      remedy: 'make it writable for this user, or choose another state directory with --state DIR',
      cause,
    });
  }
}
