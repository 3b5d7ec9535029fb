import type { AcmeClient } from '../../acme/client.ts';
import type { AcmeIssuerOptions } from './acme.ts';

/** What the account of an issuer is reached and kept with. */
export interface AccountPlace extends Pick<AcmeIssuerOptions, 'config' | 'directory' | 'clock' | 'log'> {
  readonly client: AcmeClient;
}

/** The same where an account may have to be made. */
export interface NewAccountPlace extends AccountPlace, Pick<AcmeIssuerOptions, 'onUse'> {}

/** What an order is worked off with. */
export interface OrderPlace extends NewAccountPlace, Pick<AcmeIssuerOptions, 'solver'> {}
