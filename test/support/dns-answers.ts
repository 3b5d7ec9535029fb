import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { TestContext } from 'node:test';

import { encodeRecord, type WireRecord } from '../../src/challenges/dns/message.ts';
import { decodeName } from '../../src/challenges/dns/name.ts';

/** What a name server of a test sends: nothing, or these datagrams in this order. */
export type Answerer = (request: Buffer) => readonly Buffer[];

/** A DNS server that answers as it is told, on one port over UDP and TCP. @returns `host:port` */
export async function answeringServer(t: Pick<TestContext, 'after'>, overUdp: Answerer, overTcp: Answerer = () => []): Promise<string> {
  const tcp = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      for (const answer of overTcp(Buffer.from(data).subarray(2))) socket.write(answer);
      socket.end();
    });
  });
  const port = await new Promise<number>((resolve) =>
    tcp.listen(0, '127.0.0.1', () => {
      const address = tcp.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    }),
  );
  const udp = createSocket('udp4');
  udp.on('message', (request, { port: to, address }) => {
    for (const answer of overUdp(request)) udp.send(answer, to, address);
  });
  await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', () => resolve()));
  t.after(() => {
    udp.close();
    tcp.close();
  });
  return `127.0.0.1:${port}`;
}

export interface AnswerFields {
  readonly id?: number;
  /** Default: an answer, authoritative. */
  readonly flags?: number;
  readonly rcode?: number;
  readonly answers?: readonly WireRecord[];
  readonly additionals?: readonly WireRecord[];
}

/** An answer to a request, with its question. */
export function answerTo(request: Buffer, fields: AnswerFields = {}): Buffer {
  const { id = request.readUInt16BE(0), flags = 0x8400, rcode = 0, answers = [], additionals = [] } = fields;
  const header = Buffer.alloc(12);
  const counts = [1, answers.length, 0, additionals.length];
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(flags | (request.readUInt16BE(2) & 0x7900) | rcode, 2);
  counts.forEach((count, index) => header.writeUInt16BE(count, 4 + 2 * index));
  const question = request.subarray(12, decodeName(request, 12).next + 4);
  return Buffer.concat([header, question, ...[...answers, ...additionals].map(encodeRecord)]);
}

/** As it goes over TCP (RFC 1035 §4.2.2). */
export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

export function text(name: string, value: string): WireRecord {
  const parts = value.match(/[^]{1,255}/g) ?? [''];
  return {
    name,
    type: 16,
    class: 1,
    ttl: 60,
    rdata: Buffer.concat(parts.flatMap((part) => [Buffer.from([part.length]), Buffer.from(part)])),
  };
}
