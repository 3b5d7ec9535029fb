import type { FailureKind } from '../../src/certificate/fallback.ts';
import type { FaultProxy, Rule } from './acme-fault-proxy.ts';
import { changeText, problem, raw, staysProcessing, turnsInvalid, wrongCertificate } from './acme-faults.ts';

const MINUTES = 60_000;
const HOURS = 60 * MINUTES;
/** Between the first failure and the next try: a minute, or what only a person can mend a hundred; up to a fifth more. */
const SOON = [1 * MINUTES, 1.2 * MINUTES] as const;
const FOR_A_PERSON = [100 * MINUTES, 120 * MINUTES] as const;

/** One fault, and what is to follow from it. */
export interface Case {
  readonly what: string;
  readonly rules: (proxy: FaultProxy, directory: string) => readonly Rule[];
  readonly kind: FailureKind;
  /** ms from the failure to the next try. */
  readonly wait: readonly [atLeast: number, atMost: number];
  /** What the one line says. */
  readonly says: RegExp;
  /** All orders of the issuer wait, not only this certificate. */
  readonly holds?: boolean;
  /** The order is taken up again, with no other, when the fault is over. */
  readonly resumes?: boolean;
  /** It may be about what the order replaces: it is asked once more without that. */
  readonly asksTwice?: boolean;
}

const always = (on: Rule['on'], fault: Rule['fault']) => (): readonly Rule[] => [{ on, fault }];

/** JSON that is fine but for its length. */
const oversized = changeText((body) => body.replace('{', `{"padding":"${'x'.repeat(20 * 1024 * 1024)}",`));

/** Every way in which a server of the list misbehaves. */
export const CASES: readonly Case[] = [
  {
    what: '429 with Retry-After in seconds',
    rules: always(
      'newOrder',
      problem(429, 'rateLimited', 'too many new orders (300) from this account', { headers: { 'retry-after': '7200' } }),
    ),
    kind: 'rate-limited',
    wait: [2 * HOURS, 2 * HOURS],
    says: /too many new orders .*not before/,
    holds: true,
  },
  {
    what: '429 with Retry-After as a date',
    rules: () => {
      const date = new Date(Date.now() + 3 * HOURS).toUTCString();
      return [{ on: 'newOrder', fault: problem(429, 'rateLimited', 'too many new orders', { headers: { 'retry-after': date } }) }];
    },
    kind: 'rate-limited',
    wait: [3 * HOURS, 3 * HOURS],
    says: /too many new orders/,
    holds: true,
  },
  {
    what: '429 for the exact set of names, with the time in words',
    rules: () => {
      const at = new Date(Date.now() + 5 * HOURS).toISOString().slice(0, 19).replace('T', ' ');
      const detail = `too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after ${at} UTC: see https://letsencrypt.org/docs/rate-limits/`;
      return [{ on: 'newOrder', fault: problem(429, 'rateLimited', detail) }];
    },
    kind: 'rate-limited',
    wait: [5 * HOURS, 5 * HOURS],
    says: /exact set of identifiers/,
  },
  {
    what: 'a pause with the link that ends it',
    rules: always(
      'newOrder',
      problem(
        429,
        'rateLimited',
        'Your account is temporarily prevented from requesting certificates for a.lab.test. To unpause, visit https://ca.test/sfe/v1/unpause?jwt=abc',
      ),
    ),
    kind: 'paused',
    wait: FOR_A_PERSON,
    says: /https:\/\/ca\.test\/sfe\/v1\/unpause\?jwt=abc/,
  },
  {
    what: '503 with Retry-After of a load balancer',
    rules: always('newOrder', raw(503, 'text/html', '<html><h1>503</h1></html>', { 'retry-after': '1800' })),
    kind: 'rate-limited',
    wait: [30 * MINUTES, 30 * MINUTES],
    says: /503/,
    holds: true,
  },
  {
    what: '503 without Retry-After',
    rules: always('newOrder', raw(503, 'text/html', '<html><h1>503</h1></html>')),
    kind: 'server',
    wait: SOON,
    says: /503/,
  },
  {
    what: '500 as a problem document',
    rules: always('newOrder', problem(500, 'serverInternal', 'the database is away')),
    kind: 'server',
    wait: SOON,
    says: /the database is away/,
    asksTwice: true,
  },
  {
    what: '500 while an account is looked for',
    rules: always('all', problem(500, 'serverInternal', 'down for maintenance')),
    kind: 'server',
    wait: SOON,
    says: /down for maintenance/,
  },
  {
    what: 'the answer to a new order cut in mid-body',
    rules: always('newOrder', { do: 'cut' }),
    kind: 'unreachable',
    wait: SOON,
    says: /new order/,
  },
  {
    what: 'the answer to the finalization cut in mid-body',
    rules: always('finalize', { do: 'cut' }),
    kind: 'unreachable',
    wait: SOON,
    says: /finalization/,
    resumes: true,
  },
  {
    what: 'the certificate cut in mid-body',
    rules: always('certificate', { do: 'cut' }),
    kind: 'unreachable',
    wait: SOON,
    says: /download/,
    resumes: true,
  },
  {
    what: 'no answer to a new order',
    rules: always('newOrder', { do: 'drop' }),
    kind: 'unreachable',
    wait: SOON,
    says: /new order/,
  },
  {
    what: 'silence until the time-out',
    rules: always('newOrder', { do: 'silence' }),
    kind: 'unreachable',
    wait: SOON,
    says: /new order.* \d+ s/,
  },
  {
    what: 'a wrong content type',
    rules: always('newOrder', {
      do: 'change',
      change: (reply) => ({ ...reply, headers: { ...reply.headers, 'content-type': 'text/plain' } }),
    }),
    kind: 'unreachable',
    wait: SOON,
    says: /text\/plain/,
  },
  {
    what: 'truncated JSON',
    rules: always(
      'newOrder',
      changeText((body) => body.slice(0, body.length / 2)),
    ),
    kind: 'unreachable',
    wait: SOON,
    says: /JSON/,
  },
  {
    what: 'JSON that is no order',
    rules: always(
      'newOrder',
      changeText(() => '{"status":"pending","identifiers":7}'),
    ),
    kind: 'unreachable',
    wait: SOON,
    says: /new order/,
  },
  {
    what: 'oversized JSON',
    rules: always('newOrder', oversized),
    kind: 'unreachable',
    wait: SOON,
    says: /large|long|bytes|KiB|MiB/i,
  },
  {
    what: 'an HTML page with status 200 for an order',
    rules: always('newOrder', raw(200, 'text/html', '<!doctype html><title>Log in to the hotel network</title>')),
    kind: 'unreachable',
    wait: SOON,
    says: /new order.*no proxy answers for it/,
  },
  {
    what: 'an HTML page with status 200 for the directory',
    rules: always('directory', raw(200, 'text/html', '<!doctype html><title>Log in to the hotel network</title>')),
    kind: 'unreachable',
    wait: SOON,
    says: /directory.*text\/html/,
  },
  {
    what: 'a nonce never accepted',
    rules: always('newOrder', problem(400, 'badNonce', 'JWS has an invalid anti-replay nonce')),
    kind: 'server',
    wait: SOON,
    says: /nonce/,
  },
  {
    what: 'an order that stays in processing',
    rules: always(['finalize', 'order'], staysProcessing()),
    kind: 'server',
    wait: [1 * HOURS, 1 * HOURS],
    says: /has not signed within the time of one try.*goes on with the same order/,
    resumes: true,
  },
  {
    what: 'an authorization that turns invalid, with a problem and subproblems',
    rules: () => [
      {
        on: 'authorization',
        fault: turnsInvalid('compound', 'two perspectives failed', [
          {
            type: 'urn:ietf:params:acme:error:connection',
            detail: 'first perspective: connection refused',
            identifier: { type: 'dns', value: 'a.lab.test' },
          },
          {
            type: 'urn:ietf:params:acme:error:dns',
            detail: 'second perspective: no such host',
            identifier: { type: 'dns', value: 'a.lab.test' },
          },
        ]),
      },
    ],
    kind: 'challenge',
    wait: SOON,
    says: /a\.lab\.test.*two perspectives failed.*first perspective: connection refused.*second perspective: no such host/,
  },
  {
    what: 'an authorization that CAA forbids',
    rules: always('authorization', turnsInvalid('caa', 'CAA record for a.lab.test prevents issuance')),
    kind: 'caa',
    wait: FOR_A_PERSON,
    says: /CAA record for a\.lab\.test prevents issuance/,
  },
  {
    what: 'a name that the CA does not sign for, with subproblems',
    rules: always(
      'newOrder',
      problem(400, 'rejectedIdentifier', 'Cannot issue for some names', {
        subproblems: [
          {
            type: 'urn:ietf:params:acme:error:rejectedIdentifier',
            detail: 'a.lab.test is on a list',
            identifier: { type: 'dns', value: 'a.lab.test' },
          },
        ],
      }),
    ),
    kind: 'rejected',
    wait: FOR_A_PERSON,
    says: /Cannot issue for some names.*a\.lab\.test is on a list/,
  },
  {
    what: 'terms that a person has to agree to',
    rules: always('newOrder', problem(403, 'userActionRequired', 'Terms of service have changed')),
    kind: 'account',
    wait: FOR_A_PERSON,
    says: /Terms of service have changed/,
  },
  {
    what: 'an error type that nobody has heard of',
    rules: always('newOrder', problem(418, 'teapot', 'short and stout')),
    kind: 'rejected',
    wait: FOR_A_PERSON,
    says: /short and stout/,
  },
  {
    what: 'a directory that is not there',
    rules: always('directory', raw(404, 'text/plain', 'not found')),
    kind: 'configuration',
    wait: FOR_A_PERSON,
    says: /404.*issuers\.pebble\.directory/,
  },
  ...(['other names', 'another key', 'broken chain', 'expired', 'no certificate'] as const).map((wrong): Case => ({
    what: `a download with ${wrong}`,
    rules: (proxy, directory) => [{ on: 'certificate', fault: wrongCertificate(wrong, directory, ['a.lab.test'], proxy) }],
    kind: wrong === 'no certificate' ? 'unreachable' : 'bad-certificate',
    resumes: wrong === 'no certificate',
    wait: SOON,
    says: {
      'other names': /does not have a\.lab\.test/,
      'another key': /key does not belong|belong/,
      'broken chain': /did not sign/,
      expired: /ended at 2020/,
      'no certificate': /is no certificate: .*cut off/,
    }[wrong],
  })),
];
