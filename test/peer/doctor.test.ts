import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';

import type { Finding } from '../../src/services/doctor/finding.ts';
import { PODSERVE, run } from '../support/command.ts';
import { startPebble, type Pebble } from '../support/daemons/pebble.ts';
import { lines, patient, type Patient, type PatientOptions } from '../support/doctor.ts';
import { opensslCa, type MadeCertificate } from '../support/openssl-ca.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';

const cleanups: (() => unknown)[] = [];
const whole = { after: (work: unknown): void => void cleanups.push(work as () => unknown) };
let pebble: Pebble;
let served: MadeCertificate;

before(async () => {
  pebble = await startPebble(whole, { dns: { defaultIPv4: '' } });
  served = await (await opensslCa(scratchDirectory(whole), 'House')).leaf('web', { names: ['other.test'] });
});
after(async () => {
  for (const cleanup of cleanups) await cleanup();
});

interface Setup extends Partial<PatientOptions> {
  readonly addresses?: readonly string[];
}

const ports = (): { http: number; https: number } => ({ http: pebble.httpPort, https: pebble.tlsPort });

async function setup(t: TestContext, name: string, { addresses = ['127.0.0.1'], issuer = {}, ...rest }: Setup = {}): Promise<Patient> {
  if (addresses.length > 0) await pebble.dns.addA(name, ...addresses);
  const challenge = 'challenge' in issuer ? {} : { challenge: 'http-01', http01: { listen: `127.0.0.1:${pebble.httpPort}` } };
  const whoSigns = { directory: pebble.directory, caFile: pebble.caFile, ...challenge, ...issuer };
  return patient(t, { resolver: pebble.dns.dnsAddress, names: [name], ports: ports(), ...rest, issuer: whoSigns });
}

/** Listens where CAs look, until the test ends. */
async function listens(t: TestContext, server: Server, port: number): Promise<void> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(port, '127.0.0.1', resolve);
  await promise;
  t.after(async () => {
    const closed = Promise.withResolvers<void>();
    server.close(() => closed.resolve());
    for (const socket of sockets) socket.destroy();
    await closed.promise;
  });
}

/** The finding for a web server that answers as given, with tokens in a webroot that it may serve. */
async function metBy(t: TestContext, answer: (token: (path: string) => string) => RequestListener): Promise<Finding> {
  const webroot = scratchDirectory(t);
  const token = (path: string): string => readFileSync(join(webroot, path), 'utf8');
  const server = createServer(answer(token));
  await listens(t, server, pebble.httpPort);
  const own = await setup(t, 'web.lab.test', { issuer: { challenge: 'http-01', http01: { webroot } } });
  const [finding, ...more] = await own.examine('http-01');
  assert.ok(finding !== undefined);
  assert.deepEqual(more, []);
  return finding;
}

test('where all is well every finding is good, and the test token is gone again', async (t) => {
  const own = await setup(t, 'good.lab.test');
  const findings = await own.examine();
  assert.deepEqual(
    findings.filter(({ ok, remedy }) => ok !== 'good' || remedy !== undefined),
    [],
  );
  assert.deepEqual(
    findings.map(({ subject, check }) => `${subject} ${check}`),
    [
      'this host state',
      'this host clock',
      'ca clock',
      'ca directory',
      'good.lab.test resolve',
      'good.lab.test http-01',
      'good.lab.test caa',
    ],
  );
  assert.equal(existsSync(own.paths.state), false);
  await assert.rejects(fetch(`http://127.0.0.1:${pebble.httpPort}/`));
});

test('a name without addresses is told what to add', async (t) => {
  const own = await setup(t, 'bare.lab.test', { addresses: [] });
  const findings = await own.examine('resolve');
  assert.deepEqual(lines(findings), ['problem: has neither an A nor an AAAA record']);
  assert.match(findings[0]?.remedy ?? '', /^add an A record/);
  assert.deepEqual(await own.examine('http-01'), []);
});

test('a name server that fails is a problem for addresses and for CAA', async (t) => {
  const own = await setup(t, 'broken.lab.test');
  await pebble.dns.servfail('broken.lab.test');
  assert.match(lines(await own.examine('resolve')).join('\n'), /^problem: looking up its A records failed: .* answers SERVFAIL$/m);
  assert.match(
    lines(await own.examine('caa')).join('\n'),
    /^problem: the CAA records of broken\.lab\.test cannot be looked up: .* SERVFAIL; CAs refuse then$/,
  );
});

test('each address is looked at for itself', async (t) => {
  const own = await setup(t, 'two.lab.test', { addresses: ['127.0.0.1', '127.0.0.2'] });
  await pebble.dns.addAAAA('two.lab.test', '::1');
  const findings = await own.examine('http-01');
  assert.deepEqual(lines(findings), [
    `good: the test token is served at 127.0.0.1 port ${pebble.httpPort}`,
    `problem: port ${pebble.httpPort} at 127.0.0.2: the connection is refused`,
    `problem: port ${pebble.httpPort} at ::1: the connection is refused`,
  ]);
  assert.match(findings[1]?.remedy ?? '', new RegExp(`^forward that port to 127\\.0\\.0\\.1:${pebble.httpPort} of this host`));
});

test('a port that is taken is told with who has it', async (t) => {
  await listens(t, createServer(), pebble.httpPort);
  const own = await setup(t, 'taken.lab.test');
  const [finding] = await own.examine('http-01');
  assert.equal(finding?.ok, 'problem');
  assert.match(finding.what, /listens there/);
  assert.match(finding.remedy ?? '', /^stop it, or /);
});

test('a web server that serves the webroot is good, also after redirects to a path and to https with a foreign certificate', async (t) => {
  await listens(
    t,
    createSecureServer(files(), (request, response) => {
      response.end(`${redirected?.(request.url ?? '') ?? ''}\n`);
    }),
    pebble.tlsPort,
  );
  let redirected: ((path: string) => string) | undefined;
  const finding = await metBy(t, (token) => (request, response) => {
    redirected = token;
    const again = request.url?.includes('?') ?? false;
    const location = again ? `https://web.lab.test:${pebble.tlsPort}${request.url?.split('?')[0]}` : `${request.url}?again`;
    response.writeHead(again ? 301 : 302, { location }).end();
  });
  assert.equal(finding.what, `the test token is served at 127.0.0.1 port ${pebble.httpPort} after 2 redirects`);
});

test('ten redirects are followed, as CAs do', async (t) => {
  const finding = await metBy(t, (token) => (request, response) => {
    const [path = '', step = '0'] = request.url?.split('?') ?? [];
    if (step === '10') response.end(token(path));
    else response.writeHead(307, { location: `${path}?${Number(step) + 1}` }).end();
  });
  assert.equal(finding.what, `the test token is served at 127.0.0.1 port ${pebble.httpPort} after 10 redirects`);
});

test('a token in the challenges volume is found where that is served, and nothing is left of it', async (t) => {
  const own = await setup(t, 'volume.lab.test', { issuer: { challenge: 'http-01' } });
  const server = createServer((request, response) => {
    response.end(readFileSync(join(own.paths.challenges, request.url?.split('/').at(-1) ?? '')));
  });
  await listens(t, server, pebble.httpPort);
  assert.deepEqual(lines(await own.examine('http-01')), [`good: the test token is served at 127.0.0.1 port ${pebble.httpPort}`]);
  assert.equal(existsSync(own.paths.state), false);
  mkdirSync(own.paths.challenges, { recursive: true });
  assert.equal((await own.examine('http-01'))[0]?.ok, 'good');
  assert.deepEqual(readdirSync(own.paths.challenges), []);
});

const WRONG: readonly { readonly what: string; readonly answer: RequestListener; readonly says: RegExp; readonly remedy: RegExp }[] = [
  {
    what: 'knows nothing of the token',
    answer: (_, response) => void response.writeHead(404, { server: 'nginx/1.26\u00a0' }).end('not found'),
    says: /a web server \(nginx\/1\.26\) answers 404 instead of the test token$/,
    remedy: /^let the web server on port 80 serve \/\.well-known\/acme-challenge\/ from /,
  },
  {
    what: 'answers everything with a page',
    answer: (_, response) => void response.end('<h1>It\n works!</h1>\u001b[31m'),
    says: /a web server answers something else than the test token: "<h1>It works!<\/h1> \[31m"$/,
    remedy: /serve/,
  },
  {
    what: 'wants a password',
    answer: (_, response) => void response.writeHead(401).end(),
    says: /answers 401/,
    remedy: /^let \/\.well-known\/acme-challenge\/ be fetched without a login, and /,
  },
  {
    what: 'leads to a login page',
    answer: (request, response) => {
      if (request.url?.startsWith('/login') === true) response.end('<form>');
      else response.writeHead(302, { location: '/login?next=x' }).end();
    },
    says: /shows a login page instead of the test token after one redirect$/,
    remedy: /without a login/,
  },
  {
    what: 'leads on eleven times',
    answer: (request, response) => {
      const step = Number(request.url?.split('?')[1] ?? 0);
      if (step === 11) response.end('here');
      else response.writeHead(302, { location: `/?${step + 1}` }).end();
    },
    says: /it redirects more than 10 times$/,
    remedy: /out of the redirects/,
  },
  {
    what: 'leads to another port',
    answer: (_, response) => void response.writeHead(302, { location: 'http://web.lab.test:8081/x' }).end(),
    says: /it redirects to port 8081, and CAs follow only to 80 and 443$/,
    remedy: /out of the redirects/,
  },
  {
    what: 'leads to another protocol',
    answer: (_, response) => void response.writeHead(302, { location: 'ftp://web.lab.test/x' }).end(),
    says: /it redirects to ftp:, and CAs follow only http and https$/,
    remedy: /out of the redirects/,
  },
  {
    what: 'leads to a name without address',
    answer: (_, response) => void response.writeHead(302, { location: 'http://nowhere.test/' }).end(),
    says: /it redirects to nowhere\.test, which has no address$/,
    remedy: /out of the redirects/,
  },
  {
    what: 'cuts the connection',
    answer: (request) => void request.socket.destroy(),
    says: /the connection was cut before an answer$/,
    remedy: /what cuts connections/,
  },
  {
    what: 'fails',
    answer: (_, response) => void response.writeHead(502).end(),
    says: /answers 502 instead of the test token$/,
    remedy: /^see why the web server for web\.lab\.test fails/,
  },
  {
    what: 'says nothing',
    answer: () => undefined,
    says: /no answer within the time$/,
    remedy: /open TCP port/,
  },
];

for (const { what, answer, says, remedy } of WRONG) {
  test(`a web server that ${what} is a problem, with what to change`, async (t) => {
    const finding = await metBy(t, () => answer);
    assert.equal(finding.ok, 'problem');
    assert.match(finding.what, says);
    assert.match(finding.remedy ?? '', remedy);
  });
}

test('something on port 80 that speaks no HTTP is a problem', async (t) => {
  await listens(
    t,
    createTcpServer((socket) => socket.end('220 mail.lab.test ESMTP\r\n')),
    pebble.httpPort,
  );
  const own = await setup(t, 'mail.lab.test', { issuer: { challenge: 'http-01', http01: { webroot: scratchDirectory(t) } } });
  assert.match(lines(await own.examine('http-01')).join('\n'), /^problem: port \d+ at 127\.0\.0\.1: what answers does not speak HTTP/);
});

test('a webroot that is missing is a problem before anything is fetched', async (t) => {
  const own = await setup(t, 'webroot.lab.test', { issuer: { challenge: 'http-01', http01: { webroot: '/nonexistent/www' } } });
  const [finding] = await own.examine('http-01');
  assert.match(finding?.what ?? '', /the token of a challenge cannot be written: \/nonexistent\/www: it is missing/);
});

test('tls-alpn-01 is good for names and addresses where its own listener answers', async (t) => {
  const issuer = { challenge: 'tls-alpn-01', tlsAlpn01: { listen: `127.0.0.1:${pebble.tlsPort}` } };
  const own = await setup(t, 'alpn.lab.test', { issuer, names: ['alpn.lab.test', '127.0.0.1'] });
  const good = `good: the test certificate is served at 127.0.0.1 port ${pebble.tlsPort}`;
  assert.deepEqual(lines(await own.examine('tls-alpn-01')), [good, good]);
  assert.deepEqual(lines(await own.examine('resolve')), ['good: resolves to 127.0.0.1', 'good: needs no DNS']);
});

const OTHERS: readonly { readonly what: string; readonly server: () => Server; readonly says: RegExp }[] = [
  {
    what: 'an ordinary server',
    server: () => createTlsServer(files(), (socket) => socket.end()),
    says: /^problem: .* another server answers: it does not speak acme-tls\/1 and shows the certificate of DNS:other\.test$/,
  },
  {
    what: 'a server that insists on other protocols',
    server: () => createTlsServer({ ...files(), ALPNProtocols: ['http/1.1'] }).on('tlsClientError', () => undefined),
    says: /^problem: .* there is no handshake with acme-tls\/1: /,
  },
  {
    what: 'another ACME client',
    server: () => createTlsServer({ ...files(), ALPNProtocols: ['acme-tls/1'] }, (socket) => socket.end()),
    says: /^problem: .* answered by a certificate without the acmeIdentifier extension$/,
  },
  {
    what: 'a server without TLS',
    server: () => createTcpServer((socket) => socket.end('220 hello\r\n')),
    says: /^problem: .* no handshake/,
  },
];

function files(): { key: Buffer; cert: Buffer } {
  return { key: readFileSync(served.keyFile), cert: readFileSync(served.fullchainFile) };
}

for (const { what, server, says } of OTHERS) {
  test(`tls-alpn-01 meets ${what} and says so`, async (t) => {
    const issuer = { challenge: 'tls-alpn-01', tlsAlpn01: { listen: `127.0.0.1:${await freePort()}` } };
    const own = await setup(t, 'alpn.lab.test', { issuer });
    await listens(t, server(), pebble.tlsPort);
    assert.match(lines(await own.examine('tls-alpn-01')).join('\n'), says);
  });
}

test('tls-alpn-01 meets nobody and says so', async (t) => {
  const issuer = { challenge: 'tls-alpn-01', tlsAlpn01: { listen: `127.0.0.1:${await freePort()}` } };
  const own = await setup(t, 'alpn.lab.test', { issuer });
  assert.match(lines(await own.examine('tls-alpn-01')).join('\n'), /^problem: .* the connection is refused$/);
});

test('podserve doctor asks at port 80, where CAs do', async (t) => {
  const cwd = scratchDirectory(t);
  const issuer = { directory: 'https://127.0.0.1:1/dir', caFile: pebble.caFile, challenge: 'http-01', http01: { listen: '127.0.0.1:80' } };
  const document = { issuers: { ca: issuer }, certificates: [{ name: 'default', names: ['127.0.0.1', '127.0.0.2'], issuers: ['ca'] }] };
  writeFileSync(join(cwd, 'podserve.yaml'), JSON.stringify(document));
  // A network of its own, where nobody has the port.
  const { code, stdout, stderr } = await run('unshare', ['--net', 'sh', '-c', `ip link set lo up && exec "$0" doctor`, PODSERVE], { cwd });
  assert.deepEqual([code, stderr], [1, '']);
  assert.match(stdout, /^good {5}127\.0\.0\.1: the test token is served at 127\.0\.0\.1 port 80$/m);
  assert.match(stdout, /^PROBLEM  127\.0\.0\.2: port 80 at 127\.0\.0\.2: the connection is refused$/m);
});
