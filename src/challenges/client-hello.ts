/** What a ClientHello (RFC 8446 §4.1.2) asks for. */
export interface ClientHello {
  /** Lower case, as DNS names compare (RFC 6066 §3). */
  readonly serverName: string | undefined;
  /** RFC 7301 §3.1; empty where the client speaks of none. */
  readonly protocols: readonly string[];
}

const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const PROTOCOLS = 16;
const RECORD_HEADER = 5;
/** Type and length (RFC 8446 §4). */
const MESSAGE_HEADER = 4;
/** No client's is nearly as long. */
const LONGEST = 16 * 1024;
/** Nor in nearly as many records. */
const MOST_RECORDS = 1024;

/**
 * Reads the first bytes of a TLS connection.
 * @returns `more` while it is not complete, `other` where it is something else
 */
export function readClientHello(received: Buffer): ClientHello | 'more' | 'other' {
  const message = handshakeMessage(received);
  if (typeof message === 'string') return message;
  try {
    return parse(reader(message));
  } catch (error) {
    if (error instanceof RangeError) return 'other';
    throw error;
  }
}

/**
 * The first handshake message, which may lie in several records (RFC 8446 §5.1), without its header. Put together once:
 * anybody may send thousands of records of one octet.
 */
function handshakeMessage(received: Buffer): Buffer | 'more' | 'other' {
  const parts: Buffer[] = [];
  let length = 0;
  let header = Buffer.alloc(0);
  for (let at = 0; at < received.length;) {
    if (received[at] !== HANDSHAKE_RECORD || (received[at + 1] ?? 3) !== 3) return 'other';
    if (received.length < at + RECORD_HEADER) return 'more';
    const size = received.readUInt16BE(at + 3);
    if (size === 0 || length + size > LONGEST || parts.length === MOST_RECORDS) return 'other';
    const part = received.subarray(at + RECORD_HEADER, at + RECORD_HEADER + size);
    parts.push(part);
    length += part.length;
    at += RECORD_HEADER + size;
    if (header.length < MESSAGE_HEADER) header = Buffer.concat([header, part.subarray(0, MESSAGE_HEADER - header.length)]);
    if (header.length > 0 && header[0] !== CLIENT_HELLO) return 'other';
    if (header.length < MESSAGE_HEADER) continue;
    const end = MESSAGE_HEADER + header.readUIntBE(1, 3);
    if (end > LONGEST) return 'other';
    if (length >= end) return Buffer.concat(parts, length).subarray(MESSAGE_HEADER, end);
  }
  return 'more';
}

/** Reads from the front; a RangeError where there is less than asked for. */
interface Reader {
  isEmpty(): boolean;
  number(octets: 1 | 2): number;
  skip(octets: number): void;
  /** What follows a length of so many octets. */
  vector(octets: 1 | 2): Reader;
  rest(): Buffer;
}

function reader(bytes: Buffer): Reader {
  let at = 0;
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new RangeError('cut off');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const number = (octets: 1 | 2): number => take(octets).readUIntBE(0, octets);
  return {
    isEmpty: () => at === bytes.length,
    number,
    skip: (octets) => void take(octets),
    vector: (octets) => reader(take(number(octets))),
    rest: () => take(bytes.length - at),
  };
}

function parse(hello: Reader): ClientHello {
  hello.skip(2 + 32);
  hello.vector(1);
  hello.vector(2);
  hello.vector(1);
  let serverName: string | undefined;
  let protocols: readonly string[] = [];
  const extensions = hello.isEmpty() ? hello : hello.vector(2);
  while (!extensions.isEmpty()) {
    const type = extensions.number(2);
    const body = extensions.vector(2);
    if (type === SERVER_NAME) serverName = hostName(body.vector(2));
    if (type === PROTOCOLS) protocols = protocolNames(body.vector(2));
  }
  return { serverName, protocols };
}

function hostName(names: Reader): string | undefined {
  while (!names.isEmpty()) {
    const type = names.number(1);
    const name = names.vector(2).rest().toString('latin1');
    if (type === 0) return name.toLowerCase();
  }
  return undefined;
}

function protocolNames(list: Reader): string[] {
  const names: string[] = [];
  while (!list.isEmpty()) names.push(list.vector(1).rest().toString('latin1'));
  return names;
}
