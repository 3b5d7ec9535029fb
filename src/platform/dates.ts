import { DAY, HOUR, MINUTE } from './clock.ts';

/** `2026-11-23 05:14 UTC` */
export function minute(time: number): string {
  return `${new Date(time).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** `in 89 days`, `in 5 hours`, `3 days ago` */
export function inDays(ms: number): string {
  const size = Math.abs(ms);
  const [unit, count]: [string, number] =
    size >= 2 * DAY ? ['day', size / DAY] : size >= 2 * HOUR ? ['hour', size / HOUR] : ['minute', size / MINUTE];
  const whole = Math.floor(count);
  const length = whole === 0 ? 'less than a minute' : `${whole} ${unit}${whole === 1 ? '' : 's'}`;
  return ms < 0 ? `${length} ago` : `in ${length}`;
}
