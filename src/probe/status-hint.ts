/**
 * What a person can do about an answer whose status is not one of those that the check wants.
 */
import { formatScheme, type HttpCheck } from '../core/settings/check.ts';
import { clean } from '../core/text.ts';

/** The most of a location that is shown, in characters. */
const mostLocation = 100;

/** What nginx says over HTTP of our certificate. trust.ts has the hints on alerts of TLS, and loads TLS. */
const refusals = [
  [
    /No required SSL certificate was sent/,
    'the app demands a certificate: give one with --check-cert and --check-key',
  ],
  [/The SSL certificate error/, 'the app does not accept the certificate in --check-cert'],
] as const;

/**
 * Undefined for a status that says that the app is not well.
 * @param start the start of the body
 */
export function statusHint(
  check: HttpCheck,
  status: number,
  location: string | undefined,
  start: string,
): string | undefined {
  const { tls, method, statuses } = check;
  const refusal = tls && refusals.find(([pattern]) => pattern.test(start))?.[1];
  if (refusal !== undefined) return refusal;
  const healthz = `--check ${formatScheme(check)}:/healthz`;
  const wanted = statuses.map(({ from, to }) => (from === to ? from : `${from}-${to}`)).join(',');
  const accept = `accept it with --check-status ${wanted},${status}`;
  if (status >= 300 && status < 400 && location !== undefined)
    return `it redirects to ${clean(location.replace(/[?#].*$/s, ''), mostLocation)}, which is not followed: name that in --check, or ${accept}`;
  switch (status) {
    case 404:
    case 410:
      return `the app has no such path: name one that it answers, such as ${healthz}`;
    case 401:
      return `the app wants a login: name a path without one, such as ${healthz}, send one with --check-header, or ${accept}`;
    case 403:
      return `the app refuses dockreg: name a path for all, such as ${healthz}, give --check-header 'Host: NAME', or ${accept}`;
    case 405:
    case 501:
      return `the app does not take ${method} there: give another --check-method, or another path`;
    case 400:
    case 421:
      return /HTTP request (?:to an HTTPS|was sent to HTTPS)/.test(start)
        ? 'it speaks TLS there: write --check https:/path'
        : "the app may want its own name: --check-header 'Host: NAME'";
    case 429:
      return `checks come too often for it: give a longer --interval, or ${accept}`;
    default:
      return status < 400 ? accept : undefined;
  }
}
