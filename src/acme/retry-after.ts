import { DAY, SECOND } from '../platform/clock.ts';

const SECONDS = /^\d{1,15}$/;
/** The three forms of RFC 9110 §5.6.7; the last has no zone and is in GMT. */
const IMF_FIXDATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
const RFC_850 = /^[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/;
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/** A number that can be added to any date; nobody means to wait longer. */
const LONGEST = 365 * DAY;

/**
 * How long the server asks to wait (RFC 9110 §10.2.3), ms from its answer on: 0 for a date that is past, a year at
 * most, undefined where there is none or it is in neither form.
 * @param sent the answer's own `Date`, which a date is counted from: the clocks of server and client may differ
 * @param now ms since the epoch, where the answer has no `Date`
 */
export function retryAfter(value: string | undefined, sent: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (SECONDS.test(text)) return Math.min(Number(text) * SECOND, LONGEST);
  const date = httpDate(text);
  if (date === undefined) return undefined;
  return Math.min(Math.max(0, date - (httpDate(sent?.trim() ?? '') ?? now)), LONGEST);
}

/** RFC 9110 §5.6.7, ms since the epoch, or undefined. */
function httpDate(text: string): number | undefined {
  if (IMF_FIXDATE.test(text) || RFC_850.test(text)) return known(Date.parse(text));
  return ASCTIME.test(text) ? known(Date.parse(`${text} GMT`)) : undefined;
}

function known(time: number): number | undefined {
  return Number.isNaN(time) ? undefined : time;
}
