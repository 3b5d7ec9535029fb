// A process that publishes without end, to be killed. Arguments: root, name, minutes that its clock moves between publications.
import { MINUTE } from '../../src/platform/clock.ts';
import { lockPublication } from '../../src/publication/lock.ts';
import { publish } from '../../src/publication/publish.ts';
import { readCurrent } from '../../src/publication/read.ts';
import { makeBundle } from './bundles.ts';
import { PUBLISHER, requestFor } from './publishing.ts';

const [root = '', name = 'default', step = '0', limit = 'Infinity'] = process.argv.slice(2);
let now = Date.parse((await readCurrent(root, name))?.manifest.publishedAt ?? new Date().toISOString());
process.stdout.write('ready\n');
for (let count = 0; count < Number(limit); count += 1) {
  await using lock = await lockPublication(root, { publisher: PUBLISHER, waitMs: 60_000 });
  now = step === '0' ? Date.now() : now + Number(step) * MINUTE;
  const bundle = await makeBundle({ chain: count % 3, notBefore: now, names: [`${process.pid}-${count}.example`] });
  await publish(lock, requestFor(name, bundle, { now }));
}
