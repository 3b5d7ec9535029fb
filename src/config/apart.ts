import { spawn } from 'node:child_process';
import { text as readText } from 'node:stream/consumers';

import { ERROR_CODES, PodserveError, messageOf, type ErrorCode } from '../platform/errors.ts';
import type { AcmeIssuerConfig, Config } from './config.ts';
import type { LoadOptions } from './digest.ts';
import { deepFreeze, loadConfig } from './load.ts';
import { readSource } from './source.ts';

/** Below this, reading the file here costs less memory than anybody notices. */
const SMALL_FILE = 4096;

/**
 * `loadConfig` for services that stay: a large file is read by a process of its own, `podserve config show`.
 * Reading YAML takes some 20 KiB a certificate, and V8 does not give that back to the system, not even
 * after the end of a worker thread; the process does.
 * @param program how this program is called, e.g. `[process.execPath, process.argv[1]]`
 * @throws PodserveError CONFIG_UNREADABLE, CONFIG_INVALID
 */
export async function loadConfigApart(
  options: LoadOptions,
  program: readonly [string, ...string[]],
  signal?: AbortSignal,
): Promise<Config> {
  const source = await readSource(options);
  if (source === undefined || source.bytes.length <= SMALL_FILE) return loadConfig(options);
  const [executable, ...first] = program;
  const args = [...first, 'config', 'show', '--json', '--values', '--config', source.file];
  const child = spawn(executable, args, {
    cwd: options.cwd,
    env: { ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(signal === undefined ? {} : { signal }),
  });
  const ended = Promise.withResolvers<void>();
  child.once('close', () => ended.resolve());
  child.once('error', ended.reject);
  try {
    const [stdout, stderr] = await Promise.all([readText(child.stdout), readText(child.stderr), ended.promise]);
    return interpretAnswer(stdout, stderr, source.file);
  } catch (cause) {
    if (cause instanceof PodserveError) throw cause;
    throw unreadable(source.file, messageOf(cause), cause);
  }
}

interface Answer {
  readonly config?: Config;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly where?: string;
    readonly why?: string;
    readonly remedy?: string;
    readonly problems?: readonly string[];
  };
}

function interpretAnswer(stdout: string, stderr: string, file: string): Config {
  if (stdout === '') throw unreadable(file, stderr.slice(0, 500));
  const { config, error } = JSON.parse(stdout) as Answer;
  if (config !== undefined) return revive(config);
  if (error === undefined || !isErrorCode(error.code)) throw unreadable(file, stdout.slice(0, 500));
  const { code, message, ...detail } = error;
  throw new PodserveError(code, message, detail);
}

/** JSON has no undefined and no shared arrays. */
function revive(config: Config): Config {
  const known = new Map<string, readonly string[]>();
  const shared = (list: readonly string[]): readonly string[] => {
    const key = list.join('\n');
    const same = known.get(key) ?? list;
    known.set(key, same);
    return same;
  };
  return deepFreeze({
    ...config,
    email: config.email,
    onEvent: config.onEvent,
    issuers: reviveIssuers(config.issuers),
    certificates: config.certificates.map((spec) => ({ ...spec, issuers: shared(spec.issuers), consumers: shared(spec.consumers) })),
    consumers: Object.assign(Object.create(null) as Config['consumers'], config.consumers),
    apache: {
      ...config.apache,
      hsts: config.apache.hsts,
      sites: config.apache.sites.map((site) => ({ ...site, root: site.root, proxy: site.proxy })),
    },
    mail: { ...config.mail, quota: config.mail.quota, relay: reviveRelay(config.mail.relay) },
  });
}

function reviveRelay(relay: Config['mail']['relay']): Config['mail']['relay'] {
  return relay === undefined ? undefined : { ...relay, credentialsFile: relay.credentialsFile };
}

function reviveIssuers(issuers: Config['issuers']): Config['issuers'] {
  const entries = Object.entries(issuers).map(([name, issuer]) => [name, reviveIssuer(issuer)]);
  return Object.assign(Object.create(null) as Config['issuers'], Object.fromEntries(entries));
}

function reviveIssuer(issuer: AcmeIssuerConfig): AcmeIssuerConfig {
  const { caFile, email, eab, profile, preferredChain, challenge, rehearse } = issuer;
  const whole = challenge.type === 'http-01' && challenge.via === 'webroot' ? { ...challenge, webroot: challenge.webroot } : challenge;
  return { ...issuer, caFile, email, eab, profile, preferredChain, challenge: whole, rehearse };
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}

function unreadable(where: string, why: string, cause?: unknown): PodserveError {
  return new PodserveError('CONFIG_UNREADABLE', 'the configuration could not be read by a process of its own', {
    where,
    why,
    remedy: 'podserve config check, with the same --config, tells more',
    ...(cause === undefined ? {} : { cause }),
  });
}
