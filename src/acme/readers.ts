import { linksOf, problemOf, requireType, resource, CHAIN_TYPE } from './answers.ts';
import { failed, type Answer } from './exchange.ts';
import { identifierOf, isHttps, isObject, texts, timeOf } from './fields.ts';
import { webUrl } from './links.ts';
import { isPlain, plainText } from './plain-text.ts';
import type { Account, AcmeIdentifier, Authorization, Challenge, Directory, Download, Order, RenewalInfo } from './resources.ts';

const ACCOUNT_STATUSES = ['valid', 'deactivated', 'revoked'] as const;
const ORDER_STATUSES = ['pending', 'ready', 'processing', 'valid', 'invalid'] as const;
const AUTHORIZATION_STATUSES = ['pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked'] as const;
const CHALLENGE_STATUSES: readonly string[] = ['pending', 'processing', 'valid', 'invalid'] satisfies readonly Challenge['status'][];

/** RFC 8555 §8.1: base64url. A token names a file and a path, so nothing else may pass for one. */
const TOKEN = /^[A-Za-z0-9_-]{1,255}$/;

const CHALLENGE_TYPE = /^[\x21-\x7e]{1,64}$/;
/** Servers offer a handful; an order may have a thousand authorizations, and all are held at once. */
const MOST_CHALLENGES = 32;

/** RFC 8555 §7.1.1, RFC 9773 §4.1 and the profiles extension. */
export function readDirectory(answer: Answer): Directory {
  const fields = resource(answer, 'directory');
  const meta = isObject(fields.json['meta']) ? fields.json['meta'] : {};
  const terms = meta['termsOfService'];
  // A name that cannot be shown could not be configured either.
  const profiles = isObject(meta['profiles']) ? Object.entries(meta['profiles']).filter(([name]) => isPlain(name)) : [];
  return {
    newNonce: fields.url('newNonce'),
    newAccount: fields.url('newAccount'),
    newOrder: fields.url('newOrder'),
    revokeCert: fields.url('revokeCert'),
    keyChange: fields.url('keyChange'),
    renewalInfo: fields.optionalUrl('renewalInfo'),
    meta: {
      termsOfService: typeof terms === 'string' ? terms : undefined,
      externalAccountRequired: meta['externalAccountRequired'] === true,
      caaIdentities: texts(meta['caaIdentities']).filter(isPlain),
      profiles: Object.fromEntries(profiles.map(([name, description]) => [name, typeof description === 'string' ? description : ''])),
    },
  };
}

/** RFC 8555 §7.1.2. Servers may keep contacts to themselves. */
export function readAccount(answer: Answer, url: string): Account {
  const fields = resource(answer, 'account');
  const status = fields.oneOf('status', ACCOUNT_STATUSES);
  return { url, status, contact: texts(fields.json['contact']).map(plainText), created: answer.status === 201 };
}

/** RFC 8555 §7.1.3 */
export function readOrder(answer: Answer, url: string): Order {
  const fields = resource(answer, 'order');
  const authorizations = fields.array('authorizations').map((one) => {
    if (typeof one !== 'string' || !isHttps(one)) throw fields.wrong('one of its "authorizations" is no https URL');
    return one;
  });
  const identifiers = fields.array('identifiers').map((one): AcmeIdentifier => {
    const identifier = identifierOf(one);
    if (identifier === undefined) throw fields.wrong('one of its "identifiers" is neither dns nor ip');
    return identifier;
  });
  return {
    url,
    status: fields.oneOf('status', ORDER_STATUSES),
    expires: fields.optionalTime('expires'),
    identifiers,
    authorizations,
    finalize: fields.url('finalize'),
    certificate: fields.optionalUrl('certificate'),
    profile: fields.text('profile'),
    error: problemOf(fields.json['error']),
  };
}

/** RFC 8555 §7.1.4. Challenges that cannot be read are left out: another one may do. */
export function readAuthorization(answer: Answer, url: string): Authorization {
  const fields = resource(answer, 'authorization');
  const identifier = identifierOf(fields.json['identifier']);
  if (identifier === undefined) throw fields.wrong('its "identifier" is neither dns nor ip');
  return {
    url,
    identifier,
    status: fields.oneOf('status', AUTHORIZATION_STATUSES),
    expires: fields.optionalTime('expires'),
    wildcard: fields.json['wildcard'] === true,
    challenges: fields
      .array('challenges')
      .slice(0, MOST_CHALLENGES)
      .flatMap((one) => challengeOf(one) ?? []),
  };
}

/** RFC 8555 §8 */
export function readChallenge(answer: Answer): Challenge {
  const fields = resource(answer, 'challenge');
  const challenge = challengeOf(fields.json);
  if (challenge === undefined) throw fields.wrong('it has not the "type", "url" and "status" of one');
  return challenge;
}

function challengeOf(value: unknown): Challenge | undefined {
  if (!isObject(value)) return undefined;
  const { type, url, status, token, error } = value;
  if (typeof type !== 'string' || !CHALLENGE_TYPE.test(type) || typeof url !== 'string' || !isHttps(url)) return undefined;
  if (typeof status !== 'string' || !CHALLENGE_STATUSES.includes(status)) return undefined;
  return {
    url,
    type,
    status: status as Challenge['status'],
    token: typeof token === 'string' && TOKEN.test(token) ? token : undefined,
    error: problemOf(error),
  };
}

/** RFC 9773 §4.2 */
export function readRenewalInfo(answer: Answer): RenewalInfo {
  const fields = resource(answer, 'renewalInfo');
  const suggested = fields.json['suggestedWindow'];
  const start = isObject(suggested) ? timeOf(suggested['start']) : undefined;
  const end = isObject(suggested) ? timeOf(suggested['end']) : undefined;
  if (start === undefined || end === undefined) throw fields.wrong('it has no "suggestedWindow" of two dates');
  if (end <= start) throw fields.wrong('its "suggestedWindow" ends before it starts');
  return { start, end, explanationUrl: webUrl(fields.text('explanationURL') ?? '') };
}

const BLOCK = /-----BEGIN ([^-\r\n]*)-----/g;

/**
 * RFC 8555 §7.4.2. What is downloaded ends up in files that servers read keys and parameters from, so only blocks of
 * certificates may be in it (RFC 8555 §9.1).
 */
export function readDownload(answer: Answer): Download {
  requireType(answer, CHAIN_TYPE);
  const pem = answer.body?.toString('latin1') ?? '';
  const labels = [...pem.matchAll(BLOCK)].map(([, label]) => label);
  if (labels.length === 0 || labels.some((label) => label !== 'CERTIFICATE')) {
    throw failed(answer.exchange, 'malformed', 'the answer is no chain of certificates in PEM and nothing else');
  }
  return { pem, alternates: (linksOf(answer)['alternate'] ?? []).filter(isHttps) };
}
