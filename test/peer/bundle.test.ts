import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { run, start } from '../support/command.ts';
import { getPage } from '../support/page.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The one-file form in a directory with nothing else, so that a module that was not bundled is missed. */
async function bundleAlone(t: TestContext): Promise<{ file: string; cwd: string }> {
  const directory = scratchDirectory(t);
  const built = join(directory, 'podserve.cjs');
  const { code, stderr } = await run(process.execPath, [join(root, 'scripts/build-bundle.ts'), built]);
  assert.equal(code, 0, stderr);
  const cwd = join(directory, 'alone');
  mkdirSync(cwd);
  cpSync(built, join(cwd, 'podserve.cjs'));
  return { file: join(cwd, 'podserve.cjs'), cwd };
}

test('the one file has its version and every command, and needs nothing beside it', async (t) => {
  const { file, cwd } = await bundleAlone(t);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  assert.equal((await run(process.execPath, [file, '--version'], { cwd })).stdout, `${version}\n`);
  const overview = (await run(process.execPath, [file, '--help'], { cwd })).stdout;
  const commands = [...overview.matchAll(/^ {2}([a-z-]+) {2,}/gm)].map(([, name = '']) => name);
  assert.ok(commands.length > 5, overview);
  for (const command of commands) {
    const { code, stdout, stderr } = await run(process.execPath, [file, command, '--help'], { cwd });
    assert.equal(code, 0, `${command}: ${stderr}`);
    assert.match(stdout, /^usage: podserve /, command);
  }
});

test('the one file reads a configuration, issues, checks, and makes a backup', async (t) => {
  const { file, cwd } = await bundleAlone(t);
  writeFileSync(join(cwd, 'podserve.yaml'), 'domain: lab.example.org\nlog: { format: pretty }\n');
  const init = await run(process.execPath, [file, 'certificates', '--mode', 'init'], { cwd });
  assert.equal(init.code, 0, init.stderr);
  assert.ok(readdirSync(join(cwd, 'data/certificates/default')).includes('combined.pem'));
  for (const args of [
    ['certificates', '--mode', 'check'],
    ['config', 'check'],
    ['backup', 'all.tar.gz'],
  ]) {
    const { code, stderr } = await run(process.execPath, [file, ...args], { cwd });
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  }
});

test('the one file serves the status page, and logs', async (t) => {
  const { file, cwd } = await bundleAlone(t);
  const [page, admin, certificates] = [await freePort(), await freePort(), await freePort()];
  const statuses = `certificateService: { status: '127.0.0.1:${certificates}' }\nadmin: { listen: 'localhost:${page}', status: '127.0.0.1:${admin}' }\n`;
  writeFileSync(join(cwd, 'podserve.yaml'), statuses);
  const up = start(t, process.execPath, [file, 'up'], { cwd });
  await up.says(/is up/);
  const { status, body } = await getPage(`https://localhost:${page}/`, readFileSync(join(cwd, 'data/certificates/ca.pem'), 'utf8'));
  assert.equal(status, 200);
  assert.match(body, /localhost/);
  up.child.kill('SIGTERM');
  assert.equal((await up.done).code, 0);
  assert.match(readFileSync(join(cwd, 'data/logs/podserve.log'), 'utf8'), /certificate/);
});
