import { DAY, HOUR, MINUTE, SECOND } from './clock.ts';

const UNITS = { d: DAY, h: HOUR, m: MINUTE, s: SECOND } as const;

/** Beyond this a length of time is a mistake, and dates made with it would stop being dates. */
const LONGEST = 36_525 * DAY;

/** What a length of time looks like in the configuration and in options; also the pattern of the JSON schema. */
export const DURATION_PATTERN = '^[0-9]+[dhms]$';

/** Milliseconds of `7d`, `12h`, `90m` or `30s`; undefined for anything else, for nothing (`0s`) and for over 100 years. */
export function parseDuration(text: string): number | undefined {
  const [, digits, unit] = /^([0-9]+)([dhms])$/.exec(text.trim()) ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  const ms = Number(digits) * UNITS[unit as keyof typeof UNITS];
  return ms > 0 && ms <= LONGEST ? ms : undefined;
}

/** The shortest form that `parseDuration` reads back: `90d`, `36h`, `90m`; rounded to whole seconds. */
export function formatDuration(ms: number): string {
  const whole = Math.round(ms / SECOND) * SECOND;
  for (const [unit, length] of Object.entries(UNITS)) {
    if (whole !== 0 && whole % length === 0) return `${whole / length}${unit}`;
  }
  return '0s';
}
