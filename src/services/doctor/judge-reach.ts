import type { ChallengeConfig } from '../../config/config.ts';
import { scopeOf } from './address.ts';
import type { ConnectionFault, Fetched } from './fetch-token.ts';
import { good, problem, warning, type Judgement } from './finding.ts';
import { ACME_TLS, type Shaken } from './shake-alpn.ts';

/** From where to where a look was taken. */
export interface Way {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Whether this host, or container, has the address itself. */
  readonly own: boolean;
}

const CAVEAT = '; this was seen from here: behind a router without hairpin NAT it may look different from outside';

/** Whether http-01 would find the token (RFC 8555 §8.3). */
export function judgeFetched(fetched: Fetched, expected: string, way: Way, challenge: ChallengeConfig): Judgement {
  const after = fetched.redirects.length === 0 ? '' : ` after ${redirects(fetched.redirects.length)}`;
  if (fetched.state === 'failed') {
    switch (fetched.fault) {
      case 'redirects':
      case 'bad-redirect':
        return problem(
          `port ${way.port} at ${way.address}: ${fetched.why}`,
          'take /.well-known/acme-challenge/ out of the redirects of the web server there',
        );
      case 'malformed':
        return problem(`port ${way.port} at ${way.address}: ${fetched.why}${after}`, 'put a web server on that port, or none');
      case 'refused':
      case 'timeout':
      case 'unreachable':
      case 'no-family':
      case 'cut':
        return judgeFault(fetched.fault, `${fetched.why}${after}`, way, serving(challenge));
    }
  }
  if (fetched.status === 200 && fetched.body.trimEnd() === expected) {
    return good(`the test token is served at ${way.address} port ${way.port}${after}`);
  }
  return problem(`port ${way.port} at ${way.address}: ${wrong(fetched)}${after}`, `${toDo(fetched, way, challenge)}${caveat(way)}`);
}

type Answer = Extract<Fetched, { state: 'answered' }>;

function wrong(answer: Answer): string {
  const who = answer.server === undefined ? 'a web server' : `a web server (${printable(answer.server)})`;
  if (isLogin(answer)) return `${who} shows a login page instead of the test token`;
  if (answer.status === 200) return `${who} answers something else than the test token: ${JSON.stringify(printable(answer.body))}`;
  return `${who} answers ${answer.status} instead of the test token`;
}

function toDo(answer: Answer, { name }: Way, challenge: ChallengeConfig): string {
  if (isLogin(answer) || answer.status === 401 || answer.status === 403) {
    return `let /.well-known/acme-challenge/ be fetched without a login${challenge.type === 'http-01' ? `, and ${serving(challenge)}` : ''}`;
  }
  if (answer.status >= 500) return `see why the web server for ${name} fails; ${serving(challenge)}`;
  return serving(challenge);
}

function serving(challenge: ChallengeConfig): string {
  if (challenge.type === 'http-01' && challenge.via === 'webroot') {
    if (challenge.webroot === undefined) return 'run podserve apache on port 80, or point that port at it: it serves the tokens';
    return `let the web server on port 80 serve /.well-known/acme-challenge/ from ${challenge.webroot}, without redirect`;
  }
  if (challenge.type === 'dns-01') return 'nothing listens for dns-01';
  return `forward that port to ${challenge.listen} of this host and end what else listens there`;
}

function isLogin({ body, redirects: followed }: Answer): boolean {
  return /type\s*=\s*["']?password/i.test(body) || followed.some((url) => /\/(login|log-in|signin|sign-in|sso|auth|oauth2?)\b/i.test(url));
}

/** Whether tls-alpn-01 would find its certificate (RFC 8737 §3). @param digest SHA-256 of the key authorization in hexadecimal */
export function judgeShaken(shaken: Shaken, digest: string, way: Way, challenge: ChallengeConfig): Judgement {
  const at = `port ${way.port} at ${way.address}`;
  if (shaken.state === 'failed') {
    if (shaken.fault !== 'handshake') return judgeFault(shaken.fault, shaken.why, way, serving(challenge));
    return problem(
      `${at}: there is no handshake with ${ACME_TLS}: ${shaken.why}`,
      `another server listens there, or a proxy before it ends TLS; ${serving(challenge)}${caveat(way)}`,
    );
  }
  const { protocol, certificate } = shaken;
  if (protocol !== ACME_TLS) {
    const shown =
      certificate === undefined ? '' : ` and shows the certificate of ${printable(certificate.names || certificate.subject) || 'nobody'}`;
    return problem(
      `${at}: another server answers: it does not speak ${ACME_TLS}${shown}`,
      `${serving(challenge)}; a proxy in between must pass TLS on unopened${caveat(way)}`,
    );
  }
  if (certificate?.digest !== digest) {
    const what = certificate?.digest === undefined ? 'without the acmeIdentifier extension' : 'with the answer to another challenge';
    return problem(
      `${at}: ${ACME_TLS} is answered by a certificate ${what}`,
      `another ACME client listens there: ${serving(challenge)}${caveat(way)}`,
    );
  }
  return good(`the test certificate is served at ${way.address} port ${way.port}`);
}

function judgeFault(fault: ConnectionFault, why: string, way: Way, remedy: string): Judgement {
  const what = `port ${way.port} at ${way.address}: ${why}`;
  switch (fault) {
    case 'no-family': {
      const record = way.address.includes(':') ? 'IPv6' : 'IPv4';
      return warning(what, `test it from a host with ${record}: CAs use the address, and IPv6 first`);
    }
    case 'refused':
      return problem(what, `${remedy}${caveat(way)}`);
    case 'cut':
      return problem(what, `see what cuts connections to that port: a firewall, or a server that speaks TLS there${caveat(way)}`);
    case 'timeout':
    case 'unreachable': {
      const advice = `open TCP port ${way.port} in the firewall and forward it here${way.address.includes(':') ? ', or remove the AAAA record' : ''}`;
      // Where a router has the address, silence is also what one without hairpin NAT gives to its own side.
      return way.own || scopeOf(way.address) !== 'public' ? problem(what, advice) : warning(what, `${advice}${CAVEAT}`);
    }
  }
}

function caveat({ own, address }: Way): string {
  return own || scopeOf(address) !== 'public' ? '' : CAVEAT;
}

function redirects(count: number): string {
  return count === 1 ? 'one redirect' : `${count} redirects`;
}

/** Foreign text on a terminal: one line, short, without controls. */
function printable(text: string): string {
  const plain = text.replaceAll(/[\p{C}\s]+/gu, ' ').trim();
  return plain.length > 60 ? `${plain.slice(0, 59)}…` : plain;
}
