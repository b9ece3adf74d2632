/**
 * The tests' own way to etcd: its JSON gateway over HTTP. It shares no code with the program under test, needs no
 * process for a request, and shows etcd's answers unchanged.
 */
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

import type { TlsFiles } from './tls.ts';
import { inTime } from './wait.ts';

/** How to reach one member. */
export interface GatewayTarget {
  /** `http://127.0.0.1:2379`, or https. */
  readonly endpoint: string;
  readonly tls?: TlsFiles | undefined;
}

export interface ResponseHeader {
  readonly cluster_id: string;
  readonly member_id: string;
  /** etcd leaves it out when it is zero. */
  readonly revision?: string;
  readonly raft_term?: string;
}

/** A key as the gateway writes it: base64, 64-bit numbers in decimal, zeros left out. */
export interface RawKeyValue {
  readonly key: string;
  readonly value?: string;
  readonly lease?: string;
  readonly create_revision?: string;
  readonly mod_revision: string;
  readonly version?: string;
}

/** etcd answered with an error. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  /** The HTTP status. */
  readonly status: number;

  constructor(path: string, status: number, text: string) {
    super(`etcd answered ${status} to ${path}: ${text.slice(0, 500)}`);
    this.status = status;
  }
}

/** Sends one request. Rejects with a GatewayError, the socket's error, or a WaitError after `timeoutMs`. */
export async function ask<T>(
  target: GatewayTarget,
  path: string,
  body: object,
  { timeoutMs = 2_000, token }: { readonly timeoutMs?: number; readonly token?: string | undefined } = {},
): Promise<T> {
  const stop = new AbortController();
  const answer = (async () => {
    const response = await open(target, path, body, stop.signal, token);
    return JSON.parse(await readAll(response)) as T;
  })();
  try {
    return await inTime(answer, timeoutMs, `${target.endpoint}${path}: no answer`);
  } finally {
    answer.catch(() => undefined);
    stop.abort();
  }
}

/**
 * Requests a stream of answers, one JSON text a line. Resolves when etcd ends it, rejects when it breaks or the signal
 * aborts. The stream does not keep the process alive.
 */
export async function follow(
  target: GatewayTarget,
  path: string,
  body: object,
  onAnswer: (answer: object) => void,
  signal: AbortSignal,
  token?: string,
): Promise<void> {
  const response = await open(target, path, body, signal, token, 'unref');
  let rest = '';
  response.setEncoding('utf8');
  for await (const chunk of response) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const message = JSON.parse(line) as {
        readonly result?: object;
        readonly error?: { readonly message?: string };
      };
      if (message.result === undefined) throw new GatewayError(path, response.statusCode ?? 0, line);
      onAnswer(message.result);
    }
  }
}

/** GETs a page of plain text, such as a member's metrics. Rejects like `ask`. */
export async function getText(url: string, timeoutMs = 2_000): Promise<string> {
  const stop = new AbortController();
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    httpRequest(url, { agent: false, signal: stop.signal }, resolve).on('error', reject).end();
  }).then(readAll);
  try {
    return await inTime(answer, timeoutMs, `${url}: no answer`);
  } finally {
    answer.catch(() => undefined);
    stop.abort();
  }
}

async function open(
  target: GatewayTarget,
  path: string,
  body: object,
  signal: AbortSignal,
  token: string | undefined,
  keepAlive: 'ref' | 'unref' = 'ref',
): Promise<IncomingMessage> {
  const url = new URL(path, target.endpoint);
  const headers = {
    'content-type': 'application/json',
    ...(token === undefined ? {} : { authorization: token }),
  };
  const common = { method: 'POST', agent: false, headers, signal };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = target.tls
      ? httpsRequest(url, { ...common, ...clientTls(target.tls) }, resolve)
      : httpRequest(url, common, resolve);
    if (keepAlive === 'unref') request.once('socket', socket => socket.unref());
    request.on('error', reject).end(JSON.stringify(body));
  });
  const status = response.statusCode ?? 0;
  if (status !== 200) throw new GatewayError(path, status, await readAll(response));
  return response;
}

// A test may give the server a wrong name or an expired certificate. The test itself must still reach it.
function clientTls({ client }: TlsFiles): object {
  return { rejectUnauthorized: false, cert: readFileSync(client.cert), key: readFileSync(client.key) };
}

async function readAll(response: IncomingMessage): Promise<string> {
  let all = '';
  response.setEncoding('utf8');
  for await (const chunk of response) all += String(chunk);
  return all;
}

export function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

export function decode(base64 = ''): string {
  return Buffer.from(base64, 'base64').toString();
}

/** The key range of a prefix: from the prefix to the prefix with its last byte incremented. */
export function prefixRange(prefix: string): { readonly key: string; readonly range_end: string } {
  // For etcd a range from zero to zero is everything.
  if (prefix === '') return { key: encode('\0'), range_end: encode('\0') };
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end.writeUInt8(end.readUInt8(last) + 1, last);
  return { key: encode(prefix), range_end: end.toString('base64') };
}

/** A lease id as etcdctl prints it, 16 hexadecimal digits; '0' for none. */
export function leaseHex(decimal = '0'): string {
  return decimal === '0' ? '0' : BigInt.asUintN(64, BigInt(decimal)).toString(16).padStart(16, '0');
}
