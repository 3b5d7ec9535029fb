import { parseIdentifier } from '../../certificate/identifier.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import type { MailConfig } from '../../config/config.ts';
import { parseEndpoint } from '../../delivery/endpoint.ts';
import { PodserveError } from '../../platform/errors.ts';
import type { HeldCertificates, ServedAt, WantedCertificate } from '../service.ts';

/** What the daemons shall serve, worked out. */
export interface Plan {
  readonly mail: MailConfig;
  /** The first answers clients that ask for no name, or for one of no other. */
  readonly certificates: readonly PlannedCertificate[];
}

export interface PlannedCertificate {
  readonly name: string;
  /** DNS names, canonical, wildcards among them; each belongs to one certificate. */
  readonly names: readonly string[];
  /** All of its names and addresses. */
  readonly spec: CertificateSpec;
}

/** As certificates list those who serve them. */
const CONSUMER = 'mail';

const PORTS = ['smtp', 'submission', 'smtps', 'imap', 'imaps'];
const POP3_PORTS = ['pop3', 'pop3s'];

/**
 * Gives each name to the first certificate that has it.
 * @throws PodserveError CONFIG_INVALID
 */
export function planMail(mail: MailConfig, certificates: readonly CertificateSpec[]): Plan {
  const first = certificates.find(({ name }) => name === mail.certificate);
  if (first === undefined) {
    throw new PodserveError('CONFIG_INVALID', 'mail has a certificate that is not configured', {
      where: 'mail.certificate',
      why: `there is no certificate ${JSON.stringify(mail.certificate)}`,
      remedy: 'add it to certificates, or name another',
    });
  }
  const others = certificates.filter((spec) => spec !== first && spec.consumers.includes(CONSUMER));
  const given = new Set<string>();
  return {
    mail,
    certificates: [first, ...others].map((spec) => {
      const names = spec.identifiers.filter(({ type, value }) => type === 'dns' && !given.has(value)).map(({ value }) => value);
      for (const name of names) given.add(name);
      return { name: spec.name, names, spec };
    }),
  };
}

export function wantedBy({ certificates }: Plan): WantedCertificate[] {
  return certificates.map(({ name, spec }) => ({ name, identifiers: spec.identifiers }));
}

/** Whether what the daemons do not start without is there: the certificate that is shown to who asks for no name. */
export function startable({ certificates: [first] }: Plan, held: HeldCertificates): boolean {
  return first !== undefined && held.has(first.name);
}

/** One handshake on every port for each name, and one without a name for the first certificate; none before the start. */
export function servedByMail(plan: Plan, held: HeldCertificates): ServedAt[] {
  if (!startable(plan, held)) return [];
  const { mail, certificates } = plan;
  const endpoints = [...PORTS, ...(mail.pop3 ? POP3_PORTS : [])].map((scheme) => parseEndpoint(`${scheme}://127.0.0.1`));
  return certificates
    .filter(({ name }) => held.has(name))
    .flatMap(({ name: certificate, names }, index) => {
      const asked = [...(index === 0 ? [undefined] : []), ...names.map((name) => parseIdentifier(name).value)];
      return endpoints.flatMap((endpoint) => asked.map((servername): ServedAt => ({ endpoint, servername, certificate })));
    });
}
