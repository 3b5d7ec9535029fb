import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { openSolver } from '../../src/challenges/open.ts';
import type { ChallengeSolver, ChallengeTask } from '../../src/challenges/solver.ts';
import { serverNameOf } from '../../src/challenges/tls-alpn.ts';
import type { ChallengeConfig } from '../../src/config/config.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { describeError } from '../../src/platform/errors.ts';
import { silentLog } from '../../src/platform/log.ts';
import { apacheStack } from '../support/apache.ts';
import { challengeTask, soon } from '../support/challenge-tasks.ts';
import { run, start, type Running } from '../support/command.ts';
import { freePort } from '../support/scratch.ts';

function opened(config: ChallengeConfig): Promise<ChallengeSolver> {
  return openSolver(config, { challengesDirectory: '/nonexistent', resolvers: [], clock: systemClock, log: silentLog });
}

async function curl(url: string): Promise<string> {
  const { stdout, stderr } = await run('curl', ['--silent', '--show-error', '--fail', '--max-time', '10', url]);
  return stdout || stderr;
}

test('curl gets the answer to http-01 over IPv4 and IPv6 from our own listener', async () => {
  const port = await freePort();
  const task = challengeTask();
  await using solver = await opened({ type: 'http-01', via: 'listen', listen: `[::]:${port}` });
  await solver.present(task, soon());
  for (const host of ['127.0.0.1', '[::1]', 'localhost']) {
    assert.equal(await curl(`http://${host}:${port}/.well-known/acme-challenge/${task.token}`), task.keyAuthorization);
    assert.match(await curl(`http://${host}:${port}/`), /404/);
  }
});

/** The listener in a process of its own, to which the kernel refuses one call. */
function refused(t: TestContext, listen: string, call: string, error: string): Running {
  const program = fileURLToPath(new URL('../support/challenge-process.ts', import.meta.url));
  const refusal = ['-e', `trace=${call}`, '-e', `inject=${call}:error=${error}:when=1`];
  // -D: strace is the child of the process, so that what is killed at the end is the process.
  return start(t, 'strace', ['-D', '-f', '-qq', ...refusal, process.execPath, program, listen, 'token']);
}

test('on a host without IPv6 the listener for every address answers over IPv4', async (t) => {
  const port = await freePort();
  const listening = refused(t, `[::]:${port}`, 'socket', 'EAFNOSUPPORT');
  const [, keyAuthorization] = await listening.says(/answers (\S+)/);
  assert.match(listening.output(), /socket\(AF_INET6.*EAFNOSUPPORT.*INJECTED/);
  assert.equal(await curl(`http://127.0.0.1:${port}/.well-known/acme-challenge/token`), keyAuthorization);
});

test('without the right to open the port one line says how to get it', async (t) => {
  const port = await freePort();
  const listening = refused(t, `127.0.0.1:${port}`, 'bind', 'EACCES');
  const [, line = ''] = await listening.says(/fails: (.*)/);
  assert.match(line, /^the listener for http-01 cannot be opened: 127\.0\.0\.1:\d+: .*belong to root; start as root, or allow it \(sysctl/);
});

test('beside a running Apache the listener says who has the port and that Apache can answer itself', async (t) => {
  const stack = await apacheStack(t);
  await stack.start().says(/apache serves/);
  await using solver = await opened({ type: 'http-01', via: 'listen', listen: `127.0.0.1:${stack.http}` });
  await assert.rejects(solver.present(challengeTask(), soon()), (error) => {
    assert.match(
      describeError(error),
      /is taken: apache2 \(process \d+\) listens there; stop it, or leave http01 out of the issuer: .* podserve apache serves/,
    );
    return true;
  });
});

async function handshake(host: string, port: number, task: ChallengeTask, ...options: readonly string[]): Promise<string> {
  const name = serverNameOf(task.identifier);
  const { stdout, stderr } = await run('openssl', [
    's_client',
    '-connect',
    `${host}:${port}`,
    '-servername',
    name,
    '-showcerts',
    ...options,
  ]);
  return stdout + stderr;
}

test('OpenSSL sees the challenge certificate with ALPN acme-tls/1 alone, for names and addresses, over IPv4 and IPv6', async () => {
  const port = await freePort();
  const tasks = [challengeTask('www.example.org'), challengeTask('192.0.2.7'), challengeTask('2001:db8::7')];
  await using solver = await opened({ type: 'tls-alpn-01', via: 'listen', listen: `[::]:${port}` });
  for (const task of tasks) await solver.present(task, soon());
  for (const task of tasks) {
    for (const host of ['127.0.0.1', '[::1]']) {
      const seen = await handshake(host, port, task, '-alpn', 'acme-tls/1');
      assert.match(seen, /^ALPN protocol: acme-tls\/1$/m);
      const { stdout: text } = await run('openssl', ['x509', '-noout', '-text'], { input: seen });
      assert.match(text, /1\.3\.6\.1\.5\.5\.7\.1\.31: critical/);
      const names = /Subject Alternative Name: *\n\s+(.*)/.exec(text)?.[1];
      const { type, value } = task.identifier;
      assert.equal(names, type === 'dns' ? `DNS:${value}` : `IP Address:${value === '2001:db8::7' ? '2001:DB8:0:0:0:0:0:7' : value}`);
    }
    for (const options of [['-alpn', 'h2,http/1.1'], []]) {
      const answer = await handshake('127.0.0.1', port, task, ...options);
      assert.match(answer, /alert no application protocol/);
      assert.doesNotMatch(answer, /BEGIN CERTIFICATE/);
    }
  }
  assert.match(await handshake('127.0.0.1', port, challengeTask('other.example.org'), '-alpn', 'acme-tls/1'), /unrecognized name/);
});
