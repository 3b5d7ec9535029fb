import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { podserve } from '../support/command.ts';
import { scratchDirectory } from '../support/scratch.ts';

/** A server with what `init` made, and the directory to run commands in. */
async function ownServer(t: TestContext): Promise<{ cwd: string; url: string }> {
  const cwd = scratchDirectory(t);
  assert.equal((await podserve(['certificates', '--mode', 'init'], { cwd })).code, 0);
  const pem = readFileSync(join(cwd, 'data/certificates/combined.pem'));
  const server = createServer({ key: pem, cert: pem });
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { cwd, url: `https://localhost:${(server.address() as AddressInfo).port}` };
}

test('probe verifies a certificate of the built-in CA without being told of its root, though it has no subject', async (t) => {
  const { cwd, url } = await ownServer(t);
  const { code, stdout, stderr } = await podserve(['probe', url, '--expect', 'data/certificates/cert.pem'], { cwd });
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /\(no subject\)/);
  assert.match(stdout, /PodServe local CA/);
});

test('probe --json gives the same for programs', async (t) => {
  const { cwd, url } = await ownServer(t);
  const { code, stdout, stderr } = await podserve(['probe', url, '--json'], { cwd });
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /"subject": ""/);
});
