import { DAY, MINUTE } from '../platform/clock.ts';

/** What holds where neither file nor environment say otherwise. docs/configuration.md names the same. */
export const DEFAULTS = {
  domain: 'localhost',
  /** Besides the domain, when that is `localhost`. */
  localNames: ['127.0.0.1', '::1'],
  issuers: ['local-ca'],
  keyType: 'ecdsa-p256',
  lifetime: 90 * DAY,
  renewBefore: 7 * DAY,
  /** Outside the ranges of people and systemd, inside a rootless map (DESIGN §5). */
  keyGid: 60_800,
  certificateServiceStatus: '127.0.0.1:9081',
  apacheStatus: '127.0.0.1:9082',
  mailStatus: '127.0.0.1:9083',
  messageSize: '50MiB',
  quota: '2GiB',
  sendLimit: 300,
  /** Of submission, where a relay is named without a port. */
  relayPort: 587,
  adminStatus: '127.0.0.1:9086',
  adminListen: 'localhost:8443',
  httpPort: 80,
  httpsPort: 443,
  /** For a user who may not open ports below 1024; 8443 is the status page's. */
  userHttpPort: 8080,
  userHttpsPort: 8444,
  challenge: 'http-01',
  dnsPort: 53,
  /** Secondaries are told of a change at once as a rule; those that poll, or a provider behind a program, take minutes. */
  propagationTimeout: 5 * MINUTE,
  logLevel: 'info',
  logFormat: 'auto',
} as const;

/** Browsers refuse leaves that live longer, and no public CA gives them. */
export const LONGEST_LIFETIME = 397 * DAY;
