import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { keyTypeOf } from '../../certificate/bundle.ts';
import type { Identifier } from '../../certificate/identifier.ts';
import type { CertificateSpec, KeyType } from '../../certificate/spec.ts';
import { DAY } from '../../platform/clock.ts';
import { systemCode } from '../../platform/errors.ts';
import { readBounded, replaceFile } from '../../platform/files.ts';
import { makeSecretDirectory, unreadable, unwritable } from './secret-directory.ts';
import { namesKey } from './uses.ts';

/** An order under way with the key of its certificate, as it is kept until the certificate is published. */
export interface StoredOrder {
  /** Directory URL. */
  readonly directory: string;
  readonly certificate: string;
  readonly identifiers: readonly Identifier[];
  readonly keyType: KeyType;
  readonly profile: string | undefined;
  readonly key: KeyObject;
  /** ms since the epoch */
  readonly createdAt: number;
  /** Undefined until the server has taken the order. */
  readonly url: string | undefined;
  /** Whether the CA counts it against no limit: a replacement that it agreed to, at the time that it suggested. */
  readonly exempt: boolean;
  /** Whether its certificate has been counted by a run after the one that ordered it. */
  readonly counted: boolean;
}

const LARGEST_FILE = 256 * 1024;
/** Servers keep no order longer (RFC 8555 §7.1.3 `expires`; Let's Encrypt 7 days), and older certificates are worth less. */
const LONGEST_ORDER = 7 * DAY;

function orderFile(directory: string, certificate: string): string {
  return join(directory, 'orders', `${certificate}.json`);
}

/**
 * The order under way for a certificate.
 * @returns undefined where there is none; a sentence where the file is damaged
 * @throws PodserveError AUTHORITY_UNREADABLE when the system does not let it be read
 */
export function readOrder(directory: string, certificate: string): StoredOrder | string | undefined {
  const file = orderFile(directory, certificate);
  let read: ReturnType<typeof readBounded>;
  try {
    read = readBounded(file, LARGEST_FILE);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw unreadable('the ACME order under way cannot be read', file, error);
  }
  if ('refused' in read) return read.refused;
  try {
    return interpreted(JSON.parse(read.text));
  } catch {
    // The parser's message is dropped on purpose: it may quote the key.
    return 'it is not JSON, or lacks what belongs in it';
  }
}

/**
 * Keeps it so that a kill at any moment leaves the last kept state. Before the server knows of an order a power cut may
 * take the file: all that is lost then is a key that nobody has seen. @throws PodserveError AUTHORITY_UNWRITABLE
 */
export async function keepOrder(directory: string, order: StoredOrder): Promise<StoredOrder> {
  const file = orderFile(directory, order.certificate);
  try {
    await makeSecretDirectory(join(directory, 'orders'));
    await replaceFile(file, serialised(order), 0o600, order.url === undefined ? 'written' : 'synced');
  } catch (error) {
    throw unwritable('the ACME order could not be kept', file, error);
  }
  return order;
}

/** @throws the system's error */
export function forgetOrder(directory: string, certificate: string): void {
  rmSync(orderFile(directory, certificate), { force: true });
}

/** Renames a damaged file. @returns its new name @throws PodserveError AUTHORITY_UNWRITABLE */
export function setOrderAside(directory: string, certificate: string, now: number): string {
  const file = orderFile(directory, certificate);
  const aside = `${file}.damaged-${new Date(now).toISOString().replaceAll(/[:.]/g, '-')}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    throw unwritable('the damaged file of an ACME order could not be set aside', file, error);
  }
  return aside;
}

/**
 * Why an order under way is of no use for what is wanted now, or undefined when it is.
 * @param published SPKI of the published leaf, DER: an order with that key has done its work
 */
export function unfit(
  order: StoredOrder,
  wanted: Pick<StoredOrder, 'directory' | 'profile'> & Pick<CertificateSpec, 'identifiers' | 'keyType'>,
  published: Uint8Array | undefined,
  now: number,
): string | undefined {
  if (order.directory !== wanted.directory) return 'it is with another server';
  if (order.profile !== wanted.profile) return 'it is for another profile';
  if (order.keyType !== wanted.keyType) return 'it is for another key type';
  if (namesKey(order.identifiers) !== namesKey(wanted.identifiers)) return 'it is for other names';
  if (Math.abs(now - order.createdAt) > LONGEST_ORDER) return 'it is too old';
  if (published !== undefined && isFor(order, published)) return 'its certificate is published';
  return undefined;
}

/** @param publicKey SPKI, DER */
export function isFor({ key }: Pick<StoredOrder, 'key'>, publicKey: Uint8Array): boolean {
  return Buffer.compare(createPublicKey(key).export({ type: 'spki', format: 'der' }), publicKey) === 0;
}

function serialised({ key, createdAt, ...order }: StoredOrder): string {
  const pem = key.export({ type: 'pkcs8', format: 'pem' });
  return `${JSON.stringify({ version: 1, ...order, createdAt: new Date(createdAt).toISOString(), key: pem }, undefined, 2)}\n`;
}

/** @throws anything, where it is not what `serialised` wrote */
function interpreted(document: unknown): StoredOrder {
  const { version, key: pem, ...order } = document as Record<string, unknown>;
  const key = createPrivateKey(String(pem));
  const createdAt = Date.parse(String(order['createdAt']));
  const identifiers = (order['identifiers'] as Identifier[]).map(({ type, value }) => ({ type, value }));
  const url = textOf(order['url']);
  const valid =
    version === 1 &&
    !Number.isNaN(createdAt) &&
    keyTypeOf(key) === order['keyType'] &&
    identifiers.every(({ type, value }) => (type === 'dns' || type === 'ip') && typeof value === 'string') &&
    (url === undefined || URL.canParse(url));
  if (!valid) throw new TypeError('not an order');
  return {
    directory: String(order['directory']),
    certificate: String(order['certificate']),
    identifiers,
    keyType: order['keyType'] as KeyType,
    profile: textOf(order['profile']),
    key,
    createdAt,
    url,
    exempt: order['exempt'] === true,
    counted: order['counted'] === true,
  };
}

/** @throws TypeError for what is no text */
function textOf(value: unknown): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw new TypeError('not a text');
}
