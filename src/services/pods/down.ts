import { removePod } from './boot.ts';
import type { Podman } from './podman.ts';
import type { Pod } from './pods.ts';

/** The container of the certificate service, in its own pod or beside others. */
const PUBLISHER = 'certificates';

/** Ends pods and takes them away, consumers before what they consume. What they keep on the host stays. */
export async function takeDown(podman: Podman, pods: readonly Pod[], done: (pod: string) => void): Promise<void> {
  const publish = pods.filter(({ containers }) => containers.some(({ service }) => service === PUBLISHER));
  const consume = pods.filter((pod) => !publish.includes(pod));
  for (const together of [consume, publish]) {
    await Promise.all(
      together.map(async ({ name }) => {
        await removePod(podman, name);
        done(name);
      }),
    );
  }
}
