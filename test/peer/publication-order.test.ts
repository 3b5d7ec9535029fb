import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { FILES } from '../../src/publication/layout.ts';
import { run } from '../support/command.ts';
import { scratchDirectory } from '../support/scratch.ts';

const PUBLISHER_PROCESS = fileURLToPath(new URL('../support/publisher-process.ts', import.meta.url));

interface Call {
  readonly name: string;
  readonly line: string;
}

/** The system calls that touch `root` of a process that publishes `count` times, in the order in which they ended. */
async function trace(root: string, log: string, count: number): Promise<Call[]> {
  const calls = 'trace=%file,fchmod,fchown,fsync,fdatasync,write,pwrite64';
  const strace = ['-f', '-y', '-s', '16', '-e', calls, '-o', log, process.execPath, PUBLISHER_PROCESS, root, 'default', '0', String(count)];
  const { code, stderr } = await run('strace', strace);
  assert.equal(code, 0, stderr);
  const begun = new Map<string, string>();
  const found: Call[] = [];
  for (const raw of readFileSync(log, 'utf8').split('\n')) {
    const [, process = '', rest = ''] = /^(\d+) +(.*)$/.exec(raw) ?? [];
    const unfinished = /^(.*) <unfinished \.\.\.>$/.exec(rest)?.[1];
    if (unfinished !== undefined) {
      begun.set(process, unfinished);
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)?.[1];
    const line = resumed === undefined ? rest : (begun.get(process) ?? '') + resumed;
    const name = /^(\w+)\(/.exec(line)?.[1];
    if (name !== undefined && line.includes(root) && !/ = -1 /.test(line)) found.push({ name, line });
  }
  return found;
}

function indexOf(calls: readonly Call[], what: string, matches: (call: Call) => boolean, from = 0): number {
  const index = calls.findIndex((call, at) => at >= from && matches(call));
  assert.ok(index >= 0, `no ${what} in\n${calls.map(({ line }) => line).join('\n')}`);
  return index;
}

describe('seen from the kernel, a publication', () => {
  test('makes the key 0600, then gives it its group, then opens it to the group, and writes it only then', async (t) => {
    const scratch = scratchDirectory(t);
    const root = join(scratch, 'certificates');
    const calls = await trace(root, join(scratch, 'trace'), 2);
    for (const generation of ['..gen-000001', '..gen-000002']) {
      const visible = indexOf(
        calls,
        `rename to ${generation}`,
        ({ name, line }) => name === 'rename' && line.endsWith(`/${generation}") = 0`),
      );
      for (const file of ['privkey.pem', 'combined.pem']) {
        const own = calls
          .slice(0, visible)
          .filter(({ line }) => line.includes(`/${generation}.tmp-`) && line.includes(`/${file}`))
          .map(({ name, line }) => `${name} ${/(O_CREAT\S*, 0\d+|, -?\d+, \d+|, 0\d+)\)/.exec(line)?.[1] ?? ''}`);
        assert.equal(own.length, 5, own.join('; '));
        assert.match(own[0] ?? '', /^openat O_CREAT\|O_EXCL\|\S*, 0600$/);
        assert.match(own[1] ?? '', /^fchown , -1, \d+$/);
        assert.equal(own[2], 'fchmod , 0640');
        assert.match(own[3] ?? '', /^p?write(64)? /);
        assert.match(own[4] ?? '', /^fsync /);
      }
      const directory = calls.slice(0, visible).filter(({ line }) => line.includes(`/${generation}.tmp-`));
      assert.match(directory[0]?.line ?? '', /^mkdir\(.*, 0700\)/);
      const opened = directory.findIndex(({ name, line }) => name === 'chmod' && line.includes(', 0755)'));
      assert.ok(opened > 0 && directory.slice(opened).every(({ name }) => ['chmod', 'openat', 'fsync', 'rename'].includes(name)));
    }
    const afterwards = calls.filter(
      ({ name, line }) => /chmod|chown/.test(name) && /\/(privkey|combined)\.pem/.test(line) && !line.includes('.tmp-'),
    );
    assert.deepEqual(afterwards, [], 'no mode or group changes after the key became visible');
  });

  test('has everything on the disk before ..data leads to it, and the switch on the disk before it is reported', async (t) => {
    const scratch = scratchDirectory(t);
    const root = join(scratch, 'certificates');
    const calls = await trace(root, join(scratch, 'trace'), 2);
    let from = 0;
    for (const generation of ['..gen-000001', '..gen-000002']) {
      const target = (file: string): RegExp =>
        new RegExp(`^fsync\\(\\d+<[^>]*/${generation.replaceAll('.', '\\.')}\\.tmp-[0-9a-f]+${file}>`);
      const named = indexOf(
        calls,
        'rename of the staged directory',
        ({ line }) => line.startsWith('rename(') && line.endsWith(`/${generation}") = 0`),
        from,
      );
      const switched = indexOf(calls, 'switch', ({ line }) => line.startsWith('rename(') && line.endsWith('/..data") = 0'), named);
      for (const file of FILES) {
        const synced = indexOf(calls, `fsync of ${file}`, ({ line }) => target(`/${file.replaceAll('.', '\\.')}`).test(line), from);
        const written = calls.findLastIndex(
          ({ name, line }) => /write/.test(name) && line.includes(`/${generation}.tmp-`) && line.includes(`/${file}>`),
        );
        assert.ok(synced < named && (written < synced || file === 'chain.pem'), file);
      }
      const directory = indexOf(calls, 'fsync of the staged directory', ({ line }) => target('').test(line), from);
      const parent = (line: string): boolean => line.startsWith('fsync(') && line.includes(`<${root}/default>`);
      const before = indexOf(calls, 'fsync of the certificate directory before the switch', ({ line }) => parent(line), named);
      const after = indexOf(calls, 'fsync of the certificate directory after the switch', ({ line }) => parent(line), switched);
      assert.ok(directory < named && named < before && before < switched && switched < after);
      if (from === 0) {
        const links = calls.map(({ line }, index) => (line.startsWith('symlink("..data/') ? index : -1)).filter((index) => index >= 0);
        assert.equal(links.length, 2 * FILES.length, 'plain names in default and at the top');
        assert.ok(
          links.every((index) => index < before),
          'plain names are there, and on the disk, before anything is published',
        );
        const top = indexOf(
          calls,
          'fsync of the publication',
          ({ line }) => line.startsWith('fsync(') && line.includes(`<${root}>`),
          Math.max(...links),
        );
        assert.ok(top < switched);
      }
      from = after;
    }
  });
});
