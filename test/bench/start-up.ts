import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { inTurn, isInstalled, ratioRow, timeOf, type Program, type Row } from './measure.ts';
import { emptyDirectory, type Place } from './place.ts';

const ROUNDS = 21;

/** What one-shot commands cost beside an empty Node, and beside the tools that people use for a local CA. */
export function measureStartUp(place: Place): Row[] {
  const state = emptyDirectory(place, 'one');
  const first = join(place.directory, 'first');
  const empty: Program = { argv: [process.execPath, '-e', '0'], env: place.env };
  const init: Program = {
    argv: place.podserve('certificates', '--mode', 'init', '--state', first),
    env: place.env,
    cwd: place.directory,
    before: () => rmSync(first, { recursive: true, force: true }),
  };
  timeOf({ argv: place.podserve('certificates', '--mode', 'init', '--state', state), env: place.env, cwd: place.directory });
  const check: Program = {
    argv: place.podserve('certificates', '--mode', 'check', '--state', state),
    env: place.env,
    cwd: place.directory,
  };
  const version: Program = { argv: place.podserve('--version'), env: place.env };
  const [emptyMs = 0, versionMs = 0, checkMs = 0, initMs = 0] = inTurn([empty, version, check, init], ROUNDS);
  return [
    ratioRow('--version', versionMs, 'node -e 0', emptyMs, undefined),
    ratioRow('check of one certificate', checkMs, 'node -e 0', emptyMs, 2.5),
    ratioRow('first init with local-ca', initMs, 'node -e 0', emptyMs, 3.5),
    ...againstPeers(place, init),
  ];
}

function againstPeers(place: Place, init: Program): Row[] {
  const directory = join(place.directory, 'peer');
  const before = (): void => void emptyDirectory(place, 'peer');
  const openssl = [
    'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 3650',
    'openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout privkey.pem -out leaf.csr -subj /CN=localhost -addext subjectAltName=DNS:localhost',
    'openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -days 90 -copy_extensions copyall -out cert.pem',
  ].join(' && ');
  const peers: { name: string; program: Program }[] = [
    { name: 'openssl', program: { argv: ['sh', '-c', openssl], cwd: directory, before } },
    { name: 'mkcert', program: { argv: ['mkcert', '-ecdsa', 'localhost'], cwd: directory, env: { CAROOT: directory }, before } },
  ];
  return peers
    .filter(({ name }) => isInstalled(name))
    .map(({ name, program }) => {
      const [ours = 0, theirs = 0] = inTurn([init, program], ROUNDS);
      return ratioRow('first init with local-ca', ours, name, theirs, undefined);
    });
}
