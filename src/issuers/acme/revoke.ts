import type { RevocationReason, Signatory } from '../../acme/resources.ts';
import type { Bundle } from '../../certificate/bundle.ts';
import { accountAttempt, serverOf } from './account.ts';
import { readAccount } from './account-file.ts';
import { failing, problemIn } from './classify.ts';
import { problemType } from './kinds.ts';
import type { AccountPlace } from './place.ts';

/**
 * Revokes with the account (RFC 8555 §7.6), or with the certificate's own key where there is no account or it may not:
 * the certificate may be of another one. One that is revoked already is no error.
 * @throws IssueFailure; the signal's reason
 */
export async function revokeCertificate(
  place: AccountPlace,
  { leaf, key }: Pick<Bundle, 'leaf' | 'key'>,
  reason: RevocationReason,
  signal: AbortSignal,
): Promise<void> {
  const { client, config, directory } = place;
  const attempt = accountAttempt(place, `${config.name} did not revoke the certificate ${leaf.serialNumber.toLowerCase()}`, 'revocation');
  const account = readAccount(directory, serverOf(config));
  const by: Signatory | undefined = account?.url === undefined ? undefined : { key: account.key, url: account.url };
  const revoke = (signer: Signatory | typeof key): Promise<void> =>
    client.revoke(signer, leaf.raw, reason, signal).catch(unlessRevoked).catch(failing(attempt));
  try {
    await revoke(by ?? key);
  } catch (error) {
    if (by === undefined || !mayNot(error)) throw error;
    await revoke(key);
  }
}

function unlessRevoked(error: unknown): void {
  const problem = problemIn(error);
  if (problem === undefined || problemType(problem) !== 'alreadyRevoked') throw error;
}

function mayNot(error: unknown): boolean {
  const problem = problemIn(error);
  return problem !== undefined && (problem.status === 403 || ['unauthorized', 'accountDoesNotExist'].includes(problemType(problem)));
}
