/** A gRPC app of which only the health service answers, on a free port of 127.0.0.1. */
import { Server, ServerCredentials, type sendUnaryData } from '@grpc/grpc-js';

export interface GrpcApp {
  readonly port: number;
  /** Whether it says SERVING, as it does at first, or NOT_SERVING. */
  setServing(isServing: boolean): void;
  /** Stops listening and breaks all connections. Idempotent. */
  close(): void;
}

/** The health service's only method that we ask, with its messages as bytes. */
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
