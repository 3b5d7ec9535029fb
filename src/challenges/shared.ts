import type { ChallengeConfig } from '../config/config.ts';
import { openSolver } from './open.ts';
import type { ChallengeSolver, SolverSurroundings } from './solver.ts';

/** Opens solvers; each is disposed of on its own. */
export type SolverOpener = (config: ChallengeConfig) => Promise<ChallengeSolver>;

interface Kept {
  readonly solver: Promise<ChallengeSolver>;
  users: number;
}

/**
 * Gives everybody who asks for the same way of answering the same solver, which ends with the last of them: two issuers,
 * or two batches of orders, would otherwise take the one port from each other.
 */
export function sharedSolvers(surroundings: SolverSurroundings): SolverOpener {
  const kept = new Map<string, Kept>();

  function leave(key: string, entry: Kept): boolean {
    entry.users -= 1;
    if (entry.users > 0) return false;
    if (kept.get(key) === entry) kept.delete(key);
    return true;
  }

  return async (config) => {
    const key = JSON.stringify(config);
    const entry = kept.get(key) ?? { solver: openSolver(config, surroundings), users: 0 };
    kept.set(key, entry);
    entry.users += 1;
    try {
      return viewOf(await entry.solver, () => leave(key, entry));
    } catch (error) {
      leave(key, entry);
      throw error;
    }
  };
}

/** @param leave says whether the solver is used by nobody else */
function viewOf(solver: ChallengeSolver, leave: () => boolean): ChallengeSolver {
  let left = false;
  return {
    type: solver.type,
    present: (task, signal) => solver.present(task, signal),
    cleanup: (task, order) => solver.cleanup(task, order),
    async [Symbol.asyncDispose]() {
      if (left) return;
      left = true;
      if (leave()) await solver[Symbol.asyncDispose]();
    },
  };
}
