import assert from 'node:assert/strict';
import test from 'node:test';

import { badPath, leadsOut } from '../../../../src/services/backup/inside.ts';

test('the paths of a backup are accepted', () => {
  for (const path of [
    'format.json',
    'podserve.yaml',
    'authority',
    'certificates',
    'certificates/default/..data',
    'certificates/..data',
    'authority/local-ca/root-000001.pem',
  ]) {
    assert.equal(badPath(path), undefined, path);
  }
});

test('a path that could leave the state directory, or that no backup holds, is refused', () => {
  const bad = [
    '/etc/passwd',
    '..',
    '../x',
    'certificates/../x',
    'certificates/..',
    'certificates/./x',
    'certificates//x',
    'certificates\\..\\x',
    'certificates/a\0b',
  ];
  for (const path of [...bad, '', 'other', 'etc/passwd', 'format.json/x', 'challenges/x', 'podserve.yaml/x'])
    assert.notEqual(badPath(path), undefined, path);
});

test('links of a publication stay inside', () => {
  const links = {
    'certificates/..data': 'default/..data',
    'certificates/cert.pem': '..data/cert.pem',
    'certificates/default/..data': '..gen-000042',
    'certificates/a/x': '../b/y',
  };
  for (const [path, target] of Object.entries(links)) assert.equal(leadsOut(path, target), false, path);
});

test('a link out, by climbing, by an absolute target or by way of another link, is refused', () => {
  const links: [string, string][] = [
    ['certificates/x', '/etc/passwd'],
    ['certificates/x', '../authority/local-ca/root-000001.pem'],
    ['certificates/a/x', '../../authority'],
    ['certificates/x', '..'],
    ['certificates/x', ''],
    // Behind a link to a directory, .. is not what it seems.
    ['certificates/x', 'a/l/../../authority'],
    ['certificates/x', 'a/..'],
  ];
  for (const [path, target] of links) assert.equal(leadsOut(path, target), true, `${path} -> ${target}`);
});
