import { randomBytes, type KeyObject } from 'node:crypto';

import type { AcmeClient } from '../../src/acme/client.ts';
import { jwkThumbprint } from '../../src/acme/jwk.ts';
import { AcmeProblem } from '../../src/acme/problem.ts';
import type {
  Account,
  AcmeIdentifier,
  Authorization,
  Challenge,
  Directory,
  Order,
  Polled,
  ProblemDocument,
  Signatory,
} from '../../src/acme/resources.ts';
import { DAY } from '../../src/platform/clock.ts';
import { certificatePem, signCertificate } from '../../src/x509/certificate.ts';
import { inside } from '../../src/x509/der-reader.ts';
import { END_ENTITY, authorityKeyIdentifier, keyUsage, subjectAlternativeName } from '../../src/x509/extensions.ts';
import { keyIdentifier, newKeyPair, signerFor, type KeyPair } from '../../src/x509/key.ts';
import { distinguishedName } from '../../src/x509/name.ts';

const SERVER = 'https://acme.test';

interface Held {
  order: Order;
  readonly account: string;
  readonly replaces: string | undefined;
  csr: Uint8Array | undefined;
  /** Looks at it that still find it processing. */
  processing: number;
}

/** An ACME server in memory behind the client's interface, for tests that need it to misbehave in a certain way. */
export interface FakeAcmeServer {
  readonly client: AcmeClient;
  /** Each call by the method's name, with its subject where it has one. */
  readonly calls: string[];
  readonly accounts: Map<string, { account: Account; key: KeyObject }>;
  readonly orders: Map<string, Held>;
  /** PEM of each leaf that was issued. */
  readonly issued: string[];
  readonly revoked: { readonly by: string; readonly reason: string }[];
  directory: Omit<Directory, 'meta'> & { meta: Directory['meta'] };
  challengeTypes: string[];
  /** Looks that find an answered authorization still pending. */
  validationLooks: number;
  processingLooks: number;
  retryAfter: number | undefined;
  /** What validating this identifier ends with. */
  validate: (identifier: AcmeIdentifier) => ProblemDocument | undefined;
  /** Called before (`done` false: the server has not heard) and after each call; may throw. */
  hook: (call: string, done: boolean) => void | Promise<void>;
  /** Names instead of the order's in what is issued. */
  issueFor: readonly AcmeIdentifier[] | undefined;
  /** First and last moment of what is issued, ms from its issuance on. */
  validity: { readonly from: number; readonly to: number };
  /** Replaces each chain that is downloaded. */
  chain: ((pem: string) => string) | undefined;
  /** Forgets accounts and orders, as a restarted Pebble does. */
  forgetAll(): void;
  invalidate(url: string): void;
}

export async function fakeAcmeServer(now: () => number): Promise<FakeAcmeServer> {
  const root = await newKeyPair('ecdsa-p256');
  const authorizations = new Map<string, { authorization: Authorization; looks: number; answered: boolean }>();
  let numbers = 0;

  const server: FakeAcmeServer = {
    client: undefined as never,
    calls: [],
    accounts: new Map(),
    orders: new Map(),
    issued: [],
    revoked: [],
    directory: {
      newNonce: `${SERVER}/nonce`,
      newAccount: `${SERVER}/account`,
      newOrder: `${SERVER}/order`,
      revokeCert: `${SERVER}/revoke`,
      keyChange: `${SERVER}/key`,
      renewalInfo: `${SERVER}/ari`,
      meta: { termsOfService: undefined, externalAccountRequired: false, caaIdentities: [], profiles: { classic: '', shortlived: '' } },
    },
    challengeTypes: ['http-01', 'dns-01', 'tls-alpn-01', 'dns-persist-01'],
    validationLooks: 0,
    processingLooks: 1,
    retryAfter: undefined,
    validate: () => undefined,
    hook: () => undefined,
    issueFor: undefined,
    validity: { from: -3_600_000, to: 90 * DAY },
    chain: undefined,
    forgetAll() {
      server.accounts.clear();
      server.orders.clear();
    },
    invalidate(url) {
      const entry = server.orders.get(url);
      if (entry !== undefined) entry.order = { ...entry.order, status: 'invalid' };
    },
  };

  async function call<T>(name: string, work: () => T): Promise<T> {
    server.calls.push(name);
    await server.hook(name, false);
    const result = work();
    await server.hook(name, true);
    return result;
  }

  const polled = <T>(value: T): Polled<T> => ({ value, retryAfter: server.retryAfter });
  const next = (kind: string): string => `${SERVER}/${kind}/${(numbers += 1)}`;

  function known(by: Signatory): string {
    const entry = [...server.accounts.values()].find(({ account }) => account.url === by.url);
    if (entry === undefined) throw refusal('accountDoesNotExist', 400);
    if (jwkThumbprint(entry.key) !== jwkThumbprint(by.key)) throw refusal('malformed', 400, 'the signature does not fit');
    if (entry.account.status !== 'valid') throw refusal('unauthorized', 403, `the account is ${entry.account.status}`);
    return by.url;
  }

  function held(by: Signatory, url: string): Held {
    const found = server.orders.get(url);
    if (found === undefined || found.account !== known(by)) throw refusal('malformed', 404, 'no such order');
    return found;
  }

  function authorizationOf(url: string): { authorization: Authorization; looks: number; answered: boolean } {
    const found = authorizations.get(url);
    if (found === undefined) throw refusal('malformed', 404, 'no such authorization');
    if (!found.answered || found.authorization.status !== 'pending') return found;
    if (found.looks > 0) {
      found.looks -= 1;
      return found;
    }
    const error = server.validate(found.authorization.identifier);
    const status = error === undefined ? 'valid' : 'invalid';
    const challenges = found.authorization.challenges.map((one): Challenge =>
      one.status === 'processing' ? { ...one, status, error } : one,
    );
    found.authorization = { ...found.authorization, status, challenges };
    return found;
  }

  function refreshed(entry: Held): Order {
    const { order } = entry;
    if (order.status === 'pending') {
      const states = order.authorizations.map((url) => authorizationOf(url).authorization.status);
      if (states.some((state) => state === 'invalid')) entry.order = { ...order, status: 'invalid' };
      else if (states.every((state) => state === 'valid')) entry.order = { ...order, status: 'ready' };
    } else if (order.status === 'processing') {
      if (entry.processing > 0) entry.processing -= 1;
      else sign(entry);
    }
    return entry.order;
  }

  function sign(entry: Held): void {
    const leaf = leafFor(server, entry, root, now());
    server.issued.push(leaf);
    entry.order = { ...entry.order, status: 'valid', certificate: `${entry.order.url}/certificate/${server.issued.length - 1}` };
  }

  const newAuthorization = (identifier: AcmeIdentifier): string => {
    const url = next('authorization');
    const wildcard = identifier.value.startsWith('*.');
    const challenges = server.challengeTypes
      .filter((type) => !wildcard || type.startsWith('dns'))
      .map((type) => ({
        url: next('challenge'),
        type,
        status: 'pending' as const,
        token: type === 'dns-persist-01' ? undefined : randomBytes(16).toString('base64url'),
        error: undefined,
      }));
    const proven = { type: identifier.type, value: identifier.value.replace(/^\*\./, '') };
    const authorization: Authorization = { url, identifier: proven, status: 'pending', expires: undefined, wildcard, challenges };
    authorizations.set(url, { authorization, looks: server.validationLooks, answered: false });
    return url;
  };

  const client: AcmeClient = {
    directory: async () => server.directory,
    newAccount: (key, request) =>
      call('newAccount', () => {
        const id = jwkThumbprint(key);
        const present = server.accounts.get(id);
        // Some CAs take a binding only once.
        if (present !== undefined && request.externalAccount !== undefined) throw refusal('unauthorized', 403, 'the binding has been used');
        if (present !== undefined) return { ...present.account, created: false };
        if (request.onlyReturnExisting === true) throw refusal('accountDoesNotExist', 400);
        if (server.directory.meta.externalAccountRequired && request.externalAccount === undefined) {
          throw refusal('externalAccountRequired', 403);
        }
        const account: Account = { url: next('account'), status: 'valid', contact: request.contact, created: true };
        server.accounts.set(id, { account, key });
        return account;
      }),
    account: (by) => call('account', () => accountOf(server, known(by))),
    updateContact: (by, contact) => call('updateContact', () => change(server, known(by), (account) => ({ ...account, contact }))),
    changeKey: (by, newKey) =>
      call('changeKey', () => {
        const account = accountOf(server, known(by));
        if (server.accounts.has(jwkThumbprint(newKey))) throw refusal('malformed', 409, 'the key is in use');
        server.accounts.delete(jwkThumbprint(by.key));
        server.accounts.set(jwkThumbprint(newKey), { account, key: newKey });
      }),
    deactivateAccount: (by) =>
      call('deactivateAccount', () => change(server, known(by), (account) => ({ ...account, status: 'deactivated' }))),
    newOrder: (by, { identifiers, profile, replaces }) =>
      call(`newOrder${replaces === undefined ? '' : ' replaces'}`, () => {
        const account = known(by);
        const url = next('order');
        const order: Order = {
          url,
          status: 'pending',
          expires: undefined,
          identifiers,
          authorizations: identifiers.map(newAuthorization),
          finalize: `${url}/finalize`,
          certificate: undefined,
          profile,
          error: undefined,
        };
        server.orders.set(url, { order, account, replaces, csr: undefined, processing: 0 });
        return polled(order);
      }),
    order: (by, url) => call('order', () => polled(refreshed(held(by, url)))),
    authorization: (by, url) =>
      call('authorization', () => {
        known(by);
        return polled(authorizationOf(url).authorization);
      }),
    deactivateAuthorization: () => Promise.reject(new Error('not part of the fake')),
    answerChallenge: (by, url) =>
      call('answerChallenge', () => {
        known(by);
        for (const entry of authorizations.values()) {
          const challenge = entry.authorization.challenges.find((one) => one.url === url);
          if (challenge === undefined) continue;
          const processing = { ...challenge, status: 'processing' as const };
          entry.answered = true;
          entry.authorization = {
            ...entry.authorization,
            challenges: entry.authorization.challenges.map((one) => (one === challenge ? processing : one)),
          };
          return polled(processing);
        }
        throw refusal('malformed', 404);
      }),
    finalize: (by, { url }, csr) =>
      call('finalize', () => {
        const entry = held(by, url);
        if (refreshed(entry).status !== 'ready') throw refusal('orderNotReady', 403);
        entry.csr = csr;
        entry.processing = server.processingLooks;
        entry.order = { ...entry.order, status: 'processing' };
        if (server.processingLooks === 0) sign(entry);
        return polled(entry.order);
      }),
    download: (by, url) =>
      call('download', () => {
        held(by, url.slice(0, url.indexOf('/certificate/')));
        const leaf = server.issued[Number(/\d+$/.exec(url)?.[0])] ?? '';
        return { pem: server.chain?.(leaf) ?? leaf, alternates: [] };
      }),
    revoke: (by, _certificate, reason) =>
      call('revoke', () => {
        if ('url' in by) known(by);
        server.revoked.push({ by: 'url' in by ? by.url : 'key', reason });
      }),
    renewalInfo: () => call('renewalInfo', () => polled({ start: 1, end: 2, explanationUrl: undefined })),
    [Symbol.asyncDispose]: async () => undefined,
  };
  return Object.assign(server, { client });
}

/** A problem as a server answers it. */
export function refusal(
  type: string,
  status: number,
  detail?: string,
  more: Partial<AcmeProblem> & Partial<ProblemDocument> = {},
): AcmeProblem {
  const { subproblems = [], identifier, retryAfter, links = {} } = more;
  const document = { type: `urn:ietf:params:acme:error:${type}`, title: undefined, detail, status, identifier, subproblems };
  return new AcmeProblem({ type, status, document, retryAfter, request: 'POST https://acme.test/', links, message: `${status} ${type}` });
}

function accountOf(server: FakeAcmeServer, url: string): Account {
  return change(server, url, (account) => account);
}

function change(server: FakeAcmeServer, url: string, how: (account: Account) => Account): Account {
  for (const entry of server.accounts.values()) {
    if (entry.account.url !== url) continue;
    entry.account = { ...how(entry.account), created: false };
    return entry.account;
  }
  throw refusal('accountDoesNotExist', 400);
}

function leafFor(server: FakeAcmeServer, { order, csr }: Held, root: KeyPair, now: number): string {
  const [information] = inside(csr ?? new Uint8Array());
  const publicKeyInfo = inside(information?.encoding ?? new Uint8Array())[2]?.encoding ?? new Uint8Array();
  const issuer = distinguishedName({ commonName: 'Fake Root' });
  const names = (server.issueFor ?? order.identifiers) as { type: 'dns' | 'ip'; value: string }[];
  const extensions = [
    END_ENTITY,
    keyUsage('digitalSignature'),
    authorityKeyIdentifier(keyIdentifier(root.publicKeyInfo)),
    subjectAlternativeName(names, true),
  ];
  const validity = { notBefore: wholeSecond(now + server.validity.from), notAfter: wholeSecond(now + server.validity.to) };
  const fields = { issuer, subject: distinguishedName({}), ...validity, publicKeyInfo, extensions };
  return certificatePem(signCertificate(fields, signerFor(root.privateKey)));
}

function wholeSecond(time: number): number {
  return Math.floor(time / 1000) * 1000;
}
