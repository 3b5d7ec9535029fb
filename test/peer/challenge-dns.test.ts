import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { challengeValue, dnsUpdateSolver } from '../../src/challenges/dns/update.ts';
import type { ChallengeSolver } from '../../src/challenges/solver.ts';
import { SECOND, systemClock, type Clock } from '../../src/platform/clock.ts';
import { describeError } from '../../src/platform/errors.ts';
import type { Log } from '../../src/platform/log.ts';
import { challengeTask, soon } from '../support/challenge-tasks.ts';
import { run } from '../support/command.ts';
import { grant, secretOf, startNameServer, tsigKey, type MadeKey, type RunningNameServer } from '../support/daemons/name-server.ts';
import { recordingLog } from '../support/recording-log.ts';

interface Asked {
  readonly server: RunningNameServer;
  readonly key: MadeKey;
  /** Where records are looked for; default: the server itself. */
  readonly servers?: readonly RunningNameServer[];
  readonly resolver?: RunningNameServer;
  readonly timeout?: number;
  readonly clock?: Clock;
  readonly log?: Log;
}

function solver({ server, key, servers = [server], resolver = server, timeout = 5 * SECOND, ...host }: Asked): Promise<ChallengeSolver> {
  const propagation = { servers: servers.map((one) => one.server), timeout };
  const surroundings = {
    resolvers: [resolver.server],
    challengesDirectory: '/nonexistent',
    clock: systemClock,
    log: recordingLog(),
    ...host,
  };
  return dnsUpdateSolver({ server: server.server, tsigKeyFile: key.file, propagation }, surroundings);
}

/** A primary of lab.test where the key may change the challenge records of www and of the zone itself. */
async function lab(t: TestContext, algorithm?: string): Promise<{ server: RunningNameServer; key: MadeKey }> {
  const key = await tsigKey(t, 'podserve', algorithm);
  const statements = grant(key, '_acme-challenge.www.lab.test', '_acme-challenge.lab.test');
  return { server: await startNameServer(t, { keys: [key], zones: [{ name: 'lab.test', statements }] }), key };
}

/** The line that presenting www.lab.test fails with; nothing of the key's secret may be in it. */
async function refusal(asked: Asked, name = 'www.lab.test'): Promise<string> {
  const { lines, ...log } = recordingLog();
  await using dns = await solver({ log, ...asked });
  const error: unknown = await dns.present(challengeTask(name), soon()).then(
    () => assert.fail('it was taken'),
    (thrown: unknown) => thrown,
  );
  const line = describeError(error);
  assert.ok(!(line + JSON.stringify(lines)).includes(secretOf(asked.key.file)), 'the secret is shown');
  assert.equal((error as { code?: string }).code, 'CHALLENGE_FAILED', line);
  return line;
}

for (const algorithm of ['hmac-sha1', 'hmac-sha224', 'hmac-sha256', 'hmac-sha384', 'hmac-sha512']) {
  test(`an answer is put into the zone of a real BIND with ${algorithm}, and taken away again`, async (t) => {
    const asked = await lab(t, algorithm);
    await using dns = await solver(asked);
    const task = challengeTask('www.lab.test');
    await dns.present(task, soon());
    assert.deepEqual(await asked.server.dig('_acme-challenge.www.lab.test', 'TXT'), [`"${challengeValue(task)}"`]);
    await dns.cleanup(task);
    assert.deepEqual(await asked.server.dig('_acme-challenge.www.lab.test', 'TXT'), []);
    await dns.cleanup(task);
  });
}
