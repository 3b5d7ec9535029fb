import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';

import { listenForChallenges, portFailure, type PortPurpose } from '../../../src/challenges/port.ts';
import { describeError } from '../../../src/platform/errors.ts';

const PURPOSE: PortPurpose = { type: 'http-01', setting: 'http01.listen', instead: 'leave http01 out' };

function failure(code: string): string {
  return describeError(portFailure({ host: '::', port: 1 }, PURPOSE, Object.assign(new Error('listen'), { code })));
}

test('each reason why a port cannot be had is one line that says what to do, and never to take another port', () => {
  assert.equal(
    failure('EADDRINUSE'),
    'the listener for http-01 cannot be opened: [::]:1: port 1 is taken: another program listens there (it cannot be seen which one); stop it, or leave http01 out',
  );
  assert.match(failure('EACCES'), /belong to root; start as root, or allow it \(sysctl .*_port_start=1\), or leave http01 out$/);
  assert.match(failure('EADDRNOTAVAIL'), /does not have that address; set http01\.listen to an address of this host$/);
  assert.match(failure('EMFILE'), /port 1 cannot be opened; see http01\.listen in the configuration$/);
});

test('an address that cannot be read is refused with its setting', async () => {
  const server = createServer();
  await assert.rejects(
    listenForChallenges(server, 'nonsense', PURPOSE),
    (error) =>
      describeError(error) ===
      'the listener for http-01 cannot be opened: http01.listen: "nonsense" is no address to listen on; write HOST:PORT',
  );
});
