import type { AcmeClient } from '../../acme/client.ts';
import type { AcmeIssuerOptions } from './acme.ts';

/** What the account of an issuer is reached and kept with. */
export interface AccountPlace extends Pick<AcmeIssuerOptions, 'config' | 'directory' | 'clock' | 'log' | 'onUse'> {
  readonly client: AcmeClient;
}

/** What an order is worked off with. */
export interface OrderPlace extends AccountPlace, Pick<AcmeIssuerOptions, 'solver'> {}
