import type { AcmeProblem } from '../../acme/problem.ts';
import { problemType } from './kinds.ts';

/**
 * Where a person can end a pause, if the server speaks of one. Let's Encrypt pauses names that failed too often: a
 * `rateLimited` problem whose text has a link to its self-service portal.
 */
export function unpauseUrl(problem: AcmeProblem): string | undefined {
  if (problemType(problem) !== 'rateLimited' && problem.status !== 429) return undefined;
  const detail = problem.document?.detail ?? '';
  const urls = [...(detail.match(/https:\/\/[^\s"'<>]+/g) ?? []), ...(problem.links['help'] ?? [])];
  return urls.map((url) => url.replace(/[.,;:)]+$/, '')).find((url) => /\bunpause\b/.test(URL.parse(url)?.pathname ?? ''));
}

/** When the server wants to be asked again, ms since the epoch: by its `Retry-After`, else by its words. */
export function waitUntil(problem: AcmeProblem, now: number): number | undefined {
  if (problem.retryAfter !== undefined) return now + problem.retryAfter;
  const [, day, time] = /\bretry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?: UTC|Z)/.exec(problem.document?.detail ?? '') ?? [];
  const said = Date.parse(`${day}T${time}Z`);
  return Number.isNaN(said) ? undefined : Math.max(said, now);
}
