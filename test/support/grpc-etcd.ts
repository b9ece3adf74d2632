/**
 * A server that speaks etcd's protocol over real gRPC and answers what a test says, byte for byte. `truth` is what an
 * etcd with one member would answer, as far as dockreg asks; what it grants never expires.
 */
import { Server, ServerCredentials, type ServerDuplexStream, type sendUnaryData } from '@grpc/grpc-js';
import { encode, Message, type Field } from './protobuf.ts';

const methods = {
  grant: '/etcdserverpb.Lease/LeaseGrant',
  revoke: '/etcdserverpb.Lease/LeaseRevoke',
  keepAlive: '/etcdserverpb.Lease/LeaseKeepAlive',
  timeToLive: '/etcdserverpb.Lease/LeaseTimeToLive',
  range: '/etcdserverpb.KV/Range',
  transaction: '/etcdserverpb.KV/Txn',
  status: '/etcdserverpb.Maintenance/Status',
  authenticate: '/etcdserverpb.Auth/Authenticate',
} as const;
export type Method = keyof typeof methods;

export type Reply =
  /** The message; a stream sends it so many times. */
  | { readonly message: Buffer; readonly times?: number; readonly afterMs?: number }
  | { readonly code: number; readonly details: string }
  | 'silent'
  /** A stream ends without a message. */
  | 'end';

export interface Asked {
  readonly method: Method;
  readonly request: Message;
  /** In `performance.now()` milliseconds. */
  readonly at: number;
}

export interface GrpcEtcd {
  readonly endpoint: string;
  readonly asked: readonly Asked[];
  /** Stops listening and breaks all connections. */
  close(): void;
}

const raw = { serialize: (bytes: Buffer): Buffer => bytes, deserialize: (bytes: Buffer): Buffer => bytes };

export async function startGrpcEtcd(reply: (asked: Asked) => Reply): Promise<GrpcEtcd> {
  const server = new Server();
  const asked: Asked[] = [];
  const answer = (method: Method, bytes: Buffer): Reply => {
    const each = { method, request: new Message(bytes), at: performance.now() };
    asked.push(each);
    return reply(each);
  };
  for (const [name, path] of Object.entries(methods) as [Method, string][]) {
    const unary = ({ request }: { request: Buffer }, respond: sendUnaryData<Buffer>): void => {
      const said = answer(name, request);
      if (said === 'silent') return;
      if (said === 'end') return respond({ code: 0, details: '' });
      if (!('message' in said)) return respond(said);
      setTimeout(() => respond(null, said.message), said.afterMs ?? 0);
    };
    const stream = (call: ServerDuplexStream<Buffer, Buffer>): void => {
      call.on('error', () => undefined);
      call.on('end', () => call.end());
      call.on('data', (bytes: Buffer) => {
        const said = answer(name, bytes);
        if (said === 'silent') return;
        if (said === 'end') return void call.end();
        if ('message' in said) for (let times = said.times ?? 1; times > 0; times--) call.write(said.message);
        else call.emit('error', said);
      });
    };
    const isStream = name === 'keepAlive';
    server.register(
      path,
      isStream ? stream : unary,
      raw.serialize,
      raw.deserialize,
      isStream ? 'bidi' : 'unary',
    );
  }
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return { endpoint: `http://127.0.0.1:${port}`, asked, close: () => server.forceShutdown() };
}

/** cluster_id, member_id, revision, raft_term */
export const header: Field = [1, encode([1, 1n], [2, 1n], [3, 7n], [4, 1n])];

/** An etcd that keeps what is put. */
export function truth(): (asked: Asked) => Reply {
  const pairs = new Map<string, Buffer>();
  const range = (request: Message): Buffer => {
    const pair = pairs.get(request.bytes(1).toString());
    return encode(header, ...(pair ? ([[2, pair]] as Field[]) : []));
  };
  /** Does one operation of a transaction and returns its response. */
  const operate = (bytes: Buffer): Field => {
    const operation = new Message(bytes);
    const [read] = operation.all(1);
    if (read) return [3, encode([1, range(new Message(read))])];
    const [put] = operation.all(2);
    if (put) {
      const { key, value, lease } = { key: 1, value: 2, lease: 3 };
      const request = new Message(put);
      const pair = encode(
        [1, request.bytes(key)],
        [2, 7],
        [3, 7],
        [4, 1],
        [5, request.bytes(value)],
        [6, request.integer(lease)],
      );
      pairs.set(request.bytes(key).toString(), pair);
      return [3, encode([2, encode(header)])];
    }
    pairs.delete(new Message(operation.bytes(3)).bytes(1).toString());
    return [3, encode([3, encode(header)])];
  };
  return ({ method, request }) => {
    switch (method) {
      case 'grant':
        return { message: encode(header, [2, request.integer(2)], [3, request.integer(1)]) };
      case 'keepAlive':
        return { message: encode(header, [2, request.integer(1)], [3, 20]) };
      case 'timeToLive':
        return { message: encode(header, [2, request.integer(1)], [3, 10], [4, 20]) };
      case 'revoke':
        pairs.clear();
        return { message: encode(header) };
      case 'range':
        return { message: encode(header, ...[...pairs.values()].map((pair): Field => [2, pair])) };
      case 'transaction':
        return { message: encode(header, [2, 1], ...request.all(2).map(operate)) };
      case 'status':
        return { message: encode(header, [2, '3.4.23'], [4, 1], [5, 1]) };
      case 'authenticate':
        return { message: encode(header, [2, 'token.1']) };
    }
  };
}
