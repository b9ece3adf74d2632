/**
 * Every option once: its flag, its environment variable, its default, its place in the help text, and its parser.
 */
import {
  parseAddress,
  parseContainerId,
  parseDuration,
  parseEndpoints,
  parseEngineEndpoint,
  parseIp,
  parseKey,
  parseLogFormat,
  parsePath,
  parsePort,
  parseSwitch,
  parseTtl,
  parseUser,
} from './values.ts';

export interface Option<T> {
  /** What stands for the value in the help text. */
  readonly placeholder: string;
  readonly help: string;
  /** The text that is parsed when nothing is given. */
  readonly fallback?: string;
  /** Without it, and without a fallback, the option is left out. */
  readonly required?: { readonly wayOut: string };
  readonly parse: (text: string) => T;
}

/** In the order of the help text. The flag is the name, the variable is `DOCKREG_` and the name in capitals with `_` for `-`. */
export const options = {
  etcd: {
    placeholder: 'URL[,URL…]',
    help: 'etcd endpoints (required)',
    required: { wayOut: 'say where etcd is: --etcd http://10.1.0.101:2379' },
    parse: parseEndpoints,
  },
  'etcd-ca': { placeholder: 'FILE', help: "authority that etcd's certificate must be of", parse: parsePath },
  'etcd-cert': { placeholder: 'FILE', help: 'our certificate for etcd', parse: parsePath },
  'etcd-key': { placeholder: 'FILE', help: 'and its key', parse: parsePath },
  'etcd-user': { placeholder: 'NAME', help: 'user of etcd', parse: parseUser },
  'etcd-password-file': {
    placeholder: 'FILE',
    help: 'and its password, or DOCKREG_ETCD_PASSWORD',
    parse: parsePath,
  },
  port: {
    placeholder: 'PORT',
    help: "the app's local port (required)",
    required: { wayOut: 'say where the app listens: --port 8000' },
    parse: parsePort,
  },
  key: {
    placeholder: 'PARENT',
    help: 'parent of the keys: /PARENT/<ip>:<port>',
    fallback: 'service',
    parse: parseKey,
  },
  docker: {
    placeholder: 'SOCKET',
    help: 'the Docker API: a path, unix://… or tcp://…',
    fallback: '/var/run/docker.sock',
    parse: parseEngineEndpoint,
  },
  container: {
    placeholder: 'ID',
    help: 'our own container, if it cannot be found out',
    parse: parseContainerId,
  },
  ip: {
    placeholder: 'ADDRESS',
    help: "the host's address to register; left out, that of the port mapping",
    parse: parseIp,
  },
  advertise: {
    placeholder: 'IP:PORT',
    help: 'register this address; Docker is not asked at all',
    parse: parseAddress,
  },
  interval: { placeholder: 'TIME', help: 'from check to check', fallback: '5s', parse: parseDuration },
  timeout: { placeholder: 'TIME', help: 'how long one check may take', fallback: '3s', parse: parseDuration },
  ttl: {
    placeholder: 'TIME',
    help: 'how long the key outlives a lost container',
    fallback: '20s',
    parse: parseTtl,
  },
  watch: {
    placeholder: 'on|off',
    help: 'notice at once what becomes of the app, from the kernel',
    fallback: 'on',
    parse: parseSwitch,
  },
  log: { placeholder: 'FORMAT', help: 'logfmt or json', fallback: 'logfmt', parse: parseLogFormat },
} as const satisfies Readonly<Record<string, Option<unknown>>>;

export type OptionName = keyof typeof options;

export const optionNames = Object.keys(options) as OptionName[];

/** `etcd-ca` → `DOCKREG_ETCD_CA` */
export function variableOf(name: OptionName): string {
  return `DOCKREG_${name.toUpperCase().replaceAll('-', '_')}`;
}

/** The one setting that has no flag: everybody on the machine can read a command line. */
export const passwordVariable = 'DOCKREG_ETCD_PASSWORD';
