import type { X509Certificate } from 'node:crypto';
import { join, resolve } from 'node:path';

import { loadConfig } from '../config/load.ts';
import { describeError } from '../platform/errors.ts';
import { readCurrent } from '../publication/read.ts';
import { readDkimKeys } from '../services/mail/dkim.ts';
import { mailDnsRecords, zoneLines } from '../services/mail/dns-records.ts';
import { flag, text, type Arguments, type Context } from './command.ts';
import { pathsOf, sourceOf } from './settings.ts';

/** `podserve mail dns-records` */
export async function showDnsRecords(args: Arguments, context: Context): Promise<number> {
  const { mail } = await loadConfig(sourceOf(args, context));
  const paths = pathsOf(args, context);
  const given = text(args, 'certificates');
  const root = given === undefined ? paths.certificates : resolve(context.cwd, given);
  const keys = readDkimKeys(join(paths.mail, 'dkim'), mail.domains);
  const leaf = await servedLeaf(root, mail.certificate, context);
  const records = mailDnsRecords(mail, keys, leaf);
  if (flag(args, 'json')) {
    context.out(JSON.stringify(records, null, 2));
    return 0;
  }
  context.out(`; ${mail.hostname}. needs A and AAAA records with the addresses of this server, and they need PTR records with that name.`);
  if (keys.length < mail.domains.length) context.out('; The keys of DKIM are made when the mail service starts: then ask again.');
  if (leaf !== undefined)
    context.out('; TLSA is for zones that are signed (DNSSEC), and changes whenever the key of the certificate does.');
  for (const line of zoneLines(records)) context.out(line);
  return 0;
}

async function servedLeaf(root: string, certificate: string, context: Context): Promise<X509Certificate | undefined> {
  try {
    return (await readCurrent(root, certificate))?.bundle.leaf;
  } catch (error) {
    context.err(`podserve mail: no TLSA record: ${describeError(error)}`);
    return undefined;
  }
}
