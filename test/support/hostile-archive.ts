import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

import { Header, Pax, type HeaderData } from 'tar';

export interface CraftedEntry extends HeaderData {
  readonly content?: string;
}

/** A compressed tar file of exactly these entries, however wrong they are. */
export function craftArchive(file: string, entries: readonly CraftedEntry[]): void {
  const blocks: Buffer[] = [];
  for (const { content = '', ...data } of entries) {
    const full = { mode: 0o644, uid: 0, gid: 0, mtime: new Date(0), type: 'File' as const, ...data, size: Buffer.byteLength(content) };
    const header = new Header(full);
    if (header.encode()) blocks.push(new Pax({ path: full.path ?? '', linkpath: full.linkpath ?? '' }).encode());
    if (header.block !== undefined) blocks.push(header.block);
    blocks.push(Buffer.from(content), Buffer.alloc((512 - (Buffer.byteLength(content) % 512)) % 512));
  }
  writeFileSync(file, gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)])));
}
