import { formatDuration } from '../platform/duration.ts';
import type { AcmeIssuerConfig, ChallengeConfig } from './config.ts';
import type { EnvironmentSettings } from './environment.ts';
import { LIMIT_KINDS } from './issuers.ts';
import type { LoadedConfig } from './load.ts';
import type { Path } from './problem.ts';
import type { MakeLeaf, Tree } from './tree.ts';
import { isLetsEncrypt, wellKnownDirectory } from './well-known.ts';

/** The ACME servers in the form of the file. Of secrets there are the files' names alone. */
export function explainIssuers({ config, settings }: LoadedConfig, leaf: MakeLeaf): Tree {
  const fromEnvironment = settings.issuer === undefined ? undefined : config.certificates[0]?.issuers[0];
  return Object.fromEntries(
    Object.values(config.issuers).map((issuer) => [issuer.name, explainIssuer(issuer, issuer.name === fromEnvironment, leaf)]),
  );
}

type Own = (setting: keyof EnvironmentSettings) => keyof EnvironmentSettings | undefined;

function explainIssuer(issuer: AcmeIssuerConfig, named: boolean, leaf: MakeLeaf): Tree {
  const path = ['issuers', issuer.name];
  const own: Own = (setting) => (named ? setting : undefined);
  const known = wellKnownDirectory(issuer.name) !== undefined;
  const { eab } = issuer;
  return {
    directory: leaf(issuer.directory, [...path, 'directory'], undefined, known ? undefined : 'from the URL that a certificate names'),
    caFile: leaf(issuer.caFile, [...path, 'caFile'], own('acmeCaFile')),
    email: leaf(issuer.email, [...path, 'email'], undefined, 'from email'),
    eab: eab && {
      kid: leaf(eab.kid, [...path, 'eab', 'kid'], own('eabKid')),
      hmacFile: leaf(eab.hmacFile, [...path, 'eab', 'hmacFile'], own('eabHmacFile')),
    },
    profile: leaf(issuer.profile, [...path, 'profile'], own('profile')),
    preferredChain: leaf(issuer.preferredChain, [...path, 'preferredChain']),
    challenge: leaf(issuer.challenge.type, [...path, 'challenge'], own('challenge')),
    ...explainChallenge(issuer.challenge, path, leaf),
    limits: explainLimits(issuer, [...path, 'limits'], leaf),
    rehearse: leaf(issuer.rehearse, [...path, 'rehearse']),
  };
}

function explainChallenge(challenge: ChallengeConfig, path: Path, leaf: MakeLeaf): Tree {
  if (challenge.type === 'tls-alpn-01') return { tlsAlpn01: { listen: leaf(challenge.listen, [...path, 'tlsAlpn01', 'listen']) } };
  if (challenge.via === 'listen') return { http01: { listen: leaf(challenge.listen, [...path, 'http01', 'listen']) } };
  if (challenge.via === 'webroot') {
    return challenge.webroot === undefined ? {} : { http01: { webroot: leaf(challenge.webroot, [...path, 'http01', 'webroot']) } };
  }
  const here = [...path, 'dns01'];
  const { servers, timeout } = challenge.propagation;
  return {
    dns01: {
      server: challenge.via === 'exec' ? undefined : leaf(challenge.server, [...here, 'server']),
      tsigKeyFile: challenge.via === 'exec' ? undefined : leaf(challenge.tsigKeyFile, [...here, 'tsigKeyFile']),
      exec: challenge.via === 'exec' ? leaf(challenge.exec, [...here, 'exec']) : undefined,
      propagation: {
        servers: servers.length === 0 ? undefined : leaf(servers, [...here, 'propagation', 'servers']),
        timeout: leaf(formatDuration(timeout), [...here, 'propagation', 'timeout']),
      },
    },
  };
}

/** A limit of Let's Encrypt that was taken away is said, so that what is printed can be read back. */
function explainLimits({ limits, directory }: AcmeIssuerConfig, path: Path, leaf: MakeLeaf): Tree | undefined {
  const rows = Object.entries(LIMIT_KINDS).flatMap(([key, kind]) => {
    const limit = limits.find((one) => one.kind === kind);
    if (limit === undefined && !isLetsEncrypt(directory)) return [];
    const text = limit === undefined ? 'none' : `${limit.count}/${formatDuration(limit.window)}`;
    return [[key, leaf(text, [...path, key])] as const];
  });
  return rows.length === 0 ? undefined : Object.fromEntries(rows);
}
