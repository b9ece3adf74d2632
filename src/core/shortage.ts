/**
 * Tells trouble of our own machine from trouble of the app: a resource that has run out, or something that the kernel
 * does not allow us, says nothing about the app. Pure: it reads the fields of an error of Node.
 */
import type { Problem } from '../errors.ts';

/** The resources that run out, by the code of the error. Each may come back. */
const shortages: Readonly<Record<string, Problem>> = {
  EMFILE: {
    message: 'dockreg has no file descriptors left',
    hint: 'raise its limit: docker run --ulimit nofile=1024',
  },
  ENFILE: { message: 'the host has no file descriptors left', hint: 'raise fs.file-max on the host' },
  ENOMEM: { message: 'no memory is left', hint: "raise the container's memory limit" },
  ENOBUFS: { message: 'the kernel has no buffers left for sockets' },
  EADDRNOTAVAIL: {
    message: 'no local port is left for a connection',
    hint: 'close idle connections, or widen net.ipv4.ip_local_port_range',
  },
  EAGAIN: {
    message: 'no process or thread can be started',
    hint: 'raise the limit: docker run --pids-limit, or ulimit -u',
  },
};

/** What the kernel does not allow us, or what our network lacks: no system call, no loopback interface. */
const refusals = new Set([
  'EACCES',
  'EPERM',
  'ENOSYS',
  'EAFNOSUPPORT',
  'EPROTONOSUPPORT',
  'ESOCKTNOSUPPORT',
  'ENETDOWN',
  'ENETUNREACH',
  'EHOSTUNREACH',
]);

/** What is read of an error. Node gives the port for a connect over TCP, and a path for one to a Unix socket. */
interface Fields {
  readonly code: string;
  readonly syscall: string;
  readonly isTcp: boolean;
}

/** Returns what our own machine lacks or refuses; null for an error that is not of our own machine. */
export function ownTrouble(error: unknown): Problem | null {
  if (!(error instanceof Error)) return null;
  const { code, syscall, isTcp } = fieldsOf(error);
  const isSpawn = syscall.startsWith('spawn');
  // A Unix socket whose queue is full answers EAGAIN: the app does not accept.
  const isOfApp = code === 'EAGAIN' && !isSpawn && !isTcp;
  const shortage = isOfApp ? undefined : shortages[code];
  if (shortage) return { ...shortage, message: `${shortage.message} (${`${syscall} ${code}`.trim()})` };
  return refusals.has(code) || (isSpawn && code !== '') ? { message: error.message } : null;
}

/** Whether the code is that of a resource that has run out and may come back. */
export function isShortage(code: string): boolean {
  return Object.hasOwn(shortages, code);
}

function fieldsOf(error: Error): Fields {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const syscall = 'syscall' in error && typeof error.syscall === 'string' ? error.syscall : '';
  return { code, syscall, isTcp: 'port' in error && error.port !== undefined };
}
