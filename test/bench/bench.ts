/**
 * What PodServe costs, in its bundled form: `npm run bench`, or `npm run bench -- start resident` for a part.
 *
 * Times are medians of whole processes that take turns with their peers; trust the ratios, not the milliseconds.
 * An aim that is not met is printed, and is no failure: machines differ.
 */
import { cpus } from 'node:os';

import { measureAcme } from './acme.ts';
import { measureApache } from './apache.ts';
import { measureMail } from './mail.ts';
import { measureMany } from './many.ts';
import type { Row } from './measure.ts';
import { makePlace, type Place } from './place.ts';
import { measureResident } from './resident.ts';
import { measureStartUp } from './start-up.ts';

const PARTS: Readonly<Record<string, (place: Place) => Row[] | Promise<Row[]>>> = {
  start: measureStartUp,
  many: measureMany,
  resident: measureResident,
  apache: measureApache,
  acme: measureAcme,
  mail: measureMail,
};

const HEAD = ['what', 'ours', 'peer', 'ratio', 'aim', ''];
const WIDTHS = [54, 10, 61, 9, 11, 3];

function line(texts: readonly string[]): string {
  return texts
    .map((text, index) => text.padEnd(WIDTHS[index] ?? 0))
    .join(' ')
    .trimEnd();
}

function cells({ what, ours, peer, ratio, aim, met }: Row): string[] {
  return [what, ours, peer, ratio, aim, met === undefined ? '' : met ? 'met' : 'MISSED'];
}

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(PARTS, name));
if (unknown.length > 0) {
  console.log(`there is no part ${unknown.join(', ')}; the parts are ${Object.keys(PARTS).join(', ')}`);
  process.exit(2);
}
console.log(`Node ${process.versions.node}, ${cpus().length} processors, ${cpus()[0]?.model ?? ''}\n`);
console.log(line(HEAD));
using place = makePlace();
for (const [name, measure] of Object.entries(PARTS)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  for (const row of await measure(place)) console.log(line(cells(row)));
}
