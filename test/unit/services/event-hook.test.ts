import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { systemClock } from '../../../src/platform/clock.ts';
import { scrubbedEnvironment } from '../../../src/platform/environment.ts';
import type { Log, LogFields } from '../../../src/platform/log.ts';
import { eventHook, type HookNotice } from '../../../src/services/event-hook.ts';
import { scratchDirectory } from '../../support/scratch.ts';

interface Line {
  readonly level: string;
  readonly fields: LogFields;
  readonly message: string;
}

function recordingLog(): Log & { lines: Line[] } {
  const lines: Line[] = [];
  const at = (level: string) => (fields: LogFields, message: string) => void lines.push({ level, fields, message });
  const log = { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log };
  return log;
}

function notice(detail: string): HookNotice {
  return {
    kind: 'failure',
    certificate: 'default',
    event: { at: Date.UTC(2026, 10, 23), reason: 'issue-failed', detail, generation: null },
  };
}

/** A program in a new directory; `$DIR` in its text is that directory. */
function program(t: TestContext, text: string): { exec: string; read: (file: string) => string; has: (file: string) => boolean } {
  const directory = scratchDirectory(t);
  const exec = join(directory, 'hook');
  writeFileSync(exec, `#!/bin/sh\n${text.replaceAll('$DIR', directory)}\n`);
  chmodSync(exec, 0o755);
  return { exec, read: (file) => readFileSync(join(directory, file), 'utf8'), has: (file) => existsSync(join(directory, file)) };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

async function isGone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 200 && isAlive(pid); tries += 1) await setTimeout(50);
  return !isAlive(pid);
}

test('the program is called once for each event, in order, with JSON on its standard input', async (t) => {
  const { exec, read } = program(t, 'cat >> $DIR/told');
  const log = recordingLog();
  const hook = eventHook({ exec }, log);
  for (const detail of ['one', 'two', 'three']) hook.notify(notice(detail));
  await hook.settled();
  const told = read('told')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    told.map(({ message }) => message),
    ['one', 'two', 'three'],
  );
  assert.deepEqual(told[0], {
    version: 1,
    event: 'failure',
    certificate: 'default',
    at: '2026-11-23T00:00:00.000Z',
    reason: 'issue-failed',
    message: 'one',
    generation: null,
  });
  assert.deepEqual(
    log.lines.map(({ level }) => level),
    ['debug', 'debug', 'debug'],
  );
});

test('notifying returns at once, and disposing waits until everything is told', async (t) => {
  const { exec, read } = program(t, 'sleep 1.2; cat >> $DIR/told');
  {
    await using hook = eventHook({ exec }, recordingLog());
    const begun = performance.now();
    hook.notify(notice('one'));
    hook.notify(notice('two'));
    assert.ok(performance.now() - begun < 100);
  }
  assert.equal(read('told').split('\n').length, 3);
});

test('without a program nothing happens', async () => {
  const log = recordingLog();
  await using hook = eventHook(undefined, log);
  hook.notify(notice('one'));
  await hook.settled();
  assert.deepEqual(log.lines, []);
});

test('a program that fails is logged with how it ended and what it printed, and the next event is told', async (t) => {
  const { exec, has } = program(
    t,
    'if [ ! -e $DIR/first ]; then touch $DIR/first; echo out; echo no mail server >&2; exit 3; fi; touch $DIR/second',
  );
  const log = recordingLog();
  await using hook = eventHook({ exec }, log);
  hook.notify(notice('one'));
  hook.notify(notice('two'));
  await hook.settled();
  assert.ok(has('second'));
  assert.equal(log.lines[0]?.level, 'error');
  assert.deepEqual([log.lines[0].fields['ending'], log.lines[0].fields['output']], ['it ended with exit code 3', 'out\nno mail server']);
});

test('a program that is missing, or no program, is logged and harms nothing', async (t) => {
  const { exec } = program(t, 'exit 0');
  chmodSync(exec, 0o644);
  for (const [one, told] of [
    ['/nonexistent/hook', /ENOENT/],
    [exec, /EACCES/],
    ['/', /EACCES/],
  ] as const) {
    const log = recordingLog();
    await using hook = eventHook({ exec: one }, log);
    hook.notify(notice('one'));
    await hook.settled();
    assert.equal(log.lines.length, 1);
    assert.equal(log.lines[0]?.level, 'error');
    assert.match(String(log.lines[0].fields['error']), told);
  }
});

test('a program that hangs is ended after the time-out, with all that it started', async (t) => {
  const { exec, read } = program(t, "trap '' TERM; sleep 60 & echo $! > $DIR/child; echo $$ > $DIR/self; wait; sleep 60");
  const log = recordingLog();
  await using hook = eventHook({ exec }, log, { timeoutMs: 500 });
  hook.notify(notice('one'));
  await hook.settled();
  assert.equal(log.lines[0]?.fields['ending'], 'it was ended after 0.5 s');
  // The kernel ends each process of the group in its own time: the first one's end says nothing of the others'.
  for (const file of ['self', 'child']) assert.ok(await isGone(Number(read(file))), file);
});

test('a program that leaves something behind, or reads nothing, or prints without end, is no trouble', async (t) => {
  const behind = program(t, 'sleep 20 & echo $! > $DIR/left; echo done');
  const deaf = program(t, 'exec <&-; exit 0');
  const loud = program(t, 'head -c 3000000 /dev/zero | tr "\\0" x; exit 1');
  const log = recordingLog();
  for (const { exec } of [behind, deaf, loud]) {
    const hook = eventHook({ exec }, log);
    hook.notify(notice('x'.repeat(200_000)));
    await hook.settled();
  }
  assert.deepEqual(
    log.lines.map(({ level }) => level),
    ['debug', 'debug', 'error'],
  );
  assert.equal(log.lines[0]?.fields['output'], 'done');
  const left = Number(behind.read('left'));
  assert.ok(isAlive(left), 'what a program leaves behind on purpose is left alone, and not waited for');
  process.kill(left);
  assert.equal(String(log.lines[2]?.fields['output']).length, 4096);
});

test('when the service ends, a call has two seconds more; what was not told is logged', async (t) => {
  const { exec, read } = program(t, 'echo $$ > $DIR/self; exec sleep 60');
  const log = recordingLog();
  const ending = new AbortController();
  const begun = performance.now();
  {
    await using hook = eventHook({ exec }, log, { signal: ending.signal });
    hook.notify(notice('one'));
    hook.notify(notice('two'));
    while (!existsSync(join(exec, '../self'))) await systemClock.sleep(10);
    ending.abort();
  }
  assert.ok(performance.now() - begun < 5000);
  assert.ok(await isGone(Number(read('self'))));
  assert.deepEqual(
    log.lines.map(({ fields, message }) => fields['ending'] ?? message),
    ['it was ended with the service', 'the event program was not called: the service ended'],
  );
});

test('the program gets the environment without the trust-store variables and without secrets', async (t) => {
  const { exec, read } = program(t, 'env > $DIR/env');
  const pem = '-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n';
  const kept = {
    PATH: process.env['PATH'],
    HOME: '/root',
    LANG: 'C',
    DBUS_SESSION_BUS_ADDRESS: 'unix:x',
    CERT_NAMES: 'a.example',
    KEYBOARD: 'de',
  };
  const dropped = {
    SSL_CERT_FILE: '/x',
    SSL_KEY_FILE: '/y',
    CERT_EAB_KID: 'kid',
    CERT_EAB_HMAC_FILE: '/z',
    SMTP_PASSWORD: 'p',
    GITHUB_TOKEN: 't',
    AWS_SECRET_ACCESS_KEY: 's',
    API_KEY: 'k',
    SOMETHING: pem,
  };
  await using hook = eventHook({ exec }, recordingLog(), { env: { ...kept, ...dropped } });
  hook.notify(notice('one'));
  await hook.settled();
  const env = read('env');
  for (const name of Object.keys(kept)) assert.match(env, new RegExp(`^${name}=`, 'm'));
  for (const name of Object.keys(dropped)) assert.doesNotMatch(env, new RegExp(`^${name}=`, 'm'));
  assert.deepEqual(Object.keys(scrubbedEnvironment({ ...kept, ...dropped })), Object.keys(kept));
});

test('a thousand events wait for a program that is slow; more are dropped, loudly', async (t) => {
  const { exec } = program(t, 'exec sleep 60');
  const log = recordingLog();
  const ending = new AbortController();
  {
    await using hook = eventHook({ exec }, log, { signal: ending.signal, timeoutMs: 60_000 });
    for (let index = 0; index < 1010; index++) hook.notify(notice(String(index)));
    ending.abort();
  }
  assert.equal(log.lines.filter(({ message }) => message === 'too many events wait for the event program: one is dropped').length, 10);
});
