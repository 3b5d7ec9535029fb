import assert from 'node:assert/strict';
import { readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { startFaultProxy, type FaultProxy } from './acme-fault-proxy.ts';
import { acmeLab, type AcmeLab } from './acme-lab.ts';
import type { Finished } from './command.ts';
import { startPebble, type Pebble } from './daemons/pebble.ts';

export interface Ground {
  readonly pebble: Pebble;
  readonly proxy: FaultProxy;
  /** A machine with an account, to be copied. */
  readonly healthy: AcmeLab;
}

export async function ground(t: TestContext): Promise<Ground> {
  const pebble = await startPebble(t, { profiles: { default: { validitySeconds: 90 * 86_400 } }, authzReuse: 0 });
  const proxy = await startFaultProxy(t, pebble);
  const healthy = await acmeLab(t, pebble, proxy);
  const { code, stderr } = await healthy.certificates('renew');
  assert.equal(code, 0, stderr);
  return { pebble, proxy, healthy };
}

/** A machine with an account, and a certificate that no order has replaced yet. */
export async function machine(
  t: TestContext,
  { pebble, proxy, healthy }: Ground,
  server: Parameters<typeof acmeLab>[2] = proxy,
): Promise<AcmeLab> {
  proxy.clear();
  const first = await acmeLab(t, pebble, proxy, { copyOf: healthy.state });
  const result = await first.certificates('renew', ['--force']);
  assert.equal(result.code, 0, words(result, proxy));
  // Faults of the directory are met only where it is asked for.
  rmSync(join(first.state, 'authority/acme/pebble/directory.json'));
  proxy.clear();
  return server === proxy ? first : acmeLab(t, pebble, server, { copyOf: first.state });
}

/**
 * Orders that the server heard of, without those that it would not take for a replacement: what it answers 409 to, and
 * 500 (as Pebble 2.10 does where the replaced serial number has a leading 00, one in 256).
 */
export function ordersMade(proxy: FaultProxy): number {
  const refused = proxy.seen.filter(
    ({ kind, status, payload }) =>
      kind === 'newOrder' && (status === 409 || status === 500) && payload !== undefined && 'replaces' in payload,
  );
  return proxy.count('newOrder') - refused.length;
}

export function linkOf(lab: AcmeLab): string {
  return readlinkSync(join(lab.publication, 'default/..data'));
}

export function words({ stdout, stderr }: Finished, proxy: FaultProxy): string {
  return `${stdout}${stderr}\n${proxy.seen.map(({ kind, status, problem: type }) => `${kind} ${status} ${type ?? ''}`).join('\n')}`;
}
