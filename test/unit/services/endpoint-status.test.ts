import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { createServer } from 'node:tls';

import { fullchainPem } from '../../../src/certificate/bundle.ts';
import { leafServedAt } from '../../../src/services/endpoint-status.ts';
import { fingerprint, newBundle } from '../../support/apache.ts';
import { faultServer, listenUntilEnd } from '../../support/fault-server.ts';

test('an endpoint that is silent for a while is asked again, and one that stays silent is said to be', async (t) => {
  const bundle = await newBundle(['localhost']);
  const port = await listenUntilEnd(
    t,
    createServer({ key: bundle.privateKeyPem, cert: fullchainPem(bundle) }, (socket) => socket.on('error', () => undefined)),
  );
  let [asked, silences] = [0, 3];
  const moody = await faultServer(t, (socket) => {
    asked += 1;
    if (asked <= silences) return;
    const onward = connect(port, '127.0.0.1').on('error', () => undefined);
    socket.pipe(onward).pipe(socket);
  });
  const look = (): Promise<string> =>
    leafServedAt(`https://127.0.0.1:${moody}`, 'localhost', { timeoutMs: 500, signal: new AbortController().signal });
  assert.equal(await look(), fingerprint(bundle));
  assert.equal(asked, 4);
  silences = 100;
  await assert.rejects(look(), { timedOut: true });
  assert.equal(asked, 8);
});
