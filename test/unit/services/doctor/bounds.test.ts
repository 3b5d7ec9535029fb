import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { parseIdentifiers } from '../../../../src/certificate/identifier.ts';
import { sharedSolvers } from '../../../../src/challenges/shared.ts';
import type { Config } from '../../../../src/config/config.ts';
import { parseListen } from '../../../../src/config/listen.ts';
import { loadConfig } from '../../../../src/config/load.ts';
import { statePaths } from '../../../../src/config/state.ts';
import { systemClock } from '../../../../src/platform/clock.ts';
import { silentLog } from '../../../../src/platform/log.ts';
import { examine, type Examination } from '../../../../src/services/doctor/examine.ts';
import { preflight } from '../../../../src/services/doctor/preflight.ts';
import { challengeTask, soon } from '../../../support/challenge-tasks.ts';
import { freePort, scratchDirectory } from '../../../support/scratch.ts';

/** A name server and a CA that take everything and say nothing. */
async function silence(t: TestContext): Promise<Omit<Examination, 'identifiers' | 'timeoutMs' | 'ports' | 'signal'>> {
  const dns = createSocket('udp4').bind(0, '127.0.0.1');
  await once(dns, 'listening');
  const ca = createServer().listen(0, '127.0.0.1');
  await once(ca, 'listening');
  t.after(() => {
    dns.close();
    ca.close();
  });
  const cwd = scratchDirectory(t);
  const issuer = {
    name: 'ca',
    directory: `https://127.0.0.1:${(ca.address() as { port: number }).port}/dir`,
    caFile: undefined,
    email: undefined,
    eab: undefined,
    profile: undefined,
    preferredChain: undefined,
    challenge: { type: 'http-01', via: 'listen', listen: `127.0.0.1:${await freePort()}` },
    limits: [],
    rehearse: undefined,
  } as const;
  const config: Config = {
    ...(await loadConfig({ env: {}, cwd })),
    resolvers: [`127.0.0.1:${dns.address().port}`],
    issuers: { ca: issuer },
  };
  return { config, issuer, paths: statePaths('data', cwd), clock: systemClock, log: silentLog };
}

test('looks that are not done in time are said to be undone, each by itself', async (t) => {
  const surroundings = await silence(t);
  const identifiers = parseIdentifiers(['www.lab.test', 'mail.lab.test', '127.0.0.1']);
  const silent = Number(new URL(surroundings.issuer.directory).port);
  const ports = { http: silent, https: silent };
  const begun = performance.now();
  const findings = await examine({ ...surroundings, identifiers, ports, timeoutMs: 400, signal: new AbortController().signal });
  assert.ok(performance.now() - begun < 2000);
  const undone = findings.filter(({ what }) => what === 'this was not seen to its end within 0.4 s');
  assert.deepEqual(
    undone.map(({ subject, check, ok }) => `${subject} ${check} ${ok}`),
    [
      'ca directory warning',
      'www.lab.test resolve warning',
      'www.lab.test caa warning',
      'mail.lab.test resolve warning',
      'mail.lab.test caa warning',
      '127.0.0.1 http-01 warning',
    ],
  );
  assert.equal(existsSync(join(surroundings.paths.state)), false);
});

test('a preflight that is stopped ends at once with the reason', async (t) => {
  const surroundings = await silence(t);
  const stop = new AbortController();
  const [spec] = surroundings.config.certificates;
  assert.ok(spec !== undefined);
  const done = preflight({ ...surroundings, spec, signal: stop.signal });
  setTimeout(() => stop.abort(new Error('stopped')), 100);
  const begun = performance.now();
  await assert.rejects(done, /stopped/);
  assert.ok(performance.now() - begun < 1000);
});

test('a look beside an order uses the listener of the order, and leaves it open', async (t) => {
  const surroundings = await silence(t);
  const { issuer, paths, clock, log } = surroundings;
  const { challenge } = issuer;
  assert.ok(challenge.via === 'listen');
  const { port } = parseListen(challenge.listen) ?? assert.fail();
  const solverFor = sharedSolvers({ challengesDirectory: paths.challenges, resolvers: [], clock, log });
  await using order = await solverFor(challenge);
  const task = challengeTask('127.0.0.1');
  await order.present(task, soon());
  const fetched = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/.well-known/acme-challenge/${task.token}`)).text();
  const identifiers = parseIdentifiers(['127.0.0.1']);
  const examination = { ...surroundings, identifiers, ports: { http: port, https: port }, timeoutMs: 1000, signal: soon() };
  const reached = (await examine({ ...examination, solverFor })).filter(({ check }) => check === 'http-01');
  assert.deepEqual(
    reached.map(({ ok }) => ok),
    ['good'],
  );
  assert.equal(await fetched(), task.keyAuthorization);
});
