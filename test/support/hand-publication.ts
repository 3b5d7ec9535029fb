import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { combinedPem, fullchainPem, type Bundle } from '../../src/certificate/bundle.ts';
import { generationDirectory } from '../../src/certificate/generation.ts';
import { manifestOf } from '../../src/publication/manifest.ts';

/** What stands in the files instead of what the bundle says; the other files follow, so that only this is wrong. */
export interface Damage {
  readonly privateKeyPem?: string;
  readonly chainPem?: string;
}

/**
 * Writes a generation as `publish` would, but whatever is in it, and switches to it: what a broken disk, a restored
 * backup or somebody with an editor leaves behind.
 */
export function publishByHand(root: string, name: string, generation: number, bundle: Bundle, damage: Damage = {}): void {
  stageByHand(root, name, generation, bundle, damage);
  switchByHand(root, name, generation);
}

function stageByHand(root: string, name: string, generation: number, bundle: Bundle, damage: Damage): void {
  const directory = join(root, name);
  const own = join(directory, generationDirectory(generation));
  mkdirSync(own, { recursive: true });
  const written = { ...bundle, ...damage };
  const publisher = { host: 'test', command: 'test', version: '0' };
  const provenance = { name, issuer: 'test', origin: 'issued', placeholder: false, now: Date.now(), publisher } as const;
  const files = {
    'cert.pem': written.leafPem,
    'chain.pem': written.chainPem,
    'fullchain.pem': fullchainPem(written),
    'privkey.pem': written.privateKeyPem,
    'combined.pem': combinedPem(written),
    'manifest.json': JSON.stringify(manifestOf(bundle, generation, provenance)),
  };
  for (const [file, text] of Object.entries(files)) writeFileSync(join(own, file), text, { mode: 0o600 });
}

/** Leads `..data` to a generation that is there. */
export function switchByHand(root: string, name: string, generation: number): void {
  const temporary = join(root, name, '..data.test');
  rmSync(temporary, { force: true });
  symlinkSync(generationDirectory(generation), temporary);
  renameSync(temporary, join(root, name, '..data'));
}
