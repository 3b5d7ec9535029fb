import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';

import { MINUTE } from '../../platform/clock.ts';
import { scrubbedEnvironment } from '../../platform/environment.ts';
import { PodserveError, messageOf } from '../../platform/errors.ts';

/** What goes into the images from a checkout, besides images/ itself. */
export interface ImageInputs {
  readonly version: string;
  /** The commit, with `-modified` where files that go into the images differ from it; `unknown` outside of git. */
  readonly revision: string;
  /** Of that commit, seconds since 1970: what is made from one commit has one time. */
  readonly committedAt: number;
  /** Where the source is, empty when neither package.json nor git says so. */
  readonly source: string;
  /** `integrity` is the lock file's checksum of the npm package that holds it. */
  readonly node: { readonly version: string; readonly integrity: string; readonly file: string };
  /** The whole program in one file. */
  readonly bundle: { readonly file: string; readonly sha256: string };
}

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
}

type Packages = Readonly<Record<string, Locked>>;

const FROM_REPOSITORY = ['src', 'images', 'scripts/build-bundle.ts', 'package.json', 'package-lock.json'];
const BUNDLER = 'node_modules/esbuild';
const INSTALL = 'run npm ci in the checkout, then this again';

/**
 * Gathers them, and bundles the program into `directory`.
 * @throws PodserveError IMAGE_FAILED when node_modules is not what package-lock.json says, or the bundle is not made
 */
export async function gatherInputs(checkout: string, directory: string, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<ImageInputs> {
  const nodePackage = `node_modules/node-linux-${process.arch}`;
  const locked = packagesOf(join(checkout, 'package-lock.json'));
  const complaint = disagreement(locked, packagesOf(join(checkout, 'node_modules/.package-lock.json')), nodePackage);
  const node = join(checkout, nodePackage, 'bin/node');
  if (complaint !== undefined || !existsSync(node)) {
    throw new PodserveError('IMAGE_FAILED', 'the images are made from what package-lock.json names', {
      where: checkout,
      why: complaint ?? `${node} is not there`,
      remedy: INSTALL,
    });
  }
  const bundle = join(directory, 'podserve.cjs');
  await makeBundle(checkout, bundle, env, signal);
  const { version, repository } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as {
    version: string;
    repository?: string | { url: string };
  };
  const stated = typeof repository === 'object' ? repository.url : repository;
  return {
    version,
    ...(await commitOf(checkout)),
    source: stated ?? withoutSecrets((await git(checkout, 'remote', 'get-url', 'origin')) ?? ''),
    node: { version: locked[nodePackage]?.version ?? '', integrity: locked[nodePackage]?.integrity ?? '', file: node },
    bundle: { file: bundle, sha256: await digestOf(bundle) },
  };
}

/**
 * What npm has installed and the lock file does not say, or undefined. npm compared every archive with its checksum,
 * and notes in node_modules/.package-lock.json which checksum that was.
 * @param nodePackage the one optional package that has to be there
 */
export function disagreement(locked: Packages, installed: Packages, nodePackage: string): string | undefined {
  for (const [path, { integrity, dev, optional }] of Object.entries(locked)) {
    if (path === '') continue;
    const needed = path === nodePackage || path === BUNDLER || (dev !== true && optional !== true);
    if (!needed) continue;
    const found = installed[path];
    if (found === undefined) return `${path} is not installed`;
    if (integrity === undefined) return `${path} has no checksum there`;
    if (found.integrity !== integrity) return `${path} is installed with another checksum (version ${found.version ?? '?'})`;
  }
  return locked[nodePackage] === undefined ? `there is no Node for ${process.arch} in it` : undefined;
}

/** A git address as a label may show it: without user and password, and only where others can reach it. */
export function withoutSecrets(address: string): string {
  if (!URL.canParse(address)) return '';
  const url = new URL(address);
  if (!['http:', 'https:', 'ssh:', 'git:'].includes(url.protocol)) return '';
  url.username = '';
  url.password = '';
  return url.href;
}

/** SHA-256 of a file, in hex. */
export async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

function packagesOf(file: string): Packages {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { packages: Packages }).packages;
  } catch (cause) {
    throw new PodserveError('IMAGE_FAILED', 'the images are made from what package-lock.json names', {
      where: file,
      why: messageOf(cause),
      remedy: INSTALL,
      cause,
    });
  }
}

async function makeBundle(checkout: string, file: string, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<void> {
  try {
    const options = { cwd: checkout, env: scrubbedEnvironment(env), signal, timeout: MINUTE };
    await promisify(execFile)(process.execPath, [join(checkout, 'scripts/build-bundle.ts'), file], options);
  } catch (cause) {
    signal.throwIfAborted();
    const words = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : messageOf(cause);
    throw new PodserveError('IMAGE_FAILED', 'the program could not be bundled for the images', {
      where: 'scripts/build-bundle.ts',
      why: words.split('\n').at(0) ?? '',
      remedy: INSTALL,
      cause,
    });
  }
}

async function commitOf(checkout: string): Promise<{ revision: string; committedAt: number }> {
  const [revision, time] = (await git(checkout, 'log', '-1', '--format=%H %ct'))?.split(' ') ?? [];
  if (revision === undefined || time === undefined) return { revision: 'unknown', committedAt: 0 };
  const changes = await git(checkout, 'status', '--porcelain', '--', ...FROM_REPOSITORY);
  return { revision: changes === '' ? revision : `${revision}-modified`, committedAt: Number(time) };
}

/** What git prints, or undefined where there is none, or no repository. Another user's checkout is one too. */
async function git(checkout: string, ...args: readonly string[]): Promise<string | undefined> {
  try {
    const ours = ['-c', `safe.directory=${checkout}`, '-C', checkout];
    return (await promisify(execFile)('git', [...ours, ...args], { timeout: MINUTE })).stdout.trim();
  } catch {
    return undefined;
  }
}
