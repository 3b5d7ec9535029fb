import type { Conversation } from './conversation.ts';
import type { Preamble, PreambleContext } from './preamble.ts';

/** One SMTP reply: its code and the text of each line (RFC 5321 §4.2). Undefined when it is none. */
interface Reply {
  readonly code: number;
  readonly lines: readonly string[];
}

const REPLY_LINE = /^(\d{3})(?:([ -])(.*))?$/;

/** SMTP and submission with STARTTLS (RFC 3207). */
export const smtp: Preamble = { startTls, farewell: 'QUIT\r\n' };

async function startTls(context: PreambleContext): Promise<void> {
  const { conversation, refuse } = context;
  const greeting = await readReply(conversation);
  if (greeting === undefined) throw refuse('it does not speak SMTP', 'check the port; for TLS from the first byte use smtps://');
  if (greeting.code !== 220) throw refuse('it refuses service', "see the mail server's log");
  context.greeted();

  conversation.send(`EHLO ${addressLiteral(context.localAddress)}`);
  const hello = await readReply(conversation);
  if (hello?.code !== 250) throw refuse('it refused EHLO', "see the mail server's log");
  // The first line is the server's name; keywords follow (RFC 5321 §4.1.1.1).
  if (!hello.lines.slice(1).some((line) => /^STARTTLS\s*$/i.test(line))) {
    throw refuse(
      'it does not offer STARTTLS',
      'give the mail server a certificate (Postfix: smtpd_tls_security_level and smtpd_tls_chain_files)',
    );
  }

  conversation.send('STARTTLS');
  const ready = await readReply(conversation);
  if (ready?.code === 220) return;
  if (ready?.code === 454) {
    throw refuse('it offers STARTTLS but cannot do it now', 'its key or certificate cannot be used: see its log, then reload it');
  }
  throw refuse('it refused STARTTLS', "see the mail server's log");
}

async function readReply(conversation: Conversation): Promise<Reply | undefined> {
  const lines: string[] = [];
  let code: string | undefined;
  for (;;) {
    const match = REPLY_LINE.exec(await conversation.line());
    if (match === null || (code !== undefined && match[1] !== code)) return undefined;
    code = match[1] ?? '';
    lines.push(match[3] ?? '');
    if (match[2] !== '-') return { code: Number(code), lines };
  }
}

/** RFC 5321 §4.1.3: a client without a name of its own gives its address. */
function addressLiteral(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  return plain.includes(':') ? `[IPv6:${plain}]` : `[${plain}]`;
}
