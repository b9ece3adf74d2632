/**
 * How a question reaches the engine: one GET on a connection of its own. It takes the place of docker-modem, dockerode's
 * own transport, which never settles when a connection ends early, follows redirects wherever they lead, reads without a
 * bound, prints every answer under DEBUG, and takes settings of its own from the environment. Here a question ends in
 * time and in bytes, whatever comes back, and only a complete answer counts.
 */
import { request, type ClientRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import type { Socket } from 'node:net';
import { callbackify } from 'node:util';
import type { Clock } from '../clock.ts';
import { clean } from '../core/text.ts';
import { codeOf } from '../errors.ts';
import { lookupForConnect } from '../network/lookup.ts';
import type { Pem } from '../tls/pem.ts';

/** Where the engine is. */
export type Target =
  | { readonly socketPath: string }
  | { readonly host: string; readonly port: number; readonly pem: Pem | undefined };

/** What one question may take. */
export interface Bounds {
  readonly timeMs: number;
  /** Of the whole answer, its head included. */
  readonly bytes: number;
}

/** The engine's answer has another status than 200. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** There is no answer, or none that can be used. The message continues `Docker at …: `. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
}

/** The part of docker-modem that dockerode calls. */
export interface Transport {
  dial(
    question: { readonly method: string; readonly path: string },
    callback: (error: Error | null, answer: unknown) => void,
  ): void;
}

export function createTransport(target: Target, bounds: Bounds, clock: Clock): Transport {
  return {
    dial({ method, path }, callback) {
      // Whatever dockerode can do, nothing but a GET leaves this process.
      const answer =
        method === 'GET'
          ? get(target, path.replace(/\?$/, ''), bounds, clock)
          : Promise.reject(new TransportError(`${method} ${path} is never sent`));
      callbackify(() => answer)(callback);
    },
  };
}

async function get(target: Target, path: string, bounds: Bounds, clock: Clock): Promise<unknown> {
  const options: RequestOptions = {
    path,
    headers: { accept: 'application/json' },
    // A connection for each question: none stays open, and no proxy of the environment is used.
    agent: false,
    maxHeaderSize: largestHead,
    insecureHTTPParser: false,
  };
  if ('socketPath' in target) return exchange(request({ ...options, ...target }), bounds, clock);
  const { host, port, pem } = target;
  const address = { host, port, lookup: lookupForConnect };
  if (pem === undefined) return exchange(request({ ...options, ...address }), bounds, clock);
  const tls = await import('./tls.ts');
  // Said explicitly, because the default is what NODE_TLS_REJECT_UNAUTHORIZED says.
  const verified = { ...pem, rejectUnauthorized: true };
  return exchange(tls.request({ ...options, ...address, ...verified }), bounds, clock);
}

/** The most bytes of one head. */
const largestHead = 65_536;

/** Each provisional answer costs more time than bytes. */
const mostProvisional = 20;

/** Sends the request and resolves with the JSON of its answer. Afterwards the connection is closed. */
function exchange(asked: ClientRequest, { timeMs, bytes: most }: Bounds, clock: Clock): Promise<unknown> {
  const received = new Received();
  return new Promise<unknown>((resolve, reject) => {
    const end = (): void => {
      cancel();
      asked.destroy();
    };
    const fail = (error: Error): void => {
      end();
      reject(error);
    };
    const refuse = (message: string, cause?: unknown): void => fail(new TransportError(message, { cause }));
    const cancel = clock.after(timeMs, () => refuse(received.late(timeMs)));
    const onError = (error: Error): void => fail(received.explain(error));

    asked.on('error', onError);
    asked.on('socket', (socket: Socket) =>
      // All that comes counts, also heads, chunk extensions and trailers, and before Node's parser may refuse it.
      socket.prependListener('data', (chunk: Buffer) => {
        received.count(chunk);
        if (received.bytes > most) refuse(`the answer is larger than ${most} bytes`);
      }),
    );
    for (const event of ['upgrade', 'connect'] as const)
      asked.on(event, ({ statusCode }: IncomingMessage) =>
        refuse(`it answers ${statusCode} and leaves HTTP, which was not asked for`),
      );
    asked.on('information', () => {
      if (++received.provisional === mostProvisional)
        refuse('it sends one provisional answer after the other');
    });
    asked.on('response', response => {
      received.head = response;
      response.on('error', onError);
      response.on('data', (chunk: Buffer) => received.body.push(chunk));
      response.on('close', () => {
        if (!response.complete) return refuse(received.cutOff());
        try {
          const answer = received.answer();
          end();
          resolve(answer);
        } catch (error) {
          onError(error as Error);
        }
      });
    });
    asked.on('close', () => {
      if (received.head === undefined) refuse(received.cutOff());
    });
    asked.end();
  });
}

/** What has come so far. */
class Received {
  bytes = 0;
  /** How many answers of status 1xx came. */
  provisional = 0;
  head: IncomingMessage | undefined;
  readonly body: Buffer[] = [];
  #beginning = '';

  count(chunk: Buffer): void {
    if (this.bytes === 0) this.#beginning = chunk.toString('latin1', 0, 60);
    this.bytes += chunk.length;
  }

  /** The JSON of a complete answer. @throws StatusError, TransportError */
  answer(): unknown {
    const { statusCode = 0, headers } = this.head ?? { headers: {} };
    const { 'content-encoding': encoding = 'identity' } = headers;
    const location = statusCode >= 300 && statusCode < 400 ? headers.location : undefined;
    if (location !== undefined) {
      const where = clean(JSON.stringify(location), 100);
      throw new StatusError(
        statusCode,
        `it answers ${statusCode} and redirects to ${where}, which is not followed`,
      );
    }
    if (encoding !== 'identity')
      throw new TransportError(`the answer is compressed (${clean(encoding, 60)}), which was not asked for`);
    const text = Buffer.concat(this.body).toString();
    const json = parseJson(text);
    if (statusCode !== 200)
      throw new StatusError(statusCode, [`it answers ${statusCode}`, ...reasonIn(json, text)].join(': '));
    if (json === undefined) throw new TransportError(notDocker);
    return json;
  }

  late(timeMs: number): string {
    if (this.bytes === 0) return `no answer within ${timeMs} ms`;
    return `no complete answer within ${timeMs} ms, ${this.#amount()} came`;
  }

  /** Why an answer is not complete when its connection has ended. */
  cutOff(): string {
    if (this.bytes === 0) return 'the connection was closed without an answer';
    return `the answer ended after ${this.#amount()}${this.head ? '' : ', before the end of its head'}`;
  }

  explain(error: Error): Error {
    if (error instanceof TransportError || error instanceof StatusError) return error;
    const code = codeOf(error);
    const reason = this.#reasonOf(code, error);
    return reason === undefined ? error : new TransportError(reason, { cause: error });
  }

  /** Undefined for an error whose own message says it. */
  #reasonOf(code: string, error: Error): string | undefined {
    if (code === 'HPE_HEADER_OVERFLOW') return `the head of the answer is larger than ${largestHead} bytes`;
    // Node reports the end of a connection in the middle of an answer as one of these too.
    if (code === 'HPE_INVALID_EOF_STATE' || code === 'ECONNRESET' || code === 'EPIPE')
      return /secure TLS/.test(error.message)
        ? 'the connection was closed during the TLS handshake'
        : this.cutOff();
    if (!code.startsWith('HPE_')) return undefined;
    return this.head
      ? `the answer breaks the rules of HTTP after ${this.#amount()}`
      : `the answer is not HTTP, it begins with ${clean(JSON.stringify(this.#beginning))}`;
  }

  #amount(): string {
    const body = this.body.reduce((sum, { length }) => sum + length, 0);
    const length = this.head?.headers['content-length'];
    return length === undefined ? `${this.bytes} bytes` : `${body} of ${clean(length, 60)} bytes`;
  }
}

const notDocker = 'the answer is not of a Docker API: is this the right socket?';

/** Undefined for a text that is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** What an error of the engine says: the message in its JSON, else its text. */
function reasonIn(json: unknown, text: string): string[] {
  const message = typeof json === 'object' && json !== null && 'message' in json ? json.message : undefined;
  const reason = clean(typeof message === 'string' ? message : text.trim(), 200);
  return reason === '' ? [] : [reason];
}
