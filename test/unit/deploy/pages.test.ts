import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import { DEPLOY, deployFiles } from './files.ts';

const ROOT = join(DEPLOY, '..');
const PAGES = ['deployment', 'integration-patterns', 'volumes', 'failure-scenarios', 'decisions/0009-one-pod-per-file'].map(
  (page) => `docs/${page}.md`,
);

function read(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8');
}

test('every test, file and page that the pages about pods point at is there', () => {
  for (const page of PAGES) {
    const named = [...read(page).matchAll(/`((?:test|deploy|src)\/[\w./-]+)`/g)].map(([, path = '']) => path);
    const linked = [...read(page).matchAll(/\]\(([\w./-]+)(?:#[\w-]+)?\)/g)].map(([, path = '']) => join(dirname(page), path));
    assert.ok(named.length + linked.length > 0, page);
    for (const path of [...named, ...linked]) assert.ok(existsSync(join(ROOT, path)), `${page}: ${path}`);
  }
});

test('every heading that they point at is there', () => {
  for (const page of PAGES) {
    for (const [, file = '', anchor = ''] of read(page).matchAll(/\]\(([\w./-]*)#([\w-]+)\)/g)) {
      const target = read(file === '' ? page : join(dirname(page), file));
      const anchors = [...target.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
        title
          .toLowerCase()
          .replaceAll(/[^\w -]/g, '')
          .replaceAll(' ', '-'),
      );
      assert.ok(anchors.includes(anchor), `${page}: ${file}#${anchor}`);
    }
  }
});

test('docs/failure-scenarios.md says for every scenario what is seen, done and left to do', () => {
  const rows = read('docs/failure-scenarios.md')
    .split('\n')
    .filter((line) => line.startsWith('| '));
  assert.ok(rows.length > 20);
  for (const row of rows) assert.equal(row.split('|').length, 7, row);
});

test('docs/deployment.md names every file of deploy/', () => {
  const page = read('docs/deployment.md');
  for (const { name } of deployFiles()) {
    const short = name.replace('wait-for-certs-loop', '-loop').replace(/^examples\/(?=-loop|haproxy)/, '');
    assert.ok(page.includes(`\`${short}\``), name);
  }
});
