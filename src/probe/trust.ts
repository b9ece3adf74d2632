/**
 * A check over TLS: the connection, whom it trusts, and what to do when that is not the app.
 */
import { connect, type TLSSocket } from 'node:tls';
import type { CheckTls } from '../core/settings/check.ts';
import type { Verdict } from '../core/registration/health.ts';
import { messageOf } from '../errors.ts';
import { readPem } from '../tls/pem.ts';
import type { ProbeTarget } from './place.ts';
import { fail } from './probe.ts';

/** Read anew for each check, so that a renewed authority is taken up. @throws PemFileError */
export async function readAuthority({ ca }: CheckTls): Promise<Buffer | undefined> {
  const pem = await readPem(ca === undefined ? undefined : { setting: '--check-ca', path: ca }, undefined);
  return pem.ca;
}

/**
 * A connection of its own, with a whole handshake: to take up the last session again would be not to look at the
 * certificate.
 * @param protocol what is offered by ALPN
 */
export function dialTls(
  target: ProbeTarget,
  { insecure, serverName }: CheckTls,
  authority: Buffer | undefined,
  protocol: 'h2' | 'http/1.1',
): TLSSocket {
  return connect({
    ...target,
    ALPNProtocols: [protocol],
    rejectUnauthorized: !insecure,
    ...(authority && { ca: authority }),
    ...(serverName !== undefined && { servername: serverName }),
  });
}

/** Settles as `work` does, but where TLS failed with the way out. */
export async function explainTls(where: string, work: Promise<Verdict>): Promise<Verdict> {
  try {
    return await work;
  } catch (error) {
    const message = messageOf(error);
    const explained = hint(message);
    if (explained === undefined) throw error;
    return fail(`${where}: ${explained}`, 'tls');
  }
}

function hint(message: string): string | undefined {
  if (/self-signed|unable to (get|verify)/.test(message))
    return `${message}; name its authority in --check-ca, or take any certificate with --check-insecure`;
  if (/altnames/.test(message))
    return `${message}; say the certificate's name with --check-server-name, or take any with --check-insecure`;
  if (/wrong version number|packet length too long|record overflow/i.test(message))
    return 'it does not speak TLS there; write the check without the s: http: or grpc';
  return undefined;
}
