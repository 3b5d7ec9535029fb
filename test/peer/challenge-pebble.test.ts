import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import type { AcmeClient } from '../../src/acme/client.ts';
import { keyAuthorization } from '../../src/acme/jwk.ts';
import { openAcmeClient } from '../../src/acme/open.ts';
import type { Authorization, Signatory } from '../../src/acme/resources.ts';
import { parseIdentifier } from '../../src/certificate/identifier.ts';
import { openSolver } from '../../src/challenges/open.ts';
import type { ChallengeSolver, ChallengeTask } from '../../src/challenges/solver.ts';
import type { ChallengeConfig } from '../../src/config/config.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { ecKey, pause } from '../support/acme-ordering.ts';
import { apacheStack } from '../support/apache.ts';
import { startPebble, type Pebble, type PebbleOptions } from '../support/daemons/pebble.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';

interface Prover {
  readonly pebble: Pebble;
  readonly client: AcmeClient;
  readonly by: Signatory;
}

async function prover(t: TestContext, options: PebbleOptions): Promise<Prover> {
  const pebble = await startPebble(t, { authzReuse: 0, ...options });
  const client = openAcmeClient({ directory: pebble.directory, ca: pebble.caPem, userAgent: 'test' });
  t.after(() => client[Symbol.asyncDispose]());
  return withNewAccount({ pebble, client });
}

async function withNewAccount({ pebble, client }: Pick<Prover, 'pebble' | 'client'>): Promise<Prover> {
  const key = ecKey();
  const { url } = await client.newAccount(key, { contact: [], termsOfServiceAgreed: true }, AbortSignal.timeout(20_000));
  return { pebble, client, by: { key, url } };
}

function opened(config: ChallengeConfig, challengesDirectory = '/nonexistent'): Promise<ChallengeSolver> {
  return openSolver(config, { challengesDirectory, resolvers: [], clock: systemClock, log: silentLog });
}

/** Orders for the names and lets the solver answer all challenges at once; gives what Pebble made of each. */
async function prove({ client, by }: Prover, names: readonly string[], solver: ChallengeSolver): Promise<Authorization[]> {
  const signal = AbortSignal.timeout(30_000);
  const identifiers = names.map(parseIdentifier);
  const { value: order } = await client.newOrder(by, { identifiers }, signal);
  return Promise.all(
    order.authorizations.map(async (url) => {
      let { value: authorization } = await client.authorization(by, url, signal);
      const challenge = authorization.challenges.find(({ type }) => type === solver.type);
      assert.ok(challenge?.token !== undefined, `Pebble offers no ${solver.type}`);
      const { identifier } = authorization;
      const task: ChallengeTask = {
        identifier: parseIdentifier(identifier.value),
        token: challenge.token,
        keyAuthorization: keyAuthorization(challenge.token, by.key),
      };
      await solver.present(task, signal);
      try {
        await client.answerChallenge(by, challenge.url, signal);
        while (authorization.status === 'pending') {
          await pause(50);
          authorization = (await client.authorization(by, url, signal)).value;
        }
      } finally {
        await solver.cleanup(task);
      }
      return authorization;
    }),
  );
}

function assertValid(authorizations: readonly Authorization[], count: number): void {
  assert.equal(authorizations.length, count);
  for (const { identifier, status, challenges } of authorizations) {
    assert.equal(status, 'valid', `${identifier.value}: ${JSON.stringify(challenges)}`);
  }
}

const NAMES = ['www.lab.example', 'mail.lab.example', 'xn--bcher-kva.example'];

test('Pebble takes http-01 from our own listener, for names and for IPv4 and IPv6 addresses', async (t) => {
  const one = await prover(t, {});
  await using solver = await opened({ type: 'http-01', via: 'listen', listen: `[::]:${one.pebble.httpPort}` });
  assertValid(await prove(one, NAMES, solver), NAMES.length);
  assertValid(await prove(one, ['127.0.0.1', '::1'], solver), 2);
});

test('Pebble takes http-01 over IPv6 from our own listener', async (t) => {
  const one = await prover(t, { dns: { defaultIPv4: '', defaultIPv6: '::1' } });
  await using solver = await opened({ type: 'http-01', via: 'listen', listen: `[::]:${one.pebble.httpPort}` });
  assertValid(await prove(one, NAMES, solver), NAMES.length);
});

test('Pebble takes tls-alpn-01 from our own listener, for names and for IPv4 and IPv6 addresses', async (t) => {
  const one = await prover(t, {});
  await using solver = await opened({ type: 'tls-alpn-01', via: 'listen', listen: `[::]:${one.pebble.tlsPort}` });
  assertValid(await prove(one, NAMES, solver), NAMES.length);
  assertValid(await prove(one, ['127.0.0.1', '::1'], solver), 2);
});

test('Pebble takes tls-alpn-01 over IPv6 from our own listener', async (t) => {
  const one = await prover(t, { dns: { defaultIPv4: '', defaultIPv6: '::1' } });
  await using solver = await opened({ type: 'tls-alpn-01', via: 'listen', listen: `[::]:${one.pebble.tlsPort}` });
  assertValid(await prove(one, NAMES, solver), NAMES.length);
});

test('Pebble takes two orders for the same names at once by http-01 and by tls-alpn-01', async (t) => {
  const first = await prover(t, {});
  await using http = await opened({ type: 'http-01', via: 'listen', listen: `[::]:${first.pebble.httpPort}` });
  await using alpn = await opened({ type: 'tls-alpn-01', via: 'listen', listen: `[::]:${first.pebble.tlsPort}` });
  for (const solver of [http, alpn]) {
    // Asked to reuse 0 % of its valid authorizations, Pebble still reuses about one in a hundred, with the challenge that it has.
    const one = await withNewAccount(first);
    const both = await Promise.all([prove(one, NAMES, solver), prove(one, NAMES, solver)]);
    for (const authorizations of both) assertValid(authorizations, NAMES.length);
  }
});

test('Pebble takes http-01 from the challenges volume that Apache serves before there is any certificate', async (t) => {
  const stack = await apacheStack(t);
  await stack.start().says(/apache serves/);
  const one = await prover(t, { httpPort: stack.http });
  const challenges = join(stack.state, 'challenges');
  await using solver = await opened({ type: 'http-01', via: 'webroot', webroot: undefined }, challenges);
  assertValid(await prove(one, NAMES, solver), NAMES.length);
  assert.deepEqual(readdirSync(challenges), []);
});

test('Pebble sees no answer where none is: the authorization is invalid', async (t) => {
  const webroot = join(scratchDirectory(t), 'www');
  mkdirSync(webroot);
  const one = await prover(t, { httpPort: await freePort() });
  await using solver = await opened({ type: 'http-01', via: 'webroot', webroot });
  const [authorization] = await prove(one, ['www.lab.example'], solver);
  assert.equal(authorization?.status, 'invalid');
});
