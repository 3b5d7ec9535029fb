// A process that adopts a hand-made pair at the top of a publication, to be killed. It makes the pair before it says that it is ready.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { adopt } from '../../src/publication/adopt.ts';
import { lockPublication } from '../../src/publication/lock.ts';
import { OWN_GROUP, PUBLISHER } from './publishing.ts';

const [root = '', key = '', cert = '', chain = ''] = process.argv.slice(2);
mkdirSync(root, { recursive: true });
for (const [file, text] of Object.entries({ 'privkey.pem': key, 'cert.pem': cert, 'chain.pem': chain }))
  writeFileSync(join(root, file), text);
process.stdout.write('ready\n');
await using lock = await lockPublication(root, { publisher: PUBLISHER, waitMs: 60_000 });
await adopt(lock, 'default', { now: Date.now(), keyGid: OWN_GROUP, publisher: PUBLISHER });
setInterval(() => undefined, 1000);
