import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';

/** What a reader thread saw until it was told to stop. */
export interface ReaderReport {
  readonly reads: number;
  readonly generations: number;
  /** Each is a broken promise of the publication. */
  readonly complaints: readonly string[];
}

/**
 * Reads a publication as fast as it can, in the three ways that DESIGN §5 promises something for: through `..data`
 * resolved once, through combined.pem in one read, and by plain names. Runs as a worker thread.
 */
function hammer(directory: string): void {
  let stop = false;
  let reads = 0;
  const seen = new Set<string>();
  const complaints: string[] = [];
  parentPort?.on('message', () => {
    stop = true;
  });
  const look = (): void => {
    for (let round = 0; round < 20; round += 1) {
      try {
        reads += 1;
        const link = readlinkSync(join(directory, '..data'));
        seen.add(link);
        const pinned = (file: string): string => readFileSync(join(directory, link, file), 'utf8');
        if (!isPair(pinned('cert.pem'), pinned('privkey.pem'))) complaints.push(`${link}: key and certificate do not match`);
        const combined = readFileSync(join(directory, 'combined.pem'), 'utf8');
        if (!isPair(combined, combined)) complaints.push('combined.pem: key and certificate do not match');
        for (const file of ['cert.pem', 'privkey.pem', 'fullchain.pem']) {
          const text = readFileSync(join(directory, file), 'utf8');
          if (!/^-----BEGIN [\s\S]+-----END [A-Z ]+-----\n$/.test(text)) complaints.push(`${file}: half-written, ${text.length} octets`);
        }
        JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8'));
      } catch (error) {
        complaints.push(String(error));
      }
    }
    // A breath between two rounds leaves the renewals enough of the processor to come to their dangerous moments.
    if (!stop) return void setTimeout(look, 3);
    parentPort?.postMessage({ reads, generations: seen.size, complaints: complaints.slice(0, 20) } satisfies ReaderReport);
    parentPort?.close();
  };
  look();
}

function isPair(certificate: string, key: string): boolean {
  return new X509Certificate(certificate.slice(certificate.indexOf('-----BEGIN CERTIFICATE'))).checkPrivateKey(createPrivateKey(key));
}

if (parentPort !== null) hammer(String(workerData));
