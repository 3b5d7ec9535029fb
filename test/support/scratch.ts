import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { keepFiles } from './artifacts.ts';

const directories = new Set<string>();

/**
 * An empty directory that is gone when the test file ends: what a test started may write to it until then.
 * @param _test whose directory it is; asked for so that none is made while a file is loaded
 */
export function scratchDirectory(_test: Pick<TestContext, 'after'>): string {
  if (directories.size === 0) process.once('exit', removeAll);
  const directory = mkdtempSync(join(tmpdir(), 'podserve-test-'));
  directories.add(directory);
  return directory;
}

function removeAll(): void {
  for (const directory of directories) {
    try {
      keepFiles(directory);
    } finally {
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

const givenPorts = new Set<number>();

/** A TCP port on loopback that nobody listened on a moment ago, and another each time. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (address === null || typeof address === 'string') return reject(new Error('no port'));
    const again = givenPorts.has(address.port);
    givenPorts.add(address.port);
    server.close(() => resolve(again ? freePort() : address.port));
  });
  return promise;
}
