import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');

/** Which folders of src/ a folder may import from. The list is the design: imports run one way. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  platform: [],
  certificate: ['platform/errors.ts', 'platform/clock.ts'],
  x509: ['certificate', 'platform'],
  acme: ['certificate', 'platform'],
  config: ['certificate', 'platform', 'delivery/endpoint.ts'],
  challenges: ['acme', 'x509', 'certificate', 'platform', 'config'],
  issuers: ['challenges', 'acme', 'x509', 'certificate', 'platform', 'config'],
  publication: ['acme', 'x509', 'certificate', 'platform', 'config'],
  delivery: ['acme', 'x509', 'certificate', 'platform', 'config'],
  ledger: ['acme', 'x509', 'certificate', 'platform', 'config'],
  services: ['issuers', 'challenges', 'publication', 'delivery', 'ledger', 'acme', 'x509', 'certificate', 'platform', 'config'],
  cli: ['services', 'issuers', 'challenges', 'publication', 'delivery', 'ledger', 'acme', 'x509', 'certificate', 'platform', 'config'],
  'main.ts': ['cli', 'platform'],
};

/** Modules of Node that compute and touch nothing outside. */
const PURE = new Set(['node:crypto', 'node:net', 'node:url']);

const LONGEST_FILE = 400;

interface Import {
  readonly from: string;
  /** A file of src/ by its path below it, or the name of a package. */
  readonly to: string;
  readonly isFile: boolean;
  /** Loaded when the importing module is: not `import type`, not `import()`. */
  readonly atStart: boolean;
}

const files = globSync('**/*.ts', { cwd: join(root, 'src') }).toSorted();
const sources = new Map(files.map((file) => [file, readFileSync(join(root, 'src', file), 'utf8')]));
const imports = files.flatMap(importsOf);

function importsOf(from: string): Import[] {
  const source = sources.get(from) ?? '';
  const statics = [...source.matchAll(/^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm)];
  const dynamics = [...source.matchAll(/\bimport\(\s*'([^']+)'/g)];
  return [
    ...statics.map(([, type, to = '']) => resolve(from, to, type === undefined)),
    ...dynamics.map(([, to = '']) => resolve(from, to, false)),
  ];
}

function resolve(from: string, to: string, atStart: boolean): Import {
  const isFile = to.startsWith('.');
  return { from, to: isFile ? relative('.', join(dirname(from), to)) : to, isFile, atStart };
}

function folder(file: string): string {
  return file.split('/')[0] ?? '';
}

test('every file lies in a folder that the design knows', () => {
  assert.deepEqual(
    files.filter((file) => MAY_IMPORT[folder(file)] === undefined),
    [],
  );
});

test('imports run one way: cli, services, what they use, protocols, certificate', () => {
  const wrong = imports
    .filter(({ from, to, isFile }) => isFile && folder(from) !== folder(to))
    .filter(({ from, to }) => !MAY_IMPORT[folder(from)]?.some((allowed) => to === allowed || to.startsWith(`${allowed}/`)));
  assert.deepEqual(wrong.map(describe), []);
});

test('no modules import each other in a circle', () => {
  const next = new Map(files.map((file) => [file, imports.filter(({ from, isFile }) => from === file && isFile).map(({ to }) => to)]));
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '));
    if (path.includes(file) || done.has(file)) return;
    for (const to of next.get(file) ?? []) visit(to, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  assert.deepEqual(circles, []);
});

test('what decides about certificates does no input or output and reads no clock', () => {
  const wrong = imports.filter(({ from, to, isFile }) => folder(from) === 'certificate' && !isFile && !PURE.has(to));
  assert.deepEqual(wrong.map(describe), []);
  assert.deepEqual(
    containing(/\bDate\.now\(|\bnew Date\(\)|\bprocess\./, (file) => folder(file) === 'certificate'),
    [],
  );
});

test('only main.ts ends the process, and only it and the log write to its streams', () => {
  assert.deepEqual(
    containing(/\bconsole\.|\bprocess\.(exit|exitCode|abort|stdout)\b/, (file) => file !== 'main.ts'),
    [],
  );
  assert.deepEqual(
    containing(/\bprocess\.stderr\b/, (file) => !['main.ts', 'platform/pino-log.ts'].includes(file)),
    [],
  );
});

test('no module keeps changing state of its own', () => {
  assert.deepEqual(
    containing(/^(export )?(let|var) /m, () => true),
    [],
  );
});

test('a command starts without loading any package: each is imported where it is needed', () => {
  const reached = new Set<string>();
  const visit = (file: string): void => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const { from, to, isFile, atStart } of imports) if (from === file && isFile && atStart) visit(to);
  };
  for (const file of files.filter((name) => name === 'main.ts' || folder(name) === 'cli')) visit(file);
  const packages = imports.filter(({ from, to, isFile, atStart }) => reached.has(from) && atStart && !isFile && !to.startsWith('node:'));
  assert.deepEqual(packages.map(describe), []);
});

test(`no file is longer than ${LONGEST_FILE} lines`, () => {
  const all = globSync('{src,test,scripts}/**/*.{ts,mjs}', { cwd: root });
  const long = all.filter((file) => readFileSync(join(root, file), 'utf8').split('\n').length > LONGEST_FILE + 1);
  assert.deepEqual(long, []);
});

function describe({ from, to }: Import): string {
  return `${from} imports ${to}`;
}

function containing(pattern: RegExp, where: (file: string) => boolean): string[] {
  return files.filter((file) => where(file) && pattern.test(withoutComments(sources.get(file) ?? '')));
}

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}
