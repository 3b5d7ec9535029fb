import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { FailureKind } from '../../src/certificate/fallback.ts';
import type { FaultProxy, Rule } from '../support/acme-fault-proxy.ts';
import { changeText, problem, raw, staysProcessing, turnsInvalid, wrongCertificate } from '../support/acme-faults.ts';
import { ground, linkOf, machine, ordersMade, words } from '../support/acme-ground.ts';
import type { Finished } from '../support/command.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';

const MINUTES = 60_000;
const HOURS = 60 * MINUTES;
/** Between the first failure and the next try: a minute, or what only a person can mend a hundred; up to a fifth more. */
const SOON = [1 * MINUTES, 1.2 * MINUTES] as const;
const FOR_A_PERSON = [100 * MINUTES, 120 * MINUTES] as const;
/** An answer travels, and a date has whole seconds. */
const SLACK = 10_000;

interface Case {
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

const CASES: readonly Case[] = [
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

test('each fault of a server is told for what it is, waits as long as it should, and leaves what is published as it was', async (t) => {
  const place = await ground(t);
  const { proxy } = place;
  for (const one of CASES) {
    await t.test(one.what, async (sub) => {
      const lab = await machine(sub, place);
      const before = linkOf(lab);
      for (const rule of one.rules(proxy, scratchDirectory(sub))) proxy.fault(rule);
      const result = await lab.certificates('renew', ['--force']);
      assert.equal(result.code, 1, words(result, proxy));
      assertOneLine(result, one.says);
      const failure = lab.ledger((ledger) => ledger.failure('default'));
      assert.ok(failure !== undefined, 'the ledger has the failure');
      assert.equal(failure.kind, one.kind, failure.message);
      const wait = failure.retryAt - failure.at;
      const [atLeast, atMost] = one.wait;
      assert.ok(
        wait >= atLeast - SLACK && wait <= atMost + SLACK,
        `tried again after ${wait / 1000} s, not ${atLeast / 1000} to ${atMost / 1000}`,
      );
      const hold = lab.ledger((ledger) => ledger.hold('pebble'));
      if (one.holds === true) assert.ok(hold !== undefined && Math.abs(hold.until - failure.retryAt) < SLACK, `hold: ${hold?.until}`);

      assert.ok(ordersMade(proxy) <= (one.asksTwice === true ? 2 : 1), words(result, proxy));
      assert.ok(proxy.seen.length <= 45, `${proxy.seen.length} requests`);
      assert.equal(linkOf(lab), before, 'what is published is unchanged');
      assert.equal((await lab.certificates('check')).code, 0);

      const asked = proxy.seen.length;
      const early = await lab.certificates('renew');
      assert.equal(early.code, 0, words(early, proxy));
      assert.equal(proxy.seen.length, asked, 'nothing is asked before its time');

      proxy.clear();
      if (one.holds === true) return;
      const well = await lab.certificates('renew', ['--force']);
      assert.equal(well.code, 0, words(well, proxy));
      assert.notEqual(linkOf(lab), before);
      assert.equal(ordersMade(proxy), one.resumes === true ? 0 : 1, words(well, proxy));
      assert.equal(
        lab.ledger((ledger) => ledger.failure('default')),
        undefined,
      );
      assert.deepEqual(lab.ordersUnderWay(), []);
    });
  }
});

/** One line about the certificate: what, where, why; no stack, no key. */
function assertOneLine({ stdout, stderr }: Finished, says: RegExp): void {
  const lines = stderr.split('\n').filter((line) => line.includes('FAILED'));
  assert.equal(lines.length, 1, stdout + stderr);
  assert.match(lines[0] ?? '', says);
  assert.match(lines[0] ?? '', /^default: FAILED: pebble gave no certificate for default/);
  assert.doesNotMatch(stdout + stderr, /\n\s+at |PRIVATE KEY|\[object/);
}

test('a server that nobody can reach, and one whose certificate nobody vouches for, are told apart', async (t) => {
  const place = await ground(t);
  const { pebble, proxy } = place;
  const nobody = `https://127.0.0.1:${await freePort()}/dir`;
  for (const [what, server, says] of [
    ['refused', { directory: nobody, caFile: proxy.caFile }, /can be reached/],
    ['not trusted', { directory: proxy.directory, caFile: pebble.caFile }, /issuers\.pebble\.caFile/],
    ['without an address', { directory: 'https://no-such-host.invalid/dir', caFile: proxy.caFile }, /no-such-host\.invalid resolves/],
  ] as const) {
    await t.test(what, async (sub) => {
      const lab = await machine(sub, place, server);
      const before = linkOf(lab);
      const result = await lab.certificates('renew', ['--force']);
      assert.equal(result.code, 1, result.stdout);
      assertOneLine(result, says);
      assert.equal(lab.ledger((ledger) => ledger.failure('default'))?.kind, 'unreachable');
      assert.equal(linkOf(lab), before);
    });
  }
});

test('a server that does not agree that a certificate is replaced is asked once more without that, and only once', async (t) => {
  const place = await ground(t);
  const { proxy } = place;
  for (const [what, refusal, times, code] of [
    ['409 alreadyReplaced', problem(409, 'alreadyReplaced', 'cannot indicate a second replacement'), 1, 0],
    ['400 malformed', problem(400, 'malformed', 'replaces: no such certificate'), 1, 0],
    ['403 for a certificate of another account', problem(403, 'unauthorized', 'requester account did not request the certificate'), 1, 0],
    ['500 of a server that cannot look it up', problem(500, 'serverInternal', 'could not find an order for the given certificate'), 1, 0],
    ['409 for ever', problem(409, 'alreadyReplaced', 'cannot indicate a second replacement'), Infinity, 1],
  ] as const) {
    await t.test(what, async (sub) => {
      const lab = await machine(sub, place);
      proxy.fault({ on: 'newOrder', times, fault: refusal });
      const result = await lab.certificates('renew', ['--force']);
      assert.equal(result.code, code, words(result, proxy));
      const orders = proxy.seen.filter(({ kind, problem: type }) => kind === 'newOrder' && type !== 'badNonce');
      assert.deepEqual(
        orders.map(({ payload }) => payload !== undefined && 'replaces' in payload),
        [true, false],
        words(result, proxy),
      );
    });
  }
});
