import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { pebbleConfiguration, pebbleEnvironment, pebblePrograms, type PebbleOptions } from './daemons/pebble.ts';
import { opensslCa } from './openssl-ca.ts';
import { eventually, type PodHost } from './pods.ts';
import { scratchDirectory } from './scratch.ts';

const ACME_PORT = 14_000;
const DNS_PORT = 8053;

export const PEBBLE_DIRECTORY = `https://pebble:${ACME_PORT}/dir`;

export interface PebblePod {
  /** Makes the pod; the names that certificates are for lead to this address. */
  play(address: string): Promise<void>;
}

/**
 * Pebble and its DNS, to be played in a pod of their own, `pebble`, on the network of the other pods. It asks for http-01
 * at port 80, as a CA does. Its root of HTTPS goes to `caFile`.
 */
export async function pebblePod(
  t: { after(end: () => unknown): void },
  host: PodHost,
  caFile: string,
  options: PebbleOptions,
): Promise<PebblePod> {
  const { pebble, challtestsrv } = await pebblePrograms();
  const directory = scratchDirectory(t);
  const ca = await opensslCa(join(directory, 'https'), 'Pebble HTTPS');
  const own = await ca.leaf('pebble', { names: ['pebble'] });
  copyFileSync(ca.rootFile, caFile);
  const config = join(directory, 'config');
  mkdirSync(config);
  copyFileSync(own.fullchainFile, join(config, 'cert.pem'));
  copyFileSync(own.keyFile, join(config, 'key.pem'));
  const ports = { listenAddress: `0.0.0.0:${ACME_PORT}`, managementListenAddress: '127.0.0.1:15000', httpPort: 80, tlsPort: 443 };
  const files = { certificate: '/config/cert.pem', privateKey: '/config/key.pem' };
  writeFileSync(join(config, 'pebble.json'), JSON.stringify({ pebble: { ...pebbleConfiguration(options), ...ports, ...files } }));

  const env = Object.entries(pebbleEnvironment(options)).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
  const container = (name: string, program: string, args: readonly string[]): object => ({
    name,
    image: 'localhost/podserve-harmony-base:latest',
    command: [`/programs/${basename(program)}`],
    args,
    env,
    volumeMounts: [
      { name: 'programs', mountPath: '/programs', readOnly: true },
      { name: 'config', mountPath: '/config', readOnly: true },
    ],
  });
  return {
    async play(address) {
      const dns = ['-dnsserver', `127.0.0.1:${DNS_PORT}`, '-management', '127.0.0.1:8055', '-defaultIPv4', address, '-defaultIPv6', ''];
      const off = ['-http01', '', '-https01', '', '-tlsalpn01', '', '-doh', ''];
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'pebble' },
        spec: {
          containers: [
            container('dns', challtestsrv, [...dns, ...off]),
            container('acme', pebble, ['-config', '/config/pebble.json', '-dnsserver', `127.0.0.1:${DNS_PORT}`, '-strict']),
          ],
          volumes: [
            { name: 'programs', hostPath: { path: dirname(pebble), type: 'Directory' } },
            { name: 'config', hostPath: { path: config, type: 'Directory' } },
          ],
        },
      };
      const file = join(directory, 'pod.yaml');
      // JSON is YAML.
      writeFileSync(file, JSON.stringify(pod));
      await host.must(['kube', 'play', file]);
      const listens = async (): Promise<boolean> => (await host.logs('pebble-acme')).includes('ACME directory available');
      await eventually(listens, 'Pebble listens', 20_000, () => host.logs('pebble-acme'));
    },
  };
}
