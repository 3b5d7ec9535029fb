import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';

import { SHIPPED_DATA_DIRECTORY, renderDeploy } from '../../../src/services/pods/render.ts';
import { deployFiles, type Manifest } from './files.ts';

const files = deployFiles();

function hostPaths(manifest: Manifest): string[] {
  return manifest.kind === 'Pod'
    ? (manifest.spec?.volumes ?? []).flatMap(({ hostPath }) => (hostPath === undefined ? [] : [hostPath.path]))
    : [];
}

test('shipped and rendered files differ in the data path alone', () => {
  let changed = 0;
  for (const { name, text } of files) {
    const shipped = text.split('\n');
    const rendered = renderDeploy(text, '/srv/data').split('\n');
    assert.equal(rendered.length, shipped.length, name);
    for (const [index, line] of rendered.entries()) {
      if (line === shipped[index]) continue;
      assert.match(line, /^ +path: \/srv\/data\/[a-z]+$/, name);
      assert.equal(line.replace('/srv/data/', '/var/lib/podserve/'), shipped[index], name);
      changed += 1;
    }
  }
  assert.equal(changed, files.flatMap(({ documents }) => documents.flatMap(hostPaths)).length);
});

test('no host path of a rendered file is left outside the data directory', () => {
  for (const { name, text } of files) {
    for (const path of hostPaths(parse(renderDeploy(text, '/srv/data')) as Manifest)) assert.match(path, /^\/srv\/data\//, name);
  }
});

test('the shipped data directory renders the shipped files', () => {
  for (const { name, text } of files) assert.equal(renderDeploy(text, SHIPPED_DATA_DIRECTORY), text, name);
});

test('whatever a directory is called, the file that is rendered for it names it', () => {
  const text =
    '  volumes:\n    - name: a\n      hostPath:\n        path: /var/lib/podserve/certificates\n        type: DirectoryOrCreate\n';
  for (const directory of ['/home/me/my data', '/srv/#1: a', "/srv/it's", '/srv/"q"', '/srv/ä', '/srv/- x', '/srv/$&', '/srv/a\\b']) {
    const { volumes } = parse(renderDeploy(text, directory)) as { volumes: { hostPath: { path: string } }[] };
    assert.equal(volumes[0]?.hostPath.path, `${directory}/certificates`);
  }
  assert.match(renderDeploy(text, '/srv/data/'), /path: \/srv\/data\/certificates$/m);
});

test('paths that only begin alike, and comments, stay', () => {
  const text = '# /var/lib/podserve/certificates\n        path: /var/lib/podserve-other/x\n        path: /var/lib/podserve\n';
  assert.equal(renderDeploy(text, '/d'), '# /var/lib/podserve/certificates\n        path: /var/lib/podserve-other/x\n        path: /d\n');
});

test('a relative data directory is refused: podman would begin it wherever it was started', () => {
  assert.throws(() => renderDeploy('', 'data'), { code: 'USAGE' });
});
