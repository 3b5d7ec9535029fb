import { checkTsig } from '../../challenges/dns/update.ts';
import type { DnsUpdateConfig } from '../../config/config.ts';
import { troubleWithProgram } from '../../config/inspect.ts';
import type { Clock } from '../../platform/clock.ts';
import { good, problem, troubled, warning, type Judgement } from './finding.ts';

/** Whether the program that answers dns-01 can be called. It is not: only an order gives it something to do. */
export async function examineProgram(file: string): Promise<Judgement> {
  const trouble = await troubleWithProgram(file, process.env['PATH']);
  if (trouble === undefined) return good(`${file} is there and can be executed`);
  return problem(
    `${file} cannot be called: ${trouble}`,
    'put the program there, with a first line such as #!/bin/sh and chmod +x, or correct dns01.exec',
  );
}

/**
 * Whether the server takes an update of `name` with the key; nothing is changed in its zone.
 * @throws the signal's reason
 */
export async function examineUpdates(config: DnsUpdateConfig, name: string, clock: Clock, signal: AbortSignal): Promise<Judgement> {
  const found = await checkTsig(config, name, { clock, signal });
  if (!found.works) return troubled(found.error);
  if (found.exposed)
    return warning(`every user of this host can read the TSIG key ${config.tsigKeyFile}`, `chmod 600 ${config.tsigKeyFile}`);
  return good(`${config.server} takes updates of ${found.name} in the zone ${found.zone}`);
}
