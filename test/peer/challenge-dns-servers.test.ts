import assert from 'node:assert/strict';
import { test } from 'node:test';

import { challengeValue, dnsUpdateSolver } from '../../src/challenges/dns/update.ts';
import type { ChallengeSolver } from '../../src/challenges/solver.ts';
import { SECOND, systemClock, type Clock } from '../../src/platform/clock.ts';
import { describeError } from '../../src/platform/errors.ts';
import { challengeTask, soon } from '../support/challenge-tasks.ts';
import { startKnot, startPowerDns, type UpdatedServer } from '../support/daemons/update-servers.ts';
import { tsigKey, type MadeKey } from '../support/daemons/name-server.ts';
import { recordingLog } from '../support/recording-log.ts';

function solver({ server }: UpdatedServer, key: MadeKey, clock: Clock = systemClock): Promise<ChallengeSolver> {
  const propagation = { servers: [server], timeout: 5 * SECOND };
  const host = { resolvers: [server], challengesDirectory: '/nonexistent', clock, log: recordingLog() };
  return dnsUpdateSolver({ server, tsigKeyFile: key.file, propagation }, host);
}

async function refusal(dns: ChallengeSolver, name: string): Promise<string> {
  return await dns.present(challengeTask(name), soon()).then(
    () => assert.fail('it was taken'),
    (error: unknown) => describeError(error),
  );
}

for (const [product, startServer, saysWhichOfThem] of [
  ['Knot', startKnot, true],
  ['PowerDNS', startPowerDns, false],
] as const) {
  test(`${product} takes wildcard and apex answers side by side, and gives them back one by one`, async (t) => {
    const key = await tsigKey(t, 'podserve');
    const server = await startServer(t, 'lab.test', key);
    await using dns = await solver(server, key);
    const [apex, wildcard] = [challengeTask('lab.test'), challengeTask('*.lab.test')];
    for (const task of [apex, wildcard]) await dns.present(task, soon());
    const both = [apex, wildcard].map((task) => `"${challengeValue(task)}"`).sort();
    assert.deepEqual(await server.dig('_acme-challenge.lab.test', 'TXT'), both);
    await dns.cleanup(apex);
    assert.deepEqual(await server.dig('_acme-challenge.lab.test', 'TXT'), [`"${challengeValue(wildcard)}"`]);
    await dns.cleanup(wildcard);
    assert.deepEqual(await server.dig('_acme-challenge.lab.test', 'TXT'), []);
  });

  test(`what ${product} refuses is told: an unknown key, a wrong secret, a clock that is apart, a foreign zone`, async (t) => {
    const key = await tsigKey(t, 'podserve');
    const server = await startServer(t, 'lab.test', key);
    const late: Clock = { ...systemClock, now: () => Date.now() + 3600 * SECOND };
    const stranger = await refusal(await solver(server, await tsigKey(t, 'stranger')), 'www.lab.test');
    const other = await refusal(await solver(server, await tsigKey(t, 'podserve')), 'www.lab.test');
    const apart = await refusal(await solver(server, key, late), 'www.lab.test');
    const foreign = await refusal(await solver(server, key), 'www.shop.test');
    assert.match(foreign, /_acme-challenge\.www\.shop\.test: .*answered REFUSED/);
    for (const [line, told] of [
      [stranger, /does not know the key stranger with hmac-sha256 \(BADKEY\)/],
      [other, /another secret for the key podserve \(BADSIG\)/],
      [apart, /clock is 3(599|600|601) s behind ours \(BADTIME\)/],
    ] as const) {
      assert.match(
        line,
        saysWhichOfThem ? told : /does not take the key (stranger|podserve), and does not say why \(NOTAUTH\); see that it has/,
      );
    }
  });
}
