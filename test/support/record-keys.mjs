/**
 * Loaded into every Node of a test run (NODE_OPTIONS=--import): notes each private key that is generated, also those
 * that are never published, so that the scan at the end can look for it in everything that was written.
 * Plain JavaScript, because tests also run the host's Node.
 */
import crypto from 'node:crypto';
import { openSync, writeSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';

const artifacts = process.env.PODSERVE_TEST_ARTIFACTS;
const file = artifacts === undefined ? undefined : openRecord();

/** Opened before a test gives up its rights. A process that begins without them records nothing. */
function openRecord() {
  try {
    return openSync(join(artifacts, 'keys', `generated-${process.pid}`), 'a', 0o600);
  } catch (error) {
    if (error.code === 'EACCES') return undefined;
    throw error;
  }
}

function record(privateKey) {
  if (typeof privateKey?.export !== 'function') return;
  const { d, p, q } = privateKey.export({ format: 'jwk' });
  const secrets = [d, p, q].filter((secret) => secret !== undefined);
  writeSync(file, secrets.map((secret) => `${secret}\n`).join(''));
}

/** The same function for its callers, `util.promisify` included. */
function replace(name, replacement) {
  Object.defineProperties(replacement, Object.getOwnPropertyDescriptors(crypto[name]));
  crypto[name] = replacement;
}

if (file !== undefined) {
  const { generateKeyPair, generateKeyPairSync } = crypto;
  replace('generateKeyPairSync', (...args) => {
    const pair = generateKeyPairSync(...args);
    record(pair.privateKey);
    return pair;
  });
  replace('generateKeyPair', (type, options, callback) =>
    generateKeyPair(type, options, (error, publicKey, privateKey) => {
      if (error === null || error === undefined) record(privateKey);
      callback(error, publicKey, privateKey);
    }),
  );
  syncBuiltinESMExports();
}
