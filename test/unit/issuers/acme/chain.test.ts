import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';

import { preferredChain } from '../../../../src/issuers/acme/chain.ts';
import { fullchainPem } from '../../../../src/certificate/bundle.ts';
import { makeBundle } from '../../../support/bundles.ts';
import { issuing } from '../../../support/acme-issuing.ts';

const by = { key: undefined as never, url: 'https://acme.test/account/1' };
const never = new AbortController().signal;

async function chosen(
  t: TestContext,
  preferred: string | undefined,
): Promise<{ which: string | undefined; logged: string[]; asked: string[] }> {
  const set = await issuing(t);
  const [first, second, third] = await Promise.all(['First', 'Second', 'Third'].map((authority) => makeBundle({ authority, chain: 1 })));
  const pems = new Map([
    ['first', fullchainPem(first as never)],
    ['second', fullchainPem(second as never)],
    ['third', fullchainPem(third as never)],
  ]);
  const asked: string[] = [];
  const client = {
    ...set.server.client,
    download: async (_: unknown, url: string) => {
      asked.push(url);
      if (url === 'broken') throw new Error('500');
      return { pem: pems.get(url) ?? '', alternates: [] };
    },
  };
  const place = { ...set.place({ preferredChain: preferred }), client };
  const pem = await preferredChain(place, by, { pem: pems.get('first') ?? '', alternates: ['broken', 'second', 'third'] }, never);
  return { which: [...pems].find(([, one]) => one === pem)?.[0], logged: set.logged, asked };
}

describe('the chain that is taken', () => {
  test('is the default one without a wish, and nothing else is asked for', async (t) => {
    assert.deepEqual(await chosen(t, undefined), { which: 'first', logged: [], asked: [] });
  });

  test('is the default one where it ends in or passes the wanted issuer', async (t) => {
    for (const name of ['First Root', 'First CA 1']) assert.deepEqual((await chosen(t, name)).asked, []);
  });

  test('is the first alternate that does, though another cannot be had', async (t) => {
    const { which, asked } = await chosen(t, 'Second Root');
    assert.equal(which, 'second');
    assert.deepEqual(asked, ['broken', 'second']);
  });

  test('is the default one with one warning where none does', async (t) => {
    const { which, logged } = await chosen(t, 'Fourth Root');
    assert.equal(which, 'first');
    const warnings = logged.filter((line) => line.includes('no chain has the preferred issuer'));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /"offered":\["First CA 1","First Root",/);
  });
});
