import { html } from 'hono/html';

import { inDays, minute } from '../../platform/dates.ts';
import type { RootStatus } from '../certificates/roots-status.ts';
import { fingerprint } from './certificate-card.ts';
import type { Html } from './markup.ts';

const BADGES = { signs: 'signs', announced: 'will sign', kept: 'kept for its leaves' } as const;

/** The roots of the built-in CA, where to get them and how to trust them. */
export function rootCard(roots: readonly RootStatus[], trustCommand: string, now: number): Html {
  return html`<section aria-labelledby="roots">
    <h2 id="roots">Root of the built-in CA</h2>
    <div class="card">
      ${roots.map((root) => oneRoot(root, now))}
      <details id="trust" open>
        <summary id="trust-summary">How to trust it</summary>
        <p>On the machine that PodServe runs on, in the system store and those of Chromium and Firefox:</p>
        <pre tabindex="0"><code>${trustCommand}</code></pre>
        <p>
          On other devices: download the file, compare the fingerprint over a way that you trust, and import it as a certificate authority.
          It can only sign for the configured names, localhost and private addresses.
        </p>
        <a class="button" id="download" href="/ca.pem" download="podserve-ca.pem">Download ca.pem</a>
      </details>
    </div>
  </section>`;
}

function oneRoot(root: RootStatus, now: number): Html {
  const expiry = Date.parse(root.notAfter);
  return html`<div class="head">
      <h3>${root.name}</h3>
      <span class="badge ${root.state === 'signs' ? 'well' : 'plain'}">${BADGES[root.state]}</span>
    </div>
    ${root.signsFrom === null ? '' : html`<p>Signs from ${minute(Date.parse(root.signsFrom))} on (${inDays(Date.parse(root.signsFrom) - now)}).</p>`}
    <dl class="facts">
      <div>
        <dt>Expires</dt>
        <dd><time datetime="${root.notAfter}">${inDays(expiry - now)}</time><small>${minute(expiry)}</small></dd>
      </div>
      <div class="whole">
        <dt>SHA-256 fingerprint</dt>
        <dd class="mono">${fingerprint(root.sha256)}</dd>
      </div>
    </dl>`;
}
