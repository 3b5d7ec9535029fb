import { describeError, type PodserveError } from '../../platform/errors.ts';

export const CHECKS = [
  'clock',
  'state',
  'directory',
  'profile',
  'external-account',
  'account',
  'resolve',
  'http-01',
  'tls-alpn-01',
  'caa',
  'delegation',
  'update-key',
  'program',
  'podman',
  'images',
  'ports',
] as const;
export type Check = (typeof CHECKS)[number];

/** One thing that was looked at, and what came of it. */
export interface Finding {
  /** A name as people write it, the name of an issuer, `this host` or `pods`. */
  readonly subject: string;
  readonly check: Check;
  /** `problem`: an order would fail, as far as can be seen from here. `warning`: it may. */
  readonly ok: 'good' | 'warning' | 'problem';
  /** What is so: one line. */
  readonly what: string;
  /** What to change; undefined where there is nothing to. */
  readonly remedy: string | undefined;
}

/** What a judge says about something; whose it is, the caller adds. */
export type Judgement = Pick<Finding, 'ok' | 'what' | 'remedy'>;

export function good(what: string): Judgement {
  return { ok: 'good', what: plain(what), remedy: undefined };
}

export function warning(what: string, remedy: string): Judgement {
  return { ok: 'warning', what: plain(what), remedy: plain(remedy) };
}

export function problem(what: string, remedy: string): Judgement {
  return { ok: 'problem', what: plain(what), remedy: plain(remedy) };
}

/** Much of it is what others said, in DNS records, certificates and answers: no line of it may forge another one. */
function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+/gu, ' ');
}

/** An error that orders would meet as well. */
export function troubled(error: PodserveError): Judgement {
  const what = [error.message, error.where, error.why].filter(Boolean).join(': ');
  return problem(what, error.remedy ?? describeError(error));
}
