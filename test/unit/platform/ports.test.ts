import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';

import { describeError } from '../../../src/platform/errors.ts';
import { assertPortFree, listenFailure } from '../../../src/platform/ports.ts';

function failure(code: string, port = 80): string {
  return describeError(listenFailure({ host: '::', port, setting: 'apache.http' }, Object.assign(new Error('listen'), { code })));
}

test('a port below 1024 without the right to it is explained with what to do', () => {
  assert.match(failure('EACCES'), /^port 80 may not be opened: \[::\]:80: .*root; set apache\.http .* or allow it: sysctl/);
});

test('an address that the host does not have is named with its setting', () => {
  assert.match(failure('EADDRNOTAVAIL'), /does not have that address; set apache\.http/);
});

test('a taken port names the program and process that listens', async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const place = { host: '127.0.0.1', port, setting: 'apache.http' };
  await assert.rejects(assertPortFree(place), (error) => describeError(error).includes(`(process ${process.pid}) listens there`));
});
