import { CERTIFICATE_NAME } from '../certificate/spec.ts';
import { parseEndpoint } from '../delivery/endpoint.ts';
import { isName } from './certificates.ts';
import type { ConsumerConfig } from './config.ts';
import { formatListen, parseListen, reachableHost } from './listen.ts';
import { short } from './problem.ts';
import { attempt, elements, isFlawed, type Scope } from './scope.ts';
import type { Servers } from './servers.ts';
import type { Raw } from './shape.ts';
import { VARIABLES } from './variables.ts';

/** Mail runs in a pod of its own, which the others know by its name. */
const MAIL_ENDPOINTS = ['smtp://mail', 'submission://mail', 'smtps://mail', 'imap://mail', 'imaps://mail'];

/**
 * All consumers by name: the services of this program where they listen here, those of the file, and those of
 * `CERT_CONSUMERS`. An entry replaces an earlier one of its name.
 */
export function interpretConsumers(scope: Scope, raw: Raw['consumers'], servers: Servers): Record<string, ConsumerConfig> {
  const consumers = Object.create(null) as Record<string, ConsumerConfig>;
  consumers['admin'] = { endpoints: [httpsUrl(servers.admin.listen)] };
  consumers['apache'] = { endpoints: [httpsUrl(servers.apache.https)] };
  consumers['mail'] = { endpoints: [...MAIL_ENDPOINTS] };
  for (const [name, consumer] of Object.entries(raw ?? {})) {
    const path = ['consumers', name];
    if (!isName(scope, name, path) || consumer === undefined) continue;
    const here = [...path, 'endpoints'];
    const given = elements(consumer.endpoints, here);
    if (given.length === 0 && !isFlawed(scope, path))
      scope.report({ path: here }, 'there is no endpoint in it', 'list one like https://web:443');
    for (const { value, path: at } of given) attempt(scope, { path: at }, () => parseEndpoint(value));
    consumers[name] = { endpoints: [...new Set(given.map(({ value }) => value))] };
  }
  return Object.assign(consumers, consumersOfEnvironment(scope));
}

function consumersOfEnvironment(scope: Scope): Record<string, ConsumerConfig> {
  const place = { variable: VARIABLES.consumers };
  const found = Object.create(null) as Record<string, ConsumerConfig>;
  for (const { name, endpoint } of scope.settings.consumers ?? []) {
    if (endpoint === undefined) continue;
    if (!CERTIFICATE_NAME.test(name))
      scope.report(place, `${JSON.stringify(short(name))} cannot be a name`, 'write it like apache=https://web:443');
    attempt(scope, place, () => parseEndpoint(endpoint));
    found[name] = { endpoints: [...new Set([...(found[name]?.endpoints ?? []), endpoint])] };
  }
  return found;
}

/** Where a server that listens there can be asked from this host. */
export function httpsUrl(listen: string): string {
  const { host, port } = parseListen(listen) ?? { host: 'localhost', port: 443 };
  return `https://${formatListen({ host: reachableHost(host), port })}`;
}
