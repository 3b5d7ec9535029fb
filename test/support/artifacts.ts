import { createPrivateKey } from 'node:crypto';
import { appendFileSync, copyFileSync, lstatSync, mkdirSync, readFileSync, readdirSync, type Dirent } from 'node:fs';
import { basename, join } from 'node:path';

/** Where `scripts/test.ts` collects what a run writes, to scan it for private keys; undefined in a test run by hand. */
const directory = process.env['PODSERVE_TEST_ARTIFACTS'];

/** Files whose purpose is to hold keys (one is Dovecot's copy of all that its configuration names); everything else may hold none. */
const KEY_FILE = /\.(pem|key|p12|pfx|tar|tgz|gz)(?=$|[.~-])|^private_key\.json$|^dovecot\.conf\.binary$/;
/** The ACME accounts and orders under way of an issuer: they have keys in them. */
const ACME_FILE = /\/(account(-\d+)?\.json[^/]*|orders\/[^/]+)$/;
const LARGEST_KEY_FILE = 1 << 16;
const LARGEST_COPY = 1 << 28;

/** Directories that others fill with thousands of files of their own: browsers and npm. */
const FOREIGN = /^(chromium|chrome|browser|profile|\.cache|Cache|node_modules)/i;

/** Programs that print keys because that is what they are asked for. */
const KEY_TOOLS = new Set(['openssl', 'certtool', 'cat']);

/** Appends to what a child process has said. */
export function keepOutput(program: string, data: Buffer): void {
  if (directory === undefined || KEY_TOOLS.has(basename(program))) return;
  appendFileSync(join(directory, 'outputs', `${process.pid}-${basename(program)}`), data);
}

/** Notes the private keys in the key files below `root`, and copies its other files, before they are deleted. */
export function keepFiles(root: string): void {
  if (directory === undefined) return;
  const keep = join(directory, 'files', basename(root));
  let copies = 0;
  for (const file of regularFiles(root)) {
    if (KEY_FILE.test(basename(file)) || ACME_FILE.test(file)) noteKeys(directory, file);
    else if (lstatSync(file).size <= LARGEST_COPY) {
      mkdirSync(keep, { recursive: true });
      copies += 1;
      copyFileSync(file, join(keep, `${copies}-${basename(file)}`));
    }
  }
}

/** The secrets that a run has noted so far: base64url of big-endian numbers, one per line. */
export function notedSecrets(artifacts: string): Buffer[] {
  const folder = join(artifacts, 'keys');
  const lines = readdirSync(folder).flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'));
  return [...new Set(lines)].filter((line) => line !== '').map((line) => Buffer.from(line, 'base64url'));
}

function noteKeys(artifacts: string, file: string): void {
  if (lstatSync(file).size > LARGEST_KEY_FILE) return;
  for (const [pem] of readFileSync(file, 'latin1').matchAll(/-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+-----END [A-Z ]*PRIVATE KEY-----/g)) {
    const secrets = secretsOf(pem.replaceAll(String.raw`\n`, '\n'));
    appendFileSync(join(artifacts, 'keys', `found-${process.pid}`), secrets.map((secret) => `${secret}\n`).join(''), { mode: 0o600 });
  }
}

/** The private numbers of a PEM key, base64url; none of what a test garbled on purpose. */
function secretsOf(pem: string): string[] {
  try {
    const { d, p, q } = createPrivateKey(pem).export({ format: 'jwk' });
    return [d, p, q].filter((secret) => secret !== undefined);
  } catch {
    return [];
  }
}

/** Follows no link, and passes over what vanishes meanwhile or may not be read. */
function regularFiles(root: string): string[] {
  const found: string[] = [];
  const visit = (folder: string): void => {
    for (const entry of entriesOf(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !FOREIGN.test(entry.name)) visit(path);
      else if (entry.isFile()) found.push(path);
    }
  };
  visit(root);
  return found;
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}
