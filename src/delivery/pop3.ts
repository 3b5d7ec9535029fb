import type { Preamble, PreambleContext } from './preamble.ts';

/** POP3 with STLS (RFC 2595 §4, capabilities RFC 2449 §5). */
export const pop3: Preamble = { startTls, farewell: 'QUIT\r\n' };

async function startTls(context: PreambleContext): Promise<void> {
  const { conversation, refuse } = context;
  const greeting = await conversation.line();
  if (/^-ERR\b/i.test(greeting)) throw refuse('it refuses service', "see the POP3 server's log");
  if (!/^\+OK\b/i.test(greeting)) throw refuse('it does not speak POP3', 'check the port; for TLS from the first byte use pop3s://');
  context.greeted();

  const capabilities = await readCapabilities(context);
  if (capabilities !== undefined && !capabilities.has('STLS')) {
    throw refuse('it does not offer STLS', 'give the POP3 server a certificate (Dovecot: ssl = yes)');
  }

  conversation.send('STLS');
  if (!/^\+OK\b/i.test(await conversation.line())) {
    throw refuse('it refused STLS', 'its key or certificate cannot be used: see its log, then reload it');
  }
}

/** Undefined when the server knows no CAPA: such a one may know STLS all the same. */
async function readCapabilities({ conversation }: PreambleContext): Promise<ReadonlySet<string> | undefined> {
  conversation.send('CAPA');
  if (!/^\+OK\b/i.test(await conversation.line())) return undefined;
  const keywords = new Set<string>();
  for (;;) {
    const line = await conversation.line();
    if (line === '.') return keywords;
    keywords.add(line.toUpperCase().trim());
  }
}
