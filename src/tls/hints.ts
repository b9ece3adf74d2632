/**
 * Recognizes what went wrong in a TLS connection, for everything that speaks TLS. What to do about a fault depends on
 * the connection, so each kind of connection has its own hints.
 */
import { messageOf } from '../errors.ts';

/**
 * Codes of Node and messages of OpenSSL 3.0 to 3.5. An error that passed through gRPC, or through an error of our own,
 * has only the message. Alerts come first, since the name of one may contain the words of another fault.
 */
const faults = [
  // The peer refuses our certificate, or requires one.
  [
    'certificate-refused',
    /alert (?:(?:bad|unsupported) certificate|certificate |unknown ca|access denied|handshake failure)/,
  ],
  // The peer speaks none of the protocols that we offer by ALPN.
  ['protocol-refused', /no application protocol/],
  ['wrong-name', /ERR_TLS_CERT_ALTNAME_INVALID|certificate's altnames/],
  ['expired', /CERT_HAS_EXPIRED|certificate has expired/],
  ['not-yet-valid', /CERT_NOT_YET_VALID|certificate is not yet valid/],
  [
    'unknown-authority',
    /SELF_SIGNED_CERT|UNABLE_TO_(?:GET_ISSUER|VERIFY)|self[- ]signed certificate|unable to (?:get|verify)|certificate (?:signature failure|not trusted)/,
  ],
  // We speak TLS and the peer does not.
  ['not-tls', /wrong version number|(?:packet|data) length too long|record overflow/],
  // The peer speaks TLS and we do not.
  ['tls-expected', /HTTP request (?:to an HTTPS server|was sent to HTTPS port)/],
  ['handshake-closed', /disconnected before secure TLS connection was established/],
] as const satisfies readonly (readonly [fault: string, pattern: RegExp])[];

export type TlsFault = (typeof faults)[number][0];

/** What to do about each fault. */
export type TlsHints = Readonly<Partial<Record<TlsFault, string>>>;

/** The fault that an error or its message shows; null for any other error. */
export function tlsFault(error: unknown): TlsFault | null {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const text = `${code} ${messageOf(error)}`;
  return faults.find(([, pattern]) => pattern.test(text))?.[0] ?? null;
}

/** The hint for the fault, if there is one. */
export function tlsHint(error: unknown, hints: TlsHints): string | undefined {
  const fault = tlsFault(error);
  return fault === null ? undefined : hints[fault];
}

/** The message without the numbers and file names of OpenSSL, and without Node's advice about its own options. */
export function tlsMessage(error: unknown): string {
  return messageOf(error)
    .replace(/[\dA-F]+:error:[\dA-F]+:SSL routines:[^:]*:([^:]*):.*$/, '$1')
    .replace('; if the root CA is installed locally, try running Node.js with --use-system-ca', '');
}
