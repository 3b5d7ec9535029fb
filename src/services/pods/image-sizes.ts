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
  const images = await inspectImages(podman, signal);
  return Promise.all([...images].map(([kind, image]) => imageReport(podman, kind, image, signal)));
}

/** What the images take together: each layer once. */
export function sizeTogether(reports: readonly ImageReport[]): number {
  const sizes = new Map(reports.flatMap(({ layers }) => layers.map(({ digest, size }) => [digest, size])));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

/** Of what `podman image inspect` prints. */
interface Inspected {
  readonly Id: string;
  readonly RepoTags: readonly string[] | null;
  readonly Created: string;
  readonly Size: number;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly RootFS: { readonly Layers: readonly string[] };
  readonly History: readonly { readonly created_by?: string; readonly empty_layer?: boolean }[];
}

/** The images that are here, lowest first. */
export async function inspectImages(podman: Podman, signal: AbortSignal): Promise<ReadonlyMap<ImageKind, Inspected>> {
  // With one missing podman fails, and prints the others.
  const { stdout } = await podman.ask(['image', 'inspect', ...IMAGES.map(imageName)], { signal });
  const found = parseList(stdout) as Inspected[];
  return new Map(
    IMAGES.flatMap((kind) => {
      const image = found.find(({ RepoTags: tags }) => tags?.includes(imageName(kind)));
      return image === undefined ? [] : [[kind, image]];
    }),
  );
}

async function imageReport(podman: Podman, kind: ImageKind, image: Inspected, signal: AbortSignal): Promise<ImageReport> {
  const name = imageName(kind);
  const steps = parseList(await podman.run(`${name} cannot be looked at`, ['history', '--format', 'json', name], { signal })) as {
    size: number;
  }[];
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
