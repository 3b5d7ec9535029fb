import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { PodserveError, messageOf } from '../platform/errors.ts';
import { findStores } from '../platform/trust/find-stores.ts';
import { searchPath } from '../platform/trust/program.ts';
import { STORE_KINDS, type TrustStore } from '../platform/trust/store.ts';
import { knownRoots, type KnownRoots } from './ca-roots.ts';
import { flag, text, type Arguments, type Command, type Context } from './command.ts';
import { pathsOf } from './settings.ts';

const VERBS = ['show', 'export', 'trust', 'untrust'] as const;

export const command: Command = {
  summary: 'show, export and trust the root of the built-in CA',
  help: `usage: podserve ca show|export|trust|untrust [options]

  show      the roots: fingerprint, dates, what they may sign, where they are trusted
  export    print the roots as PEM, or write them to a file
  trust     let the system and the browsers of this user trust the roots
  untrust   take them out again

  --store system|chromium|firefox   only this store; may be given several times (default: all that are found)
  --out FILE     export: write to this file instead of standard output
  --all          untrust: every root of any PodServe, not only those of this state directory
  --state DIR    the state directory (default: ./data)
  --json         show, trust, untrust: print the result as JSON

The system store needs root; the browsers' stores (Chromium: ~/.pki/nssdb, Firefox: each profile) belong to the user
and need certutil (Debian: libnss3-tools). Running it twice changes nothing the second time.

Exit codes: 0 done, 1 there is no CA yet or a store could not be changed, 2 wrong usage.

  podserve ca trust --store chromium --store firefox
  sudo podserve ca trust --store system
  podserve ca export --out root.pem`,
  options: {
    store: { type: 'string', multiple: true },
    out: { type: 'string' },
    all: { type: 'boolean' },
  },
  positionals: true,
  run,
};

async function run(args: Arguments, context: Context): Promise<number> {
  const verb = readVerb(args);
  const stores = verb === 'export' ? [] : wantedStores(args, context);
  if (verb === 'untrust' && flag(args, 'all')) {
    const { changeTrust } = await import('./ca-trust.ts');
    return changeTrust({ verb, roots: 'all' }, stores, flag(args, 'json'), context);
  }
  const roots = await knownRoots(pathsOf(args, context), context.clock.now());
  if (verb === 'export') return exportRoots(roots, text(args, 'out'), context);
  if (verb === 'show') {
    const { showRoots } = await import('./ca-show.ts');
    return showRoots(roots, stores, flag(args, 'json'), context);
  }
  const { changeTrust } = await import('./ca-trust.ts');
  return changeTrust({ verb, roots }, stores, flag(args, 'json'), context);
}

function readVerb({ positionals: [word, ...rest] }: Arguments): (typeof VERBS)[number] {
  const verb = VERBS.find((one) => one === word);
  if (verb !== undefined && rest.length === 0) return verb;
  throw new PodserveError('USAGE', 'podserve ca takes one word: show, export, trust or untrust', {
    remedy: 'podserve ca --help explains them',
  });
}

function wantedStores(args: Arguments, context: Context): TrustStore[] {
  const found = findStores(context.env['HOME'], searchPath(context.env['PATH']));
  const kinds = args.values['store'];
  if (!Array.isArray(kinds)) return found;
  for (const kind of kinds) {
    if (!STORE_KINDS.some((one) => one === kind)) {
      throw new PodserveError('USAGE', `there is no store ${JSON.stringify(kind)}`, {
        where: '--store',
        remedy: `use ${STORE_KINDS.join(', ')}`,
      });
    }
  }
  return found.filter(({ kind }) => kinds.includes(kind));
}

function exportRoots({ anchors }: KnownRoots, out: string | undefined, context: Context): number {
  const pem = anchors.map((anchor) => anchor.pem).join('');
  if (out === undefined) {
    context.out(pem.trimEnd());
    return 0;
  }
  const file = resolve(context.cwd, out);
  try {
    writeFileSync(file, pem);
  } catch (cause) {
    throw new PodserveError('FILE_UNWRITABLE', 'the roots could not be written', {
      where: file,
      why: messageOf(cause),
      remedy: 'give a file in a directory that exists and is writable',
      cause,
    });
  }
  context.out(`${file}: ${anchors.map(({ nickname }) => nickname).join(', ')}`);
  return 0;
}
