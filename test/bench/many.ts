import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

import { makeCertbotLineages } from './certbot.ts';
import { inTurn, isInstalled, median, milliseconds, ratioRow, timeOf, type Row } from './measure.ts';
import { emptyDirectory, type Place } from './place.ts';

const ISSUED = 1000;
const MANY = 10_000;
const CERTBOT_LINEAGES = 20;

/** What a thousand and ten thousand certificates cost, beside the disk alone and beside certbot. */
export function measureMany(place: Place): Row[] {
  return [issueThousand(place), ...renewNothing(place)];
}

function issueThousand(place: Place): Row {
  const config = place.configuration(ISSUED);
  const ours: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const state = emptyDirectory(place, `issued-${round}`);
    ours.push(timeOf({ argv: place.podserve('certificates', '--mode', 'init', '--state', state, '--config', config), env: place.env }));
    bare.push(bareLoop(join(state, 'certificates'), emptyDirectory(place, `bare-${round}`)));
  }
  return ratioRow(`init of ${ISSUED} local-ca certificates`, median(ours), 'the same writes and syncs', median(bare), 1.5);
}

/** Writes what a publication wrote, in the same steps: files, syncs, links and the renaming, and nothing else. */
function bareLoop(published: string, to: string): number {
  const names = readdirSync(published).filter((name) => statSync(join(published, name)).isDirectory() && !name.startsWith('.'));
  const contents = names.map((name) => {
    const current = join(published, name, '..data');
    return { name, files: readdirSync(current).map((file) => ({ file, data: readFileSync(join(current, file)) })) };
  });
  const start = process.hrtime.bigint();
  for (const { name, files } of contents) {
    const directory = join(to, name);
    const generation = join(directory, '..gen-000001');
    mkdirSync(generation, { recursive: true });
    for (const { file, data } of files) {
      const handle = openSync(join(generation, file), 'w');
      writeSync(handle, data);
      fsyncSync(handle);
      closeSync(handle);
      if (file !== 'manifest.json') symlinkSync(`..data/${file}`, join(directory, file));
    }
    syncDirectory(generation);
    symlinkSync('..gen-000001', join(directory, '..data.new'));
    renameSync(join(directory, '..data.new'), join(directory, '..data'));
    syncDirectory(directory);
  }
  return Number(process.hrtime.bigint() - start) / 1e6;
}

function syncDirectory(directory: string): void {
  const handle = openSync(directory, 'r');
  fsyncSync(handle);
  closeSync(handle);
}

function renewNothing(place: Place): Row[] {
  const config = place.configuration(MANY);
  const state = emptyDirectory(place, 'many');
  const first = timeOf({ argv: place.podserve('certificates', '--mode', 'init', '--state', state, '--config', config), env: place.env });
  const renew = { argv: place.podserve('certificates', '--mode', 'renew', '--state', state, '--config', config), env: place.env };
  const what = `renew, nothing due among ${MANY}`;
  const [ms = 0] = inTurn([renew], 9);
  const rows: Row[] = [
    { what: `init of ${MANY} certificates`, ours: milliseconds(first), peer: '', ratio: '', aim: '', met: undefined },
    { what, ours: milliseconds(ms), peer: '', ratio: '', aim: '≤ 150 ms', met: ms <= 150 },
  ];
  if (!isInstalled('certbot')) return rows;
  const certbot = makeCertbotLineages(emptyDirectory(place, 'certbot'), CERTBOT_LINEAGES);
  const [ours = 0, theirs = 0] = inTurn([renew, { argv: certbot }], 5);
  return [...rows, ratioRow(what, ours, `certbot renew, nothing due among ${CERTBOT_LINEAGES}:`, theirs, undefined)];
}
