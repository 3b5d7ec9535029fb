import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { openLogFile } from '../../../src/platform/log-file.ts';
import { openLog } from '../../../src/platform/open-log.ts';
import { scratchDirectory } from '../../support/scratch.ts';

test('the log goes on where it was, keeps one predecessor, and never grows beyond both', (t) => {
  const directory = join(scratchDirectory(t), 'logs');
  for (let round = 0; round < 3; round++) {
    using file = openLogFile(directory, 100);
    for (let line = 0; line < 20; line++) file.write(`round ${round} line ${line} of the log\n`);
  }
  assert.deepEqual(readdirSync(directory).sort(), ['podserve.log', 'podserve.log.1']);
  for (const name of readdirSync(directory)) assert.ok(statSync(join(directory, name)).size <= 130);
  const lines = readFileSync(join(directory, 'podserve.log.1'), 'utf8') + readFileSync(join(directory, 'podserve.log'), 'utf8');
  assert.match(lines, /round 2 line 19 of the log\n$/);
});

test('others than owner and group cannot read the log', (t) => {
  const directory = join(scratchDirectory(t), 'logs');
  using file = openLogFile(directory);
  assert.equal(statSync(file.path).mode & 0o007, 0);
  assert.equal(statSync(directory).mode & 0o007, 0);
});

test('every line goes to every place, as JSON with level and time', async () => {
  const places: string[][] = [[], []];
  const log = await openLog(
    'info',
    places.map((place) => (line: string) => void place.push(line)),
  );
  log.debug({}, 'not this');
  log.child({ consumer: 'admin' }).warn({ certificate: 'default' }, 'something');
  assert.deepEqual(places[0], places[1]);
  const [line] = places[0] ?? [];
  const { time, ...rest } = JSON.parse(line ?? '') as Record<string, unknown>;
  assert.deepEqual(rest, { level: 'warn', consumer: 'admin', certificate: 'default', msg: 'something' });
  assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
});
