import { identifiersOf, keyTypeOf } from '../../certificate/bundle.ts';
import { generationDirectory } from '../../certificate/generation.ts';
import type { Current, Kept, Published } from '../../certificate/renewal.ts';
import { PodserveError, systemCode } from '../../platform/errors.ts';
import { currentLink } from '../../publication/layout.ts';
import { keptGenerations, readCurrent, readGeneration, type Generation } from '../../publication/read.ts';
import { join } from 'node:path';

/** What one look at a certificate's directory found. */
export interface Survey {
  /** Where `..data` led when the look began. */
  readonly link: string | undefined;
  readonly current: Current;
  readonly generation: Generation | undefined;
}

/** What a reader could not open for reasons that a new certificate would not mend. */
const NOT_MENDED_BY_ISSUING = new Set(['EACCES', 'EPERM', 'EIO', 'EMFILE', 'ENFILE', 'ESTALE', 'ELOOP']);

/**
 * Reads and proves what is published under `name`.
 * @throws PodserveError PUBLICATION_UNREADABLE, PUBLICATION_NEWER where issuing would not help
 */
export async function survey(root: string, name: string): Promise<Survey> {
  const link = currentLink(root, name);
  try {
    const generation = await readCurrent(root, name);
    const current: Current = generation === undefined ? { state: 'absent' } : { state: 'published', ...published(generation) };
    return { link, current, generation };
  } catch (error) {
    if (!(error instanceof PodserveError) || error.code === 'PUBLICATION_NEWER') throw error;
    const code = systemCode(error.cause);
    if (code !== undefined && NOT_MENDED_BY_ISSUING.has(code)) throw error;
    return {
      link,
      current: { state: 'damaged', why: [error.where, error.why].filter(Boolean).join(': ') || error.message },
      generation: undefined,
    };
  }
}

/** The undamaged generations besides the current one, newest first. */
export async function surveyKept(root: string, name: string, link: string | undefined): Promise<Kept[]> {
  const kept: Kept[] = [];
  for (const number of await keptGenerations(root, name)) {
    const directory = generationDirectory(number);
    if (directory === link) continue;
    try {
      const { manifest } = await readGeneration(join(root, name, directory));
      kept.push({ generation: number, notBefore: Date.parse(manifest.notBefore), notAfter: Date.parse(manifest.notAfter) });
    } catch {
      // A damaged one is no candidate to go back to; it is reported where it is current.
    }
  }
  return kept;
}

function published(generation: Generation): Published {
  const { manifest, bundle } = generation;
  return {
    generation: generation.number,
    issuer: manifest.issuer,
    origin: manifest.origin,
    placeholder: manifest.placeholder,
    keyType: keyTypeOf(bundle.key),
    profile: manifest.profile,
    identifiers: identifiersOf(bundle.leaf),
    notBefore: Date.parse(manifest.notBefore),
    notAfter: Date.parse(manifest.notAfter),
    publishedAt: Date.parse(manifest.publishedAt),
  };
}
