import assert from 'node:assert/strict';
import { test } from 'node:test';

import { collide, formatListen, parseListen, parseServer, type Listen } from '../../../src/config/listen.ts';

function listen(text: string): Listen {
  return parseListen(text) ?? assert.fail(`${text} was not read`);
}

test('places to listen are read and written in one form', () => {
  const cases: [text: string, written: string][] = [
    ['[::]:80', '[::]:80'],
    ['0.0.0.0:80', '0.0.0.0:80'],
    ['80', '[::]:80'],
    [':80', '[::]:80'],
    ['*:80', '[::]:80'],
    [' LOCALHOST:8443 ', 'localhost:8443'],
    ['[2001:db8::1]:65535', '[2001:db8::1]:65535'],
  ];
  for (const [text, written] of cases) {
    assert.equal(formatListen(listen(text)), written);
    assert.deepEqual(parseListen(written), listen(text));
  }
});

test('what is no place to listen is not read as one', () => {
  for (const text of [
    '',
    '0',
    '65536',
    '123456',
    '::1:80',
    '[127.0.0.1]:80',
    '[::1]',
    'a b:80',
    'http://x:80',
    '*.example.org:80',
    '-1',
    '80a',
    '1.2.3:80',
  ]) {
    assert.equal(parseListen(text), undefined, text);
  }
});

test('servers to connect to are read with or without a port', () => {
  const cases: [text: string, written: string | undefined][] = [
    ['dns', 'dns:53'],
    ['dns:5353', 'dns:5353'],
    ['192.0.2.1', '192.0.2.1:53'],
    ['2001:db8::1', '[2001:db8::1]:53'],
    ['[2001:db8::1]', '[2001:db8::1]:53'],
    ['[2001:db8::1]:5353', '[2001:db8::1]:5353'],
    ['', undefined],
    ['53', undefined],
    [':53', undefined],
    ['*:53', undefined],
    ['0.0.0.0', undefined],
    ['::', undefined],
    ['[192.0.2.1]', undefined],
    ['a b', undefined],
    ['dns:0', undefined],
  ];
  for (const [text, written] of cases) {
    const server = parseServer(text, 53);
    assert.equal(server && formatListen(server), written, text);
  }
});

test('two servers collide at one port when one address takes in the other', () => {
  const cases: [one: string, other: string, collides: boolean][] = [
    ['[::]:80', '127.0.0.1:80', true],
    ['0.0.0.0:80', '[::1]:80', true],
    ['localhost:80', '127.0.0.1:80', true],
    ['[::1]:80', 'localhost:80', true],
    ['127.0.0.1:80', '127.0.0.2:80', false],
    ['127.0.0.1:80', '[::1]:80', false],
    ['[::]:80', '[::]:81', false],
  ];
  for (const [one, other, collides] of cases) assert.equal(collide(listen(one), listen(other)), collides, `${one} ${other}`);
});
