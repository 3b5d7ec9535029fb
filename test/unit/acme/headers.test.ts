import assert from 'node:assert/strict';
import test from 'node:test';

import { parseLinks } from '../../../src/acme/links.ts';
import { retryAfter } from '../../../src/acme/retry-after.ts';

const NOW = Date.parse('1994-11-06T08:49:00Z');
const BASE = 'https://acme.lab.test/cert/1';
const YEAR = 365 * 86_400_000;

test('Retry-After in seconds', () => {
  const forms: readonly (readonly [string, number | undefined])[] = [
    ['0', 0],
    ['120', 120_000],
    [' 5 ', 5000],
    ['007', 7000],
    ['99999999999', YEAR],
    ['999999999999999999999999', undefined],
    ['-5', undefined],
    ['1.5', undefined],
    ['1e3', undefined],
    ['5s', undefined],
    ['0x10', undefined],
    ['', undefined],
    ['soon', undefined],
  ];
  for (const [value, expected] of forms) assert.equal(retryAfter(value, undefined, NOW), expected, value);
  assert.equal(retryAfter(undefined, undefined, NOW), undefined);
});

test('Retry-After as a date, in each form of RFC 9110', () => {
  const forms: readonly (readonly [string, number | undefined])[] = [
    ['Sun, 06 Nov 1994 08:49:37 GMT', 37_000],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 37_000],
    ['Sun Nov  6 08:49:37 1994', 37_000],
    ['Sun, 06 Nov 1994 08:48:00 GMT', 0],
    ['Sun, 06 Nov 2094 08:49:37 GMT', YEAR],
    ['Sun, 32 Nov 1994 08:49:37 GMT', undefined],
    ['Sun, 06 Nov 1994 08:49:37 +0200', undefined],
    ['1994-11-06T08:49:37Z', undefined],
    ['Sunday', undefined],
  ];
  for (const [value, expected] of forms) assert.equal(retryAfter(value, undefined, NOW), expected, value);
});

test("a date is counted from the server's own clock, so that a wrong clock here does no harm", () => {
  const [sent, later] = ['Sun, 06 Nov 1994 08:49:07 GMT', 'Sun, 06 Nov 1994 08:49:37 GMT'];
  assert.equal(retryAfter(later, sent, NOW + 10 * YEAR), 30_000);
  assert.equal(retryAfter(later, 'nonsense', NOW), 37_000);
  assert.equal(retryAfter('30', sent, NOW), 30_000);
});

test('Link headers are read by relation, with relative references resolved', () => {
  const value =
    '<https://acme.lab.test/dir>;rel="index", </cert/1/1>; rel=alternate, <2>;title="a, b; <c>";rel="alternate up" , <https://lab.test/tos>; rel="terms-of-service"';
  assert.deepEqual(parseLinks(value, BASE), {
    index: ['https://acme.lab.test/dir'],
    alternate: ['https://acme.lab.test/cert/1/1', 'https://acme.lab.test/cert/2'],
    up: ['https://acme.lab.test/cert/2'],
    'terms-of-service': ['https://lab.test/tos'],
  });
});

test('a Link that cannot be read, or leads to no web page, does no harm', () => {
  for (const value of [
    undefined,
    '',
    'nonsense',
    '<',
    '<>',
    '<https://x>',
    '<https://x>; rel',
    '<javascript:alert(1)>; rel=help',
    '<//[>; rel=help',
    '; rel=x',
  ]) {
    assert.deepEqual(parseLinks(value, BASE), {}, String(value));
  }
  assert.deepEqual(parseLinks('<https://x/>; rel=A; rel=b; bad==; rel=c', BASE), { a: ['https://x/'] });
  const links = parseLinks('<https://x/>; rel="__proto__ constructor"', BASE);
  assert.deepEqual(Object.keys(links), ['__proto__', 'constructor']);
});

test('the longest Link header that can come is read in no time', () => {
  const began = performance.now();
  for (const part of ['<', '<https://x>;', '<a>; rel="', ' ;', '<a>;b="\\"', '<a>; rel=b, '])
    parseLinks(part.repeat(16_384 / part.length), BASE);
  assert.ok(performance.now() - began < 500);
});
