import { removePod } from './boot.ts';
import { BOOT_ORDER } from './files.ts';
import type { Podman } from './podman.ts';
import type { Pod } from './pods.ts';

/** Ends pods and takes them away, consumers before what they consume. What they keep on the host stays. */
export async function takeDown(podman: Podman, pods: readonly Pod[], done: (pod: string) => void): Promise<void> {
  for (const { name } of pods.toSorted((one, other) => place(other) - place(one))) {
    await removePod(podman, name);
    done(name);
  }
}

/** In the boot order; pods that it does not know come last. */
function place({ name }: Pod): number {
  const index = BOOT_ORDER.findIndex((known) => known === name);
  return index < 0 ? BOOT_ORDER.length : index;
}
