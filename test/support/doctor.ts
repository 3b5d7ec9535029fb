import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { loadConfig } from '../../src/config/load.ts';
import { statePaths, type StatePaths } from '../../src/config/state.ts';
import { systemClock, type Clock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { diagnose } from '../../src/services/doctor/doctor.ts';
import type { Check, Finding } from '../../src/services/doctor/finding.ts';
import { scratchDirectory } from './scratch.ts';

export interface Patient {
  readonly cwd: string;
  readonly paths: StatePaths;
  /** All findings, or those of one check. */
  examine(check?: Check, how?: { readonly names?: readonly string[]; readonly clock?: Clock }): Promise<Finding[]>;
}

export interface PatientOptions {
  readonly resolver: string;
  readonly names: readonly string[];
  /** Fields of the one issuer, `ca`. */
  readonly issuer: Readonly<Record<string, unknown>>;
  /** What CAs call 80 and 443. */
  readonly ports?: { readonly http: number; readonly https: number };
}

/** A configuration with one certificate of one ACME issuer, looked at as `podserve doctor` does but for the ports. */
export function patient(t: Pick<TestContext, 'after'>, { resolver, names, issuer, ports }: PatientOptions): Patient {
  const cwd = scratchDirectory(t);
  const document = {
    resolvers: [resolver],
    issuers: { ca: issuer },
    certificates: [{ name: 'default', names, issuers: ['ca'] }],
  };
  writeFileSync(join(cwd, 'podserve.yaml'), JSON.stringify(document, undefined, 2));
  const paths = statePaths('data', cwd);
  return {
    cwd,
    paths,
    async examine(check, { names: chosen = [], clock = systemClock } = {}) {
      const config = await loadConfig({ env: {}, cwd });
      const signal = AbortSignal.timeout(60_000);
      const options = { config, paths, clock, log: silentLog, signal, names: chosen };
      const { findings } = await diagnose(ports === undefined ? options : { ...options, ports });
      return findings.filter((finding) => check === undefined || finding.check === check);
    },
  };
}

/** `ok: what` of each. */
export function lines(findings: readonly Finding[]): string[] {
  return findings.map(({ ok, what }) => `${ok}: ${what}`);
}
