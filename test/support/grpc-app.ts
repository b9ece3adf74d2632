/** A gRPC app that has only the health service, on a free port of 127.0.0.1. */
import { Server, ServerCredentials, type sendUnaryData } from '@grpc/grpc-js';

export interface GrpcApp {
  readonly port: number;
  /** Sets its answer to SERVING (the initial one) or NOT_SERVING. */
  setServing(isServing: boolean): void;
  /** Stops listening and breaks all connections. Idempotent. */
  close(): void;
}

/** The one method of the health service that is used, with its messages as bytes. */
export const checkMethod = {
  path: '/grpc.health.v1.Health/Check',
  requestStream: false,
  responseStream: false,
  requestSerialize: (value: Buffer) => value,
  requestDeserialize: (bytes: Buffer) => bytes,
  responseSerialize: (bytes: Buffer) => bytes,
  responseDeserialize: (bytes: Buffer) => bytes,
} as const;

export async function startGrpcApp(): Promise<GrpcApp> {
  let serving = 1;
  const server = new Server();
  const answer = (_: unknown, reply: sendUnaryData<Buffer>): void => reply(null, Buffer.from([8, serving]));
  server.addService({ Check: checkMethod }, { Check: answer });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return {
    port,
    setServing: isServing => void (serving = isServing ? 1 : 2),
    close: () => server.forceShutdown(),
  };
}
