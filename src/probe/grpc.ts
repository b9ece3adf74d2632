/**
 * The check by the standard health protocol of gRPC: one call of grpc.health.v1.Health/Check on its own connection, over
 * node:http2. grpc-js does not close a connection whose handshake hangs, even when its client is closed, and it does not
 * limit the memory of a session. Sources: health-checking.md and PROTOCOL-HTTP2.md in
 * https://github.com/grpc/grpc/tree/master/doc, and health.proto.
 */
import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';
import protobuf from 'protobufjs/minimal.js';
import type { Verdict } from '../core/registration/health.ts';
import type { GrpcCheck } from '../core/settings/check.ts';
import { clean } from '../core/text.ts';
import { codeOf, messageOf } from '../errors.ts';
import {
  closedEarly,
  closedHandshake,
  closedSilently,
  invalid,
  isEnding,
  observe,
  type Received,
} from './answer.ts';
import { Connection } from '../network/closing.ts';
import { keepUntilStreamIsGone } from './http2-handles.ts';
import { attempt, pass, targetOf, type Probe, type ProbeOptions } from './probe.ts';
import { dialTls, explainTls, readAuthority } from './trust.ts';

/** An answer has one field of two bytes. */
const mostAnswerBytes = 1024;
/**
 * The most of a whole session, in bytes, and how often it is looked at, in ms: node:http2 reads frames that are no answer
 * without an end, and takes a whole core.
 */
const mostSession = { bytes: 256 * 1024, everyMs: 20 } as const;
/** How much of a name from outside is shown, in characters. */
const mostName = 100;
/** The lowest limit that Node accepts. */
const mostSessionMiB = 1;

export function grpcProbe({ service, tls, socketPath }: GrpcCheck, options: ProbeOptions): Probe {
  const target = targetOf(socketPath, options);
  const { authority, text } = target;
  const subject = service === '' ? 'the server' : `service ${clean(service, mostName)}`;
  return attempt(options, `${subject} at ${text}`, async (signal, progress) => {
    const certificate = tls && (await readAuthority(tls));
    const connection = new Connection(target.address, options.clock);
    const secure = tls && dialTls(connection, tls, certificate, 'h2');
    const call: Call = {
      received: observe(connection, secure),
      hasSettings: false,
      fields: {},
      body: Buffer.alloc(0),
    };
    progress.came = () => cameOf(call);
    const session = connect(`${tls ? 'https' : 'http'}://${tls?.serverName ?? authority}`, {
      createConnection: () => secure ?? connection,
      maxSessionMemory: mostSessionMiB,
      settings: { enablePush: false },
    });
    session.once('remoteSettings', () => (call.hasSettings = true));
    session.once('goaway', (code: number) => (call.goaway = code));
    const close = (): void => {
      // First, so that no GOAWAY goes out: many apps answer it by closing first.
      connection.destroy();
      session.destroy();
      secure?.destroy();
    };
    signal.addEventListener('abort', close, { once: true });
    if (signal.aborted) close();
    const limit = (): void => {
      call.isTooLong = connection.bytesRead > mostSession.bytes;
      if (call.isTooLong) close();
      else cancel = options.clock.after(mostSession.everyMs, limit);
    };
    let cancel = options.clock.after(mostSession.everyMs, limit);
    signal.addEventListener('abort', () => cancel(), { once: true });
    try {
      await make(call, session, service, options.userAgent);
      // The session takes the bytes from the socket, so only their number is known.
      call.received.bytes = (secure ?? connection).bytesRead;
      return judge(subject, text, call);
    } catch (error) {
      call.received.bytes = (secure ?? connection).bytesRead;
      return brokenGrpc(text, call, error) ?? explainTls(text)(error);
    }
  });
}

interface Call {
  readonly received: Received;
  /** Whether the app has agreed to HTTP/2. */
  hasSettings: boolean;
  /** The code with which the app ended the session. */
  goaway?: number;
  /** Whether the app ended the call and kept the session. */
  isReset?: boolean;
  /** Whether it was given up because of all that came. */
  isTooLong?: boolean;
  /** Header and trailers together; an answer without a message has both in one block. */
  readonly fields: IncomingHttpHeaders;
  body: Buffer;
}

/** Rejects with the error of the socket, the session or the stream. */
function make(call: Call, session: ClientHttp2Session, service: string, userAgent: string): Promise<void> {
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
    stream.on('response', more => Object.assign(call.fields, more));
    stream.on('trailers', more => Object.assign(call.fields, more));
    stream.on('data', (part: Buffer) => {
      call.body = Buffer.concat([call.body, part]);
      if (call.body.length > mostAnswerBytes) resolve();
    });
    stream.once('close', () => {
      call.isReset = !session.closed && !session.destroyed;
      resolve();
    });
    stream.end(encodeRequest(service));
  });
}

/** For a check whose time is up; undefined if nothing came. */
function cameOf({ received, hasSettings, fields, body }: Call): string | undefined {
  if (received.isConnected && !received.isSecure) return 'the TLS handshake is not complete';
  if (fields[':status'] !== undefined)
    return `HTTP ${String(fields[':status'])} and ${body.length} bytes came, without a grpc-status`;
  return hasSettings ? 'the app agreed to HTTP/2, and did not answer the call' : undefined;
}

/** The verdict on a call that the app broke off; undefined for an error of another kind. */
function brokenGrpc(place: string, call: Call, error: unknown): Verdict | undefined {
  const { received, hasSettings, goaway, isTooLong } = call;
  if (isTooLong) return tooLong(place);
  const code = codeOf(error);
  if (!isEnding(error, received) && !code.startsWith('ERR_HTTP2_')) return undefined;
  if (!received.isSecure) return closedHandshake(place, received);
  const reset = /NGHTTP2_([A-Z0-9_]+)/.exec(messageOf(error))?.[1];
  if (hasSettings && goaway === undefined && code === 'ERR_HTTP2_STREAM_ERROR' && reset !== undefined)
    return invalid(place, `the call was reset (RST_STREAM, ${reset})`);
  if (hasSettings && goaway === undefined && !isEnding(error, received))
    return invalid(place, `the app broke a rule of HTTP/2 after ${received.bytes} bytes`);
  return unanswered(place, call);
}

/** The verdict on a call without an answer, whose connection or stream has ended. */
function unanswered(place: string, { received, hasSettings, goaway, isReset, isTooLong }: Call): Verdict {
  if (isTooLong) return tooLong(place);
  if (received.bytes === 0) return closedSilently(place, received);
  if (!hasSettings) {
    const what = `${received.bytes} bytes that are not HTTP/2; it may speak HTTP/1 or TLS there`;
    return invalid(place, `the app answered with ${what}`);
  }
  if (goaway !== undefined)
    return invalid(
      place,
      `the app ended the session (GOAWAY, ${nameOf(goaway)}) and did not answer the call`,
    );
  if (isReset) return invalid(place, 'the app ended the call (RST_STREAM, NO_ERROR) without an answer');
  return closedEarly(place, received, 'and did not answer the call');
}

function tooLong(place: string): Verdict {
  return invalid(place, `the app sent more than ${mostSession.bytes / 1024} KiB and did not answer the call`);
}

/** Names of codes in HTTP/2, by number. */
const http2Codes = (
  'NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR ' +
  'REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED'
).split(' ');

function nameOf(code: number): string {
  return http2Codes[code] ?? `code ${code}`;
}

/** By number. */
const codes = (
  'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED ' +
  'RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS ' +
  'UNAUTHENTICATED'
).split(' ');
const servingStatuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

function judge(subject: string, place: string, call: Call): Verdict {
  const { fields, body } = call;
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
