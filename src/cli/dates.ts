import { DAY, HOUR, MINUTE } from '../platform/clock.ts';

/** `2026-11-23 05:14 UTC` */
export function minute(time: number): string {
  return `${new Date(time).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** `in 89 days`, `in 5 hours`, `3 days ago` */
export function inDays(ms: number): string {
  const size = Math.abs(ms);
  const [unit, count] = size >= 2 * DAY ? ['days', size / DAY] : size >= 2 * HOUR ? ['hours', size / HOUR] : ['minutes', size / MINUTE];
  return ms < 0 ? `${Math.floor(count as number)} ${unit} ago` : `in ${Math.floor(count as number)} ${unit}`;
}
