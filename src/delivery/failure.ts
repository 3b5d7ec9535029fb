import { PodserveError } from '../platform/errors.ts';
import type { Endpoint } from './endpoint.ts';

/** The steps of a probe, in their order. */
export type ProbeStep = 'tcp' | 'greeting' | 'starttls' | 'handshake' | 'name' | 'chain' | 'expiry' | 'fingerprint';

export interface FailureDetail {
  /** What was found, and why that is wrong. */
  readonly why: string;
  readonly remedy: string;
  /** What the peer answered, as received: it is bounded and made harmless here. */
  readonly peerSaid?: string | undefined;
  /** Since the probe began, ms. */
  readonly afterMs: number;
  /** Nothing wrong was heard: the time was up. */
  readonly timedOut?: boolean;
  readonly cause?: unknown;
}

const TITLES: Readonly<Record<ProbeStep, string>> = {
  tcp: 'there is no connection',
  greeting: 'the greeting is wrong',
  starttls: 'STARTTLS was not possible',
  handshake: 'the TLS handshake failed',
  name: 'the certificate is for other names',
  chain: 'the certificate is not trusted',
  expiry: 'the certificate is not valid now',
  fingerprint: 'another certificate is served',
};

/** PROBE_FAILED at one step. One line says endpoint, step, time, what the peer said and what to do. */
export class ProbeFailure extends PodserveError {
  readonly step: ProbeStep;
  /** What the peer answered, one harmless line of at most 200 characters. */
  readonly peerSaid: string | undefined;
  /** Since the probe began, whole ms. */
  readonly afterMs: number;
  /** Whether nothing wrong was heard, and only the time was up. */
  readonly timedOut: boolean;

  constructor(endpoint: Endpoint, step: ProbeStep, detail: FailureDetail) {
    const peerSaid = detail.peerSaid === undefined || detail.peerSaid === '' ? undefined : harmless(detail.peerSaid);
    const afterMs = Math.round(detail.afterMs);
    super('PROBE_FAILED', TITLES[step], {
      where: endpoint.url,
      why: `${detail.why}${peerSaid === undefined ? '' : `, the peer said ${JSON.stringify(peerSaid)}`} (step ${step}, after ${afterMs} ms)`,
      remedy: detail.remedy,
      cause: detail.cause,
    });
    this.step = step;
    this.peerSaid = peerSaid;
    this.afterMs = afterMs;
    this.timedOut = detail.timedOut === true;
  }
}

const LONGEST_QUOTE = 200;
/** C0, DEL, C1, and the characters that reorder or hide text on a terminal. */
const TREACHEROUS = /\s*[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\uFFFD]+\s*/gu;

/** Foreign text for one line of a terminal or log: no control characters, at most 200 characters. */
export function harmless(text: string): string {
  const plain = text
    .slice(0, LONGEST_QUOTE * 4)
    .replaceAll(TREACHEROUS, ' ')
    .trim();
  return plain.length > LONGEST_QUOTE ? `${plain.slice(0, LONGEST_QUOTE - 1)}…` : plain;
}
