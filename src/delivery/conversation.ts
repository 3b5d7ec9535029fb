import type { Socket } from 'node:net';

/** The peer did not keep to the shape of a line protocol, or went away. */
export class ConversationBroken extends Error {
  override readonly name = 'ConversationBroken';
}

/** Lines exchanged in plain text before a handshake, with bounds that a hostile peer cannot pass. */
export interface Conversation {
  /** The next line without its end. @throws ConversationBroken */
  readonly line: () => Promise<string>;
  readonly send: (line: string) => void;
  /** The peer's last lines, for a report. */
  readonly said: () => string;
  /** Stops listening; the socket is then free for the handshake. @returns how many bytes came that nobody asked for */
  readonly finish: () => number;
}

/** No honest reply line is longer (RFC 5321 §4.5.3.1.5: 512; RFC 2595 and 9051 give no bound). */
const LONGEST_LINE = 8 * 1024;
/** A whole preamble is a greeting, a capability list and one answer. */
const MOST_BYTES = 64 * 1024;
const QUOTED = 400;

/** Takes over a connected socket until `finish`. */
export function converse(socket: Socket): Conversation {
  let received = Buffer.alloc(0);
  let total = 0;
  let quote = '';
  let ended: ConversationBroken | undefined;
  let wake: (() => void) | undefined;

  const take = (data: Buffer): void => {
    total += data.length;
    if (total > MOST_BYTES) {
      socket.pause();
      return stop(new ConversationBroken(`it sent more than ${MOST_BYTES / 1024} KiB and came to no end`));
    }
    received = Buffer.concat([received, data]);
    wake?.();
  };
  const stop = (reason: ConversationBroken): void => {
    ended ??= reason;
    wake?.();
  };
  const onEnd = (): void => stop(new ConversationBroken('it closed the connection'));
  const onError = (error: Error): void => stop(new ConversationBroken(`the connection broke (${error.message})`, { cause: error }));
  socket.on('data', take);
  socket.on('end', onEnd);
  socket.on('close', onEnd);
  socket.on('error', onError);

  return {
    async line() {
      for (;;) {
        const end = received.indexOf(0x0a);
        if (end > LONGEST_LINE || (end === -1 && received.length > LONGEST_LINE)) {
          quote = received.toString('utf8', 0, QUOTED);
          throw new ConversationBroken(`it sent a line of more than ${LONGEST_LINE / 1024} KiB`);
        }
        if (end !== -1) {
          const text = received.toString('utf8', 0, end).replace(/\r$/, '');
          received = received.subarray(end + 1);
          quote = `${quote}${quote === '' ? '' : ' / '}${text}`.slice(-QUOTED);
          return text;
        }
        if (ended !== undefined) {
          if (received.length > 0) quote = received.toString('utf8', 0, QUOTED);
          throw ended;
        }
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        await promise;
        wake = undefined;
      }
    },
    send(line) {
      quote = '';
      socket.write(`${line}\r\n`);
    },
    said: () => (quote === '' ? received.toString('utf8', 0, QUOTED) : quote),
    finish() {
      socket.off('data', take);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
      socket.off('error', onError);
      return received.length + socket.readableLength;
    },
  };
}
