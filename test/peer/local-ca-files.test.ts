import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { parseIdentifiers } from '../../src/certificate/identifier.ts';
import { openLocalCa } from '../../src/issuers/local-ca/local-ca.ts';
import { readRootFiles } from '../../src/issuers/local-ca/root-files.ts';
import { PodserveError, describeError } from '../../src/platform/errors.ts';
import { run, start } from '../support/command.ts';
import { randomStream, scaled } from '../support/scale.ts';
import { scratchDirectory } from '../support/scratch.ts';

const NOW = Date.now();

function source(path: string): string {
  return fileURLToPath(new URL(`../../src/${path}`, import.meta.url));
}

/** A program that makes one root after the other, each for a name of its own, and says so. */
function rootMaker(directory: string): string {
  return `
    import { openLocalCa } from ${JSON.stringify(source('issuers/local-ca/local-ca.ts'))};
    for (let n = 0; ; n += 1) {
      const identifiers = [{ type: 'dns', value: 'n' + n + '-' + process.pid + '.example' }];
      const ca = openLocalCa({ directory: ${JSON.stringify(directory)}, permit: identifiers });
      const { pem } = await ca.prepare(${NOW}, identifiers);
      if (n === 0) console.log('makes roots');
    }`;
}

test('a kill at any moment of making a root leaves it whole or not there, and the next run goes on', async (t) => {
  const directory = join(scratchDirectory(t), 'authority', 'local-ca');
  const random = randomStream('kill while making roots');
  let made = 0;
  for (let round = 0; round < scaled(100); round += 1) {
    const maker = start(t, process.execPath, ['--input-type=module', '-e', rootMaker(directory)]);
    await maker.says(/makes roots/);
    await sleep(random() * 40);
    maker.child.kill('SIGKILL');
    await maker.done;
    const { stored, damaged } = readRootFiles(directory);
    assert.deepEqual(damaged, []);
    assert.ok(stored.every(({ root }) => root.hasKey));
    assert.ok(stored.length > made, 'every run makes at least one');
    made = stored.length;
  }
  const warnings: string[] = [];
  const identifiers = parseIdentifiers(['last.example']);
  const ca = openLocalCa({ directory, permit: identifiers, publisherWarn: (line) => warnings.push(line) });
  assert.equal((await ca.prepare(NOW, identifiers)).signing?.number, made + 1);
  assert.deepEqual(warnings, []);
  assert.ok(
    readdirSync(directory).every((name) => /^root-\d{6}\.pem$/.test(name)),
    'nothing half-written is left',
  );
});

/** Runs `prepare` in a mount namespace where the authority lies on a file system of that kind. */
async function prepareOn(t: TestContext, mount: string, as = ''): Promise<{ message: string; files: string[]; directory: string }> {
  const authority = join(scratchDirectory(t), 'authority');
  mkdirSync(authority, { recursive: true });
  const directory = join(authority, 'local-ca');
  const script = join(authority, '..', 'prepare.mjs');
  writeFileSync(
    script,
    `import { openLocalCa } from ${JSON.stringify(source('issuers/local-ca/local-ca.ts'))};
     import { describeError } from ${JSON.stringify(source('platform/errors.ts'))};
     const identifiers = [{ type: 'dns', value: 'lab.example.org' }];
     const ca = openLocalCa({ directory: ${JSON.stringify(directory)}, permit: identifiers });
     try { await ca.prepare(${NOW}, identifiers); console.log('made'); }
     catch (error) { console.log(error.code, describeError(error)); }`,
  );
  const shell = [
    'set -e',
    mount.replaceAll('AUTHORITY', authority),
    `${as} ${process.execPath} ${script}`,
    `ls -A ${authority} ${directory} 2>/dev/null | grep root || true`,
  ].join('\n');
  const { stdout, stderr } = await run('unshare', ['--map-root-user', '--mount', 'sh', '-c', shell]);
  const [message = '', ...files] = stdout.trim().split('\n');
  assert.notEqual(message, '', stderr);
  return { message, files, directory };
}

describe('a root that cannot be kept is an error that names file, cause and remedy, and leaves nothing', () => {
  test('a full disk', async (t) => {
    const { message, files, directory } = await prepareOn(
      t,
      'mount -t tmpfs -o size=16k tmpfs AUTHORITY; mkdir AUTHORITY/local-ca; head -c 100000 /dev/zero > AUTHORITY/filler 2>/dev/null || true',
    );
    assert.match(message, /^AUTHORITY_UNWRITABLE the built-in CA could not keep a new root: .*root-000001\.pem: ENOSPC.*; free some space/);
    assert.ok(message.includes(directory));
    assert.deepEqual(files, []);
  });

  test('a read-only file system', async (t) => {
    const { message, files } = await prepareOn(t, 'mount -t tmpfs -o ro tmpfs AUTHORITY');
    assert.match(message, /^AUTHORITY_UNWRITABLE .*root-000001\.pem: EROFS.*; mount that file system writable/);
    assert.deepEqual(files, []);
  });

  test('no permission to write, and none to read', async (t) => {
    for (const [mode, expected] of [
      ['0555', /^AUTHORITY_UNWRITABLE .*: EACCES.*; run as the owner of/],
      ['0000', /^AUTHORITY_UNREADABLE .*: EACCES.*; run as the user that owns it/],
    ] as const) {
      const mount = `mount -t tmpfs tmpfs AUTHORITY; mkdir -m ${mode} AUTHORITY/local-ca`;
      const { message } = await prepareOn(t, mount, 'setpriv --inh-caps=-all --bounding-set=-all');
      assert.match(message, expected);
    }
  });

  test('no error, warning or thrown text holds anything of the key', async (t) => {
    const directory = join(scratchDirectory(t), 'authority', 'local-ca');
    const identifiers = parseIdentifiers(['lab.example.org']);
    const lines: string[] = [];
    const open = (): ReturnType<typeof openLocalCa> =>
      openLocalCa({ directory, permit: identifiers, publisherWarn: (line) => lines.push(line) });
    await open().prepare(NOW, identifiers);
    const file = join(directory, 'root-000001.pem');
    const pem = readFileSync(file, 'utf8');
    const secret = /PRIVATE KEY-----\n([\s\S]+?)\n-----END/.exec(pem)?.[1]?.replaceAll('\n', '') ?? '';
    for (const damaged of [pem.slice(0, -40), pem.replace('MIG', 'MIX'), pem.replace(/.{8}\n-----END PRIVATE/, '\n-----END PRIVATE')]) {
      writeFileSync(file, damaged);
      await open()
        .prepare(NOW, identifiers)
        .catch((error: unknown) => {
          assert.ok(error instanceof PodserveError);
          lines.push(describeError(error), error.stack ?? '');
        });
    }
    assert.ok(lines.length >= 3, 'each damage is told');
    for (let at = 0; at + 16 < secret.length; at += 1) assert.ok(!lines.join('\n').includes(secret.slice(at, at + 16)));
  });
});
