/**
 * What went wrong with a question to the engine, and what to do about it. For a socket that cannot be used, the file at
 * its path says why: an old socket, a folder, another user's.
 */
import { lstatSync, readdirSync, readlinkSync, statSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { formatEngineEndpoint, type EngineEndpoint } from '../core/settings/process.ts';
import { clean } from '../core/text.ts';
import { codeOf, messageOf, type Problem } from '../errors.ts';
import { tlsHint, tlsMessage, type TlsHints } from '../tls/hints.ts';
import { StatusError } from './transport.ts';

const withoutDocker = 'do without it: --advertise IP:PORT';

/** The most characters of a name that a message shows. */
const mostName = 100;

export function explain(endpoint: EngineEndpoint, error: unknown): Problem {
  const found = endpoint.kind === 'unix' ? explainSocket(endpoint.path, codeOf(error)) : null;
  if (found !== null) return found;
  const message = `Docker at ${formatEngineEndpoint(endpoint)}: ${tlsMessage(error)}`;
  const hint = hintOf(endpoint, error);
  return { message, ...(hint !== undefined && { hint }) };
}

/** Null where the file at the path says nothing about the error. */
function explainSocket(path: string, code: string): Problem | null {
  switch (code) {
    case 'ENOENT':
      return explainMissing(path);
    case 'EACCES':
      return explainForbidden(path);
    case 'ECONNREFUSED':
      return explainRefused(path);
    default:
      return null;
  }
}

function explainMissing(path: string): Problem {
  const target = linkAt(path);
  if (target !== null)
    return {
      message: `no Docker socket at ${path}: it is a link to ${clean(target, mostName)}, which is not in this container`,
      hint: `mount the folder ${clean(dirname(target), mostName)} too, or name the socket with --docker`,
    };
  return {
    message: `no Docker socket at ${path}`,
    hint: `mount it with -v /var/run/docker.sock:${path}, name it with --docker, or ${withoutDocker}`,
  };
}

function explainForbidden(path: string): Problem {
  const stat = statOf(path);
  const message = `may not open the Docker socket ${path}`;
  if (stat === null || process.getuid?.() === 0)
    return {
      message,
      hint: `run dockreg as root or in the socket's group, allow it in SELinux or AppArmor (docker run --security-opt label=disable), or ${withoutDocker}`,
    };
  const { uid, gid, mode } = stat;
  const isForGroup = (mode & 0o020) !== 0;
  return {
    message: `${message}, which is for user ${uid}${isForGroup ? ` and group ${gid}` : ''}; we are user ${process.getuid?.()}`,
    hint: isForGroup
      ? `run dockreg as root or in the socket's group (docker run --group-add ${gid}), or ${withoutDocker}`
      : `run dockreg as that user, or ${withoutDocker}`,
  };
}

/** Nothing listens. A connect to a folder or a file is refused in the same way. */
function explainRefused(path: string): Problem | null {
  const stat = statOf(path);
  if (stat === null) return null;
  if (stat.isDirectory()) {
    const [socket] = socketsIn(path);
    if (socket !== undefined)
      return {
        message: `${path} is a folder and not a socket`,
        hint: `name the socket in it: --docker ${socket}`,
      };
    return {
      message: `${path} is a folder and not a socket: Docker makes one where the path of -v does not exist on the host`,
      hint: 'remove that folder on the host, start the engine, and make this container again with -v and the path of its socket',
    };
  }
  if (!stat.isSocket())
    return {
      message: `${path} is a file and not a socket`,
      hint: 'name the socket of the engine with --docker',
    };
  // Only a mount of the socket itself still shows a file that has no name any more.
  if (stat.nlink === 0)
    return {
      message: `the Docker socket ${path} is an old one: it was removed on the host, as an engine does when it restarts`,
      hint: 'restart this container; or, so that it does not happen again, mount the folder of the socket: -v /var/run:/host-run with --docker /host-run/docker.sock',
    };
  return {
    message: `nothing listens at the Docker socket ${path}`,
    hint: 'start the engine, or the proxy, whose socket it is; dockreg asks again by itself',
  };
}

function hintOf(endpoint: EngineEndpoint, error: unknown): string | undefined {
  if (error instanceof StatusError) return hintOfStatus(endpoint, error);
  if (endpoint.kind === 'unix') return undefined;
  const tls = tlsHint(error, tlsHints(endpoint.certificates));
  if (tls !== undefined) return tls;
  const text = `${codeOf(error)} ${messageOf(error)}`;
  if (/ECONNREFUSED/.test(text))
    return /^(?:127\.|::1$|localhost$)/.test(endpoint.host)
      ? 'this is the container itself and not its host: name the container of the proxy, or an address of the host, in --docker'
      : 'start the engine, or the proxy in front of it, or correct --docker';
  if (/ENOTFOUND|EAI_|ENODATA|ESERVFAIL/.test(text))
    return (
      'start the proxy, and put both containers on one network of docker network create: ' +
      'the default network knows no names; or correct --docker'
    );
  if (endpoint.certificates === undefined && /closed without an answer/.test(text))
    return 'does it speak TLS? Then set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH';
  if (/no answer within|UNREACH|ETIMEDOUT/.test(text))
    return 'check that this container has a network in common with it, the firewall, and --docker';
  return undefined;
}

function hintOfStatus(endpoint: EngineEndpoint, error: StatusError): string | undefined {
  switch (error.statusCode) {
    case 401:
    case 403:
      return 'let the proxy allow GET /containers/ID/json (CONTAINERS=1 in many), as examples/socket-proxy does';
    case 502:
    case 503:
    case 504:
      return 'the proxy answers, and the engine behind it does not: start the engine, then restart the proxy if its socket is an old one';
    default:
      return endpoint.kind === 'tcp' ? tlsHint(error, tlsHints(endpoint.certificates)) : undefined;
  }
}

function tlsHints(certificates: string | undefined): TlsHints {
  if (certificates === undefined)
    return { 'tls-expected': 'it speaks TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH' };
  const renew = 'renew its certificate, or set the clock';
  return {
    'unknown-authority': `its certificate is not of the authority in ${certificates}/ca.pem`,
    'wrong-name': 'name it in --docker as its certificate does',
    expired: renew,
    'not-yet-valid': renew,
    'certificate-refused': `it refuses us; cert.pem and key.pem in ${certificates} must be of an authority that it knows`,
    'not-tls': 'it does not speak TLS there; use its TLS port, or unset DOCKER_TLS_VERIFY',
  };
}

function statOf(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

/** Where a symbolic link leads; null for anything else. */
function linkAt(path: string): string | null {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : null;
  } catch {
    return null;
  }
}

/** The sockets of an engine in a folder, by their usual names. */
function socketsIn(folder: string): string[] {
  try {
    const names = readdirSync(folder);
    return ['docker.sock', 'podman.sock']
      .filter(name => names.includes(name))
      .map(name => join(folder, name))
      .filter(path => statOf(path)?.isSocket());
  } catch {
    return [];
  }
}
