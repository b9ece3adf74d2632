/**
 * The TLS connection of a check: which authority it trusts, and what to do when the app's certificate is not accepted.
 */
import { connect, type TLSSocket } from 'node:tls';
import type { Verdict } from '../core/registration/health.ts';
import type { CheckTls } from '../core/settings/check.ts';
import { codeOf, formatProblem } from '../errors.ts';
import { tlsFault, tlsMessage, type TlsHints } from '../tls/hints.ts';
import { readPem } from '../tls/pem.ts';
import type { Connection } from '../network/closing.ts';
import { fail } from './probe.ts';

/** Reads the file for each check, so that a renewed authority is used. @throws PemFileError */
export async function readAuthority({ ca }: CheckTls): Promise<Buffer | undefined> {
  return (await readPem({ ca }, () => '--check-ca')).ca;
}

/**
 * Starts TLS with a full handshake on the connection of one check. A resumed session would not check the certificate again.
 * @param protocol offered by ALPN
 */
export function dialTls(
  connection: Connection,
  { insecure, serverName }: CheckTls,
  authority: Buffer | undefined,
  protocol: 'h2' | 'http/1.1',
): TLSSocket {
  const socket = connect({
    socket: connection,
    ALPNProtocols: [protocol],
    rejectUnauthorized: !insecure,
    ...(authority && { ca: authority }),
    ...(serverName !== undefined && { servername: serverName }),
  });
  // TLS takes this from the connection. HTTP/2 does not notice the app's end of a socket that stays half open.
  socket.allowHalfOpen = false;
  return socket;
}

const hints: TlsHints = {
  'unknown-authority': 'name its authority in --check-ca, or take any certificate with --check-insecure',
  'wrong-name': "say the certificate's name with --check-server-name, or take any with --check-insecure",
  'not-tls': 'write the check without the s: http: or grpc',
};

/** Returns a function that makes a verdict of an error of TLS, with a hint if there is one, and throws any other again. */
export function explainTls(subject: string): (error: unknown) => Verdict {
  return error => {
    const fault = tlsFault(error);
    if (fault === null && !/^(?:ERR_(?:SSL|TLS|OSSL)_|EPROTO$)/.test(codeOf(error))) throw error;
    const hint = fault === null ? undefined : hints[fault];
    // What is no fault of the certificate is an alert of the app, or a rule of TLS that it broke.
    const isAlert = fault === null || fault === 'certificate-refused';
    const message =
      fault === 'not-tls'
        ? 'it does not speak TLS there'
        : `${isAlert ? 'the TLS handshake failed: ' : ''}${tlsMessage(error).replace(/^(?:read|write) EPROTO /, '')}`;
    return fail(formatProblem({ message: `${subject}: ${message}`, ...(hint && { hint }) }), 'tls');
  };
}
