import { relative } from 'node:path';
import type { EventData } from 'node:test';
import type { TestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';

/** What the test process tells the run about itself: one JSON line each. */
export type Told =
  | { kind: 'pass' | 'fail'; file: string; name: string; nesting: number; suite: boolean; ms: number; skipped: boolean; error: string }
  | { kind: 'said'; file: string; text: string; stream: 'diagnostic' | 'stdout' | 'stderr' }
  | { kind: 'end'; tests: number; passed: number; failed: number };

/** A reporter for node:test that writes {@link Told} lines. */
// oxlint-disable-next-line import/no-default-export -- node:test loads reporters this way
export default async function* reporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    const told = tell(event);
    if (told !== undefined) yield `${JSON.stringify(told)}\n`;
  }
}

function tell(event: TestEvent): Told | undefined {
  const { type, data } = event;
  if (type === 'test:pass') return tellResult('pass', data);
  if (type === 'test:fail') return tellResult('fail', data);
  if (type === 'test:stdout') return said(data.file, data.message, 'stdout');
  if (type === 'test:stderr') return said(data.file, data.message, 'stderr');
  // What comes without a file is the runner's own sum; of the files' sums only that one counts.
  if (type === 'test:diagnostic' && data.file !== undefined) return said(data.file, data.message, 'diagnostic');
  if (type === 'test:summary' && data.file === undefined) return tellEnd(data.counts);
  return undefined;
}

function said(file: string, text: string, stream: 'diagnostic' | 'stdout' | 'stderr'): Told {
  return { kind: 'said', file: short(file), text, stream };
}

function tellResult(kind: 'pass' | 'fail', data: EventData.TestPass | EventData.TestFail): Told {
  const { details } = data;
  return {
    kind,
    file: short(data.file ?? ''),
    name: data.name,
    nesting: data.nesting,
    suite: details.type === 'suite',
    ms: details.duration_ms,
    skipped: data.skip !== undefined || data.todo !== undefined,
    error: 'error' in details ? inspect(details.error.cause ?? details.error) : '',
  };
}

/** Nothing is skipped in silence: whatever did not pass has failed. */
function tellEnd(counts: EventData.TestSummary['counts']): Told {
  return { kind: 'end', tests: counts.tests, passed: counts.passed, failed: counts.tests - counts.passed };
}

function short(file: string): string {
  return relative(process.cwd(), file);
}
