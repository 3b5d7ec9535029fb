import type { Preamble, PreambleContext } from './preamble.ts';

/** A tagged answer with the untagged lines before it (RFC 9051 §2.2.2). */
interface Answer {
  readonly status: string;
  readonly untagged: readonly string[];
}

/** IMAP with STARTTLS (RFC 9051 §6.2.1). */
export const imap: Preamble = { startTls, farewell: 'p3 LOGOUT\r\n' };

async function startTls(context: PreambleContext): Promise<void> {
  const { refuse } = context;
  const greeting = await context.conversation.line();
  if (/^\* BYE\b/i.test(greeting)) throw refuse('it refuses service', "see the IMAP server's log");
  if (/^\* PREAUTH\b/i.test(greeting)) {
    throw refuse('it takes everyone as logged in, so STARTTLS is forbidden', 'switch PREAUTH off on this port');
  }
  if (!/^\* OK\b/i.test(greeting)) throw refuse('it does not speak IMAP', 'check the port; for TLS from the first byte use imaps://');
  context.greeted();

  const answer = await ask(context, 'p1', 'CAPABILITY');
  if (answer.status !== 'OK') throw refuse('it refused CAPABILITY', "see the IMAP server's log");
  const capabilities = new Set(
    answer.untagged.filter((line) => /^\* CAPABILITY /i.test(line)).flatMap((line) => line.toUpperCase().trim().split(/ +/).slice(2)),
  );
  if (!capabilities.has('STARTTLS')) {
    const closed = capabilities.has('LOGINDISABLED') ? ', and with LOGINDISABLED nobody can log in on this port' : '';
    throw refuse(`it does not offer STARTTLS${closed}`, 'give the IMAP server a certificate (Dovecot: ssl = yes)');
  }

  const ready = await ask(context, 'p2', 'STARTTLS');
  if (ready.status !== 'OK') throw refuse('it refused STARTTLS', 'its key or certificate cannot be used: see its log, then reload it');
}

async function ask({ conversation, refuse }: PreambleContext, tag: string, command: string): Promise<Answer> {
  conversation.send(`${tag} ${command}`);
  const untagged: string[] = [];
  for (;;) {
    const line = await conversation.line();
    const status = new RegExp(`^${tag} (OK|NO|BAD)\\b`, 'i').exec(line)?.[1];
    if (status !== undefined) return { status: status.toUpperCase(), untagged };
    if (!line.startsWith('* ')) throw refuse(`its answer to ${command} is not IMAP`, 'check the port');
    if (/^\* BYE\b/i.test(line)) throw refuse('it hung up', "see the IMAP server's log");
    untagged.push(line);
  }
}
