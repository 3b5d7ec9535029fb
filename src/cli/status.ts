import type { Arguments, Command, Context } from './command.ts';

export const command: Command = {
  summary: 'say how certificates, roots and endpoints stand',
  help: `usage: podserve status [options]

Reads and proves what is published, says what runs here, asks every endpoint what it serves, and shows
the roots and what happened last. Works whether anything runs or not; changes nothing.
Where pods keep their data in the state directory, it shows them too, and asks their certificate service.
Exit code 1: something needs attention; the last lines say what to do.

  --config FILE  default ./podserve.yaml, then /data/config/podserve.yaml, else built-in values
  --state DIR    where everything is kept, default ./data
  --json         the same as JSON`,
  options: {},
  positionals: false,
  async run(args: Arguments, context: Context): Promise<number> {
    return (await import('./status-run.ts')).report(args, context);
  },
};
