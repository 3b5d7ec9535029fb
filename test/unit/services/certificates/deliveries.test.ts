import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';

import { verifyDeliveries } from '../../../../src/services/certificates/deliveries.ts';
import { runPass } from '../../../../src/services/certificates/pass.ts';
import { readCurrent } from '../../../../src/publication/read.ts';
import { combinedPem } from '../../../../src/certificate/bundle.ts';
import { testClock, testService, testSpec, type TestService } from '../../../support/certificate-service.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

interface Delivered {
  readonly opened: TestService;
  readonly server: Server;
  /** Makes the server serve what is published now. */
  readonly serveCurrent: () => Promise<void>;
  /** Renews, and asks the server. */
  readonly renewAndAsk: () => Promise<void>;
}

async function delivered(t: TestContext): Promise<Delivered> {
  const state = scratchDirectory(t);
  const opened = await testService(state, testClock(), { certificates: [testSpec({ consumers: ['web'] })] });
  t.after(() => opened[Symbol.dispose]());
  await runPass(opened.service);
  const bundle = async (): Promise<{ key: string; cert: string }> => {
    const current = await readCurrent(`${state}/certificates`, 'default');
    assert.ok(current !== undefined);
    const pem = combinedPem(current.bundle);
    return { key: pem, cert: pem };
  };
  const server = createServer(await bundle());
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const service = { ...opened.service, config: { ...opened.service.config, consumers: { web: { endpoints: [url] } } } };
  return {
    opened: { ...opened, service },
    server,
    serveCurrent: async () => server.setSecureContext(await bundle()),
    renewAndAsk: async () => {
      const { results } = await runPass(service, { force: true });
      await verifyDeliveries(service, results);
    },
  };
}

test('an endpoint that does not take a renewal is told once, stays refused in status, and its recovery is told once', async (t) => {
  const { opened, serveCurrent, renewAndAsk } = await delivered(t);
  opened.notices.length = 0;
  await renewAndAsk();
  assert.deepEqual(
    opened.service.ledger.deliveries().map(({ state }) => state),
    ['rejected'],
  );
  await serveCurrent();
  const { results } = await runPass(opened.service, { readAll: true });
  await verifyDeliveries(opened.service, results);
  await verifyDeliveries(opened.service, results);
  assert.deepEqual(
    opened.service.ledger.deliveries().map(({ state }) => state),
    ['served'],
  );
  assert.deepEqual(
    opened.notices.map(({ kind }) => kind),
    ['renewal', 'failure', 'recovery'],
  );
});

test('a generation that every endpoint was seen serving is on record as delivered, once', async (t) => {
  const { opened, serveCurrent, renewAndAsk } = await delivered(t);
  const served = (): string[] =>
    opened.service.ledger
      .events()
      .filter(({ reason }) => reason === 'served')
      .map(({ detail }) => detail);
  await renewAndAsk();
  assert.deepEqual(served(), []);
  await serveCurrent();
  for (let round = 0; round < 2; round += 1) {
    await verifyDeliveries(opened.service, (await runPass(opened.service, { readAll: true })).results);
  }
  assert.equal(served().length, 1);
  assert.match(served()[0] ?? '', /^generation 2 has been seen served by https:/);
});

test('an endpoint that is not configured any more is forgotten by the next pass', async (t) => {
  const { opened, serveCurrent } = await delivered(t);
  await serveCurrent();
  const { results } = await runPass(opened.service, { readAll: true });
  await verifyDeliveries(opened.service, results);
  assert.equal(opened.service.ledger.deliveries().length, 1);
  await runPass({ ...opened.service, config: { ...opened.service.config, consumers: {} } });
  assert.equal(opened.service.ledger.deliveries().length, 0);
});
