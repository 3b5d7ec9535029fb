/**
 * Takes the `engines` of optional packages out of package-lock.json; run by hand after `npm install`.
 *
 * npm leaves out an optional package, without a word, when its `engines` do not fit the Node that runs npm.
 * Ours run under the pinned Node, while npm runs on the host's, which may be Debian 12's Node 18.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
for (const entry of Object.values(lock.packages)) if (entry.optional === true) delete entry.engines;
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
