/**
 * The TLS connection of a check: which authority it trusts, our own certificate, and what to do when one of the two sides
 * does not accept the other's certificate.
 */
import { checkServerIdentity, connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { isIp, isLoopback } from '../core/address/ip.ts';
import type { Verdict } from '../core/registration/health.ts';
import type { CheckTls } from '../core/settings/check.ts';
import { codeOf, formatProblem, messageOf } from '../errors.ts';
import { tlsFault, tlsMessage, type TlsHints } from '../tls/hints.ts';
import { readPem, type Pem } from '../tls/pem.ts';
import type { Received } from './answer.ts';
import type { Connection } from '../network/closing.ts';
import { fail, type ProbeTarget } from './probe.ts';

/** Reads the files for each check, so that renewed ones are used. @throws PemFileError */
export function readTlsFiles({ ca, cert, key }: CheckTls): Promise<Pem> {
  return readPem({ ca, cert, key }, file => `--check-${file}`);
}

/**
 * Starts TLS with a full handshake on the connection of one check. A resumed session would not check the certificate again.
 * @param protocol offered by ALPN
 */
export function dialTls(
  connection: Connection,
  { name }: ProbeTarget,
  { insecure, serverName }: CheckTls,
  { ca, cert, key }: Pem,
  protocol: 'h2' | 'http/1.1',
): TLSSocket {
  const socket = connect({
    socket: connection,
    ALPNProtocols: [protocol],
    rejectUnauthorized: !insecure,
    ...(ca && { ca }),
    ...(cert && key && { cert, key }),
    // Without a name of the check there is no SNI, because an IP address cannot be one.
    ...(serverName === undefined ? identifiedBy(name) : { servername: serverName }),
  });
  // TLS takes this from the connection. HTTP/2 does not notice the app's end of a socket that stays half open.
  socket.allowHalfOpen = false;
  return socket;
}

/** The certificate must have this address or name. One for `localhost` has every loopback address. */
function identifiedBy(host: string): Pick<ConnectionOptions, 'host' | 'checkServerIdentity'> {
  if (!isIp(host) || !isLoopback(host)) return { host };
  return {
    host,
    checkServerIdentity(_, certificate) {
      const error = checkServerIdentity(host, certificate);
      return error && checkServerIdentity('localhost', certificate) ? error : undefined;
    },
  };
}

const refusedHint = 'the app may not accept the certificate in --check-cert';
const certificateHint = 'give one with --check-cert and --check-key';

const hints: TlsHints = {
  'unknown-authority': 'name its authority in --check-ca, or take any certificate with --check-insecure',
  'wrong-name': "say the certificate's name with --check-server-name, or take any with --check-insecure",
};

/** Hints that depend on the scheme of the check. */
const schemeHints = {
  https: {
    'not-tls': 'write the check without the s: http: or grpc',
    'protocol-refused': 'the app may speak HTTP/2 only: write the check as h2:',
  },
  h2: {
    'not-tls': 'write the check as h2c:',
    'protocol-refused': 'the app may speak HTTP/1.1 only: write the check as https:',
  },
  grpcs: {
    'not-tls': 'write the check without the s: http: or grpc',
    'protocol-refused': 'the app does not speak HTTP/2 there, and gRPC needs it',
  },
} as const satisfies Readonly<Record<string, TlsHints>>;

/**
 * Returns a function that makes a verdict of an error of TLS, with a hint if there is one, and throws any other again.
 * @param tls undefined for a check without TLS, which has no such errors
 */
export function explainTls(
  subject: string,
  scheme: keyof typeof schemeHints,
  tls: CheckTls | undefined,
): (error: unknown) => Verdict {
  return error => {
    const fault = tlsFault(error);
    if (fault === null && !/^(?:ERR_(?:SSL|TLS|OSSL)_|EPROTO$)/.test(codeOf(error))) throw error;
    const known: TlsHints = { ...hints, ...schemeHints[scheme] };
    const hint =
      fault === null
        ? undefined
        : fault === 'certificate-refused'
          ? refusalHint(messageOf(error), tls?.cert !== undefined)
          : known[fault];
    // What is no fault of the certificate is an alert of the app, or a rule of TLS that it broke.
    const isAlert = fault === null || fault === 'certificate-refused' || fault === 'protocol-refused';
    const message =
      fault === 'not-tls'
        ? 'it does not speak TLS there'
        : `${isAlert ? 'the TLS handshake failed: ' : ''}${tlsMessage(error).replace(/^(?:read|write) EPROTO /, '')}`;
    return fail(formatProblem({ message: `${subject}: ${message}`, ...(hint && { hint }) }), 'tls');
  };
}

/**
 * Adds a hint where the app ended the connection and sent nothing: some close it without an alert when they do not accept
 * our certificate.
 */
export function hintAtCertificate(
  verdict: Verdict,
  { bytes, ending }: Received,
  tls: CheckTls | undefined,
): Verdict {
  if (tls?.cert === undefined || verdict.kind !== 'fail' || bytes > 0 || ending === 'open') return verdict;
  if (verdict.reason.endsWith(refusedHint)) return verdict;
  return { ...verdict, reason: formatProblem({ message: verdict.reason, hint: refusedHint }) };
}

/** What to do when the app does not accept our certificate, or that there is none. */
function refusalHint(message: string, hasOwn: boolean): string {
  if (hasOwn) return refusedHint;
  return message.includes('certificate required')
    ? `the app demands a certificate: ${certificateHint}`
    : `if the app demands a certificate, ${certificateHint}`;
}
