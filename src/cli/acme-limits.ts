import type { Config } from '../config/config.ts';
import { minute } from '../platform/dates.ts';
import { issuersStatus, type IssuerStatus, type LimitStatus } from '../services/certificates/issuers-status.ts';
import { flag, text, type Arguments, type Context } from './command.ts';
import { pathsOf } from './settings.ts';

/** `podserve acme limits`: what of the CAs' limits is used, what is left, and when the next slot is. Asks nobody. */
export async function showLimits(args: Arguments, context: Context, config: Config): Promise<number> {
  const { peekLedger } = await import('../ledger/open.ts');
  using ledger = peekLedger(pathsOf(args, context).ledger);
  const name = text(args, 'issuer');
  const issuers = issuersStatus(config, ledger, context.clock.now()).filter((issuer) => name === undefined || issuer.name === name);
  if (flag(args, 'json')) context.out(JSON.stringify({ issuers }, null, 2));
  else for (const line of issuers.flatMap((issuer) => linesOf(issuer, config))) context.out(line);
  return 0;
}

function linesOf({ name, held, limits }: IssuerStatus, config: Config): string[] {
  const link = typeof held?.link === 'string' ? `; a person can end this at ${held.link}` : '';
  const lines = held === null ? [] : [`  takes no orders until ${minute(Date.parse(held.until))}: ${held.why}${link}`];
  const configured = config.issuers[name]?.limits ?? [];
  if (configured.length === 0) return [`${name}: no limits are known`, ...lines];
  const unused = configured.filter(({ kind }) => !limits.some((one) => one.kind === kind));
  return [
    `${name}:`,
    ...lines,
    ...limits.map(limitLine),
    ...unused.map(({ kind, count, window }) => `  ${WORDS[kind]}: none of ${count} used in ${hours(window / 3_600_000)}`),
  ];
}

function limitLine({ kind, subject, used, count, windowHours, left, nextSlot }: LimitStatus): string {
  const whose = subject === '' ? '' : ` for ${subject}`;
  const next = left > 0 ? `${left} left` : `the next is free at ${minute(Date.parse(nextSlot))}`;
  return `  ${WORDS[kind]}${whose}: ${used} of ${count} used in ${hours(windowHours)}, ${next}`;
}

const WORDS: Readonly<Record<LimitStatus['kind'], string>> = {
  account: 'accounts',
  order: 'orders',
  certificate: 'certificates',
  duplicate: 'certificates for exactly the same names',
  failure: 'failed authorizations',
};

function hours(count: number): string {
  return count >= 48 && count % 24 === 0 ? `${count / 24} days` : `${count} h`;
}
