import { resolve } from 'node:path';

import { KEY_TYPES, type KeyType } from '../certificate/spec.ts';
import { CHALLENGES, LOG_FORMATS, LOG_LEVELS, type ChallengeConfig, type LogConfig } from './config.ts';
import { nearest } from './nearest.ts';
import type { Problem } from './problem.ts';
import { notOneOf } from './shape.ts';
import { VARIABLES, relevantVariables, type Environment } from './variables.ts';

/** What the environment sets, stronger than the file; each from the variable in `VARIABLES`. */
export interface EnvironmentSettings {
  readonly domain?: string;
  readonly email?: string;
  readonly names?: readonly string[];
  readonly issuer?: string;
  readonly keyType?: KeyType;
  readonly renewBefore?: string;
  readonly consumers?: readonly WantedConsumer[];
  readonly keyGid?: number;
  /** Where the status ports are opened. */
  readonly statusHost?: string;
  readonly logLevel?: LogConfig['level'];
  readonly logFormat?: LogConfig['format'];
  readonly challenge?: ChallengeConfig['type'];
  readonly profile?: string;
  /** Absolute path, as that of the next. */
  readonly acmeCaFile?: string;
  readonly eabKid?: string;
  readonly eabHmacFile?: string;
}

/** `NAME=ENDPOINT`, or `NAME` of one that needs no telling. */
export interface WantedConsumer {
  readonly name: string;
  readonly endpoint: string | undefined;
}

export interface EnvironmentReading {
  readonly settings: EnvironmentSettings;
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/**
 * Reads the variables of DESIGN §8. What names, durations and issuers mean is interpreted with the file's.
 * @param cwd where relative paths of variables begin, as those of a command line do
 */
export function readEnvironment(env: Environment, cwd: string): EnvironmentReading {
  const values = new Map(relevantVariables(env));
  const problems: Problem[] = [];
  const text = (setting: keyof EnvironmentSettings): string | undefined => values.get(VARIABLES[setting]);
  const oneOf = <T extends string>(setting: keyof EnvironmentSettings, allowed: readonly T[], value = text(setting)): T | undefined => {
    const found = allowed.find((one) => one === value);
    if (value !== undefined && found === undefined) problems.push(notOneOf({ variable: VARIABLES[setting] }, allowed, value));
    return found;
  };
  const path = (setting: keyof EnvironmentSettings): string | undefined => {
    const value = text(setting);
    return value === undefined ? undefined : resolve(cwd, value);
  };
  const settings = {
    domain: text('domain'),
    email: text('email'),
    names: words(text('names')),
    issuer: text('issuer'),
    keyType: oneOf('keyType', KEY_TYPES),
    renewBefore: text('renewBefore'),
    consumers: words(text('consumers'))?.map(wantedConsumer),
    keyGid: wholeNumber(text('keyGid'), problems),
    statusHost: text('statusHost'),
    logLevel: oneOf('logLevel', LOG_LEVELS, text('logLevel')?.toLowerCase()),
    logFormat: oneOf('logFormat', LOG_FORMATS, text('logFormat')?.toLowerCase()),
    challenge: oneOf('challenge', CHALLENGES),
    profile: text('profile'),
    acmeCaFile: path('acmeCaFile'),
    eabKid: text('eabKid'),
    eabHmacFile: path('eabHmacFile'),
  };
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as EnvironmentSettings;
  return { settings: given, problems, warnings: [...values.keys()].map(warningFor).filter((line) => line !== undefined) };
}

function words(value: string | undefined): string[] | undefined {
  return value?.split(/[\s,]+/).filter((word) => word !== '');
}

function wantedConsumer(word: string): WantedConsumer {
  const at = word.indexOf('=');
  return at === -1 ? { name: word, endpoint: undefined } : { name: word.slice(0, at), endpoint: word.slice(at + 1) };
}

function wholeNumber(value: string | undefined, problems: Problem[]): number | undefined {
  if (value === undefined) return undefined;
  if (/^[0-9]{1,10}$/.test(value)) return Number(value);
  problems.push({ place: { variable: VARIABLES.keyGid }, why: `this must be the number of a group, it is ${JSON.stringify(value)}` });
  return undefined;
}

function warningFor(variable: string): string | undefined {
  const known: string[] = Object.values(VARIABLES);
  if (known.includes(variable)) return undefined;
  const meant = nearest(variable, known);
  return `${variable} is not known and not used${meant === undefined ? '' : `; did you mean ${meant}?`}`;
}
