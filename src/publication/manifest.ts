import { identifiersOf, keyTypeOf, leafSha256, spkiSha256, type Bundle } from '../certificate/bundle.ts';
import type { Manifest, Origin, Publisher } from '../certificate/generation.ts';
import { PodserveError } from '../platform/errors.ts';
import { damaged } from './trouble.ts';

/** What the publisher knows besides the bundle. */
export interface Provenance {
  readonly name: string;
  readonly issuer: string;
  readonly origin: Origin;
  readonly placeholder: boolean;
  readonly profile?: string | undefined;
  /** ms since the epoch */
  readonly now: number;
  readonly publisher: Publisher;
}

export function manifestOf(bundle: Bundle, generation: number, provenance: Provenance): Manifest {
  const { leaf } = bundle;
  return {
    version: 1,
    name: provenance.name,
    generation,
    issuer: provenance.issuer,
    origin: provenance.origin,
    placeholder: provenance.placeholder,
    keyType: keyTypeOf(bundle.key),
    ...(provenance.profile === undefined ? {} : { profile: provenance.profile }),
    identifiers: identifiersOf(leaf).map(({ value }) => value),
    serial: leaf.serialNumber.toLowerCase(),
    notBefore: leaf.validFromDate.toISOString(),
    notAfter: leaf.validToDate.toISOString(),
    leafSha256: leafSha256(leaf),
    spkiSha256: spkiSha256(leaf),
    publishedAt: new Date(provenance.now).toISOString(),
    publishedBy: provenance.publisher,
  };
}

/**
 * Reads `manifest.json` of the generation at `where`.
 * @throws PodserveError BUNDLE_INVALID, PUBLICATION_NEWER
 */
export function parseManifest(text: string, where: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged(where, text === '' ? 'it is empty' : 'it is not JSON');
  }
  if (!isRecord(value)) throw damaged(where, 'it is not a manifest');
  const version = value['version'];
  if (typeof version === 'number' && version > 1) {
    throw new PodserveError('PUBLICATION_NEWER', 'the published certificate was written by a newer version', {
      where,
      why: `its manifest has version ${version}, this program knows version 1`,
      remedy: 'run the newer version; nothing was changed',
    });
  }
  const wrong = Object.entries(FIELDS).find(([field, holds]) => !holds(value[field]));
  if (wrong !== undefined) throw damaged(where, `its field ${wrong[0]} is missing or wrong`);
  return value as unknown as Manifest;
}

/** Whether a manifest speaks of this leaf; gives the field that does not. */
export function disagreement(manifest: Manifest, { leaf }: Bundle): keyof Manifest | undefined {
  if (manifest.leafSha256 !== leafSha256(leaf)) return 'leafSha256';
  if (Date.parse(manifest.notBefore) !== leaf.validFromDate.getTime()) return 'notBefore';
  if (Date.parse(manifest.notAfter) !== leaf.validToDate.getTime()) return 'notAfter';
  return undefined;
}

const isText = (value: unknown): boolean => typeof value === 'string';
const isDate = (value: unknown): boolean => typeof value === 'string' && !Number.isNaN(Date.parse(value));
const isDigest = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
const ORIGINS: readonly unknown[] = ['issued', 'adopted', 'imported'] satisfies Origin[];

const FIELDS: Readonly<Record<keyof Manifest, (value: unknown) => boolean>> = {
  version: (value) => value === 1,
  name: isText,
  generation: (value) => Number.isSafeInteger(value) && (value as number) > 0,
  issuer: isText,
  origin: (value) => ORIGINS.includes(value),
  placeholder: (value) => typeof value === 'boolean',
  keyType: isText,
  profile: (value) => value === undefined || isText(value),
  identifiers: (value) => Array.isArray(value) && value.every(isText),
  serial: isText,
  notBefore: isDate,
  notAfter: isDate,
  leafSha256: isDigest,
  spkiSha256: isDigest,
  publishedAt: isDate,
  publishedBy: (value) => isRecord(value) && isText(value['host']) && isText(value['command']) && isText(value['version']),
};

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
