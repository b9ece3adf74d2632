/**
 * Every option once: its flag, its environment variable, its default, its place in the help text, and its parser.
 */
import { layoutNames } from '../core/layouts/formats.ts';
import {
  parseBytes,
  parseCheckTarget,
  parseExpectation,
  parseHeaders,
  parseMethod,
  parseStatuses,
} from './check-values.ts';
import {
  parseLayouts,
  parseMeta,
  parseName,
  parseOwnRecords,
  parseScheme,
  parseTags,
  parseWeight,
  parseZone,
} from './service.ts';
import { parseServices } from './service-text.ts';
import {
  parseAdvertise,
  parseContainerId,
  parseControl,
  parseCount,
  parseDuration,
  parseEndpoints,
  parseEngineEndpoint,
  parseHost,
  parseKey,
  parseListen,
  parseLogFormat,
  parseLocalPort,
  parsePath,
  parsePause,
  parseServerName,
  parseSocketPath,
  parseSwitch,
  parseTtl,
  parseUser,
} from './values.ts';

export interface Option<T> {
  /** What stands for the value in the help text. */
  readonly placeholder: string;
  readonly help: string;
  /** The text that is parsed when nothing is given. */
  readonly defaultText?: string;
  /** The text that the flag stands for when it is given without a value. */
  readonly impliedValue?: string;
  /** A variable of others that holds when neither flag nor variable of ours is given. */
  readonly fallbackVariable?: string;
  /** Without it, and without a fallback, the option is left out. */
  readonly required?: { readonly hint: string };
  /** It may be given several times, which is the same as once with this between the values. */
  readonly separator?: string;
  /** It is for the process as a whole, so no service has one of its own. */
  readonly shared?: true;
  readonly parse: (text: string) => T;
}

/** In the order of the help text. The flag is the name, the variable is `DOCKREG_` and the name in capitals with `_` for `-`. */
export const options = {
  etcd: {
    placeholder: 'URL[,URL…]',
    help: 'etcd endpoints (required)',
    required: { hint: 'say where etcd is: --etcd http://10.1.0.101:2379' },
    shared: true,
    parse: parseEndpoints,
  },
  'etcd-ca': {
    placeholder: 'FILE',
    help: "authority that etcd's certificate must be of",
    shared: true,
    parse: parsePath,
  },
  'etcd-cert': { placeholder: 'FILE', help: 'our certificate for etcd', shared: true, parse: parsePath },
  'etcd-key': { placeholder: 'FILE', help: 'and its key', shared: true, parse: parsePath },
  'etcd-user': { placeholder: 'NAME', help: 'user of etcd', shared: true, parse: parseUser },
  'etcd-password-file': {
    placeholder: 'FILE',
    help: 'and its password, or DOCKREG_ETCD_PASSWORD',
    shared: true,
    parse: parsePath,
  },
  port: {
    placeholder: 'PORT[/udp]',
    help: "the app's local port; left out, labels of the container say it",
    required: { hint: 'say where the app listens: --port 8000' },
    parse: parseLocalPort,
  },
  service: {
    placeholder: 'OPTION=VALUE,…',
    help: 'one of several services, such as name=web,port=8000; repeatable',
    separator: '\n',
    shared: true,
    parse: parseServices,
  },
  config: { placeholder: 'FILE', help: 'options and services, in YAML', shared: true, parse: parsePath },
  key: {
    placeholder: 'PARENT',
    help: 'parent of the keys: /PARENT/<ip>:<port>',
    defaultText: 'service',
    parse: parseKey,
  },
  layout: {
    placeholder: 'NAME[:ROOT],…',
    help: layoutNames.join(', '),
    separator: ',',
    parse: parseLayouts,
  },
  record: {
    placeholder: 'KEY=VALUE',
    help: 'a record in your own words, with {address}, {service}, {label:NAME}, …',
    separator: '\n',
    parse: parseOwnRecords,
  },
  name: {
    placeholder: 'NAME',
    help: "the service's name (that of SERVICE_NAME, compose, swarm, the image)",
    parse: parseName,
  },
  scheme: {
    placeholder: 'SCHEME',
    help: 'how the app is spoken to: http, https, h2c, grpc, grpcs, tcp',
    defaultText: 'http',
    parse: parseScheme,
  },
  host: {
    placeholder: 'NAME',
    help: "the host's name, where a layout has one; left out, its IP",
    parse: parseName,
  },
  tags: {
    placeholder: 'TAG,…',
    help: 'metadata, in the layouts that carry it',
    separator: ',',
    parse: parseTags,
  },
  weight: { placeholder: 'NUMBER', help: 'the same: the share of requests', parse: parseWeight },
  zone: { placeholder: 'ZONE', help: 'the same: where it runs', parse: parseZone },
  meta: {
    placeholder: 'KEY=VALUE,…',
    help: 'the same: version=2.1 and what else you like',
    separator: ',',
    parse: parseMeta,
  },
  docker: {
    placeholder: 'SOCKET',
    help: 'the Docker API: a path, unix://… or tcp://…',
    defaultText: '/var/run/docker.sock',
    fallbackVariable: 'DOCKER_HOST',
    shared: true,
    parse: parseEngineEndpoint,
  },
  container: {
    placeholder: 'ID',
    help: 'our own container, if it cannot be found out',
    shared: true,
    parse: parseContainerId,
  },
  ip: {
    placeholder: 'ADDRESS|NAME',
    help: "the host's address, name or interface (as published)",
    parse: parseHost,
  },
  advertise: {
    placeholder: 'MODE|IP:PORT',
    help: 'published, host, container[:NETWORK], swarm, or just this',
    defaultText: 'published',
    parse: parseAdvertise,
  },
  'allow-loopback': {
    placeholder: 'on|off',
    help: 'register a loopback address, which no other host can reach',
    defaultText: 'off',
    impliedValue: 'on',
    parse: parseSwitch,
  },
  check: {
    placeholder: 'CHECK',
    help: 'http[s]:/PATH, tcp, exec:COMMAND, grpc[s][:SERVICE] or docker',
    defaultText: 'http:/',
    parse: parseCheckTarget,
  },
  'check-method': { placeholder: 'METHOD', help: 'http: method', defaultText: 'GET', parse: parseMethod },
  'check-header': {
    placeholder: 'NAME:VALUE',
    help: 'http: header, also Host; repeatable',
    separator: '\n',
    parse: parseHeaders,
  },
  'check-status': {
    placeholder: 'LIST',
    help: 'http: statuses that pass',
    defaultText: '200-399',
    parse: parseStatuses,
  },
  'check-body': { placeholder: 'TEXT|/REGEX/', help: 'http: what the body has', parse: parseExpectation },
  'check-send': { placeholder: 'TEXT', help: 'tcp: what is sent', parse: parseBytes },
  'check-expect': { placeholder: 'TEXT|/REGEX/', help: 'tcp: what is answered', parse: parseExpectation },
  'check-ca': {
    placeholder: 'FILE',
    help: "https, grpcs: authority of the app's certificate",
    parse: parsePath,
  },
  'check-server-name': {
    placeholder: 'NAME',
    help: "https, grpcs: the certificate's name, also for SNI",
    parse: parseServerName,
  },
  'check-insecure': {
    placeholder: '[on|off]',
    help: 'https, grpcs: take any certificate',
    impliedValue: 'on',
    parse: parseSwitch,
  },
  'check-socket': {
    placeholder: 'PATH',
    help: "http, tcp, grpc: a Unix socket in place of the app's port",
    parse: parseSocketPath,
  },
  interval: { placeholder: 'TIME', help: 'from check to check', defaultText: '5s', parse: parseDuration },
  timeout: {
    placeholder: 'TIME',
    help: 'how long one check may take',
    defaultText: '3s',
    parse: parseDuration,
  },
  rise: {
    placeholder: 'COUNT',
    help: 'passes in a row that bring it up',
    defaultText: '1',
    parse: parseCount,
  },
  fall: {
    placeholder: 'COUNT',
    help: 'fails in a row that bring it down',
    defaultText: '1',
    parse: parseCount,
  },
  'start-period': {
    placeholder: 'TIME',
    help: 'how long after the start fails are expected',
    defaultText: '0',
    parse: parsePause,
  },
  ttl: {
    placeholder: 'TIME',
    help: 'how long the key outlives a lost container',
    defaultText: '20s',
    parse: parseTtl,
  },
  drain: {
    placeholder: 'TIME',
    help: 'how long the app goes on at a stop after its key is gone',
    defaultText: '0',
    shared: true,
    parse: parsePause,
  },
  control: {
    placeholder: 'PATH|off',
    help: 'the Unix socket of dockreg drain, resume, status',
    defaultText: '/run/dockreg.sock',
    shared: true,
    parse: parseControl,
  },
  listen: {
    placeholder: 'IP:PORT',
    help: 'show /metrics, /status and /healthz over HTTP there',
    shared: true,
    parse: parseListen,
  },
  watch: {
    placeholder: 'on|off',
    help: 'notice at once what becomes of the app, from the kernel',
    defaultText: 'on',
    parse: parseSwitch,
  },
  log: {
    placeholder: 'FORMAT',
    help: 'logfmt or json',
    defaultText: 'logfmt',
    shared: true,
    parse: parseLogFormat,
  },
} as const satisfies Readonly<Record<string, Option<unknown>>>;

export type OptionName = keyof typeof options;

export const optionNames = Object.keys(options) as OptionName[];

/** `etcd-ca` → `DOCKREG_ETCD_CA` */
export function variableOf(name: OptionName): string {
  return `DOCKREG_${name.toUpperCase().replaceAll('-', '_')}`;
}

/** The one setting that has no flag: everybody on the machine can read a command line. */
export const passwordVariable = 'DOCKREG_ETCD_PASSWORD';
