/**
 * The check by the standard health protocol of gRPC: one call of grpc.health.v1.Health/Check on its own connection, over
 * node:http2. grpc-js does not close a connection whose handshake hangs, even when its client is closed, and it does not
 * limit the memory of a session. Sources: health-checking.md and PROTOCOL-HTTP2.md in
 * https://github.com/grpc/grpc/tree/master/doc, and health.proto.
 */
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2';
import protobuf from 'protobufjs/minimal.js';
import type { Verdict } from '../core/registration/health.ts';
import type { GrpcCheck } from '../core/settings/check.ts';
import { clean } from '../core/text.ts';
import { invalid } from './answer.ts';
import { Connection } from '../network/closing.ts';
import { brokenHttp2, cameOfHttp2, openSession, unanswered, type Http2Call } from './http2.ts';
import { keepUntilStreamIsGone } from './http2-handles.ts';
import { attempt, pass, targetOf, type Probe, type ProbeOptions } from './probe.ts';
import { dialTls, explainTls, hintAtCertificate, readTlsFiles } from './trust.ts';

/** An answer has one field of two bytes. */
const mostAnswerBytes = 1024;
/** How much of a name from outside is shown, in characters. */
const mostName = 100;

export function grpcProbe(check: GrpcCheck, options: ProbeOptions): Probe {
  const { service, tls, socketPath, proxyProtocol } = check;
  const target = targetOf(socketPath, options);
  const { authority, text } = target;
  const subject = service === '' ? 'the server' : `service ${clean(service, mostName)}`;
  return attempt(options, `${subject} at ${text}`, async (signal, progress) => {
    const pem = tls && (await readTlsFiles(tls));
    const connection = new Connection(target.address, options.clock, proxyProtocol);
    const secure = tls && pem && dialTls(connection, target, tls, pem, 'h2');
    const { call, session } = openSession('call', {
      connection,
      secure,
      authority: tls?.serverName ?? authority,
      clock: options.clock,
      signal,
    });
    const answer: Answer = { fields: {}, body: Buffer.alloc(0) };
    progress.came = () => cameOf(call, answer);
    try {
      await make(call, answer, session, service, options.userAgent);
      // The session takes the bytes from the socket, so only their number is known.
      call.received.bytes = (secure ?? connection).bytesRead;
      return judge(subject, text, call, answer);
    } catch (error) {
      call.received.bytes = (secure ?? connection).bytesRead;
      const verdict = brokenHttp2(text, call, error) ?? explainTls(text, 'grpcs', tls)(error);
      return hintAtCertificate(verdict, call.received, tls);
    }
  });
}

interface Answer {
  /** Header and trailers together; an answer without a message has both in one block. */
  readonly fields: IncomingHttpHeaders;
  body: Buffer;
}

/** Rejects with the error of the socket, the session or the stream. */
function make(
  call: Http2Call,
  answer: Answer,
  session: ClientHttp2Session,
  service: string,
  userAgent: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    session.once('close', resolve);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': userAgent,
    });
    keepUntilStreamIsGone(session, stream);
    // The error of a stream that waits for its connection wraps the error of the connection.
    stream.on('error', error => reject(error.cause instanceof Error ? error.cause : error));
    stream.on('response', more => Object.assign(answer.fields, more));
    stream.on('trailers', more => Object.assign(answer.fields, more));
    stream.on('data', (part: Buffer) => {
      answer.body = Buffer.concat([answer.body, part]);
      if (answer.body.length > mostAnswerBytes) resolve();
    });
    stream.once('close', () => {
      call.isReset = !session.closed && !session.destroyed;
      resolve();
    });
    stream.end(encodeRequest(service));
  });
}

/** For a check whose time is up; undefined if nothing came. */
function cameOf(call: Http2Call, { fields, body }: Answer): string | undefined {
  if (fields[':status'] === undefined) return cameOfHttp2(call);
  return `HTTP ${String(fields[':status'])} and ${body.length} bytes came, without a grpc-status`;
}

/** By number. */
const codes = (
  'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED ' +
  'RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS ' +
  'UNAUTHENTICATED'
).split(' ');
const servingStatuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

function judge(subject: string, place: string, call: Http2Call, { fields, body }: Answer): Verdict {
  if (body.length > mostAnswerBytes)
    return invalid(place, `${subject} answers with more than ${mostAnswerBytes} bytes`);
  const { ':status': httpStatus, 'grpc-status': grpcStatus, 'grpc-message': message = '' } = fields;
  if (grpcStatus === undefined && httpStatus === undefined) return unanswered(place, call);
  const type = fields['content-type'];
  if (type === undefined || !/^application\/grpc(?:[+;]|$)/i.test(type)) {
    const what = type === undefined ? 'no content type' : `the content type "${clean(type, mostName)}"`;
    return invalid(
      place,
      `the app answered HTTP ${String(httpStatus)} with ${what} instead of application/grpc`,
    );
  }
  if (grpcStatus === undefined)
    return invalid(
      place,
      `the answer ended after HTTP ${String(httpStatus)} and ${body.length} bytes, without a grpc-status`,
    );
  const code = codes[Number(grpcStatus)] ?? `status ${clean(String(grpcStatus), mostName)}`;
  if (code === 'NOT_FOUND') return invalid(place, `${subject} is not known to the health service`);
  if (code === 'UNIMPLEMENTED') return invalid(place, 'the server has no health service (grpc.health.v1)');
  if (code !== 'OK')
    return invalid(place, message === '' ? code : `${code}: ${clean(decodeMessage(String(message)))}`);
  const status = decodeResponse(body);
  if (status === null)
    return invalid(place, `${subject} answers with ${body.length} bytes that are no HealthCheckResponse`);
  const name = servingStatuses[status] ?? `status ${status}`;
  return name === 'SERVING' ? pass(`${subject} is SERVING`) : invalid(place, `${subject} is ${name}`);
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
