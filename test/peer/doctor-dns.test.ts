import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { podserve, run } from '../support/command.ts';
import {
  grant,
  secretOf,
  startNameServer,
  tsigKey,
  type MadeKey,
  type RunningNameServer,
  type ServedZone,
} from '../support/daemons/name-server.ts';
import { lines, patient, type Patient, type PatientOptions } from '../support/doctor.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';
import { treeOf } from '../support/tree.ts';

interface Lab {
  readonly key: MadeKey;
  readonly server: RunningNameServer;
  patient(options?: Partial<PatientOptions> & { readonly servers?: readonly string[]; readonly dns01?: object }): Patient;
}

/** A BIND that is resolver, authority and the server that takes updates of lab.test and acme.test. */
async function lab(t: TestContext, records: readonly string[] = [], more: readonly ServedZone[] = []): Promise<Lab> {
  const key = await tsigKey(t, 'podserve');
  const allowed = grant(key, '_acme-challenge.lab.test', '_acme-challenge.www.lab.test');
  const zones: ServedZone[] = [
    { name: 'test' },
    { name: 'lab.test', records, statements: allowed },
    { name: 'acme.test', statements: grant(key, 'lab.acme.test') },
    ...more,
  ];
  const server = await startNameServer(t, { keys: [key], zones });
  return {
    key,
    server,
    patient: ({ servers = [server.server], dns01 = {}, names = ['lab.test', '*.lab.test'], ...rest } = {}) => {
      const update = { server: server.server, tsigKeyFile: key.file, propagation: { servers, timeout: '5s' }, ...dns01 };
      const issuer = { directory: 'https://127.0.0.1:1/dir', challenge: 'dns-01', dns01: update };
      return patient(t, { resolver: server.server, names, issuer, ...rest });
    },
  };
}

test('a zone whose servers answer and take updates is good, for a name and its wildcard', async (t) => {
  const { server, ...own } = await lab(t);
  const doctor = own.patient();
  const where = `_acme-challenge.lab.test lies in the zone lab.test, and its servers answer alike (${server.server})`;
  assert.deepEqual(lines(await doctor.examine('delegation')), [`good: ${where}`, `good: ${where}`]);
  const taken = `good: ${server.server} takes updates of _acme-challenge.lab.test in the zone lab.test`;
  assert.deepEqual(lines(await doctor.examine('update-key')), [taken, taken]);
  assert.deepEqual(await doctor.examine('resolve'), []);
  assert.deepEqual(await server.dig('_acme-challenge.lab.test', 'TXT'), []);
});

test('a CNAME into another zone is followed, and the key judged there', async (t) => {
  const { server, ...own } = await lab(t, ['_acme-challenge CNAME lab.acme.test.']);
  const doctor = own.patient({ names: ['lab.test'] });
  assert.match(
    lines(await doctor.examine('delegation')).join('\n'),
    /^good: _acme-challenge\.lab\.test → lab\.acme\.test lies in the zone acme\.test, /,
  );
  assert.deepEqual(lines(await doctor.examine('update-key')), [
    `good: ${server.server} takes updates of lab.acme.test in the zone acme.test`,
  ]);
});

test('CNAMEs that lead in a circle, or to where nobody answers, are problems', async (t) => {
  const own = await lab(t, ['_acme-challenge CNAME a', 'a CNAME _acme-challenge', '_acme-challenge.www CNAME gone.elsewhere.']);
  const circle = await own.patient({ names: ['lab.test'] }).examine('delegation');
  assert.match(lines(circle).join('\n'), /^problem: the CNAME records of a challenge lead nowhere: .* they lead in a circle/);
  assert.ok(circle[0]?.remedy !== undefined);
  const dangling = await own.patient({ names: ['www.lab.test'] }).examine('delegation');
  assert.equal(dangling[0]?.ok, 'problem');
  assert.match(dangling[0].what, /gone\.elsewhere|elsewhere/);
});

test('a name server that is silent, one that does not have the zone, and one that lags are told', async (t) => {
  const own = await lab(t);
  const stranger = await startNameServer(t, { zones: [{ name: 'other.test' }] });
  const lagging = await startNameServer(t, { zones: [{ name: 'lab.test' }] });
  const nobody = `127.0.0.1:${await freePort()}`;
  const judged = async (other: string): Promise<string> =>
    lines(await own.patient({ names: ['lab.test'], servers: [own.server.server, other] }).examine('delegation')).join('\n');
  assert.match(await judged(nobody), /^problem: the name server .* gives no answer: .* nobody listens there$/);
  assert.match(await judged(stranger.server), /^problem: the name server .* does not answer for lab\.test: REFUSED$/);
  const resolver = await startNameServer(t, { zones: [{ name: 'lab.test', forwardTo: own.server.port }] });
  assert.match(
    await judged(resolver.server),
    /^problem: the name server .* does not answer for lab\.test: it only passes on what others say$/,
  );
  assert.match(await judged(lagging.server), /^good: /);
  const { code, stderr } = await run('/usr/bin/nsupdate', ['-k', own.key.file], {
    input: `server 127.0.0.1 ${own.server.port}\nzone lab.test\nupdate add _acme-challenge.lab.test 60 TXT "new"\nsend\n`,
  });
  assert.equal(code, 0, stderr);
  assert.match(await judged(lagging.server), /^warning: the servers of lab\.test do not agree: serial 2 at .*, 1 at .*$/);
});

test('a key that may not change the name, is unknown to the server, missing or readable for all is told', async (t) => {
  const { server, key, ...own } = await lab(t);
  const other = await tsigKey(t, 'stranger');
  const judged = async (names: string[], dns01: object = {}): Promise<string> => {
    const found = await own.patient({ names, dns01 }).examine('update-key');
    assert.ok(found.every(({ ok, remedy }) => ok === 'good' || remedy !== undefined));
    assert.ok(![secretOf(key.file), secretOf(other.file)].some((secret) => JSON.stringify(found).includes(secret)), 'the secret is shown');
    return lines(found).join('\n');
  };
  assert.match(
    await judged(['mail.lab.test']),
    /^problem: .* REFUSED: the key podserve may not change the TXT records of _acme-challenge\.mail\.lab\.test$/,
  );
  assert.match(await judged(['lab.test'], { tsigKeyFile: other.file }), /^problem: .*(BADKEY|does not know|NOTAUTH)/);
  assert.match(await judged(['lab.test'], { tsigKeyFile: '/nonexistent/key' }), /^problem: .*\/nonexistent\/key/);
  assert.match(await judged(['lab.test'], { server: `127.0.0.1:${await freePort()}` }), /^problem: .* nobody listens there$/);
  chmodSync(key.file, 0o644);
  assert.match(await judged(['lab.test']), /^warning: every user of this host can read the TSIG key/);
  assert.deepEqual(await server.dig('_acme-challenge.lab.test', 'TXT'), []);
});

test('issuewild is what counts for a wildcard', async (t) => {
  const own = await lab(t, ['@ CAA 0 issue "ca.test"', '@ CAA 0 issuewild ";"']);
  const judged = lines(await own.patient().examine('caa'));
  // The CA itself cannot be asked here: it names no identity.
  assert.match(judged[0] ?? '', /^warning: CAA of lab\.test lets ca\.test issue/);
  assert.match(judged[1] ?? '', /^warning: CAA of lab\.test lets nobody issue/);
});

test('a program for dns-01 is good when it can be executed, and a problem when it cannot or is missing', async (t) => {
  const own = await lab(t);
  const exec = join(scratchDirectory(t), 'hook');
  writeFileSync(exec, '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  const propagation = { servers: [own.server.server], timeout: '5s' };
  const judged = async (file: string): Promise<string> => {
    const issuer = { directory: 'https://127.0.0.1:1/dir', challenge: 'dns-01', dns01: { exec: file, propagation } };
    return lines(await own.patient({ issuer }).examine('program')).join('\n');
  };
  assert.equal(await judged(exec), `good: ${exec} is there and can be executed`);
  chmodSync(exec, 0o644);
  assert.match(await judged(exec), /^problem: .* cannot be called: this user may not execute it/);
  assert.match(await judged('/nonexistent/hook'), /^problem: .* cannot be called: there is no such file$/);
  assert.equal(await judged('true'), 'good: true is there and can be executed');
  assert.equal(await judged('no-such-hook'), 'problem: no-such-hook cannot be called: it is not in PATH');
});

test('podserve doctor prints each finding with its remedy, exits 1 for a problem, and changes nothing', async (t) => {
  const own = await lab(t);
  const { cwd } = own.patient();
  const untouched = treeOf(cwd);
  const { code, stdout, stderr } = await podserve(['doctor', 'default'], { cwd });
  assert.deepEqual([code, stderr], [1, '']);
  assert.match(stdout, /^PROBLEM  ca: its directory https:\/\/127\.0\.0\.1:1\/dir gives no answer: .*\n {9}see that a firewall or proxy/m);
  assert.match(stdout, /^good {5}lab\.test: _acme-challenge\.lab\.test lies in the zone lab\.test/m);
  assert.match(stdout, /\n\n1 problem, 0 warnings, \d+ good; seen from here, with ca\.\n$/);
  const json = JSON.parse((await podserve(['doctor', '--json', 'lab.test'], { cwd })).stdout) as Record<string, unknown>;
  assert.deepEqual([json['ok'], json['issuers']], [false, [{ issuer: 'ca', names: ['lab.test'] }]]);
  assert.deepEqual(treeOf(cwd), untouched);
});

test('podserve doctor does not know a name: exit 2, with the nearest; local issuers alone: exit 0', async (t) => {
  const own = await lab(t);
  const { cwd } = own.patient();
  const wrong = await podserve(['doctor', 'lab.tst'], { cwd });
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /^podserve: no certificate "lab\.tst" is configured, and none is for that name; did you mean lab\.test\?\n$/);
  const local = scratchDirectory(t);
  const { code, stdout } = await podserve(['doctor'], { cwd: local });
  assert.equal(code, 0);
  assert.match(
    stdout,
    /this host: .*\/data can be written\n[^]*No ACME issuer is asked for a certificate: there is nothing else to look at\.\n$/,
  );
  assert.deepEqual(treeOf(local), treeOf(scratchDirectory(t)));
});
