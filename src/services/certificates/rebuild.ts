import type { Event, Ledger } from '../../ledger/ledger.ts';
import { listNames } from '../../publication/layout.ts';
import { survey } from './survey.ts';

/**
 * Fills a new ledger with what the publication tells: when each certificate was published. That much is needed
 * to judge the clock; back-off and older history are gone. Outlooks follow with the next pass.
 */
export async function rebuildLedger(ledger: Ledger, root: string): Promise<void> {
  const events: Event[] = [];
  for (const name of listNames(root)) {
    const manifest = await survey(root, name).then(
      ({ generation }) => generation?.manifest,
      () => undefined,
    );
    if (manifest === undefined) continue;
    events.push({
      at: Date.parse(manifest.publishedAt),
      certificate: name,
      kind: 'rebuilt',
      reason: 'ledger-lost',
      detail: `generation ${manifest.generation} of ${manifest.issuer} was found published`,
      generation: manifest.generation,
    });
  }
  events.sort((a, b) => a.at - b.at);
  ledger.together(() => {
    for (const event of events) ledger.record(event);
  });
}
