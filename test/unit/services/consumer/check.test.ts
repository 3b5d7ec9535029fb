import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseIdentifiers } from '../../../../src/certificate/identifier.ts';
import { parseBundle } from '../../../../src/certificate/bundle.ts';
import { DAY, HOUR } from '../../../../src/platform/clock.ts';
import { judgeBundle } from '../../../../src/services/consumer/check.ts';
import { newBundle } from '../../../support/apache.ts';
import { run } from '../../../support/command.ts';

const NAMES = parseIdentifiers(['localhost']);
const now = Date.now();
const VALID = { notBefore: now - DAY, notAfter: now + DAY };
const EXPIRED = { notBefore: now - 9 * DAY, notAfter: now - 5 * DAY };
const expiredBundle = await newBundle(['localhost'], { from: -3 * DAY, lifetime: 2 * DAY });
const futureBundle = await newBundle(['localhost'], { from: 2 * DAY });
const validBundle = await newBundle(['localhost'], { from: -HOUR, lifetime: 2 * HOUR });

test('a valid bundle replaces whatever is served, even something that lasts longer', () => {
  for (const served of [undefined, VALID, EXPIRED])
    assert.deepEqual(judgeBundle(validBundle, served, NAMES, now), { take: true, warnings: [] });
});

test('one that is not valid now never replaces one that is', () => {
  assert.equal(judgeBundle(expiredBundle, VALID, NAMES, now).take, false);
  const verdict = judgeBundle(futureBundle, VALID, NAMES, now);
  assert.ok(!verdict.take && verdict.notBefore === futureBundle.leaf.validFromDate.getTime());
});

test('an expired one is better than none and than one that expired earlier, with a warning', () => {
  for (const served of [undefined, EXPIRED]) {
    const verdict = judgeBundle(expiredBundle, served, NAMES, now);
    assert.ok(verdict.take);
    assert.match(verdict.warnings.join(), /expired/);
  }
  assert.equal(judgeBundle(expiredBundle, { notBefore: 0, notAfter: now - HOUR }, NAMES, now).take, false);
});

test('a name that is not covered is a warning that names it', () => {
  const verdict = judgeBundle(validBundle, VALID, parseIdentifiers(['localhost', 'www.example.org']), now);
  assert.ok(verdict.take);
  assert.deepEqual(verdict.warnings, ['it is not for www.example.org']);
});

test('a key that OpenSSL refuses to load is refused before a daemon dies of it', async () => {
  const weak = ['req', '-x509', '-newkey', 'rsa:1024', '-nodes', '-keyout', '-', '-out', '-', '-subj', '/CN=x', '-days', '2'];
  const { stdout } = await run('openssl', weak);
  const verdict = judgeBundle(parseBundle(stdout, stdout), undefined, NAMES, now);
  assert.ok(!verdict.take);
  assert.match(verdict.why, /ee key too small/);
});
