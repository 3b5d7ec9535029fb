import { lstatSync, statSync, watch, type FSWatcher } from 'node:fs';
import { join } from 'node:path';

import { CERTIFICATE_NAME } from '../certificate/spec.ts';
import { systemCode } from '../platform/errors.ts';
import { CURRENT, FILES, certificateDirectory, currentLink, listNames } from './layout.ts';

export interface WatchOptions {
  /**
   * Certificates to watch; they need not exist yet. `.` where `root` is the directory of one certificate.
   * `all`: whatever is there, new ones included.
   */
  readonly names: readonly string[] | 'all';
  /** How often everything is looked at without any event, ms: not every file system tells of changes. */
  readonly pollMs: number;
  /** Ends it: nothing is called afterwards, and nothing keeps the process alive. */
  readonly signal: AbortSignal;
  /**
   * Also tell, at the next poll, of files that are damaged or gone without a switch: for who can mend them. Of the
   * first certificates alone (`OWN_WATCHES`), for it takes a dozen system calls for each.
   */
  readonly files?: boolean;
  /** `..data` of this certificate leads elsewhere than before, or is gone. Not called for what is there at the start. */
  onChange(name: string): void;
  /** The publication cannot be watched as it should be. Called once for each new trouble. */
  onTrouble(line: string): void;
}

/**
 * So many certificates get a watch of their own (4 KiB each). Of any number of others the publication itself tells:
 * who publishes sets the time of the certificate's directory, which its parent's watch hears.
 */
const OWN_WATCHES = 32;

/** A directory that is watched, until another one has its name. */
interface Watched {
  readonly watcher: FSWatcher;
  readonly identity: string;
}

/**
 * Tells of each new generation within milliseconds of its rename, by directory events and, where none come, by a poll
 * of the links. Directories are watched, not links: a swapped link tells its own watchers nothing. Who must miss
 * nothing starts watching first and reads then.
 */
export function watchPublication(root: string, options: WatchOptions): void {
  const { signal, pollMs } = options;
  if (signal.aborted) return;
  const links = new Map<string, string | undefined>();
  /** What the files were like when they were last looked at. */
  const files = new Map<string, string>();
  const watched = new Map<string, Watched>();
  const dirty = new Set<string>();
  let everything = false;
  let flushing: NodeJS.Immediate | undefined;
  let refused: string | undefined;
  let told: string | undefined;

  /** Many events of one turn become one look. */
  function soon(name: string | undefined): void {
    if (name === undefined) everything = true;
    else dirty.add(name);
    flushing ??= setImmediate(flush);
  }

  function flush(): void {
    flushing = undefined;
    if (everything) rewatch();
    const names = everything ? [...links.keys()] : [...dirty];
    everything = false;
    dirty.clear();
    names.forEach(look);
  }

  function look(name: string): void {
    const link = currentLink(root, name);
    if (link === links.get(name) || signal.aborted) return;
    links.set(name, link);
    if (options.files === true && (files.size < OWN_WATCHES || files.has(name))) files.set(name, identityOfFiles(root, name));
    options.onChange(name);
  }

  function lookAtFiles(): void {
    for (const name of [...links.keys()].slice(0, OWN_WATCHES)) {
      const before = files.get(name);
      const identity = identityOfFiles(root, name);
      files.set(name, identity);
      if (before !== undefined && before !== identity && !signal.aborted) options.onChange(name);
    }
  }

  /** Sees to it that the directories that have the names now are watched, not others that had them before. */
  function rewatch(): void {
    refused = undefined;
    keepWatched(root, (file) => {
      if (file === CURRENT && links.has('.')) soon('.');
      if (file === null || !links.has(file)) return file === null || CERTIFICATE_NAME.test(file) ? soon(undefined) : undefined;
      soon(file);
    });
    if (options.names === 'all') for (const name of listNames(root)) if (!links.has(name)) links.set(name, undefined);
    for (const name of [...links.keys()].slice(0, OWN_WATCHES)) {
      keepWatched(certificateDirectory(root, name), (file) => {
        if (file === CURRENT) soon(name);
        else if (file === name || file === null) soon(undefined);
      });
    }
  }

  function keepWatched(directory: string, onEvent: (file: string | null) => void): void {
    const stat = attempt(() => statSync(directory));
    const identity = typeof stat === 'string' || stat.nlink === 0 ? undefined : `${stat.dev}:${stat.ino}`;
    const before = watched.get(directory);
    if (before !== undefined && before.identity === identity) return;
    before?.watcher.close();
    watched.delete(directory);
    if (identity === undefined) return;
    try {
      const watcher = watch(directory, (_, file) => onEvent(file));
      watcher.on('error', () => {
        watcher.close();
        if (watched.get(directory)?.watcher === watcher) watched.delete(directory);
      });
      watched.set(directory, { watcher, identity });
    } catch (error) {
      refused ??= systemCode(error) ?? 'unknown';
    }
  }

  function poll(): void {
    timer = setTimeout(poll, pollMs);
    rewatch();
    [...links.keys()].forEach(look);
    if (options.files === true) lookAtFiles();
    const trouble = troubleOf();
    if (trouble !== undefined && trouble !== told && !signal.aborted) options.onTrouble(trouble);
    told = trouble;
  }

  function troubleOf(): string | undefined {
    const stat = attempt(() => statSync(root));
    if (typeof stat === 'string')
      return `the publication ${root} cannot be watched (${stat}); see that it is mounted there and may be read`;
    if (stat.nlink === 0)
      return `the publication ${root} was deleted while it was mounted; make this container again to mount what is there now (podserve up --pods does)`;
    for (const [name, link] of links) {
      if (link?.startsWith('!'))
        return `${join(root, name, CURRENT)} cannot be read (${link.slice(1)}); see that it is a link and may be read`;
    }
    if (refused === undefined) return undefined;
    return `the system gives no more watches (${refused}): changes are noticed every ${pollMs / 1000} s only; raise fs.inotify.max_user_watches and max_user_instances`;
  }

  if (options.names !== 'all') for (const name of options.names) links.set(name, currentLink(root, name));
  else for (const name of listNames(root)) links.set(name, currentLink(root, name));
  rewatch();
  if (options.files === true) lookAtFiles();
  let timer = setTimeout(poll, pollMs);
  signal.addEventListener(
    'abort',
    () => {
      clearTimeout(timer);
      clearImmediate(flushing);
      for (const { watcher } of watched.values()) watcher.close();
      watched.clear();
    },
    { once: true },
  );
}

/** Nothing writes to a generation once it is published: whatever changes here was done to it. */
function identityOfFiles(root: string, name: string): string {
  return FILES.map((file) => {
    const content = attempt(() => statSync(join(root, name, CURRENT, file)));
    const plain = attempt(() => lstatSync(join(root, name, file)).ino);
    return typeof content === 'string' ? `${content} ${plain}` : `${content.ino}:${content.size}:${content.ctimeMs} ${plain}`;
  }).join();
}

/** The result, or the error's code. */
function attempt<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    return systemCode(error) ?? 'unknown';
  }
}
