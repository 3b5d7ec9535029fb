import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { DAY } from '../../../../src/platform/clock.ts';
import { currentLink } from '../../../../src/publication/layout.ts';
import { runPass } from '../../../../src/services/certificates/pass.ts';
import { NOW, testClock, testService, testSpec, type TestService } from '../../../support/certificate-service.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

function rootsIn(state: string): number {
  return readFileSync(join(state, 'certificates/ca.pem'), 'utf8').split('BEGIN CERTIFICATE').length - 1;
}

test('a deleted or damaged ca.pem is back after the next pass, though no certificate is due', async (t) => {
  const state = scratchDirectory(t);
  const file = join(state, 'certificates/ca.pem');
  using opened = await testService(state, testClock());
  await runPass(opened.service);
  rmSync(file);
  await runPass(opened.service);
  assert.equal(rootsIn(state), 1);
  writeFileSync(file, 'garbage');
  await runPass(opened.service);
  assert.equal(rootsIn(state), 1);
  assert.equal(currentLink(join(state, 'certificates'), 'default'), '..gen-000001');
});

function rootEvents({ service }: TestService): string[] {
  return service.ledger
    .events()
    .filter(({ kind }) => kind === 'root')
    .map(({ detail }) => detail);
}

test('the first root is announced as such; a further one says that it has to be trusted too', async (t) => {
  const state = scratchDirectory(t);
  {
    using first = await testService(state, testClock());
    await runPass(first.service);
    assert.doesNotMatch(rootEvents(first)[0] ?? '', /ca trust/);
  }
  using second = await testService(state, testClock(), { certificates: [testSpec({ names: ['localhost', 'new.example.org'] })] });
  await runPass(second.service);
  assert.match(rootEvents(second)[0] ?? '', /root 2 .*podserve ca trust installs it/);
});

test('a successor of the root is announced in ca.pem 30 days before it signs, also while no certificate is due', async (t) => {
  const state = scratchDirectory(t);
  const clock = testClock();
  const certificates = [testSpec({ lifetime: 397 * DAY })];
  let announced: number | undefined;
  for (let day = 0; day < 3652 && announced === undefined; day += 5) {
    clock.set(NOW + day * DAY);
    using opened = await testService(state, clock, { certificates });
    await runPass(opened.service);
    if (rootsIn(state) > 1) announced = day;
  }
  // The last day on which the first root could sign a leaf of 397 days that ends before it does.
  const lastSigning = 3652 - 1 - 397;
  assert.ok(announced !== undefined && announced <= lastSigning - 30, `announced on day ${announced}, signs after day ${lastSigning}`);
});

test('a leaf that nobody could verify is not issued: where ca.pem cannot be written the certificate fails, and the old one stays', async (t) => {
  const state = scratchDirectory(t);
  using first = await testService(state, testClock());
  await runPass(first.service);
  rmSync(join(state, 'authority/local-ca'), { recursive: true });
  writeFileSync(join(state, 'authority/local-ca'), 'a file where the directory belongs');
  using second = await testService(state, testClock());
  const { results, warnings } = await runPass(second.service, { force: true });
  assert.equal(results[0]?.outcome, 'failed');
  assert.match(warnings.join(), /local-ca/);
  assert.equal(currentLink(join(state, 'certificates'), 'default'), '..gen-000001');
});

test('a lost authority makes a new root, and the old one stays in ca.pem while a published leaf is its own', async (t) => {
  const state = scratchDirectory(t);
  const clock = testClock();
  {
    using first = await testService(state, clock);
    await runPass(first.service);
  }
  rmSync(join(state, 'authority'), { recursive: true });
  assert.equal(existsSync(join(state, 'authority')), false);
  using second = await testService(state, clock);
  await runPass(second.service);
  assert.equal(rootsIn(state), 2);
  assert.equal(currentLink(join(state, 'certificates'), 'default'), '..gen-000001');
  await runPass(second.service, { force: true });
  await runPass(second.service, { force: true });
  assert.equal(rootsIn(state), 1);
});
