/**
 * The check by the standard health protocol of gRPC: one call of grpc.health.v1.Health/Check on a connection of its own.
 * It is made on node:http2: grpc-js keeps a connection whose handshake hangs until the other side closes it, also after
 * the client was closed, and does not bound what a session may take of the memory.
 *
 * Sources: health-checking.md and PROTOCOL-HTTP2.md in https://github.com/grpc/grpc/tree/master/doc, and health.proto.
 */
import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';
import type { GrpcCheck } from '../core/settings/check.ts';
import type { Verdict } from '../core/registration/health.ts';
import { dial, formatTarget, type ProbeTarget } from './place.ts';
import { attempt, fail, pass, type ProbeLimits, type Probe } from './probe.ts';
import { dialTls, explainTls, readAuthority } from './trust.ts';

export interface GrpcQuestion {
  readonly check: GrpcCheck;
  readonly target: ProbeTarget;
  readonly userAgent: string;
}

/** The answer has one field of two bytes. */
const mostAnswerBytes = 1024;
/** The least that Node lets one set. */
const mostSessionMiB = 1;

export function grpcProbe({ check, target, userAgent }: GrpcQuestion, limits: ProbeLimits): Probe {
  const { service, tls } = check;
  const where = formatTarget(target);
  const subject = service === '' ? 'the server' : `service ${service}`;
  const authority = tls?.serverName ?? ('path' in target ? 'localhost' : where);
  return attempt(limits, `${subject} at ${where}`, async signal => {
    const socket = tls ? dialTls(target, tls, await readAuthority(tls), 'h2') : dial(target);
    const session = connect(`${tls ? 'https' : 'http'}://${authority}`, {
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
    const answer = call(session, service, userAgent);
    return explainTls(
      where,
      answer.then(reply => judge(subject, reply)),
    );
  });
}

interface Reply {
  /** The head and the trailers as one: an answer without a message has them as one too. */
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
    // A stream that waits for its connection wraps what became of that.
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

const codes = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];
const servingStatuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

function judge(subject: string, { fields, body }: Reply): Verdict {
  if (body.length > mostAnswerBytes)
    return fail(`${subject} answers with more than ${mostAnswerBytes} bytes`);
  const given = fields['grpc-status'];
  if (given === undefined) {
    const status = fields[':status'];
    return fail(
      status === undefined
        ? `${subject} closed the connection without an answer`
        : `HTTP ${String(status)} and no answer of gRPC`,
    );
  }
  const code = codes[Number(given)] ?? `status ${String(given)}`;
  if (code === 'NOT_FOUND') return fail(`${subject} is not known to the health service`);
  if (code === 'UNIMPLEMENTED') return fail('the server has no health service (grpc.health.v1)');
  if (code !== 'OK') return fail(`${code}: ${decodeMessage(String(fields['grpc-message'] ?? ''))}`);
  const status = decodeResponse(body);
  if (status === null) return fail(`${subject} answers with what is no HealthCheckResponse`);
  const name = servingStatuses[status] ?? `status ${status}`;
  return name === 'SERVING' ? pass(`${subject} is SERVING`) : fail(`${subject} is ${name}`);
}

/** Percent-encoded, as far as it is right. */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Not compressed, the length, and `HealthCheckRequest { string service = 1; }` in protocol buffers. */
function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const field = service === '' ? [] : [0x0a, ...encodeVarint(name.length), ...name];
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(field.length, 1);
  return Buffer.concat([prefix, Buffer.from(field)]);
}

const prefixBytes = 5;

function encodeVarint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...encodeVarint(value >>> 7)];
}

/** The last `status` of `HealthCheckResponse { ServingStatus status = 1; }`; null when it is none. */
function decodeResponse(frame: Buffer): number | null {
  const bytes = frame.subarray(prefixBytes);
  if (frame.length < prefixBytes || frame[0] !== 0 || frame.readUInt32BE(1) !== bytes.length) return null;
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) return Infinity;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  let found = 0;
  while (at < bytes.length) {
    const tag = varint();
    const wire = tag % 8;
    if (wire === 0) {
      const value = varint();
      if (Math.floor(tag / 8) === 1) found = value;
    } else if (wire === 1) at += 8;
    else if (wire === 2) at += varint();
    else if (wire === 5) at += 4;
    else return null;
  }
  return at === bytes.length ? found : null;
}
