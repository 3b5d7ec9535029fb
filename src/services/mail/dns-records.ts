import { createHash, type X509Certificate } from 'node:crypto';

import type { MailConfig } from '../../config/config.ts';
import type { DkimKey } from './dkim.ts';

export interface DnsRecord {
  /** Fully qualified, with its dot. */
  readonly name: string;
  readonly type: 'MX' | 'TXT' | 'TLSA';
  readonly ttl: number;
  /** As a zone file has it (RFC 1035 §5.1). */
  readonly value: string;
}

const TTL = 3600;
/** Of one string of a TXT record (RFC 1035 §3.3.14). */
const LONGEST_STRING = 255;

/**
 * What a mail server wants of DNS: where its mail goes (MX), who sends for its domains (SPF, RFC 7208), with which keys
 * (DKIM, RFC 6376), what to do with the rest (DMARC, RFC 7489), and which key it serves (TLSA 3 1 1, RFC 7672).
 * @param leaf what is served; undefined while nothing is published
 */
export function mailDnsRecords(mail: MailConfig, keys: readonly DkimKey[], leaf: X509Certificate | undefined): DnsRecord[] {
  const record = (name: string, type: DnsRecord['type'], value: string): DnsRecord => ({ name: `${name}.`, type, ttl: TTL, value });
  const [relay] = mail.relay?.server.split(':') ?? [];
  const spf = relay === undefined ? 'v=spf1 mx -all' : `v=spf1 mx a:${relay} -all`;
  return [
    ...mail.domains.flatMap((domain) => [
      record(domain, 'MX', `10 ${mail.hostname}.`),
      record(domain, 'TXT', strings(spf)),
      ...keys
        .filter((key) => key.domain === domain)
        .map(({ selector, publicKey }) => record(`${selector}._domainkey.${domain}`, 'TXT', strings(`v=DKIM1; k=rsa; p=${publicKey}`))),
      record(`_dmarc.${domain}`, 'TXT', strings(`v=DMARC1; p=quarantine; rua=mailto:postmaster@${domain}`)),
    ]),
    ...(leaf === undefined ? [] : [record(`_25._tcp.${mail.hostname}`, 'TLSA', `3 1 1 ${keyDigest(leaf)}`)]),
  ];
}

/** Lines of a zone file. */
export function zoneLines(records: readonly DnsRecord[]): string[] {
  return records.map(({ name, type, ttl, value }) => `${name} ${ttl} IN ${type} ${value}`);
}

function strings(text: string): string {
  const parts = text.match(new RegExp(`.{1,${LONGEST_STRING}}`, 'g')) ?? [];
  return parts.map((part) => `"${part}"`).join(' ');
}

function keyDigest({ publicKey }: X509Certificate): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}
