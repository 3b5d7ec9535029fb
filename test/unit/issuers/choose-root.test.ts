import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { parseIdentifiers, type Identifier } from '../../../src/certificate/identifier.ts';
import { announcedRoot, chooseRoot, rootNeeded, rootsToTrust } from '../../../src/issuers/local-ca/choose-root.ts';
import { constraintsFor } from '../../../src/issuers/local-ca/constraints.ts';
import { newRoot, type Root } from '../../../src/issuers/local-ca/root.ts';
import { DAY, SECOND } from '../../../src/platform/clock.ts';

const START = Date.parse('2026-01-01T00:00:00Z');
const LEAF = 90 * DAY;
const A = parseIdentifiers(['a.example']);
const B = parseIdentifiers(['b.example']);
const BOTH = [...A, ...B];

async function root(number: number, madeOnDay: number, permit: readonly Identifier[] = A): Promise<Root> {
  return (await newRoot(number, constraintsFor(permit), START + madeOnDay * DAY)).root;
}

const chosen = (roots: readonly Root[], wanted: readonly Identifier[], day: number, lifetime = LEAF): number | undefined =>
  chooseRoot(roots, wanted, START + day * DAY, lifetime)?.number;
const trusted = (roots: readonly Root[], day: number): number[] => rootsToTrust(roots, START + day * DAY).map(({ number }) => number);
const needed = (roots: readonly Root[], wanted: readonly Identifier[], day: number): string | undefined =>
  rootNeeded(roots, wanted, START + day * DAY);

describe('which root signs', () => {
  test('the first one at once', async () => {
    assert.equal(chosen([await root(1, 0)], A, 0), 1);
    assert.equal(chosen([], A, 0), undefined);
  });

  test('a successor only after it has been in ca.pem for 30 days', async () => {
    const roots = [await root(1, 0), await root(2, 100)];
    assert.equal(chosen(roots, A, 100), 1);
    assert.equal(chosen(roots, A, 130 - 1 / 86_400), 1);
    assert.equal(chosen(roots, A, 130), 2);
    assert.equal(chosen(roots.toReversed(), A, 130), 2);
  });

  test('a successor at once for a name that no older root permits, and only for that', async () => {
    const roots = [await root(1, 0, A), await root(2, 100, BOTH)];
    assert.equal(chosen(roots, A, 101), 1);
    assert.equal(chosen(roots, B, 101), 2);
    assert.equal(chosen(roots, BOTH, 101), 2);
    assert.equal(chosen(roots, A, 131), 2);
  });

  test('of several young ones the oldest that can', async () => {
    const roots = [await root(1, 0, A), await root(2, 100, BOTH), await root(3, 110, BOTH)];
    assert.equal(chosen(roots, B, 111), 2);
  });

  test('a successor at once where the old root would end before the leaf', async () => {
    const roots = [await root(1, 0), await root(2, 3570)];
    assert.equal(chosen(roots, A, 3571, 90 * DAY), 2);
    assert.equal(chosen(roots, A, 3571, 80 * DAY), 1);
  });

  test('the last second of a root counts', async () => {
    const roots = [await root(1, 0)];
    assert.equal(chosen(roots, A, 3652 - 90), 1);
    assert.equal(chooseRoot(roots, A, START + (3652 - 90) * DAY + SECOND, LEAF), undefined);
  });

  test('never one without its key, nor one for names outside its constraints', async () => {
    const one = await root(1, 0);
    assert.equal(chosen([{ ...one, hasKey: false }], A, 50), undefined);
    assert.equal(chosen([one], B, 50), undefined);
  });

  test('never one from the future: a clock that jumped back finds the old root', async () => {
    const roots = [await root(1, 0), await root(2, 3653)];
    assert.equal(chosen(roots, A, 10), 1);
    assert.equal(chosen([await root(1, 0)], A, -2), undefined);
    assert.equal(chosen([await root(1, 0)], A, -0.6), 1, 'a clock set back by half a day is no reason for a new root');
  });
});

describe('when a further root is made, and why', () => {
  test('the first, for new names, near the end, and when none can sign', async () => {
    const one = await root(1, 0);
    assert.equal(needed([], A, 0), 'there is none');
    assert.equal(needed([one], A, 0), undefined);
    assert.equal(needed([one], BOTH, 0), 'none permits all names');
    assert.equal(needed([one], A, 3652 - 7 - 30 - 397), undefined);
    assert.equal(needed([one], A, 3652 - 7 - 30 - 397 + 1), 'the present one nears its end');
    assert.equal(needed([{ ...one, hasKey: false }], A, 0), 'none can sign now');
    assert.equal(needed([one], A, -2), 'none can sign now');
    assert.equal(needed([one], A, 4000), 'none can sign now');
  });

  test('only one, then no more until it nears its own end', async () => {
    const roots = [await root(1, 0), await root(2, 3226)];
    for (let day = 3226; day < 3226 + 3218; day += 5) assert.equal(needed(roots, A, day), undefined, `day ${day}`);
  });

  test('a root that was made for age has been announced before the old one cannot sign the longest leaf', async () => {
    const roots = [await root(1, 0), await root(2, 3226)];
    const last = Array.from({ length: 3652 }, (_, day) => day).findLast((day) => chosen([roots[0] as Root], A, day, 397 * DAY) === 1);
    assert.ok((last ?? 0) >= 3255);
    assert.equal(chosen(roots, A, 3256, 397 * DAY), 2);
    assert.equal(chosen(roots, A, 3255, 397 * DAY), 1);
  });
});

describe('which roots clients are told to trust', () => {
  test('a successor from its first day; the old one while its last leaf can live', async () => {
    const roots = [await root(1, 0), await root(2, 100)];
    assert.deepEqual(trusted(roots, 100), [1, 2]);
    assert.deepEqual(trusted(roots, 100 + 30 + 397), [1, 2]);
    assert.deepEqual(trusted(roots, 100 + 30 + 398), [2]);
  });

  test('an old one as long as it may still sign for a name that the new one does not permit', async () => {
    const roots = [await root(1, 0, A), await root(2, 100, B)];
    assert.equal(chosen(roots, A, 2000), 1);
    assert.deepEqual(trusted(roots, 2000), [1, 2]);
  });

  test('no expired one', async () => {
    assert.deepEqual(trusted([await root(1, 0), await root(2, 3226)], 3653), [2]);
  });

  test('one that lost its key, for its leaves, and what it had replaced, which signs again', async () => {
    const roots = [await root(1, 0), { ...(await root(2, 100)), hasKey: false }];
    assert.equal(chosen(roots, A, 1000), 1);
    assert.deepEqual(trusted(roots, 1000), [1, 2]);
  });

  test('all, when the clock says that none has begun: what was shown is not taken back', async () => {
    assert.deepEqual(trusted([await root(1, 0), await root(2, 100)], -1000), [1, 2]);
  });

  test('whichever root signs on any day is trusted for the whole life of the leaf', async () => {
    const roots = [
      await root(1, 0, A),
      await root(2, 700, BOTH),
      await root(3, 2000, B),
      await root(4, 3226, A),
      await root(5, 3900, BOTH),
    ];
    const usable = (day: number): Root[] => roots.filter(({ announcedAt }) => announcedAt <= START + day * DAY);
    for (let day = 0; day < 6000; day += 7) {
      for (const wanted of [A, B, BOTH]) {
        const signs = chosen(usable(day), wanted, day, 397 * DAY);
        if (signs === undefined) continue;
        for (let later = day; later < day + 397; later += 31)
          assert.ok(trusted(usable(later), later).includes(signs), `${signs} on day ${day}, ${later}`);
      }
    }
  });
});

test('the announced root is the one that will sign, until it does', async () => {
  const roots = [await root(1, 0), await root(2, 100)];
  const announced = (day: number): number | undefined => {
    const now = START + day * DAY;
    return announcedRoot(roots, A, now, chooseRoot(roots, A, now, LEAF))?.number;
  };
  assert.deepEqual([announced(101), announced(129), announced(130)], [2, 2, undefined]);
  assert.equal(announcedRoot([roots[0] as Root], A, START, roots[0]), undefined);
});
