import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { run } from '../support/command.ts';
import { scratchDirectory } from '../support/scratch.ts';

const PROGRAM = fileURLToPath(new URL('../support/dns-of-its-own.ts', import.meta.url));

interface Seen {
  readonly chain: readonly string[];
  readonly zone: string;
  readonly servers: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  readonly noWay: string;
  readonly stuck: string;
  readonly toldEarly: boolean;
  readonly onSecond: readonly [string[], string];
  readonly warnings: readonly { readonly level: string; readonly message: string; readonly servers: readonly string[] }[];
  readonly left: readonly string[];
}

let seen: Seen;

/** With processes of its own too, so that no daemon outlives the program whatever happens to it. */
const NAMESPACES = ['--map-root-user', '--mount', '--net', '--pid', '--fork', '--kill-child'];

/** Everything in a network namespace of its own, where port 53 is ours and /etc/resolv.conf names our resolver. */
before(async () => {
  const resolvConf = join(scratchDirectory({ after: () => undefined }), 'resolv.conf');
  writeFileSync(resolvConf, 'nameserver 127.0.0.1\n');
  const steps = [
    'ip link set lo up',
    'for address in 192.0.2.1 192.0.2.2 192.0.2.10; do ip address add $address/32 dev lo; done',
    'mount --bind "$1" "$(realpath /etc/resolv.conf)"',
    'exec "$2" "$3"',
  ];
  const shell = ['sh', '-ec', steps.join('\n'), 'sh', resolvConf, process.execPath, PROGRAM];
  const { code, stdout, stderr } = await run('unshare', [...NAMESPACES, '--', ...shell]);
  assert.equal(code, 0, stderr);
  seen = JSON.parse(stdout) as Seen;
});

test("the system's resolvers lead through delegations and CNAMEs to the zone and each of its name servers", () => {
  assert.deepEqual(seen.chain, ['_acme-challenge.www.shop.example', 'www.acme.example']);
  assert.equal(seen.zone, 'acme.example');
  const byName = Object.fromEntries(seen.servers.map(({ name, addresses }) => [name, addresses]));
  assert.deepEqual(byName, {
    'ns1.host.example': ['192.0.2.1:53'],
    'ns2.host.example': ['192.0.2.2:53', '[2001:db8:dead::2]:53'],
  });
});

test('an address that nothing leads to is told at once, without waiting for its answer', () => {
  assert.equal(seen.noWay, '[2001:db8:dead::2]:53 cannot be reached: ENETUNREACH');
});

test('a name server of the zone that never gets the record is named, with its address', () => {
  const told =
    /every name server: www\.acme\.example: after 1s these name servers of the zone lack it: ns2\.host\.example \(192\.0\.2\.2:53 does/;
  assert.match(seen.stuck, told);
});

test('the CA is told only when every name server of the zone has the record', () => {
  assert.equal(seen.toldEarly, false);
  const [records, value] = seen.onSecond;
  assert.deepEqual(records, [`"${value}"`]);
});

test('a name server that is down is left out with a warning, so that it is no reason for an outage', () => {
  assert.equal(seen.warnings.length, 1);
  const [{ level, servers } = { level: '', servers: [] }] = seen.warnings;
  assert.equal(level, 'warn');
  assert.match(servers.join(), /^ns2\.host\.example \(/);
});

test('nothing is left in the zone', () => {
  assert.deepEqual(seen.left, []);
});
