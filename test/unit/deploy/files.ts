import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap';
import type { IPod } from 'kubernetes-models/v1/Pod';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

export const DEPLOY = join(import.meta.dirname, '../../../deploy');

export type Manifest = IPod | IConfigMap;

export interface DeployFile {
  /** Relative to deploy/. */
  readonly name: string;
  readonly text: string;
  readonly documents: readonly Manifest[];
}

export interface PodFile {
  readonly name: string;
  readonly pod: IPod;
}

/** The containers of a pod, init containers among them. */
export type Container = NonNullable<IPod['spec']>['containers'][number];

export function deployFiles(): DeployFile[] {
  const names = readdirSync(DEPLOY, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'));
  return names.sort().map((name) => {
    const text = readFileSync(join(DEPLOY, name), 'utf8');
    const documents = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
    return { name, text, documents };
  });
}

export function podFiles(): PodFile[] {
  return deployFiles().flatMap(({ name, documents }) => documents.flatMap((pod) => (pod.kind === 'Pod' ? [{ name, pod }] : [])));
}

export function containersOf({ spec }: IPod): Container[] {
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
}

/** The container of that name in a file of deploy/. */
export function containerOf(file: string, name: string): Container {
  const pod = podFiles().find((one) => one.name === file)?.pod;
  const found = pod === undefined ? undefined : containersOf(pod).find((container) => container.name === name);
  if (found === undefined) throw new Error(`deploy/${file} has no container ${name}`);
  return found;
}
