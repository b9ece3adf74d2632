/**
 * From a check to its probe. Each kind is loaded only when it is the one that is wanted.
 */
import type { ContainerView } from '../core/address/container.ts';
import type { Check, Expectation } from '../core/settings/check.ts';
import type { Matcher } from './expectation.ts';
import type { Place } from './place.ts';
import type { Limits, Probe } from './probe.ts';

export interface ProbeParts extends Limits {
  readonly host: string;
  readonly port: number;
  readonly userAgent: string;
  /** What a command gets. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Inspects our own container. It rejects with an UnavailableError while that cannot be done. */
  readonly inspect: () => Promise<ContainerView>;
}

export async function openProbe(check: Check, parts: ProbeParts): Promise<Probe> {
  const { host, port, userAgent, env, inspect } = parts;
  switch (check.kind) {
    case 'http': {
      const place = placeOf(check.socketPath, host, port);
      const bodyMatches = await openMatcher(check.body);
      const question = { check, place, userAgent, bodyMatches };
      if (check.tls === undefined) return (await import('./http.ts')).httpProbe(question, parts);
      return (await import('./https.ts')).httpsProbe(question, check.tls, parts);
    }
    case 'tcp': {
      const place = placeOf(check.socketPath, host, port);
      const answerMatches = await openMatcher(check.expect);
      return (await import('./tcp.ts')).tcpProbe({ check, place, answerMatches }, parts);
    }
    case 'grpc': {
      const place = placeOf(check.socketPath, host, port);
      return (await import('./grpc.ts')).grpcProbe({ check, place, userAgent }, parts);
    }
    case 'exec':
      return (await import('./exec.ts')).execProbe(check, env, parts);
    case 'docker':
      return (await import('./docker.ts')).dockerProbe(inspect, parts);
  }
}

function placeOf(socketPath: string | undefined, host: string, port: number): Place {
  return socketPath === undefined ? { host, port } : { path: socketPath };
}

async function openMatcher(expectation: Expectation | undefined): Promise<Matcher | undefined> {
  return expectation && (await import('./expectation.ts')).matcher(expectation);
}
