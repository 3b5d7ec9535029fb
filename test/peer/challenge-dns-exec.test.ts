import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { challengeValue } from '../../src/challenges/dns/update.ts';
import { execSolver } from '../../src/challenges/exec.ts';
import type { ChallengeSolver } from '../../src/challenges/solver.ts';
import { SECOND, systemClock } from '../../src/platform/clock.ts';
import { describeError } from '../../src/platform/errors.ts';
import { challengeTask, soon } from '../support/challenge-tasks.ts';
import { run } from '../support/command.ts';
import { grant, startNameServer, tsigKey, type RunningNameServer } from '../support/daemons/name-server.ts';
import { recordingLog } from '../support/recording-log.ts';
import { scratchDirectory } from '../support/scratch.ts';

const EXAMPLE = fileURLToPath(new URL('../../docs/examples/acme-sh-dns', import.meta.url));

/** What acme.sh does when it is read: it defines functions, and runs what it finds in "$@", or prints its help. */
const ACME_SH = `#!/usr/bin/env sh
_info() { echo "[$(date)] $1"; }
_err() { echo "[$(date)] $1" >&2; return 1; }
main() {
  [ -z "$1" ] && echo 'Usage: acme.sh <command> ...' && return
  "$@"
}
main "$@"
`;

/** A provider's script of acme.sh, the provider being BIND. */
const PROVIDER = `#!/usr/bin/env sh
_change() {
  [ "$NSUPDATE_KEY" ] || { _err 'no key'; return 1; }
  _info "update $1"
  printf 'server 127.0.0.1 %s\\nzone lab.test\\nupdate %s\\nsend\\n' "$NSUPDATE_SERVER_PORT" "$1" | nsupdate -k "$NSUPDATE_KEY"
}
dns_bind_add() { _change "add $1. 60 TXT \\"$2\\""; }
dns_bind_rm() { _change "delete $1. TXT \\"$2\\""; }
`;

interface Provider {
  readonly server: RunningNameServer;
  readonly program: string;
  readonly settings: string;
  readonly solver: ChallengeSolver;
}

/** The example as its documentation has it installed, with a BIND as the provider. */
async function provider(t: TestContext): Promise<Provider> {
  const key = await tsigKey(t, 'podserve');
  const names = ['_acme-challenge.lab.test', '_acme-challenge.www.lab.test'];
  const server = await startNameServer(t, { keys: [key], zones: [{ name: 'lab.test', statements: grant(key, ...names) }] });
  const directory = scratchDirectory(t);
  const home = join(directory, 'acme.sh');
  mkdirSync(join(home, 'dnsapi'), { recursive: true });
  writeFileSync(join(home, 'acme.sh'), ACME_SH);
  writeFileSync(join(home, 'dnsapi/dns_bind.sh'), PROVIDER);
  const program = join(directory, 'acme-sh-dns');
  copyFileSync(EXAMPLE, program);
  chmodSync(program, 0o755);
  const settings = join(directory, 'acme-sh-dns.conf');
  const lines = [`ACME_SH=${home}`, 'DNS_PROVIDER=dns_bind', `export NSUPDATE_KEY=${key.file} NSUPDATE_SERVER_PORT=${server.port}`, ''];
  writeFileSync(settings, lines.join('\n'), { mode: 0o600 });
  const solver = await execSolver(
    { type: 'dns-01', via: 'exec', exec: program, propagation: { servers: [server.server], timeout: 5 * SECOND } },
    { resolvers: [server.server], challengesDirectory: directory, clock: systemClock, log: recordingLog() },
  );
  return { server, program, settings, solver };
}

test('the example of the documentation drives a provider of acme.sh: wildcard and apex stand together, and go', async (t) => {
  const { server, solver } = await provider(t);
  const tasks = [challengeTask('lab.test'), challengeTask('*.lab.test')];
  await Promise.all(tasks.map((task) => solver.present(task, soon())));
  const name = '_acme-challenge.lab.test';
  assert.deepEqual(await server.dig(name, 'TXT'), tasks.map((task) => `"${challengeValue(task)}"`).sort());
  for (const task of tasks) await solver.cleanup(task);
  assert.deepEqual(await server.dig(name, 'TXT'), []);
});

test("what the provider refuses reaches the user's line", async (t) => {
  const { solver } = await provider(t);
  await assert.rejects(solver.present(challengeTask('mail.lab.test'), soon()), (error) =>
    /the challenge program failed: .*exit code 2 and wrote last: ".*update failed: REFUSED"; run it by hand/.test(describeError(error)),
  );
});

test('the example tells wrong use, and settings that are missing or name no provider', async (t) => {
  const { program, settings } = await provider(t);
  const wrong = await run(program, ['renew', 'x', 'y']);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /^usage: .*acme-sh-dns present\|cleanup NAME VALUE\n$/);
  writeFileSync(settings, 'ACME_SH=/nonexistent\nDNS_PROVIDER=dns_none\n');
  const none = await run(program, ['present', 'x', 'y']);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /names dns_none, but there is no \/nonexistent\/dnsapi\/dns_none\.sh/);
});
