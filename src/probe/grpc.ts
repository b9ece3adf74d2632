/**
 * The check by the standard health protocol of gRPC: one call of grpc.health.v1.Health/Check on its own connection, over
 * node:http2. grpc-js does not close a connection whose handshake hangs, even when its client is closed, and it does not
 * limit the memory of a session. Sources: health-checking.md and PROTOCOL-HTTP2.md in
 * https://github.com/grpc/grpc/tree/master/doc, and health.proto.
 */
import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';
import { createConnection } from 'node:net';
import protobuf from 'protobufjs/minimal.js';
import type { Verdict } from '../core/registration/health.ts';
import type { GrpcCheck } from '../core/settings/check.ts';
import { attempt, fail, pass, targetOf, type Probe, type ProbeOptions } from './probe.ts';
import { dialTls, explainTls, readAuthority } from './trust.ts';

/** An answer has one field of two bytes. */
const mostAnswerBytes = 1024;
/** The lowest limit that Node accepts. */
const mostSessionMiB = 1;

export function grpcProbe({ service, tls, socketPath }: GrpcCheck, options: ProbeOptions): Probe {
  const target = targetOf(socketPath, options);
  const { address, authority, text } = target;
  const subject = service === '' ? 'the server' : `service ${service}`;
  return attempt(options, `${subject} at ${text}`, async signal => {
    const socket = tls ? dialTls(target, tls, await readAuthority(tls), 'h2') : createConnection(address);
    const session = connect(`${tls ? 'https' : 'http'}://${tls?.serverName ?? authority}`, {
      createConnection: () => socket,
      maxSessionMemory: mostSessionMiB,
      settings: { enablePush: false },
    });
    const close = (): void => {
      session.destroy();
      socket.destroy();
    };
    signal.addEventListener('abort', close, { once: true });
    if (signal.aborted) close();
    return call(session, service, options.userAgent)
      .then(reply => judge(subject, reply))
      .catch(explainTls(text));
  });
}

interface Reply {
  /** Header and trailers together; an answer without a message has both in one block. */
  readonly fields: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Rejects with the error of the socket, the session or the stream. */
function call(session: ClientHttp2Session, service: string, userAgent: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    let fields: IncomingHttpHeaders = {};
    let body = Buffer.alloc(0);
    const add = (more: IncomingHttpHeaders): void => {
      fields = { ...fields, ...more };
    };
    const done = (): void => resolve({ fields, body });
    session.on('error', reject);
    session.once('close', done);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': userAgent,
    });
    // The error of a stream that waits for its connection wraps the error of the connection.
    stream.on('error', error => reject(error.cause instanceof Error ? error.cause : error));
    stream.on('response', add);
    stream.on('trailers', add);
    stream.on('data', (part: Buffer) => {
      body = Buffer.concat([body, part]);
      if (body.length > mostAnswerBytes) done();
    });
    stream.once('close', done);
    stream.end(encodeRequest(service));
  });
}

/** By number. */
const codes = (
  'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED ' +
  'RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS ' +
  'UNAUTHENTICATED'
).split(' ');
const servingStatuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

function judge(subject: string, { fields, body }: Reply): Verdict {
  if (body.length > mostAnswerBytes)
    return fail(`${subject} answers with more than ${mostAnswerBytes} bytes`);
  const { ':status': httpStatus, 'grpc-status': grpcStatus, 'grpc-message': message = '' } = fields;
  if (grpcStatus === undefined && httpStatus === undefined)
    return fail(`${subject} closed the connection without an answer`);
  if (grpcStatus === undefined) return fail(`HTTP ${String(httpStatus)} and no answer of gRPC`);
  const code = codes[Number(grpcStatus)] ?? `status ${String(grpcStatus)}`;
  if (code === 'NOT_FOUND') return fail(`${subject} is not known to the health service`);
  if (code === 'UNIMPLEMENTED') return fail('the server has no health service (grpc.health.v1)');
  if (code !== 'OK') return fail(`${code}: ${decodeMessage(String(message))}`);
  const status = decodeResponse(body);
  if (status === null) return fail(`${subject} answers with what is no HealthCheckResponse`);
  const name = servingStatuses[status] ?? `status ${status}`;
  return name === 'SERVING' ? pass(`${subject} is SERVING`) : fail(`${subject} is ${name}`);
}

/** Percent-encoded; an invalid text is returned as it is. */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A frame begins with a byte for the compression (0: none) and four for the length of the message. */
const prefixBytes = 5;
/** The tag of field 1 in each message: a string in the request, an enum (varint) in the response. */
const serviceTag = (1 << 3) | 2;
const statusTag = 1 << 3;

/** `HealthCheckRequest { string service = 1; }` in a frame. */
function encodeRequest(service: string): Buffer {
  const writer = protobuf.Writer.create();
  if (service !== '') writer.uint32(serviceTag).string(service);
  const message = writer.finish();
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The `status` of `HealthCheckResponse { ServingStatus status = 1; }`; null for a frame that is not valid. */
function decodeResponse(frame: Buffer): number | null {
  const message = frame.subarray(prefixBytes);
  if (frame.length < prefixBytes || frame[0] !== 0 || frame.readUInt32BE(1) !== message.length) return null;
  const reader = protobuf.Reader.create(message);
  let status = 0;
  try {
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === statusTag) status = reader.int32();
      else reader.skipType(tag & 7);
    }
  } catch {
    // The reader throws errors of several classes, all of them for an invalid message.
    return null;
  }
  return status;
}
