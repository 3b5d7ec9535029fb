import type { ChallengeConfig } from '../config/config.ts';
import type { ChallengeSolver, SolverSurroundings } from './solver.ts';

/** The solver that an issuer's configuration asks for; of the others no code is loaded. */
export async function openSolver(config: ChallengeConfig, surroundings: SolverSurroundings): Promise<ChallengeSolver> {
  switch (config.via) {
    case 'webroot':
      return (await import('./webroot.ts')).webrootSolver(config, surroundings);
    case 'listen':
      if (config.type === 'http-01') return (await import('./http-listener.ts')).httpListenerSolver(config, surroundings);
      return (await import('./tls-alpn.ts')).tlsAlpnSolver(config, surroundings);
    case 'update':
      return (await import('./dns/update.ts')).dnsUpdateSolver(config, surroundings);
    case 'exec':
      return (await import('./exec.ts')).execSolver(config, surroundings);
  }
}
