// A thread that reads one publication without pause, in one of the ways that a consumer may, and counts what it met.
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';

import { parseBundle, parseCertificates } from '../../src/certificate/bundle.ts';

export interface ReaderTask {
  readonly directory: string;
  /** `..data` resolved once; the one combined file; plain names opened one after the other. */
  readonly way: 'resolved' | 'combined' | 'plain';
}

export interface ReaderReport {
  readonly way: ReaderTask['way'];
  readonly reads: number;
  /** How many different certificates it met. */
  readonly different: number;
  /** Plain names only: key and certificate of different generations, as two opens can meet. */
  readonly straddled: number;
  /** Everything that must never happen. */
  readonly failures: readonly string[];
}

const { directory, way } = workerData as ReaderTask;
const text = (...path: string[]): string => readFileSync(join(directory, ...path), 'utf8');

function readOnce(): string {
  if (way === 'combined') {
    const combined = text('combined.pem');
    return parseBundle(combined, combined).leaf.fingerprint256;
  }
  if (way === 'resolved') {
    const generation = readlinkSync(join(directory, '..data'));
    const { leaf } = parseBundle(text(generation, 'privkey.pem'), text(generation, 'fullchain.pem'));
    if ((JSON.parse(text(generation, 'manifest.json')) as { leafSha256: string }).leafSha256 !== hex(leaf.fingerprint256)) {
      throw new Error('the manifest is about another certificate');
    }
    return leaf.fingerprint256;
  }
  const [leaf] = parseCertificates(text('cert.pem'));
  if (leaf === undefined) throw new Error('cert.pem is empty');
  for (const file of ['chain.pem', 'fullchain.pem']) parseCertificates(text(file));
  JSON.parse(text('manifest.json'));
  const key = text('privkey.pem');
  if (!key.endsWith('-----END PRIVATE KEY-----\n')) throw new Error('privkey.pem is half-written');
  try {
    parseBundle(key, leaf.toString());
  } catch (error) {
    if (!(error instanceof Error && 'why' in error && String(error.why).includes('does not belong'))) throw error;
    straddled += 1;
  }
  return leaf.fingerprint256;
}

function hex(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}

let reads = 0;
let straddled = 0;
const met = new Set<string>();
const failures: string[] = [];

function turn(): void {
  const until = performance.now() + 10;
  while (performance.now() < until) {
    try {
      met.add(readOnce());
    } catch (error) {
      const detail = error instanceof Error && 'why' in error ? ` (${String(error.why)})` : '';
      failures.push(`${String(error)}${detail}`);
    }
    reads += 1;
  }
  // Three readers on two cores must leave the publisher some time to publish.
  setTimeout(turn, 10);
}

parentPort?.once('message', () => {
  const report: ReaderReport = { way, reads, different: met.size, straddled, failures: failures.slice(0, 10) };
  parentPort?.postMessage(report);
  process.exit(0);
});
turn();
