import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';

import { PodserveError } from '../../../src/platform/errors.ts';
import { createLog, type LogOptions } from '../../../src/platform/pino-log.ts';
import { run } from '../../support/command.ts';

async function logged(
  options: Partial<LogOptions>,
  isTTY = false,
): Promise<{ log: Awaited<ReturnType<typeof createLog>>; lines: string[] }> {
  const lines: string[] = [];
  const log = await createLog({ level: 'info', format: 'json', ...options }, { write: (line) => lines.push(line), isTTY });
  return { log, lines };
}

test('a JSON line has ISO time, level name, fields and message, and nothing else', async () => {
  const { log, lines } = await logged({});
  log.child({ service: 'certificates' }).warn({ certificate: 'default', days: 7 }, 'renewal failed');
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /\}\n$/);
  const { time, ...rest } = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  assert.deepEqual(rest, { level: 'warn', service: 'certificates', certificate: 'default', days: 7, msg: 'renewal failed' });
  assert.equal(new Date(String(time)).toISOString(), time);
});

test('lines below the level are not written', async () => {
  const { log, lines } = await logged({ level: 'warn' });
  log.debug({}, 'a');
  log.info({}, 'b');
  log.warn({}, 'c');
  log.child({}).error({}, 'd');
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { msg: string }).msg),
    ['c', 'd'],
  );
});

test('a pretty line has time, level word, message and fields, on one line, with colours on a terminal alone', async () => {
  const { log, lines } = await logged({ format: 'pretty' });
  log.info({ certificate: 'default', detail: 'two\nlines \u001b[31mred' }, 'renewed');
  assert.match(
    lines[0] ?? '',
    /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] INFO: renewed \{"certificate":"default","detail":"two\\nlines \\u001b\[31mred"\}\n$/,
  );
  const terminal = await logged({ format: 'pretty' }, true);
  terminal.log.info({}, 'renewed');
  assert.ok(terminal.lines[0]?.includes('\u001b['));
});

test('auto is pretty on a terminal and JSON elsewhere', async () => {
  const pipe = await logged({ format: 'auto' });
  pipe.log.info({}, 'x');
  assert.doesNotThrow(() => JSON.parse(pipe.lines[0] ?? ''));
  const terminal = await logged({ format: 'auto' }, true);
  terminal.log.info({}, 'x');
  assert.throws(() => JSON.parse(terminal.lines[0] ?? ''));
});

test('an error is written with its code and its line, an unexpected one with its stack', async () => {
  const { log, lines } = await logged({});
  log.error(
    { error: new PodserveError('ISSUE_FAILED', 'no certificate', { where: 'local-ca', why: 'no key' }), other: new TypeError('odd') },
    'x',
  );
  const { error, other } = JSON.parse(lines[0] ?? '') as { error: unknown; other: { message: string; stack: string } };
  assert.deepEqual(error, { code: 'ISSUE_FAILED', message: 'no certificate: local-ca: no key' });
  assert.match(other.stack, /^TypeError: odd\n/);
});

test('a private key that somebody passes by mistake is not written, whole, cut off, nested, or as bytes', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keys = (['pkcs8', 'sec1'] as const).map((type) => privateKey.export({ type, format: 'pem' }));
  const scalar = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');
  for (const format of ['json', 'pretty'] as const) {
    for (const pem of keys) {
      const { log, lines } = await logged({ format });
      log.info({ pem }, 'field');
      log.info({ deep: { list: [`before ${pem} after`, { nested: JSON.stringify({ pem }) }] } }, 'nested');
      log.info({ cut: pem.slice(0, -40), error: new Error(`read ${pem}`) }, 'cut off');
      log.info({ bytes: Buffer.from(pem), raw: new Uint8Array(scalar) }, 'bytes');
      log.child({ pem }).info({}, pem);
      log.info({ after: 'the end is written' }, 'last');
      const text = lines.join('');
      const body = pem.split('\n').slice(1, 3);
      for (const part of body) assert.ok(!text.includes(part.slice(0, 20)), `${format}: ${text}`);
      assert.ok(
        text.includes('[private key removed]') && text.includes('before') && text.includes(' after') && text.includes('the end is written'),
      );
      assert.ok(text.includes(`"bytes":"${pem.length} bytes","raw":"32 bytes"`));
      if (format === 'json') for (const line of lines) assert.doesNotThrow(() => JSON.parse(line), line);
    }
  }
});

test('pino is loaded when a log is made, pino-pretty when it is pretty', async () => {
  const module = new URL('../../../src/platform/pino-log.ts', import.meta.url).href;
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = new Set();
    registerHooks({ resolve(name, context, next) { if (name.startsWith('pino') && !name.startsWith('pino-std') && !name.startsWith('pino-abs')) loaded.add(name); return next(name, context); } });
    const { createLog } = await import(${JSON.stringify(module)});
    console.log([...loaded].join());
    const log = await createLog({ level: 'info', format: 'json' });
    log.info({}, 'to standard error');
    console.log([...loaded].join());
    await createLog({ level: 'info', format: 'pretty' });
    console.log([...loaded].join());`;
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', script]);
  assert.equal(stdout, '\npino\npino,pino-pretty\n', stderr);
  assert.match(stderr, /^\{"level":"info","time":"[^"]+","msg":"to standard error"\}\n$/);
});
