import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import type { AcmeClient, AcmeClientOptions } from '../../src/acme/client.ts';
import { openAcmeClient } from '../../src/acme/open.ts';
import { AcmeProblem, AcmeTransportError, type TransportFault } from '../../src/acme/problem.ts';
import type { Signatory } from '../../src/acme/resources.ts';
import { ecKey } from './acme-ordering.ts';
import type { AcmeServer } from './acme-server.ts';

/** A signal that nobody aborts. */
export const never = new AbortController().signal;

/** A client that is closed with the test. */
export function clientOf(
  t: Pick<TestContext, 'after'>,
  { directory, caPem }: Pick<AcmeServer, 'directory' | 'caPem'>,
  options: Partial<AcmeClientOptions> = {},
): AcmeClient {
  const opened = openAcmeClient({ directory, ca: caPem, userAgent: 'podserve-test/1', ...options });
  t.after(() => opened[Symbol.asyncDispose]());
  return opened;
}

/** Somebody with the account `/account/1` of a scripted server. */
export function signatory(server: AcmeServer): Signatory {
  return { key: ecKey(), url: server.url('/account/1') };
}

export async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    (value) => assert.fail(`it succeeded with ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
}

/** Holds that the work fails so, in one line that matches. */
export async function assertFault(work: Promise<unknown>, fault: TransportFault, message: RegExp): Promise<AcmeTransportError> {
  const error = await failureOf(work);
  assert.ok(error instanceof AcmeTransportError, String(error));
  assert.equal(error.fault, fault, error.message);
  assert.match(error.message, message);
  assert.ok(!error.message.includes('\n'));
  return error;
}

export async function problemOf(work: Promise<unknown>): Promise<AcmeProblem> {
  const error = await failureOf(work);
  assert.ok(error instanceof AcmeProblem, String(error));
  assert.ok(!error.message.includes('\n'));
  return error;
}
