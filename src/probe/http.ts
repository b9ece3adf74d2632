/**
 * The HTTP check: one GET on the app's local port, on a connection of its own. A status from 200 to 399 passes; a
 * redirect is an answer and is not followed, as in the kubelet's HTTP probe.
 */
import got, { RequestError, TimeoutError } from 'got';
import type { Verdict } from '../core/health.ts';
import { messageOf } from '../errors.ts';
import type { Probe } from './probe.ts';

export interface HttpCheck {
  /** `http://127.0.0.1:8000/` */
  readonly url: string;
  /** For the whole exchange, in milliseconds. */
  readonly timeoutMs: number;
  readonly userAgent: string;
}

/** As much of the answer's body as is read, in bytes: an app that is cut off while it writes may log an error. */
const mostBytes = 64 * 1024;

/** Errors of our own machine: they say nothing about the app. */
const ourOwn = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'EADDRNOTAVAIL', 'EACCES', 'EPERM']);

export function httpProbe({ url, timeoutMs, userAgent }: HttpCheck): Probe {
  return async signal => {
    const request = got.stream(url, {
      timeout: { request: timeoutMs },
      retry: { limit: 0 },
      followRedirect: false,
      throwHttpErrors: false,
      decompress: false,
      headers: { 'user-agent': userAgent, accept: '*/*', 'accept-encoding': undefined, connection: 'close' },
      signal,
    });
    try {
      let status = 0;
      request.once('response', (response: { statusCode: number }) => {
        status = response.statusCode;
      });
      let bytes = 0;
      for await (const chunk of request as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > mostBytes) break;
      }
      return status >= 200 && status <= 399
        ? { kind: 'pass', detail: `HTTP ${status}` }
        : { kind: 'fail', reason: `HTTP ${status} from ${url}` };
    } catch (error) {
      return verdictOf(error, timeoutMs, url);
    } finally {
      request.destroy();
    }
  };
}

function verdictOf(error: unknown, timeoutMs: number, url: string): Verdict {
  if (error instanceof TimeoutError)
    return { kind: 'fail', reason: `no answer from ${url} within ${timeoutMs} ms` };
  if (error instanceof RequestError && error.name !== 'AbortError' && !ourOwn.has(error.code)) {
    return { kind: 'fail', reason: messageOf(error) };
  }
  return { kind: 'unknown', reason: messageOf(error) };
}
