import type { MailPlaces } from './places.ts';

/** What it does with Redis alone, which there is none of, and what asks servers of other people with every message. */
const OFF = ['asn', 'bayes', 'fuzzy_check', 'greylist', 'history_redis', 'neural', 'ratelimit', 'replies', 'reputation', 'url_redirector'];

/**
 * Files for local.d of Rspamd 3, by name: checks of SPF, DKIM, DMARC and content for what comes in, DKIM signatures for
 * what goes out. Everything else is as Debian ships it.
 */
export function renderRspamd(places: MailPlaces): Readonly<Record<string, string>> {
  const off = Object.fromEntries(OFF.map((module) => [`${module}.conf`, 'enabled = false;\n']));
  return {
    ...off,
    'worker-normal.inc': 'enabled = false;\n',
    'worker-controller.inc': 'enabled = false;\n',
    'worker-proxy.inc': text([
      'milter = yes;',
      'timeout = 60s;',
      'upstream "local" { default = yes; self_scan = yes; }',
      `bind_socket = "${places.milter} mode=0660 owner=_rspamd group=postfix";`,
      'count = 1;',
    ]),
    // Its readiness is a line of the level info.
    'logging.inc': text(['type = "console";', 'level = "info";', 'systemd = true;']),
    // No address is trusted: an account is.
    'options.inc': text(['local_addrs = "255.255.255.255/32";', 'dns { timeout = 1s; retransmits = 2; }']),
    'dkim_signing.conf': text([
      `path = "${places.dkim}/$domain.$selector.key";`,
      'selector = "podserve1";',
      'sign_authenticated = true;',
      'sign_local = false;',
      'allow_username_mismatch = true;',
      'use_esld = false;',
      'check_pubkey = false;',
      'use_redis = false;',
    ]),
    'milter_headers.conf': text(['use = ["authentication-results", "x-spam-status", "x-spamd-bar"];', 'skip_authenticated = true;']),
    // Lists of bad addresses and names are asked about strangers, not about accounts, who wait for the answer.
    'settings.conf': text(['accounts { priority = high; authenticated = yes; apply { groups_disabled = ["rbl", "surbl", "hfilter"]; } }']),
    'actions.conf': text(['reject = 15;', 'add_header = 6;', 'greylist = null;']),
  };
}

function text(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}
