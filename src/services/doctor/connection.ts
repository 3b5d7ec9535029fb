/** One address of a name, and how long to wait for it. */
export interface Connection {
  readonly address: string;
  /** For everything together, ms. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}
