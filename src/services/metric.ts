/** One number, or one per set of labels, that a service gives to Prometheus. */
export interface Metric {
  /** `podserve_…` with the unit at its end. */
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly values: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}
