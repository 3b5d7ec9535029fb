/** Full counts in `npm run test:soak`, a tenth of them in `npm test`. */
const soak = process.env['PODSERVE_SOAK'] === '1';

export function scaled(full: number): number {
  return soak ? full : Math.ceil(full / 10);
}

/** The seed of this run: given, or made and printed so that a failure can be repeated. */
const seed = Number(process.env['PODSERVE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** Uniform numbers in [0, 1) from the seed (mulberry32), one independent stream per label. */
export function randomStream(label: string): () => number {
  console.log(`# ${label}: PODSERVE_SEED=${seed}`);
  let state = seed;
  for (const character of label) state = Math.imul(state ^ (character.codePointAt(0) ?? 0), 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
