import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import test, { type TestContext } from 'node:test';

import type { AcmeClient } from '../../src/acme/client.ts';
import { openAcmeClient } from '../../src/acme/open.ts';
import type { Signatory } from '../../src/acme/resources.ts';
import { certificatesIn, ecKey, http01Answers, opensslRequest, validOrder } from '../support/acme-ordering.ts';
import { startPebble, type Pebble, type PebbleOptions } from '../support/daemons/pebble.ts';

const signal = AbortSignal.timeout(120_000);

interface Bench {
  readonly pebble: Pebble;
  readonly client: AcmeClient;
  readonly answers: Map<string, string>;
}

async function bench(t: TestContext, options: PebbleOptions = {}): Promise<Bench> {
  const pebble = await startPebble(t, options);
  const client = openAcmeClient({ directory: pebble.directory, ca: pebble.caPem, userAgent: 'podserve-test' });
  t.after(() => client[Symbol.asyncDispose]());
  return { pebble, client, answers: await http01Answers(t, pebble.httpPort) };
}

async function account(client: AcmeClient, key = ecKey()): Promise<Signatory> {
  return { key, url: (await client.newAccount(key, { contact: [], termsOfServiceAgreed: true }, signal)).url };
}

test('a certificate is had from Pebble at its default chaos, by http-01', async (t) => {
  const { pebble, client, answers } = await bench(t);
  const by = await account(client);
  const request = await opensslRequest(t, ['www.lab.test', 'mail.lab.test']);
  const identifiers = ['www.lab.test', 'mail.lab.test'].map((value) => ({ type: 'dns' as const, value }));
  const order = await validOrder(client, by, { identifiers }, request.der, answers, signal);
  assert.equal(order.status, 'valid');
  const download = await client.download(by, order.certificate ?? '', signal);
  const [leaf, intermediate] = certificatesIn(download.pem);
  assert.ok(leaf !== undefined && leaf.checkPrivateKey(createPrivateKey(request.keyPem)));
  assert.equal(leaf.checkHost('mail.lab.test'), 'mail.lab.test');
  assert.ok(leaf.checkIssued(intermediate ?? leaf));
  assert.deepEqual(download.alternates, []);
  assert.ok((await pebble.status(leaf.serialNumber))?.status === 'Valid');
});
