import { html } from 'hono/html';

import { inDays, minute } from '../../platform/dates.ts';
import type { CertificateStatus, DeliveryStatus } from '../certificates/status.ts';
import type { Html } from './markup.ts';

/** One certificate. `open`: with its details shown. */
export function certificateCard(certificate: CertificateStatus, now: number, open: boolean): Html {
  const { name, condition, published, wanted, why } = certificate;
  const id = `certificate-${name}`;
  return html`<article class="card" aria-labelledby="${id}">
    <div class="head">
      <h3 id="${id}">${name}</h3>
      <span class="badge ${condition}">${badge(certificate)}</span>
      ${published?.placeholder === true ? html`<span class="badge plain">placeholder</span>` : ''}
    </div>
    <p class="names">${(published?.names ?? wanted).join(', ')}</p>
    ${why === '' ? '' : trouble(certificate, now)} ${published === null ? '' : lifetime(certificate, now)} ${facts(certificate, now)}
    ${published === null ? '' : details(certificate, published, open || condition !== 'well')}
  </article>`;
}

function badge({ condition, failure }: CertificateStatus): string {
  if (condition === 'failing') return failure === null ? 'not served everywhere' : 'renewal fails';
  return condition === 'well' ? 'good' : 'needs attention';
}

function trouble({ condition, state, why, failure }: CertificateStatus, now: number): Html {
  const what = condition !== 'failing' ? state.replaceAll('-', ' ') : failure === null ? 'not served' : 'the last try failed';
  const tries =
    failure === null
      ? ''
      : `${failure.count} ${failure.count === 1 ? 'try' : 'tries'} failed, the last ${when(failure.at, now)}; next try ${when(failure.nextTry, now)}.`;
  const last = failure === null || failure.message === why ? '' : failure.message;
  return html`<div class="trouble ${condition}">
    <p><strong>${what}:</strong> ${why}</p>
    ${last === '' ? '' : html`<p>${last}</p>`} ${tries === '' ? '' : html`<p>${tries}</p>`}
    ${failure === null || failure.link === null ? '' : html`<p>A person can end this at ${failure.link}</p>`}
  </div>`;
}

/** A bar from the begin to the end of the certificate's life: what is over, and a mark where it is to be renewed. */
function lifetime({ condition, published, renewalAt }: CertificateStatus, now: number): Html {
  const from = Date.parse(published?.notBefore ?? '');
  const to = Date.parse(published?.notAfter ?? '');
  const place = (time: number): string => (Math.min(1, Math.max(0, (time - from) / (to - from))) * 1000).toFixed(1);
  const plan = renewalAt === null ? '' : html`<rect class="plan" x="${place(Date.parse(renewalAt))}" y="0" width="3" height="10" />`;
  return html`<svg class="life" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="${lifeText(from, to, now)}">
    <rect class="all" width="1000" height="10" />
    <rect class="${condition}" width="${place(now)}" height="10" />
    ${plan}
  </svg>`;
}

function lifeText(from: number, to: number, now: number): string {
  const share = Math.round(Math.min(1, Math.max(0, (now - from) / (to - from))) * 100);
  return `${share} % of its lifetime is over`;
}

function facts({ published, renewalAt }: CertificateStatus, now: number): Html {
  if (published === null) return html``;
  const { issuer, origin, generation, notAfter, publishedAt } = published;
  return html`<dl class="facts">
    ${fact('Expires', dated(notAfter, now))} ${renewalAt === null ? '' : fact('Renewal planned', dated(renewalAt, now))}
    ${fact('Issuer', html`${issuer}${origin === 'issued' ? '' : html`<small>${origin}</small>`}`)}
    ${fact('Generation', html`${generation}<small>published ${when(publishedAt, now)}</small>`)}
  </dl>`;
}

function details({ name, deliveries }: CertificateStatus, published: NonNullable<CertificateStatus['published']>, open: boolean): Html {
  const opened = open ? html`open` : '';
  return html`<details id="details-${name}" ${opened}>
    <summary id="summary-${name}">Where it is served, key and fingerprint</summary>
    <dl class="facts">
      <div class="whole">
        <dt>Endpoints</dt>
        <dd>
          ${deliveries.length === 0 ? 'No endpoint of a configured consumer was asked yet.' : deliveryList(deliveries, published.generation)}
        </dd>
      </div>
      ${fact('Key', published.keyType)} ${fact('Valid from', minute(Date.parse(published.notBefore)))}
      <div class="whole">
        <dt>SHA-256 fingerprint</dt>
        <dd class="mono">${fingerprint(published.leafSha256)}</dd>
      </div>
    </dl>
  </details>`;
}

function deliveryList(deliveries: readonly DeliveryStatus[], generation: number): Html {
  return html`<ul class="plain">
    ${deliveries.map((one) => {
      const name = one.servername === '' ? '' : ` for ${one.servername}`;
      const other = one.generation === generation ? '' : ` (generation ${one.generation})`;
      return html`<li class="${one.state}">
        ${one.endpoint}${name}: ${one.state}${other}${one.state === 'served' ? '' : `: ${one.detail}`}
      </li>`;
    })}
  </ul>`;
}

function fact(term: string, value: Html | string): Html {
  return html`<div>
    <dt>${term}</dt>
    <dd>${value}</dd>
  </div>`;
}

function dated(time: string, now: number): Html {
  return html`<time datetime="${time}">${when(time, now)}</time><small>${minute(Date.parse(time))}</small>`;
}

function when(time: string, now: number): string {
  return inDays(Date.parse(time) - now);
}

/** In pairs, as browsers show it. */
export function fingerprint(sha256: string): string {
  return (sha256.toUpperCase().match(/../g) ?? []).join(':');
}
