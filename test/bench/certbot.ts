import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A certbot installation with `count` certificates that are not due.
 * Returns the command that looks at them all.
 */
export function makeCertbotLineages(directory: string, count: number): string[] {
  const [config, work, logs] = ['config', 'work', 'logs'].map((name) => join(directory, name)) as [string, string, string];
  for (const folder of ['renewal', 'live', 'archive']) mkdirSync(join(config, folder), { recursive: true });
  const pair = join(directory, 'pair');
  mkdirSync(pair);
  const request = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '365',
    '-subj',
    '/CN=lab.example.org',
  ];
  const out = ['-keyout', join(pair, 'privkey.pem'), '-out', join(pair, 'cert.pem'), '-addext', 'subjectAltName=DNS:lab.example.org'];
  execFileSync('openssl', [...request, ...out], { stdio: 'ignore' });
  const cert = readFileSync(join(pair, 'cert.pem'));
  const contents = { cert, chain: cert, fullchain: cert, privkey: readFileSync(join(pair, 'privkey.pem')) };
  for (let index = 0; index < count; index += 1) {
    const name = `name-${index}.lab.example.org`;
    const [live, archive] = [join(config, 'live', name), join(config, 'archive', name)];
    for (const folder of [live, archive]) mkdirSync(folder);
    const lines = ['version = 2.1.0', `archive_dir = ${archive}`];
    for (const [kind, data] of Object.entries(contents)) {
      writeFileSync(join(archive, `${kind}1.pem`), data, { mode: 0o600 });
      symlinkSync(`../../archive/${name}/${kind}1.pem`, join(live, `${kind}.pem`));
      lines.push(`${kind} = ${join(live, `${kind}.pem`)}`);
    }
    lines.push('[renewalparams]', 'account = none', 'authenticator = standalone', 'server = https://127.0.0.1:1/directory', '');
    writeFileSync(join(config, 'renewal', `${name}.conf`), lines.join('\n'));
  }
  const options = ['--config-dir', config, '--work-dir', work, '--logs-dir', logs, '--non-interactive', '--no-random-sleep-on-renew'];
  return ['certbot', 'renew', ...options];
}
