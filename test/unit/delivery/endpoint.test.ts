import assert from 'node:assert/strict';
import test from 'node:test';

import { parseEndpoint, preambleOf, serverNameFor } from '../../../src/delivery/endpoint.ts';
import { PodserveError, describeError } from '../../../src/platform/errors.ts';

test('every scheme has its default port, and tls:// takes the one it is given', () => {
  const ports = { https: 443, smtp: 25, submission: 587, smtps: 465, imap: 143, imaps: 993, pop3: 110, pop3s: 995, dot: 853 };
  for (const [scheme, port] of Object.entries(ports)) assert.equal(parseEndpoint(`${scheme}://mail.lab.test`).port, port, scheme);
  assert.equal(parseEndpoint('tls://mail.lab.test:5671').port, 5671);
});

test('STARTTLS is spoken on the mail ports that begin in plain text, and nowhere else', () => {
  const spoken = ['https', 'smtp', 'submission', 'smtps', 'imap', 'imaps', 'pop3', 'pop3s', 'dot', 'tls'] as const;
  assert.deepEqual(
    spoken.map((protocol) => preambleOf(protocol)),
    [undefined, 'smtp', 'smtp', undefined, 'imap', undefined, 'pop3', undefined, undefined, undefined],
  );
});

function host(url: string): string {
  return parseEndpoint(url).host;
}

test('hosts may be names, internationalised names and addresses', () => {
  assert.equal(host('https://WWW.lab.test/'), 'www.lab.test');
  assert.equal(host('https://bücher.example:8443'), 'xn--bcher-kva.example');
  assert.equal(host('HTTPS://web:443'), 'web');
  assert.equal(host('imaps://192.0.2.7:993'), '192.0.2.7');
  assert.equal(host('https://[2001:db8::1]'), '2001:db8::1');
  assert.equal(host('https://[fe80::1%eth0]:8443'), 'fe80::1%eth0');
  assert.equal(parseEndpoint('dot://[::1]:8853').port, 8853);
});

test('a URL that cannot be probed is refused in one line that says why and names the schemes', () => {
  const wrong = {
    'mail.lab.test': /it is not SCHEME:\/\/HOST/,
    'ftp://mail.lab.test': /the scheme ftp is unknown/,
    'constructor://x:1': /the scheme constructor is unknown/,
    'https://': /it is not SCHEME/,
    'https://web/status': /it is not SCHEME/,
    'https://user@web': /it is not SCHEME/,
    'https://2001:db8::1': /it is not SCHEME/,
    'https://[www.lab.test]': /no IPv6 address/,
    'https://*.lab.test': /is a pattern/,
    'https://web:0': /0 is no port/,
    'https://web:65536': /65536 is no port/,
    'https://a..b': /empty label/,
    'tls://web': /no default port/,
  };
  for (const [url, why] of Object.entries(wrong)) {
    assert.throws(
      () => parseEndpoint(url),
      (error) => {
        assert.ok(error instanceof PodserveError && error.exitCode === 2, url);
        const line = describeError(error);
        assert.match(line, why);
        assert.match(line, /https:\/\/ smtp:\/\/ .* tls:\/\//);
        assert.ok(!line.includes('\n'));
        return true;
      },
    );
  }
});

test('a very long URL does not fill the screen', () => {
  assert.throws(
    () => parseEndpoint(`https://${'a'.repeat(5000)}`),
    (error) => describeError(error).length < 500,
  );
});

test('the server name is the name, podserve-probe for a wildcard, and none for an address', () => {
  assert.equal(serverNameFor('www.lab.test'), 'www.lab.test');
  assert.equal(serverNameFor('*.lab.test'), 'podserve-probe.lab.test');
  assert.equal(serverNameFor('192.0.2.7'), undefined);
  assert.equal(serverNameFor('2001:db8::1'), undefined);
});
