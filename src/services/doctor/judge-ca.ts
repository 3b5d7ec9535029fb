import { AcmeProblem, AcmeTransportError } from '../../acme/problem.ts';
import type { DirectoryMeta } from '../../acme/resources.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import { nearest } from '../../config/nearest.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../platform/clock.ts';
import { messageOf } from '../../platform/errors.ts';
import { good, problem, warning, type Judgement } from './finding.ts';

const UNEASY = 5 * MINUTE;
const WRONG = HOUR;

/** Why a directory gave nothing to go on. */
export function judgeUnanswered(error: unknown, directory: string, { caFile }: Pick<AcmeIssuerConfig, 'caFile'>): Judgement {
  const what = `its directory ${directory} gives no answer: ${messageOf(error)}`;
  if (error instanceof AcmeProblem) return problem(what, `see whether the CA is in trouble, and whether ${directory} is its directory`);
  if (!(error instanceof AcmeTransportError)) return problem(what, 'see whether it can be reached from here');
  switch (error.fault) {
    case 'dns':
      return problem(
        what,
        "check the directory's URL, and that this host can look names up (resolvers in podserve.yaml, /etc/resolv.conf)",
      );
    case 'tls': {
      const roots =
        caFile === undefined
          ? 'if it is a CA of your own, give its root with caFile'
          : `see that ${caFile} holds the root that the server's certificate ends in`;
      return problem(what, `${roots}; see that the clock here is right`);
    }
    case 'connect':
    case 'timeout':
    case 'cut':
      return problem(what, 'see that a firewall or proxy lets this host out to it by HTTPS, and that the server runs');
    case 'content-type':
    case 'malformed':
    case 'redirect':
    case 'too-large':
    case 'nonce':
      return problem(what, "what answers there is no ACME server: check the directory's URL");
  }
}

export function judgeDirectory(directory: string): Judgement {
  return good(`its directory ${directory} answers`);
}

/** Whether the CA offers the profile that is configured, by its own list (profiles extension). */
export function judgeProfile({ profiles }: DirectoryMeta, wanted: string | undefined): Judgement | undefined {
  if (wanted === undefined) return undefined;
  const offered = Object.keys(profiles);
  if (offered.includes(wanted)) return good(`offers the profile ${wanted}`);
  if (offered.length === 0) return problem(`offers no profiles, and ${wanted} is configured`, 'take profile out of the issuer');
  const guess = nearest(wanted, offered);
  return problem(
    `does not offer the profile ${wanted}`,
    `${guess === undefined ? '' : `did you mean ${guess}? `}it offers ${offered.join(', ')}`,
  );
}

export interface AccountState {
  /** Whether an account is there already: it needs no binding any more. */
  readonly present: boolean;
  /** Why the MAC key cannot be used; undefined where it can, or none is configured. */
  readonly hmacTrouble: string | undefined;
}

/** RFC 8555 §7.3.4 */
export function judgeExternalAccount(
  { externalAccountRequired }: DirectoryMeta,
  { name, eab }: Pick<AcmeIssuerConfig, 'name' | 'eab'>,
  account: AccountState,
): Judgement | undefined {
  if (account.present) return undefined;
  if (eab !== undefined && account.hmacTrouble !== undefined) {
    return problem(
      `the MAC key in ${eab.hmacFile} cannot be used: ${account.hmacTrouble}`,
      'put the key that the CA gave there, as it gave it (base64url), readable for this user',
    );
  }
  if (!externalAccountRequired) return undefined;
  if (eab !== undefined) return good(`wants accounts bound to one of its own, and key id ${eab.kid} is configured`);
  return problem(
    'wants accounts bound to one of its own (EAB), and no key is configured',
    `get a key id and a MAC key from the CA, and set issuers.${name}.eab.kid and eab.hmacFile`,
  );
}

/**
 * @param server the answer's Date, ms since the epoch
 * @param now of this host in the middle of the exchange
 */
export function judgeClock(server: number, now: number): Judgement {
  const off = Math.abs(server - now);
  if (off < UNEASY) return good("the clock agrees with the CA's");
  const what = `the clock is ${span(off)} ${now > server ? 'ahead of' : 'behind'} the CA's`;
  const remedy = 'set the clock, and let a time service keep it (systemd-timesyncd, chrony)';
  return off < WRONG ? warning(what, remedy) : problem(what, remedy);
}

function span(ms: number): string {
  const [unit, name] =
    ms >= 2 * DAY ? [DAY, 'days'] : ms >= 2 * HOUR ? [HOUR, 'hours'] : ms >= 2 * MINUTE ? [MINUTE, 'minutes'] : [SECOND, 'seconds'];
  return `${Math.round(ms / unit)} ${name}`;
}
