/** A limit that a CA puts on an account: at most `count` uses of one kind within `window`, ms. */
export interface RateLimit {
  readonly kind: UseKind;
  readonly count: number;
  readonly window: number;
}

/** What CAs count. */
export type UseKind =
  | 'account' // accounts made; subject ''
  | 'order' // new orders; subject ''
  | 'certificate' // certificates issued; subject: registered domain
  | 'duplicate' // certificates issued; subject: the exact set of names
  | 'failure'; // failed authorizations; subject: identifier

/** One use, as the ledger keeps it. `at` is ms since the epoch. */
export interface Use {
  readonly issuer: string;
  readonly kind: UseKind;
  readonly subject: string;
  readonly at: number;
}
