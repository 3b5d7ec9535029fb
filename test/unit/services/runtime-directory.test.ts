import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { PodserveError } from '../../../src/platform/errors.ts';
import { claimRuntimeDirectory } from '../../../src/services/runtime-directory.ts';
import { start } from '../../support/command.ts';
import { scratchDirectory } from '../../support/scratch.ts';

type T = Parameters<typeof scratchDirectory>[0];

/** Fields of proc(5) from the third on. */
function fieldsOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** A runtime directory as the process with this id left it. */
function ownedBy(t: T, pid: number): string {
  const path = join(scratchDirectory(t), 'run');
  mkdirSync(path);
  writeFileSync(join(path, 'owner'), `${pid} ${fieldsOf(pid)[19]}`);
  return path;
}

test('a dead process that its parent has not yet noticed does not hinder the next start', async (t) => {
  // The program that takes the shell's place knows of no child, so that the child stays a zombie.
  const parent = start(t, 'sh', ['-c', 'sleep 0.3 & echo "child $!"; exec sleep 60']);
  const dead = Number((await parent.says(/child (\d+)/))[1]);
  while (fieldsOf(dead)[0] !== 'Z') await new Promise((resolve) => setTimeout(resolve, 5));
  const path = ownedBy(t, dead);
  await using claimed = await claimRuntimeDirectory([path], []);
  assert.equal(claimed.path, path);
});

test('a second one is refused, and sent to an option only where the command has one', async (t) => {
  const { child } = start(t, 'sleep', ['60']);
  const path = ownedBy(t, child.pid ?? 0);
  for (const [option, remedy] of [
    [undefined, 'stop that one'],
    ['--run DIR', 'stop that one, or give this one a directory of its own with --run DIR'],
  ] as const) {
    await assert.rejects(claimRuntimeDirectory([path], [], option), (error) => {
      assert.ok(error instanceof PodserveError);
      assert.equal(error.code, 'ALREADY_RUNNING');
      assert.match(error.why ?? '', new RegExp(`^process ${child.pid} `));
      assert.equal(error.remedy, remedy);
      return true;
    });
  }
});
