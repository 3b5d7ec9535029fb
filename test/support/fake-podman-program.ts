/**
 * Stands in for podman where a test is about what PodServe asks for and makes of the answers: it keeps pods as files
 * in FAKE_PODMAN and answers in the shapes of podman 4.3.1. Never in place of a real one where that can be asked.
 */
import { appendFileSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const state = process.env['FAKE_PODMAN'] ?? '';
const args = process.argv.slice(2);

interface FakePod {
  readonly name: string;
  readonly state: string;
  readonly labels: Record<string, string>;
  readonly containers: readonly object[];
}

function pods(): FakePod[] {
  return readdirSync(state)
    .filter((entry) => entry.startsWith('pod-'))
    .map((entry) => JSON.parse(readFileSync(join(state, entry), 'utf8')) as FakePod);
}

function file(kind: string, name: string): string {
  return join(state, `${kind}-${name.replaceAll(/[/:]/g, '_')}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function option(name: string): string | undefined {
  const index = args.indexOf(name);
  return index < 0 ? undefined : args[index + 1];
}

function play(): void {
  const text = readFileSync(args.at(-1) ?? '', 'utf8');
  const name = /^ {2}name: (\S+)$/m.exec(text)?.[1] ?? '';
  const container = /^ {4}- name: (\S+)$/m.exec(text)?.[1] ?? '';
  const path = /path: (\S+)\/certificates$/m.exec(text)?.[1] ?? '';
  const image = /image: (\S+)$/m.exec(text)?.[1] ?? '';
  const host = /hostPort: (\d+)/.exec(text)?.[1];
  const failure = file('fail', name);
  const refusal = existsSync(failure) ? readFileSync(failure, 'utf8') : undefined;
  const [key = '', value = ''] = (option('--annotation') ?? '').split('=');
  const made: FakePod = {
    name,
    state: refusal === undefined ? 'Running' : 'Created',
    labels: { 'app.kubernetes.io/part-of': 'podserve' },
    containers: [
      {
        Id: `${name}-infra`,
        Pod: name,
        Name: `${name}-infra`,
        IsInfra: true,
        HostConfig: { PortBindings: host === undefined ? {} : { '443/tcp': [{ HostIp: '', HostPort: host }] } },
      },
      {
        Id: `${name}-${container}`,
        Pod: name,
        Name: `${name}-${container}`,
        IsInfra: false,
        Image: readFileSync(file('image', image), 'utf8'),
        ImageName: image,
        RestartCount: 0,
        State: { Status: refusal === undefined ? 'running' : 'created', ExitCode: 0, StartedAt: new Date().toISOString() },
        Config: { Annotations: { [key]: value }, Env: container === 'consumer' ? [] : ['PODSERVE_STATUS_PORT=9081'] },
        Mounts: [{ Type: 'bind', Source: `${path}/certificates`, Destination: '/data/state/certificates' }],
      },
    ],
  };
  writeFileSync(join(state, `pod-${name}`), JSON.stringify(made));
  if (refusal === undefined) return;
  process.stderr.write(refusal);
  process.exitCode = 125;
}

function answer(): void {
  const [first, second] = args;
  switch (`${first} ${second}`) {
    case 'pod ps':
      return say(
        JSON.stringify(
          pods().map(({ name, state: status, labels, containers }) => ({
            Id: name,
            Name: name,
            Status: status,
            Labels: labels,
            Containers: containers,
          })),
        ),
      );
    case 'container inspect':
      return say(JSON.stringify(pods().flatMap(({ containers }) => containers)));
    case 'kube play':
      return play();
    case 'pod rm':
      return rmSync(join(state, `pod-${args.at(-1)}`), { force: true });
    case 'image inspect':
    case 'image exists':
      if (existsSync(file('image', args.at(-1) ?? ''))) return say(readFileSync(file('image', args.at(-1) ?? ''), 'utf8'));
      process.exitCode = 125;
      return;
    case 'info --format':
      return say(readFileSync(join(state, 'info'), 'utf8'));
    default:
      return inContainer();
  }
}

function inContainer(): void {
  const [first, container = ''] = args;
  if (first === 'ps') return say('[]');
  if (first === 'logs') {
    const name = args.at(-1) ?? '';
    if (existsSync(file('logs', name))) process.stderr.write(readFileSync(file('logs', name), 'utf8'));
    return;
  }
  if (first !== 'exec') return;
  const words = existsSync(file('unready', container)) ? readFileSync(file('unready', container), 'utf8') : undefined;
  if (args.includes('config')) {
    const refused = existsSync(join(state, 'bad-config')) ? readFileSync(join(state, 'bad-config'), 'utf8') : undefined;
    process.stderr.write(refused ?? '');
    process.exitCode = refused === undefined ? 0 : 2;
    return;
  }
  if (args.includes('status')) return say(readFileSync(join(state, 'status'), 'utf8'));
  if (words === undefined) return;
  say(words);
  process.exitCode = 1;
}

appendFileSync(join(state, 'calls'), `${args.join(' ')}\n`);
answer();
