import { PodserveError } from '../../platform/errors.ts';

/** `format.json`, the first entry of an archive: what the rest is. */
export interface FormatDocument {
  readonly format: 'podserve-backup';
  readonly version: number;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly podserve: string;
  readonly host: string;
  /** How many entries follow: fewer means that the archive was cut off. */
  readonly entries: number;
}

export const FORMAT_FILE = 'format.json';
/** The configuration's name in an archive, wherever it was. */
export const CONFIG_FILE = 'podserve.yaml';
/** The ledger's name in an archive: copied, not read while it is written. */
export const LEDGER_FILE = 'authority/ledger.sqlite';
/** The directories of the state directory that an archive holds. */
export const PARTS = ['authority', 'certificates', 'mail'] as const;
export type Part = (typeof PARTS)[number];
/** Raised with each change that older versions could not restore. */
export const FORMAT_VERSION = 2;

/** @throws PodserveError RESTORE_FAILED when it is no such document, or a newer one */
export function parseFormat(text: string, where: string): FormatDocument {
  const document = read(text);
  if (document?.format !== 'podserve-backup' || typeof document.version !== 'number') {
    throw new PodserveError('RESTORE_FAILED', 'this is no backup of podserve', { where, why: `its ${FORMAT_FILE} says nothing of one` });
  }
  if (document.version > FORMAT_VERSION) {
    throw new PodserveError('RESTORE_FAILED', 'the backup was made by a newer version of podserve', {
      where,
      why: `its format is ${document.version}, made by podserve ${String(document.podserve)}; this one knows ${FORMAT_VERSION}`,
      remedy: 'restore it with that version; nothing was changed',
    });
  }
  const { createdAt, podserve, host, entries } = document;
  if (typeof createdAt !== 'string' || typeof podserve !== 'string' || typeof host !== 'string' || !Number.isSafeInteger(entries)) {
    throw new PodserveError('RESTORE_FAILED', 'the backup is damaged', { where, why: `its ${FORMAT_FILE} is incomplete` });
  }
  return { format: 'podserve-backup', version: document.version, createdAt, podserve, host, entries: Number(entries) };
}

function read(text: string): Partial<FormatDocument> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
