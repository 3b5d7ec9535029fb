import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { connect, type ConnectionOptions } from 'node:tls';

import { readClientHello } from '../../../src/challenges/client-hello.ts';
import { randomStream, scaled } from '../../support/scale.ts';

/** What OpenSSL says first. */
async function recorded(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect({ ...options, host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  client.on('error', () => undefined);
  const [socket] = await once(server, 'connection');
  const [hello] = await once(socket, 'data');
  socket.destroy();
  client.destroy();
  server.close();
  return hello as Buffer;
}

/** The same message in records of at most `size` octets. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

const ASKED = { serverName: 'www.example.org', protocols: ['acme-tls/1', 'h2'] };

test('name and protocols are read from what OpenSSL sends, in TLS 1.2 and 1.3', async () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const options = { minVersion: version, maxVersion: version, ALPNProtocols: ASKED.protocols, servername: 'WWW.Example.org' };
    assert.deepEqual(readClientHello(await recorded(options)), ASKED);
  }
  assert.deepEqual(readClientHello(await recorded({})), { serverName: undefined, protocols: [] });
});

test('a message in many records and packets is waited for', async () => {
  const whole = await recorded({ ALPNProtocols: ASKED.protocols, servername: ASKED.serverName });
  const pieces = inRecords(whole, 7);
  for (let length = 0; length < pieces.length; length += 1) assert.equal(readClientHello(pieces.subarray(0, length)), 'more', `${length}`);
  assert.deepEqual(readClientHello(pieces), ASKED);
});

test('other protocols, other messages and endless ones are told apart at once', () => {
  const endless = Buffer.concat([Buffer.from([22, 3, 1, 0x40, 0x00, 1, 0xff, 0xff, 0xff]), Buffer.alloc(0x3ffc)]);
  for (const [what, bytes] of Object.entries({
    'plain HTTP': Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    'an alert': Buffer.from([21, 3, 1, 0, 2, 1, 0]),
    'another message': Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]),
    'an empty record': Buffer.from([22, 3, 1, 0, 0]),
    'an empty hello': Buffer.from([22, 3, 1, 0, 4, 1, 0, 0, 0]),
    'too long a hello': endless,
  })) {
    assert.equal(readClientHello(bytes), 'other', what);
  }
});

test('a message in thousands of records of one octet is refused before it costs anything', () => {
  const octets = [1, 0, 0x3f, 0xf0, ...Array.from({ length: 16_000 }, () => 0)];
  const pieces = Buffer.concat(octets.map((octet) => Buffer.from([22, 3, 1, 0, 1, octet])));
  const before = process.cpuUsage();
  assert.equal(readClientHello(pieces), 'other');
  // Putting it together with each record took seconds, while nothing else was done.
  assert.ok(process.cpuUsage(before).user < 200_000);
});

test('damaged bytes never do harm', async () => {
  const whole = await recorded({ ALPNProtocols: ASKED.protocols, servername: ASKED.serverName });
  const random = randomStream('client-hello');
  const seen = new Set<string>();
  for (let round = 0; round < scaled(100_000); round += 1) {
    const damaged = Buffer.from(whole);
    for (let changes = 1 + Math.floor(random() * 3); changes > 0; changes -= 1) {
      damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256);
    }
    const result = readClientHello(damaged);
    seen.add(typeof result === 'string' ? result : 'read');
  }
  assert.deepEqual([...seen].toSorted(), ['more', 'other', 'read']);
});
