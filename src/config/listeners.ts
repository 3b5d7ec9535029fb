import { CHALLENGE_KEYS } from './challenge.ts';
import type { ChallengeConfig, Config } from './config.ts';
import type { HostTraits } from './host.ts';
import { collide, parseListen } from './listen.ts';
import { formatPath, type Path } from './problem.ts';
import type { Scope } from './scope.ts';
import { defaultWebPorts } from './servers.ts';
import type { Raw } from './shape.ts';

interface Taken {
  readonly path: Path;
  readonly listen: string;
}

/**
 * Reports listeners for challenges at a port that a service of this configuration has, or another issuer: theirs are
 * open while there is an order, so it would come out at night. Issuers with the very same listener share it.
 */
export function checkListeners(scope: Scope, raw: Raw['issuers'], config: Config, withApache: boolean): void {
  const taken = takenPorts(config, withApache);
  const issuers: (Taken & { readonly type: ChallengeConfig['type'] })[] = [];
  for (const { name, challenge } of Object.values(config.issuers)) {
    if (challenge.via !== 'listen') continue;
    const listen = parseListen(challenge.listen);
    const path = pathOf(raw, name, challenge.type);
    const others = issuers.filter((one) => one.type !== challenge.type || one.listen !== challenge.listen);
    issuers.push({ path, listen: challenge.listen, type: challenge.type });
    const other = [...taken, ...others].find((one) => {
      const there = parseListen(one.listen);
      return listen !== undefined && there !== undefined && collide(listen, there);
    });
    if (other === undefined) continue;
    scope.report({ path }, `port ${listen?.port} is taken by ${formatPath(other.path)}`, remedyFor(challenge, other));
  }
}

/**
 * Whether Apache is to run here, as far as what is configured tells. That its ports have defaults says nothing: others
 * run their own web server, or none.
 * @param own the endpoint of Apache as it is configured here
 */
export function speaksOfApache({ apache, consumers, certificates }: Config, traits: HostTraits, own: string): boolean {
  const usual = defaultWebPorts(traits);
  if (apache.http !== usual.http || apache.https !== usual.https) return true;
  if (apache.sites.some(({ root, proxy }) => root !== undefined || proxy !== undefined)) return true;
  const here = consumers['apache']?.endpoints.includes(own) === true;
  return here && certificates.some((spec) => spec.consumers.includes('apache'));
}

function takenPorts({ certificateService, admin, apache }: Config, withApache: boolean): Taken[] {
  const taken = [
    { path: ['certificateService', 'status'], listen: certificateService.status },
    { path: ['admin', 'listen'], listen: admin.listen },
    { path: ['admin', 'status'], listen: admin.status },
  ];
  if (!withApache) return taken;
  return [
    ...taken,
    { path: ['apache', 'http'], listen: apache.http },
    { path: ['apache', 'https'], listen: apache.https },
    { path: ['apache', 'status'], listen: apache.status },
  ];
}

/** Where the listener was given, or the challenge that brings its default. */
function pathOf(raw: Raw['issuers'], name: string, type: ChallengeConfig['type']): Path {
  const key = CHALLENGE_KEYS[type];
  const settings = raw?.[name]?.[key] ?? {};
  return ['issuers', name, ...('listen' in settings ? [key, 'listen'] : ['challenge'])];
}

function remedyFor({ type }: ChallengeConfig, { path: [service, key] }: Taken): string {
  if (type === 'http-01' && service === 'apache' && key === 'http')
    return 'leave out http01: Apache answers this challenge from the challenges volume';
  if (service === 'issuers') return 'write both alike where they are for the same challenge, else give each its own port';
  if (type === 'tls-alpn-01' && service === 'apache') return 'use http-01, which Apache answers, or move one of them';
  return 'give each its own port';
}
