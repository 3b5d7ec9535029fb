import { good, problem, warning, type Judgement } from './finding.ts';

/** How `_acme-challenge` of a name leads to the servers that answer for it. */
export interface Delegation {
  /** The name that CAs ask for, and each that a CNAME leads to. */
  readonly chain: readonly string[];
  readonly zone: string;
  /** Whether the zone is a registry's or the root: nobody's own. */
  readonly registry: boolean;
  readonly servers: readonly ZoneServer[];
}

/** One server of the zone, by each of its addresses. */
export interface ZoneServer {
  readonly name: string;
  /** Empty where its name has no address. */
  readonly answers: readonly ZoneAnswer[];
}

export type ZoneAnswer =
  | { readonly state: 'answers'; readonly address: string; readonly serial: number }
  /** It answers, but not for this zone. */
  | { readonly state: 'lame'; readonly address: string; readonly why: string }
  | { readonly state: 'silent'; readonly address: string; readonly why: string };

/** Whether the answer of dns-01 can be put where the CA will look for it, and be seen at every server (RFC 8555 §8.4). */
export function judgeDelegation({ chain, zone, registry, servers }: Delegation): Judgement[] {
  const [first = '', ...links] = chain;
  const last = chain.at(-1) ?? first;
  const way = links.length === 0 ? first : chain.join(' → ');
  if (registry) {
    const remedy = links.length === 0 ? `register ${last}` : `correct the CNAME of ${chain.at(-2)}, or make a zone that holds ${last}`;
    return [problem(`${way} lies in no zone of its own: the nearest above it is ${zone === '.' ? 'the root' : zone}`, remedy)];
  }
  const judgements = servers.flatMap((server) => judgeServer(server, zone));
  const serials = new Map<number, string[]>();
  for (const answer of servers.flatMap(({ answers }) => answers)) {
    if (answer.state === 'answers') serials.set(answer.serial, [...(serials.get(answer.serial) ?? []), answer.address]);
  }
  if (serials.size > 1) {
    const said = [...serials].map(([serial, addresses]) => `${serial} at ${addresses.join(' and ')}`).join(', ');
    judgements.push(
      warning(
        `the servers of ${zone} do not agree: serial ${said}`,
        'look again in a minute; if it stays so, repair the transfers from the primary (NOTIFY, allow-transfer)',
      ),
    );
  }
  if (judgements.length > 0) return judgements;
  if (servers.length === 0) return [problem(`no server answers for ${zone}`, `give ${zone} NS records`)];
  const names = servers.map(({ name }) => name).join(', ');
  return [good(`${way} lies in the zone ${zone}, and its servers answer alike (${names})`)];
}

function judgeServer({ name, answers }: ZoneServer, zone: string): Judgement[] {
  if (answers.length === 0) {
    return [
      problem(`the name server ${name} of ${zone} has no address`, `give ${name} an A or AAAA record, or take it out of the NS records`),
    ];
  }
  const some = answers.some(({ state }) => state === 'answers');
  return answers.flatMap((answer) => {
    if (answer.state === 'answers') return [];
    if (answer.state === 'lame') {
      return [
        problem(
          `the name server ${name} (${answer.address}) does not answer for ${zone}: ${answer.why}`,
          `configure the zone there, or take ${name} out of the NS records: a CA that asks it sees no answer`,
        ),
      ];
    }
    const what = `the name server ${name} (${answer.address}) gives no answer: ${answer.why}`;
    // Its other address answers: it runs, and perhaps only this host has no IPv6.
    if (some) return [warning(what, `see whether that address is right, and whether this host has a way to it`)];
    return [problem(what, `start it and open its port 53 (UDP and TCP), or take ${name} out of the NS records: a CA may ask any of them`)];
  });
}
