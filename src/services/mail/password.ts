import { argon2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

/** RFC 9106 §4, second recommended option. */
const MEMORY_KIB = 64 * 1024;
const PASSES = 3;
const PARALLELISM = 1;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

/** The argon2id hash of a password in the PHC form that Dovecot takes as `{ARGON2ID}`. */
export async function hashPassword(password: string): Promise<string> {
  const nonce = randomBytes(SALT_BYTES);
  const parameters = { message: password, nonce, memory: MEMORY_KIB, passes: PASSES, parallelism: PARALLELISM, tagLength: HASH_BYTES };
  const tag = await promisify(argon2)('argon2id', parameters);
  return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${PARALLELISM}$${unpadded(nonce)}$${unpadded(tag)}`;
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}
