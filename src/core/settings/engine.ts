/**
 * Where the API of a Docker engine is.
 */

export type EngineEndpoint =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      /** The folder of the certificates for TLS. Without it the connection is plain HTTP. */
      readonly certificates?: string;
    };

/** `unix:///var/run/docker.sock`, `tcp://10.1.0.101:2375`. */
export function formatEngineEndpoint(endpoint: EngineEndpoint): string {
  return endpoint.kind === 'unix' ? `unix://${endpoint.path}` : `tcp://${endpoint.host}:${endpoint.port}`;
}
