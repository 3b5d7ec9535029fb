import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { DAY, HOUR } from '../../../../src/platform/clock.ts';
import { PodserveError } from '../../../../src/platform/errors.ts';
import { runCron } from '../../../../src/services/certificates/cron.ts';
import { runPass } from '../../../../src/services/certificates/pass.ts';
import type { Issuers } from '../../../../src/services/certificates/service.ts';
import { NOW, testClock, testService } from '../../../support/certificate-service.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

test('a ledger that breaks while the service runs neither ends it nor makes it try every second', async (t) => {
  const state = scratchDirectory(t);
  const clock = testClock();
  {
    using first = await testService(state, clock);
    await runPass(first.service);
  }
  clock.set(NOW + 84 * DAY);
  let tries = 0;
  const refuse = (): never => {
    tries += 1;
    throw new PodserveError('ISSUE_FAILED', 'the issuer refused', { why: 'the test wants it so' });
  };
  const issuers: Issuers = {
    named: async (name) => ({ name, issue: async () => refuse() }),
    localCa: async () => refuse(),
    acme: async () => refuse(),
  };
  const stop = new AbortController();
  using opened = await testService(state, clock, { issuers, signal: stop.signal });
  const file = join(state, 'authority/ledger.sqlite');
  for (const path of [file, `${file}-wal`]) truncateSync(path, 100);
  const end = clock.now() + HOUR;
  await runCron(
    { trouble: undefined, service: opened.service },
    {
      onPass: () => {
        if (clock.now() > end || tries > 100) stop.abort();
      },
      onTrouble: (error) => {
        stop.abort();
        assert.fail(String(error));
      },
    },
  );
  // Each try asks for the roots too: now, after 1, after 10 more and after 100 more minutes.
  assert.ok(tries <= 8, `${tries} tries`);
  assert.equal(opened.notices.filter(({ kind }) => kind === 'failure').length, 1);
});
