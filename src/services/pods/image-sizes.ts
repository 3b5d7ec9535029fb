import { idOf } from './base-image.ts';
import { IMAGES, imageName, type ImageKind } from './image-names.ts';
import { parseList, type Podman } from './podman.ts';

export interface ImageReport {
  readonly kind: ImageKind;
  readonly name: string;
  readonly id: string;
  readonly version: string | null;
  readonly revision: string | null;
  /** RFC 3339. */
  readonly created: string;
  /** With all layers, bytes. */
  readonly size: number;
  /** From the lowest up. */
  readonly layers: readonly LayerReport[];
}

export interface LayerReport {
  readonly digest: string;
  /** Bytes, not compressed. */
  readonly size: number;
  /** The line of the Containerfile, shortened. */
  readonly madeBy: string;
}

/** The images that are here, lowest first. */
export async function imageReports(podman: Podman, signal: AbortSignal): Promise<ImageReport[]> {
  const reports = await Promise.all(IMAGES.map((kind) => imageReport(podman, kind, signal)));
  return reports.filter((report) => report !== undefined);
}

/** What the images take together: each layer once. */
export function sizeTogether(reports: readonly ImageReport[]): number {
  const sizes = new Map(reports.flatMap(({ layers }) => layers.map(({ digest, size }) => [digest, size])));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

interface Inspected {
  readonly Id: string;
  readonly Created: string;
  readonly Size: number;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly RootFS: { readonly Layers: readonly string[] };
  readonly History: readonly { readonly created_by?: string; readonly empty_layer?: boolean }[];
}

async function imageReport(podman: Podman, kind: ImageKind, signal: AbortSignal): Promise<ImageReport | undefined> {
  const name = imageName(kind);
  if ((await idOf(podman, name, signal)) === undefined) return undefined;
  const what = `${name} cannot be looked at`;
  const [image] = parseList(await podman.run(what, ['image', 'inspect', name], { signal })) as Inspected[];
  const steps = parseList(await podman.run(what, ['history', '--format', 'json', name], { signal })) as { size: number }[];
  if (image === undefined) return undefined;
  const sizes = steps.toReversed();
  const filled = image.History.flatMap(({ empty_layer: empty }, index) =>
    empty === true ? [] : [{ madeBy: makerOf(image.History, index), size: sizes[index]?.size ?? 0 }],
  );
  return {
    kind,
    name,
    id: image.Id,
    version: image.Labels?.['org.opencontainers.image.version'] ?? null,
    revision: image.Labels?.['org.opencontainers.image.revision'] ?? null,
    created: image.Created,
    size: image.Size,
    layers: image.RootFS.Layers.map((digest, index) => ({
      digest,
      size: filled[index]?.size ?? 0,
      madeBy: filled[index]?.madeBy ?? '',
    })),
  };
}

/** The line that filled a layer: what was built without a cache has all lines of a stage in one, noted at the last. */
function makerOf(history: Inspected['History'], index: number): string {
  const line = lineOf(history[index]?.created_by);
  if (FILLS.test(line)) return line;
  const before = history.slice(0, index).toReversed();
  const own = before.slice(
    0,
    before.findIndex(({ empty_layer: empty }) => empty !== true),
  );
  return own.map(({ created_by: by }) => lineOf(by)).findLast((one) => FILLS.test(one)) ?? line;
}

const FILLS = /^(?:ADD|COPY|RUN) /;

/** As it stands in the Containerfile. */
function lineOf(createdBy = ''): string {
  const line = createdBy.replace(/^\/bin\/sh -c (?:#\(nop\) )?/, (shell) => (shell.includes('nop') ? '' : 'RUN '));
  return line
    .replaceAll(/\b(?:file|dir|multi):[0-9a-f]{64}/g, '…')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
