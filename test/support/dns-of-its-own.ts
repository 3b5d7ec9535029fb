import { query } from '../../src/challenges/dns/query.ts';
import { authoritativeServers, findZone, followChallenge } from '../../src/challenges/dns/zone.ts';
import { challengeValue, dnsUpdateSolver } from '../../src/challenges/dns/update.ts';
import { SECOND, systemClock } from '../../src/platform/clock.ts';
import { describeError } from '../../src/platform/errors.ts';
import { challengeTask } from './challenge-tasks.ts';
import { grant, startNameServer, tsigKey } from './daemons/name-server.ts';
import { recordingLog } from './recording-log.ts';

/**
 * Runs as a program in a network namespace of its own, where port 53 is free: a root server, a registrar's server that
 * delegates, two name servers of a zone of which the second lags, and a resolver that /etc/resolv.conf names.
 * Prints what was seen, as JSON.
 */
async function main(): Promise<void> {
  const ends: (() => unknown)[] = [];
  const t = { after: (work: unknown) => void ends.push(work as () => unknown) };
  try {
    process.stdout.write(JSON.stringify(await observe(t)));
  } finally {
    for (const end of ends) await end();
  }
}

function delegation(zone: string, ...servers: readonly string[]): string[] {
  return servers.map((server) => `${zone}. NS ${server}.`);
}

async function observe(t: Parameters<typeof startNameServer>[0]): Promise<Readonly<Record<string, unknown>>> {
  const key = await tsigKey(t, 'podserve');
  await startNameServer(t, {
    address: '192.0.2.10',
    port: 53,
    zones: [
      {
        name: '.',
        records: [
          '@ NS ns.root.test.',
          'ns.root.test. A 192.0.2.10',
          ...delegation('shop.example', 'ns1.host.example'),
          ...delegation('acme.example', 'ns1.host.example', 'ns2.host.example'),
          ...delegation('host.example', 'ns1.host.example'),
          'ns1.host.example. A 192.0.2.1',
          'ns2.host.example. A 192.0.2.2',
        ],
      },
    ],
  });
  const both = ['@ NS ns1.host.example.', '@ NS ns2.host.example.'];
  const hosts = ['@ NS ns1', 'ns1 A 192.0.2.1', 'ns2 A 192.0.2.2', 'ns2 AAAA 2001:db8:dead::2'];
  const first = await startNameServer(t, {
    address: '192.0.2.1',
    port: 53,
    keys: [key],
    zones: [
      { name: 'host.example', records: hosts },
      { name: 'shop.example', records: ['@ NS ns1.host.example.', '_acme-challenge.www CNAME www.acme.example.'] },
      { name: 'acme.example', records: both, statements: `${grant(key, 'www.acme.example')} notify no;` },
    ],
  });
  const second = await startNameServer(t, {
    address: '192.0.2.2',
    port: 53,
    zones: [{ name: 'acme.example', primary: '192.0.2.1 port 53' }],
  });
  await startNameServer(t, { port: 53, zones: [{ name: '.', hint: '192.0.2.10' }] });

  const { lines, ...log } = recordingLog();
  const asking = { resolvers: [] };
  const opened = (timeout: number): ReturnType<typeof dnsUpdateSolver> =>
    dnsUpdateSolver(
      { server: first.server, tsigKeyFile: key.file, propagation: { servers: [], timeout } },
      { ...asking, challengesDirectory: '/nonexistent', clock: systemClock, log },
    );
  const failure = async (timeout: number): Promise<string> =>
    (await opened(timeout)).present(challengeTask('www.shop.example'), AbortSignal.timeout(30_000)).then(
      () => 'it was taken',
      (error: unknown) => describeError(error),
    );

  const chain = await followChallenge('_acme-challenge.www.shop.example', asking);
  const zone = await findZone('www.acme.example', asking);
  const servers = await authoritativeServers(zone, asking);

  const noWay = await query('[2001:db8:dead::2]:53', 'www.acme.example', 'TXT', { timeoutMs: 20 * SECOND }).then(
    () => 'it was answered',
    (error: unknown) => describeError(error),
  );

  const stuck = await failure(SECOND);

  const dns = await opened(20 * SECOND);
  const task = challengeTask('www.shop.example');
  let told = false;
  const presented = dns.present(task, AbortSignal.timeout(30_000)).then(() => (told = true));
  await systemClock.sleep(1500);
  const toldEarly = told;
  await second.rndc('retransfer', 'acme.example');
  await presented;
  const onSecond = await second.dig('www.acme.example', 'TXT');
  await dns.cleanup(task);

  await second.rndc('stop');
  await second.daemon.done;
  const warningsBefore = lines.length;
  const without = challengeTask('www.shop.example');
  await dns.present(without, AbortSignal.timeout(30_000));
  const warnings = lines.slice(warningsBefore).map(({ level, message, fields }) => ({ level, message, servers: fields['servers'] }));
  await dns.cleanup(without);
  const left = await first.dig('www.acme.example', 'TXT');
  return { chain, zone, servers, noWay, stuck, toldEarly, onSecond: [onSecond, challengeValue(task)], warnings, left };
}

await main();
