/**
 * Opens the probe of a check. Each kind has its own file, which is loaded only when a check needs it.
 */
import type { Check } from '../core/settings/check.ts';
import type { Probe, ProbeOptions } from './probe.ts';

export async function openProbe(check: Check, options: ProbeOptions): Promise<Probe> {
  switch (check.kind) {
    case 'http':
      if (check.version === 'HTTP/2') return (await import('./h2.ts')).http2Probe(check, options);
      return check.tls === undefined
        ? (await import('./http.ts')).httpProbe(check, options)
        : (await import('./https.ts')).httpsProbe(check, check.tls, options);
    case 'tcp':
      return (await import('./tcp.ts')).tcpProbe(check, options);
    case 'grpc':
      return (await import('./grpc.ts')).grpcProbe(check, options);
    case 'exec':
      return (await import('./exec.ts')).execProbe(check, options);
    case 'docker':
      return (await import('./healthcheck.ts')).healthcheckProbe(options);
  }
}
