/**
 * What a CA last said about when to renew one certificate (RFC 9773), and the time that was chosen from it.
 * Times are ms since the epoch.
 */
export interface Advice {
  /** RFC 9773 §4.1; advice about another leaf is worth nothing. */
  readonly certificateId: string;
  /** The suggested window, or undefined while the CA has given none that can be used. */
  readonly window: { readonly start: number; readonly end: number } | undefined;
  /** Uniformly chosen within the window; kept while the window stands. */
  readonly chosen: number | undefined;
  readonly explanationUrl: string | undefined;
  /** When the CA is to be asked again. */
  readonly nextAsk: number;
  /** How often in a row asking failed with a 5xx or a time-out. */
  readonly failures: number;
}
