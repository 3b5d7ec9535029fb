import { flag, type Arguments, type Command, type Context } from './command.ts';
import type { Diagnosis } from '../services/doctor/doctor.ts';
import type { Finding } from '../services/doctor/finding.ts';

export const command: Command = {
  summary: 'look for what would make the order of a certificate fail',
  help: `usage: podserve doctor [NAME…] [options]

Looks from here at what a CA would look at, for each certificate with an ACME issuer: the addresses of its names,
whether a test token is served at them (http-01, tls-alpn-01), CAA records, the zone of _acme-challenge and the
right to change it (dns-01), the CA's directory, and the clock. Orders nothing and changes nothing: the test token
is taken away again.
From here is not from outside: a router without hairpin NAT, a firewall or a split DNS may show something else.

Without a name it also looks at what podserve up --pods needs of podman and of this host. That is no problem
where no pods run in the state directory and --pods is not given.

  --pods         pods are wanted here: what hinders them is a problem
  NAME           a certificate, or a name that one is for (default: all certificates)
  --config FILE  default ./podserve.yaml, then /data/config/podserve.yaml, else built-in values
  --state DIR    where everything is kept, default ./data
  --json         print the findings as JSON

Exit codes: 0 nothing found that would make an order fail, 1 something is, 2 wrong usage or configuration.

  podserve doctor
  podserve doctor www.example.org`,
  options: { pods: { type: 'boolean' } },
  positionals: true,
  run,
};

const MARKS: Readonly<Record<Finding['ok'], string>> = { good: 'good   ', warning: 'warning', problem: 'PROBLEM' };

async function run(args: Arguments, context: Context): Promise<number> {
  const [{ loadConfig }, { diagnose }, { pathsOf, sourceOf }, { silentLog }, { examinePods }] = await Promise.all([
    import('../config/load.ts'),
    import('../services/doctor/doctor.ts'),
    import('./settings.ts'),
    import('../platform/log.ts'),
    import('../services/pods/doctor.ts'),
  ]);
  const config = await loadConfig(sourceOf(args, context));
  const { clock, env, signal } = context;
  const paths = pathsOf(args, context);
  const wanted = flag(args, 'pods');
  const [found, pods] = await Promise.all([
    diagnose({ config, paths, clock, log: silentLog, signal, names: args.positionals }),
    wanted || args.positionals.length === 0 ? examinePods({ env, clock, signal, dataDirectory: paths.state, wanted }) : [],
  ]);
  const diagnosis = { ...found, findings: [...found.findings, ...pods] };
  const problems = diagnosis.findings.filter(({ ok }) => ok === 'problem').length;
  if (flag(args, 'json')) context.out(JSON.stringify({ ok: problems === 0, ...diagnosis }, null, 2));
  else for (const line of report(diagnosis)) context.out(line);
  return problems === 0 ? 0 : 1;
}

function report({ issuers, findings }: Diagnosis): string[] {
  const lines = findings.flatMap(({ ok, subject, what, remedy }) => [
    `${MARKS[ok]}  ${subject}: ${what}`,
    ...(remedy === undefined ? [] : [`         ${remedy}`]),
  ]);
  const count = (ok: Finding['ok']): number => findings.filter((finding) => finding.ok === ok).length;
  const closing =
    issuers.length === 0
      ? 'No ACME issuer is asked for a certificate: there is nothing else to look at.'
      : `${plural(count('problem'), 'problem')}, ${plural(count('warning'), 'warning')}, ${count('good')} good; seen from here, with ${issuers.map(({ issuer }) => issuer).join(' and ')}.`;
  return [...lines, '', closing];
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
