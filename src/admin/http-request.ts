/**
 * HTTP as far as a read-only endpoint needs it: the first line of a request, and the text of a response after which the
 * connection is closed.
 */

export type HttpRequest =
  | { readonly kind: 'request'; readonly method: string; readonly path: string }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'invalid'; readonly status: 400 | 431 | 505; readonly why: string };

/** The longest head of a request, in bytes. */
export const mostHead = 8192;

const methodAndTarget = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP\/(\d)\.(\d)$/;

/**
 * Reads the head of a request.
 * @param text what has arrived, a character per byte
 * @param isLast nothing more will come, or be read
 */
export function readHead(text: string, isLast: boolean): HttpRequest {
  // A client may send an empty line before its request.
  const start = /^(?:\r?\n)?/.exec(text)?.[0].length ?? 0;
  // A client that speaks TLS does not begin with the name of a method.
  if (text.length > start && !/[A-Za-z]/.test(text[start] ?? ''))
    return invalid(400, 'the endpoint speaks HTTP/1.1, without TLS');
  const head = /^[^]*?\r?\n\r?\n/.exec(text.slice(start))?.[0];
  if (head === undefined) {
    if (text.length >= mostHead) return invalid(431, `the head of a request has at most ${mostHead} bytes`);
    return isLast ? invalid(400, 'the request is not complete') : { kind: 'incomplete' };
  }
  const [line = '', ...fields] = head.split(/\r?\n/);
  const [, method = '', target = '', major, minor] = methodAndTarget.exec(line) ?? [];
  if (major === undefined) return invalid(400, 'the first line must be METHOD PATH HTTP/1.1');
  if (major !== '1') return invalid(505, 'the endpoint speaks HTTP/1.1');
  if (minor !== '0' && !fields.some(field => /^host:/i.test(field)))
    return invalid(400, 'HTTP/1.1 requires a Host field');
  const [path = ''] = target.replace(/^https?:\/\/[^/?#]*/i, '').split('?');
  return { kind: 'request', method, path };
}

function invalid(status: 400 | 431 | 505, why: string): HttpRequest {
  return { kind: 'invalid', status, why };
}

export interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export interface Response {
  /** For a GET. */
  readonly whole: Buffer;
  /** For a HEAD: without the body. */
  readonly head: Buffer;
}

const reasons: Readonly<Record<number, string>> = {
  200: 'OK',
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  431: 'Request Header Fields Too Large',
  503: 'Service Unavailable',
  505: 'HTTP Version Not Supported',
};

/** @param wall in ms since 1970 */
export function writeResponse({ status, type, body }: Page, wall: number): Response {
  const lines = [
    `HTTP/1.1 ${status} ${reasons[status] ?? ''}`,
    `date: ${new Date(wall).toUTCString()}`,
    `content-type: ${type}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'cache-control: no-store',
    ...(status === 405 ? ['allow: GET, HEAD'] : []),
    'connection: close',
  ];
  const head = `${lines.join('\r\n')}\r\n\r\n`;
  const whole = Buffer.from(head + body);
  return { whole, head: whole.subarray(0, Buffer.byteLength(head)) };
}
