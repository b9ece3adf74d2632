/**
 * From a check to its probe. Each kind is loaded only when it is the one that is wanted.
 */
import type { ContainerView } from '../core/address/container.ts';
import type { Check, Expectation } from '../core/settings/check.ts';
import type { Matcher } from './expectation.ts';
import type { ProbeTarget } from './place.ts';
import type { ProbeLimits, Probe } from './probe.ts';

export interface ProbeOptions extends ProbeLimits {
  readonly host: string;
  readonly port: number;
  readonly userAgent: string;
  /** What a command gets. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Inspects our own container. It rejects with an UnavailableError while that cannot be done. */
  readonly inspect: () => Promise<ContainerView>;
}

export async function openProbe(check: Check, options: ProbeOptions): Promise<Probe> {
  const { host, port, userAgent, env, inspect } = options;
  switch (check.kind) {
    case 'http': {
      const target = targetOf(check.socketPath, host, port);
      const bodyMatches = await openMatcher(check.body);
      const question = { check, target, userAgent, bodyMatches };
      if (check.tls === undefined) return (await import('./http.ts')).httpProbe(question, options);
      return (await import('./https.ts')).httpsProbe(question, check.tls, options);
    }
    case 'tcp': {
      const target = targetOf(check.socketPath, host, port);
      const answerMatches = await openMatcher(check.expect);
      return (await import('./tcp.ts')).tcpProbe({ check, target, answerMatches }, options);
    }
    case 'grpc': {
      const target = targetOf(check.socketPath, host, port);
      return (await import('./grpc.ts')).grpcProbe({ check, target, userAgent }, options);
    }
    case 'exec':
      return (await import('./exec.ts')).execProbe(check, env, options);
    case 'docker':
      return (await import('./docker.ts')).dockerProbe(inspect, options);
  }
}

function targetOf(socketPath: string | undefined, host: string, port: number): ProbeTarget {
  return socketPath === undefined ? { host, port } : { path: socketPath };
}

async function openMatcher(expectation: Expectation | undefined): Promise<Matcher | undefined> {
  return expectation && (await import('./expectation.ts')).matcher(expectation);
}
