import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, open, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';

import { makeCertbotLineages } from './certbot.ts';
import { inTurn, isInstalled, median, milliseconds, ratioRow, timeOf, type Row } from './measure.ts';
import { emptyDirectory, type Place } from './place.ts';

const ISSUED = 1000;
/** What the publication does at most at the same time is of this order. */
const PARALLEL = 8;
const MANY = 10_000;
const CERTBOT_LINEAGES = 20;

/** What a thousand and ten thousand certificates cost, beside the disk alone and beside certbot. */
export async function measureMany(place: Place): Promise<Row[]> {
  return [...(await issueThousand(place)), ...renewNothing(place)];
}

async function issueThousand(place: Place): Promise<Row[]> {
  const config = place.configuration(ISSUED);
  const ours: number[] = [];
  const [alone, together]: [number[], number[]] = [[], []];
  for (let round = 0; round < 3; round += 1) {
    const state = emptyDirectory(place, `issued-${round}`);
    ours.push(timeOf({ argv: place.podserve('certificates', '--mode', 'init', '--state', state, '--config', config), env: place.env }));
    const published = join(state, 'certificates');
    alone.push(await bareLoop(published, emptyDirectory(place, `bare-${round}`), 1));
    together.push(await bareLoop(published, emptyDirectory(place, `bare-${round}`), PARALLEL));
  }
  const what = `init of ${ISSUED} local-ca certificates`;
  return [
    ratioRow(what, median(ours), 'the same writes and syncs, one by one', median(alone), 1.5),
    ratioRow(what, median(ours), `the same, ${PARALLEL} at a time`, median(together), undefined),
  ];
}

/** Writes what a publication wrote, in the same steps: files, syncs, links and the renaming, and nothing else. */
async function bareLoop(published: string, to: string, parallel: number): Promise<number> {
  const names = readdirSync(published).filter((name) => statSync(join(published, name)).isDirectory() && !name.startsWith('.'));
  const contents = names.map((name) => {
    const current = join(published, name, '..data');
    return { name, files: readdirSync(current).map((file) => ({ file, data: readFileSync(join(current, file)) })) };
  });
  const start = process.hrtime.bigint();
  const rest = contents.values();
  const work = async (): Promise<void> => {
    for (const { name, files } of rest) await writeOne(join(to, name), files);
  };
  await Promise.all(Array.from({ length: parallel }, work));
  return Number(process.hrtime.bigint() - start) / 1e6;
}

async function writeOne(directory: string, files: readonly { file: string; data: Buffer }[]): Promise<void> {
  const generation = join(directory, '..gen-000001');
  await mkdir(generation, { recursive: true });
  for (const { file, data } of files) {
    await using handle = await open(join(generation, file), 'w');
    await handle.write(data);
    await handle.sync();
    if (file !== 'manifest.json') await symlink(`..data/${file}`, join(directory, file));
  }
  await syncDirectory(generation);
  await symlink('..gen-000001', join(directory, '..data.new'));
  await rename(join(directory, '..data.new'), join(directory, '..data'));
  await syncDirectory(directory);
}

async function syncDirectory(directory: string): Promise<void> {
  await using handle = await open(directory, 'r');
  await handle.sync();
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
