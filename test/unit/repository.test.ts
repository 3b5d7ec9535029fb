import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');

interface Locked {
  readonly optional?: boolean;
  readonly engines?: unknown;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly os?: readonly string[] | string;
  readonly cpu?: readonly string[] | string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> };
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
const MEND = 'run: node scripts/mend-lock.mjs';

function fits(list: readonly string[] | string | undefined, values: readonly string[]): boolean {
  return list === undefined || [list].flat().some((one) => values.includes(one));
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

test('no optional package is left out because of the Node that runs npm', () => {
  const limited = Object.keys(packages).filter((path) => packages[path]?.optional === true && packages[path].engines !== undefined);
  assert.deepEqual(limited, [], MEND);
});

test('the lock file names the packages for every platform, without which npm ci refuses it', () => {
  const wanted = Object.values(packages).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}));
  assert.deepEqual(
    wanted.filter((name) => packages[`node_modules/${name}`] === undefined),
    [],
    MEND,
  );
});

test('every package that a supported platform fetches is locked by its checksum, and none by the address of a registry', () => {
  for (const [path, entry] of Object.entries(packages)) {
    if (path === '' || !fits(entry.os, ['linux']) || !fits(entry.cpu, ['x64', 'arm64'])) continue;
    assert.match(entry.integrity ?? '', /^sha512-/, path);
    assert.equal(entry.resolved, undefined, path);
  }
});

test('continuous integration runs the test command of the README and nothing else', () => {
  const commands = read('.ci/run')
    .split('\n')
    .filter((line) => !/^(#|set |cd |$)/.test(line));
  assert.deepEqual(commands, ['exec npm test']);
  assert.match(read('README.md'), /^npm test$/m);
});

test('every npm command is explained, and every explained one exists', () => {
  const pages = `${read('README.md')}\n${read('CONTRIBUTING.md')}`;
  const explained = [...pages.matchAll(/npm (?:run )?(start|test(?::\w+)?|check|format|bench|build:\w+)\b/g)].map(([, name = '']) => name);
  assert.deepEqual([...new Set(explained)].toSorted(), Object.keys(scripts).toSorted());
});

test('every command of the program is in the README, and every one there exists', () => {
  const table = [...read('src/main.ts').matchAll(/^ {2}'?([\w-]+)'?: \{ summary:/gm)].map(([, name = '']) => name);
  const rows = read('README.md').match(/^\| `podserve.*$/gm) ?? [];
  const named = rows.flatMap((row) => [...(row.split(' | ')[0] ?? '').matchAll(/`(?:podserve )?([a-z-]+)/g)].map(([, name = '']) => name));
  assert.deepEqual([...new Set(named)].toSorted(), table.toSorted());
});

test('every decision is in their list', () => {
  const listed = [...read('docs/decisions/README.md').matchAll(/\]\((\d{4}-[^)]+)\)/g)].map(([, file = '']) => file);
  assert.deepEqual(listed, globSync('0*.md', { cwd: join(root, 'docs/decisions') }).toSorted());
});

test('every link between the pages leads somewhere', () => {
  const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: root });
  const broken = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !existsSync(join(root, dirname(page), target)))
      .map((target) => `${page}: ${target}`),
  );
  assert.deepEqual(broken, []);
});
