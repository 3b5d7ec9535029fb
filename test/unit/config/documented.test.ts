import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { DEFAULTS } from '../../../src/config/defaults.ts';
import { jsonSchema } from '../../../src/config/schema.ts';
import { VARIABLES } from '../../../src/config/variables.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { formatDuration } from '../../../src/platform/duration.ts';
import { ROOT } from './support.ts';

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly description?: string;
}

const LENGTHS_OF_TIME = ['lifetime', 'renewBefore', 'propagationTimeout'];

const page = read('docs/configuration.md');

function read(file: string): string {
  return readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');
}

function keysOf(node: SchemaNode, path: string): string[] {
  const own = Object.entries(node.properties ?? {}).flatMap(([key, inner]) => {
    const here = path === '' ? key : `${path}.${key}`;
    return [here, ...keysOf(inner, here)];
  });
  const others = typeof node.additionalProperties === 'object' ? keysOf(node.additionalProperties, `${path}.NAME`) : [];
  return [...own, ...others, ...(node.items === undefined ? [] : keysOf(node.items, `${path}[]`))];
}

test('docs/configuration.md has a row for every key of the schema, and for no other', () => {
  const rows = [...page.matchAll(/^\| `([a-z][A-Za-z0-9.[\]]+)` +\|/gm)].map((match) => match[1]);
  const leaves = keysOf(jsonSchema(), '').filter(
    (key, _, all) => !all.some((other) => other.startsWith(`${key}.`) || other.startsWith(`${key}[]`)),
  );
  assert.deepEqual(new Set(rows), new Set(leaves));
  assert.equal(rows.length, leaves.length);
});

test('docs/configuration.md names every variable and every default', () => {
  for (const variable of Object.values(VARIABLES)) assert.match(page, new RegExp(`^\\| \`${variable}\` +\\|`, 'm'));
  for (const [name, value] of Object.entries(DEFAULTS)) {
    const texts = typeof value === 'object' ? value : [LENGTHS_OF_TIME.includes(name) ? formatDuration(Number(value)) : String(value)];
    for (const text of texts) assert.ok(page.includes(text), `${name}: ${text}`);
  }
});

test('every YAML example of docs/configuration.md is a right configuration', async (t) => {
  const { writeConfig } = await import('./support.ts');
  const examples = [...page.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? '');
  assert.ok(examples.length >= 3);
  for (const example of examples) await loadConfig({ cwd: writeConfig(t, example), env: {}, traits: ROOT });
});

test('docs/podserve.schema.json is what podserve config schema prints', () => {
  assert.deepEqual(JSON.parse(read('docs/podserve.schema.json')), JSON.parse(JSON.stringify(jsonSchema())));
});

test('every key of the schema is described, for the editor', () => {
  const walk = (node: SchemaNode, path: string): void => {
    for (const [key, inner] of Object.entries(node.properties ?? {})) {
      assert.ok(inner.description, `${path}${key}`);
      walk(inner, `${path}${key}.`);
    }
    if (node.items !== undefined) walk(node.items, `${path}[].`);
    if (typeof node.additionalProperties === 'object') walk(node.additionalProperties, `${path}NAME.`);
  };
  walk(jsonSchema(), '');
});
