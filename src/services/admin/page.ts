import { html, raw } from 'hono/html';

import { inDays, minute } from '../../platform/dates.ts';
import type { CertificateStatus, EventStatus, ServiceStatus } from '../certificates/status.ts';
import { certificateCard } from './certificate-card.ts';
import type { Html } from './markup.ts';
import { rootCard } from './root-card.ts';
import { SCRIPT } from './script.ts';
import { STYLE } from './style.ts';

/** What the page says besides the certificates' state. */
export interface About {
  readonly version: string;
  readonly host: string;
  /** ms since the epoch. */
  readonly startedAt: number;
  /** The command that trusts the root on this host, as its user would type it. */
  readonly trustCommand: string;
}

/** The whole page. `nonce` is that of its Content-Security-Policy. */
export function page(status: ServiceStatus, about: About, nonce: string): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>${status.attention ? '⚠ ' : ''}PodServe on ${about.host}</title>
        <link rel="icon" type="image/svg+xml" href="/favicon.svg" />
        <noscript><meta http-equiv="refresh" content="60" /></noscript>
        <style nonce="${nonce}">
          ${raw(STYLE)}
        </style>
      </head>
      <body>
        <a class="skip" href="#state">Skip to the state</a>
        <header>
          <div class="wide">
            ${raw(MARK)}
            <b>PodServe</b>
            <span class="host">${about.host}</span>
            <p id="live" role="status">as of ${minute(Date.parse(status.at))}</p>
          </div>
        </header>
        <main class="wide" id="state">${body(status, about)}</main>
        <footer>
          <div class="wide">
            PodServe ${about.version}, running since ${minute(about.startedAt)}. This page shows and changes nothing.
            <a href="/status.json">The same as JSON</a>
          </div>
        </footer>
        <script nonce="${nonce}" type="module">
          ${raw(SCRIPT)};
        </script>
      </body>
    </html> `;
}

/** What changes: the content of `main`. */
export function body(status: ServiceStatus, about: About): Html {
  const now = Date.parse(status.at);
  const few = status.certificates.length <= 6;
  return html`${banner(status, now)}
    <section aria-labelledby="certificates">
      <h2 id="certificates">Certificates</h2>
      ${worstFirst(status.certificates).map((certificate) => certificateCard(certificate, now, few))}
      ${status.omitted === 0 ? '' : html`<p>${status.omitted} more are not shown here; <code>podserve status</code> has them all.</p>`}
    </section>
    ${status.roots.length === 0 ? '' : rootCard(status.roots, about.trustCommand, now)}
    <section aria-labelledby="events">
      <h2 id="events">What happened</h2>
      <div class="card">${status.events.length === 0 ? html`<p>Nothing yet.</p>` : eventTable(status.events)}</div>
    </section>`;
}

const ORDER = { emergency: 0, failing: 1, well: 2 } as const;

function worstFirst(certificates: readonly CertificateStatus[]): CertificateStatus[] {
  return certificates.toSorted((one, other) => ORDER[one.condition] - ORDER[other.condition]);
}

function banner({ certificates, alarms, omitted }: ServiceStatus, now: number): Html {
  const urgent = certificates.filter(({ condition }) => condition === 'emergency');
  const failing = certificates.filter(({ condition }) => condition === 'failing');
  const tone = alarms.length > 0 || urgent.length > 0 ? 'emergency' : failing.length > 0 ? 'failing' : 'well';
  const title =
    urgent.length > 0
      ? `${countOf(urgent.length)} needs attention now`.replace('s needs', 's need')
      : failing.length > 0
        ? `${countOf(failing.length)} in trouble, still good`
        : alarms.length > 0
          ? 'The service needs attention'
          : certificates.length === 1
            ? 'The certificate is good'
            : `All ${certificates.length + omitted} certificates are good`;
  return html`<div class="banner ${tone}">
    <h1>${title}</h1>
    ${alarms.map((alarm) => html`<p>${alarm}</p>`)}
    <p>${nextRenewal(certificates, now)}</p>
  </div>`;
}

function nextRenewal(certificates: readonly CertificateStatus[], now: number): string {
  const planned = certificates
    .flatMap(({ name, renewalAt, failure }) =>
      (failure?.nextTry ?? renewalAt) === null ? [] : [{ name, at: Date.parse(failure?.nextTry ?? renewalAt ?? '') }],
    )
    .sort((one, other) => one.at - other.at)[0];
  if (planned === undefined) return 'No renewal is planned.';
  const { name, at } = planned;
  return at <= now ? `The renewal of ${name} is due now.` : `The next renewal is that of ${name}, ${inDays(at - now)} (${minute(at)}).`;
}

function eventTable(events: readonly EventStatus[]): Html {
  return html`<table>
    <caption>
      Newest first
    </caption>
    <thead>
      <tr>
        <th scope="col">When</th>
        <th scope="col">Certificate</th>
        <th scope="col">What and why</th>
      </tr>
    </thead>
    <tbody>
      ${events.map(
        ({ at, certificate, kind, detail }) =>
          html`<tr>
            <td class="when"><time datetime="${at}">${minute(Date.parse(at))}</time></td>
            <td>${certificate ?? 'service'}</td>
            <td><strong>${kind}</strong>: ${detail}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function countOf(count: number): string {
  return count === 1 ? '1 certificate' : `${count} certificates`;
}

/** The mark: a shield of three pods. Also the icon of the page. */
export const MARK = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" aria-hidden="true"><path fill="#0b5cad" d="M16 1.5 28.5 6v10.5c0 7-5.2 11.7-12.5 14-7.3-2.3-12.5-7-12.5-14V6z"/><g fill="#fff"><rect x="9.2" y="9" width="13.6" height="3.6" rx="1.8"/><rect x="9.2" y="14.2" width="13.6" height="3.6" rx="1.8"/><rect x="9.2" y="19.4" width="8" height="3.6" rx="1.8"/></g></svg>`;
