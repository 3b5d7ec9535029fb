import { execFileSync } from 'node:child_process';
import { globSync } from 'node:fs';

/**
 * The environment in which a program takes the time of day to be another; its timers keep the machine's clock.
 * Rejected: the wrapper `faketime`, which makes a semaphore named by its process id and fails where a killed one left
 * that name behind.
 * @param offset as libfaketime reads it: `+60s`, `-1h`, `@2000-01-01 00:00:00`
 */
export function fakeTime(offset: string): Record<string, string> {
  const [library] = globSync('/usr/lib/*/faketime/libfaketime.so.1');
  if (library === undefined) throw new Error('the Debian package faketime is needed');
  return { LD_PRELOAD: library, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1' };
}

/** The same, standing at a date as date(1) reads it: `2000-01-01`, `1 hour ago`. */
export function fakeDate(date: string): Record<string, string> {
  return fakeTime(execFileSync('date', ['-d', date, '+@%Y-%m-%d %H:%M:%S'], { encoding: 'utf8' }).trim());
}
