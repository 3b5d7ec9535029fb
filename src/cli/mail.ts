import { PodserveError } from '../platform/errors.ts';
import type { Arguments, Command, Context } from './command.ts';

export const command: Command = {
  summary: 'run the mail service, and look after its accounts',
  help: `usage: podserve mail [options]
       podserve mail user add|passwd|remove ADDRESS [options]
       podserve mail user list
       podserve mail alias add ADDRESS TARGET…
       podserve mail alias remove ADDRESS
       podserve mail alias list
       podserve mail dns-records

Without a word it runs Postfix, Dovecot and Rspamd on the published certificates, until SIGTERM: in
the image of the mail service, as root. Accounts may be changed while it runs, in its container:
  podman exec -it mail-mail podserve mail user add you@example.org

  user add       a mailbox, and somebody who may send and fetch; the password is asked for
  user passwd    another password
  user remove    nobody may log in any more; the mailbox stays
  alias add      what comes for ADDRESS goes to each TARGET
  dns-records    what belongs in DNS, as lines of a zone file

  --password-file FILE  the password, in its first line; - for standard input
  --quota SIZE          of this mailbox, e.g. 5GiB (default: mail.quota)
  --send-as ADDRESS     another address that it may send as; may be repeated
  --delete-mailbox      user remove: the messages, too
  --certificates DIR    the publication (default: STATE/certificates)
  --run DIR             for what may be lost (default: /run/podserve/mail)
  --config FILE, --state DIR (default ./data), --json

With SSL_CERT_FILE and SSL_KEY_FILE, and without --certificates, the certificate comes from these two files.

Exit codes: 0 done, 1 it failed, 2 wrong usage or configuration, and nothing was changed.`,
  options: {
    certificates: { type: 'string' },
    run: { type: 'string' },
    'password-file': { type: 'string' },
    quota: { type: 'string' },
    'send-as': { type: 'string', multiple: true },
    'delete-mailbox': { type: 'boolean' },
  },
  positionals: true,
  run,
};

async function run(args: Arguments, context: Context): Promise<number> {
  const [noun] = args.positionals;
  if (noun === undefined) return (await import('./mail-run.ts')).runMail(args, context);
  if (noun === 'user' || noun === 'alias') return (await import('./mail-accounts.ts')).changeMailAccounts(args, context);
  if (noun === 'dns-records' && args.positionals.length === 1) return (await import('./mail-dns.ts')).showDnsRecords(args, context);
  throw new PodserveError('USAGE', 'podserve mail was not understood', {
    why: `it does not know ${args.positionals.join(' ')}`,
    remedy: 'podserve mail --help explains user, alias and dns-records',
  });
}
