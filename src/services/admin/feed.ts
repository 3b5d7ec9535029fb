import { SECOND, type Clock } from '../../platform/clock.ts';

/** Tells those who listen each new form of something that is rendered. */
export interface Feed {
  /** @returns how to stop listening */
  listen(listener: (text: string) => void): () => void;
  /** Something may have changed: look now. */
  poke(): void;
}

const LOOK_EVERY = 2 * SECOND;

/**
 * Renders every two seconds while anybody listens and tells what is new; nothing is done while nobody does. Looking
 * at the result catches everything that the page shows, the passing of time included, without each part of the
 * service having to know that there is a page.
 */
export function openFeed(render: () => Promise<string>, clock: Clock, signal: AbortSignal): Feed {
  const listeners = new Set<(text: string) => void>();
  let told = '';
  let wake = new AbortController();
  let running = false;

  async function run(): Promise<void> {
    if (running) return;
    running = true;
    try {
      while (listeners.size > 0 && !signal.aborted) {
        // What cannot be rendered now is asked for again; the page says since when it was told nothing.
        const text = await render().catch(() => told);
        if (text !== told) for (const listener of listeners) listener(text);
        told = text;
        await clock.sleep(LOOK_EVERY, AbortSignal.any([signal, wake.signal]));
        if (wake.signal.aborted) wake = new AbortController();
      }
    } finally {
      running = false;
      told = '';
    }
  }

  return {
    listen(listener) {
      listeners.add(listener);
      // The newcomer's page may be older than what the others were told.
      if (told !== '') listener(told);
      void run();
      return () => listeners.delete(listener);
    },
    poke: () => wake.abort(),
  };
}
