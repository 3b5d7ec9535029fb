import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { elements, inside } from '../../../src/x509/der-reader.ts';
import { bitString, element, namedBits, objectIdentifier, time, unsignedInteger } from '../../../src/x509/der.ts';

function hex(der: Uint8Array): string {
  return Buffer.from(der).toString('hex');
}

function header(length: number): string {
  return hex(element(0x04, Buffer.alloc(length)).subarray(0, -length || undefined));
}

function written(iso: string): string {
  const der = time(Date.parse(iso));
  return `${der[0] === 0x17 ? 'utc' : 'generalized'} ${der.subarray(2).toString('latin1')}`;
}

describe('DER is written in its one shortest form', () => {
  test('lengths around every change of form', () => {
    assert.equal(header(0), '0400');
    assert.equal(header(127), '047f');
    assert.equal(header(128), '048180');
    assert.equal(header(255), '0481ff');
    assert.equal(header(256), '04820100');
    assert.equal(header(65535), '0482ffff');
    assert.equal(header(65536), '0483010000');
  });

  test('an integer is never negative and has no needless zeros', () => {
    assert.equal(hex(unsignedInteger(Uint8Array.of(0))), '020100');
    assert.equal(hex(unsignedInteger(Uint8Array.of(0x7f))), '02017f');
    assert.equal(hex(unsignedInteger(Uint8Array.of(0x80))), '02020080');
    assert.equal(hex(unsignedInteger(Uint8Array.of(0, 0, 0x80, 1))), '0203008001');
    assert.equal(hex(unsignedInteger(Uint8Array.of(0, 0, 0x12))), '020112');
    assert.equal(hex(unsignedInteger(new Uint8Array(16).fill(0xff))), `021100${'ff'.repeat(16)}`);
  });

  test('named bits leave out trailing zeros; whole octets have none unused', () => {
    assert.equal(hex(namedBits(0)), '03020780');
    assert.equal(hex(namedBits(0, 2)), '030205a0');
    assert.equal(hex(namedBits(5, 6)), '03020106');
    assert.equal(hex(namedBits(8)), '0303070080');
    assert.equal(hex(bitString(Uint8Array.of(1, 2))), '0303000102');
  });

  test('object identifiers with small and large arcs', () => {
    assert.equal(hex(objectIdentifier('2.5.29.17')), '0603551d11');
    assert.equal(hex(objectIdentifier('1.2.840.10045.4.3.2')), '06082a8648ce3d040302');
    assert.equal(hex(objectIdentifier('1.2.840.113549.1.1.11')), '06092a864886f70d01010b');
  });
});

describe('times follow RFC 5280 §4.1.2.5', () => {
  test('UTCTime through 2049, GeneralizedTime from its end on', () => {
    assert.equal(written('2026-11-23T05:04:37Z'), 'utc 261123050437Z');
    assert.equal(written('1950-01-01T00:00:00Z'), 'utc 500101000000Z');
    assert.equal(written('2049-12-31T23:59:59Z'), 'utc 491231235959Z');
    assert.equal(written('2050-01-01T00:00:00Z'), 'generalized 20500101000000Z');
  });

  test('fractions of a second are left out', () => {
    assert.equal(written('2026-11-23T05:04:37.999Z'), 'utc 261123050437Z');
    assert.equal(written('2050-01-01T00:00:00.001Z'), 'generalized 20500101000000Z');
  });
});

describe('DER is read back', () => {
  test('elements side by side, with long lengths', () => {
    const long = element(0x04, Buffer.alloc(300, 7));
    const found = elements(Buffer.concat([unsignedInteger(Uint8Array.of(5)), long]));
    assert.deepEqual(
      found.map(({ tag, contents, encoding }) => [tag, contents.length, encoding.length]),
      [
        [0x02, 1, 3],
        [0x04, 300, 304],
      ],
    );
    assert.equal(inside(element(0x30, long))[0]?.contents[299], 7);
  });

  test('a length beyond the end is an error, at every cut', () => {
    const whole = element(0x30, element(0x04, Buffer.alloc(200)));
    for (let cut = 2; cut < whole.length; cut += 1) assert.throws(() => elements(whole.subarray(0, cut)), RangeError);
  });
});
