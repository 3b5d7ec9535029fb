import type { Conversation } from './conversation.ts';
import type { ProbeFailure } from './failure.ts';

/** What a plain-text preamble works with. */
export interface PreambleContext {
  readonly conversation: Conversation;
  /** The own address of the connection, for EHLO. */
  readonly localAddress: string;
  /** Marks that the greeting is over, so that time-outs and refusals belong to STARTTLS from here on. */
  readonly greeted: () => void;
  /** A failure at the present step, quoting what the peer said. */
  readonly refuse: (why: string, remedy: string) => ProbeFailure;
}

export interface Preamble {
  /**
   * Speaks until the peer waits for a ClientHello.
   * @throws ProbeFailure, ConversationBroken
   */
  readonly startTls: (context: PreambleContext) => Promise<void>;
  /** Said inside TLS before hanging up, so that the daemon logs no lost connection. */
  readonly farewell: string;
}
