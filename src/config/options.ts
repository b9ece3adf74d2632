/**
 * The option table: each option once, with its help text, its default, and the parser of its value. The flag is the name
 * of the row; the variable is `variableOf(name)`. docs/options.md is generated from this table.
 */
import { layoutNames } from '../core/layouts/formats.ts';
import { schemes } from '../core/layouts/instance.ts';
import { parseAdvertise, parseCheckHost, parseHost, parseListen, parseLocalPort } from './parse/address.ts';
import {
  parseBytes,
  parseCheckTarget,
  parseExpectation,
  parseHeaders,
  parseMethod,
  parseStatuses,
  type CheckScheme,
} from './parse/check.ts';
import {
  parseContainerId,
  parseControl,
  parseEndpoints,
  parseEngineEndpoint,
  parsePath,
  parseServerName,
  parseSocketPath,
  parseUser,
} from './parse/endpoints.ts';
import {
  parseCount,
  parseInterval,
  parsePause,
  parsePort,
  parseTimeout,
  parseTtl,
  parseWeight,
} from './parse/numbers.ts';
import {
  parseKey,
  parseLayouts,
  parseMeta,
  parseName,
  parseOwnRecords,
  parseTags,
  parseZone,
} from './parse/records.ts';
import { showCheck, showHeaders, showNothing, showUrls, showUser } from './parse/secrets.ts';
import { parseChoice, parseSwitch, type TextRules } from './parse/value.ts';

/** A row of the table. */
export interface Option extends TextRules {
  /** Stands for the value in the help text. */
  readonly placeholder: string;
  readonly help: string;
  /** Missing for the options that are sources themselves: --service and --config. */
  readonly parse?: ((text: string) => unknown) & { readonly range?: string };
  /** The text that is parsed when no source gives the option. */
  readonly defaultText?: string;
  /** The text that the flag stands for when it has no value. */
  readonly impliedValue?: string;
  /** A variable of another program, read when neither the flag nor the variable of dockreg is set. */
  readonly fallbackVariable?: string;
  /** What to do when no source gives the option. Without it the option may be left out. */
  readonly required?: string;
  /** The option is repeatable: its texts are joined with this. */
  readonly separator?: string;
  /** The checks that the option is a detail of; without it the option applies to any. */
  readonly checks?: readonly CheckScheme[];
}

/** A row whose type says which details it has, so the reader knows which options always have a value. */
function option<T, D extends Partial<Option>>(
  placeholder: string,
  help: string,
  parse: ((text: string) => T) & { readonly range?: string },
  details: D,
) {
  return { ...details, placeholder, help, parse };
}

/** For lists of texts, and for texts with a syntax of their own. */
const long = 8192;
/** Linux opens no longer path. */
const file = { maxLength: 4095 } as const;
const short = { maxLength: 255 } as const;

const http = ['http', 'https', 'h2c', 'h2'] as const;
const tcp = ['tcp'] as const;
const secure = ['https', 'h2', 'grpcs'] as const;
const connecting = [...http, 'tcp', 'grpc', 'grpcs'] as const;

/** The options of the process, in the order of the help text. */
const processOptions = {
  etcd: option('URL[,URL…]', 'endpoints of etcd (required)', parseEndpoints, {
    maxLength: long,
    show: showUrls,
    required: "give etcd's endpoints: --etcd http://10.1.0.101:2379",
  }),
  'etcd-ca': option('FILE', "authority that signed etcd's certificate", parsePath, file),
  'etcd-cert': option('FILE', 'client certificate for etcd', parsePath, file),
  'etcd-key': option('FILE', 'key of that certificate', parsePath, file),
  'etcd-user': option('NAME', 'user of etcd', parseUser, { ...short, show: showUser }),
  'etcd-password-file': option('FILE', 'file with its password (or DOCKREG_ETCD_PASSWORD)', parsePath, {
    ...file,
    show: showNothing,
  }),
  docker: option('SOCKET', 'Docker API: a path, unix://… or tcp://…', parseEngineEndpoint, {
    show: showUrls,
    defaultText: '/var/run/docker.sock',
    fallbackVariable: 'DOCKER_HOST',
  }),
  container: option('ID', 'id of this container, where dockreg cannot find it out', parseContainerId, {}),
  drain: option('TIME', 'at a stop, time from the removal of the keys to the exit', parsePause, {
    defaultText: '0',
  }),
  control: option('PATH|off', 'Unix socket for dockreg drain, resume and status', parseControl, {
    defaultText: '/run/dockreg.sock',
  }),
  listen: option('IP:PORT', 'serve /metrics, /status and /healthz over HTTP', parseListen, {}),
  log: option('FORMAT', 'logfmt or json', parseChoice('logfmt', 'json'), { defaultText: 'logfmt' }),
  service: {
    placeholder: 'OPTION=VALUE,…',
    help: 'one of several services, such as name=web,port=8000; repeatable',
    separator: '\n',
    maxLength: 65_536,
  },
  config: { ...file, placeholder: 'FILE', help: 'YAML file with options and services' },
} satisfies Readonly<Record<string, Option>>;

/** The options of a service. Each may also be given for all services. */
const serviceOptions = {
  port: option(
    'PORT[/udp]',
    "the app's local port; without it, container labels name the services",
    parseLocalPort,
    { required: "give the app's port: --port 8000" },
  ),
  key: option('PARENT', 'parent of the keys: /PARENT/<ip>:<port>', parseKey, { defaultText: 'service' }),
  layout: option('NAME[:ROOT],…', layoutNames.join(', '), parseLayouts, { maxLength: long, separator: ',' }),
  record: option(
    'KEY=VALUE',
    'a record of your own, with {address}, {service}, {label:NAME}, …',
    parseOwnRecords,
    { maxLength: 32_768, separator: '\n' },
  ),
  name: option('NAME', 'service name (from SERVICE_NAME, compose, swarm or the image)', parseName, short),
  scheme: option('SCHEME', `protocol of the app: ${schemes.join(', ')}`, parseChoice(...schemes), {
    defaultText: 'http',
  }),
  host: option('NAME', 'host name, in layouts that have one (the IP address)', parseName, short),
  tags: option('TAG,…', 'metadata for the layouts that carry it: tags', parseTags, {
    maxLength: long,
    separator: ',',
  }),
  weight: option('NUMBER', 'metadata: share of the requests', parseWeight, {}),
  zone: option('ZONE', 'metadata: where the app runs', parseZone, short),
  meta: option('KEY=VALUE,…', 'metadata: any keys, such as version=2.1', parseMeta, {
    maxLength: long,
    separator: ',',
  }),
  ip: option('ADDRESS|NAME', 'host address, name or interface (from the published port)', parseHost, short),
  advertise: option(
    'MODE|IP:PORT',
    'published, host, container[:NETWORK], swarm, or IP:PORT',
    parseAdvertise,
    { defaultText: 'published' },
  ),
  'allow-loopback': option('on|off', 'register an address that only this host can reach', parseSwitch, {
    defaultText: 'off',
    impliedValue: 'on',
  }),
  'allow-unreachable': option(
    'on|off',
    'register an app that listens on a loopback address only',
    parseSwitch,
    { defaultText: 'off', impliedValue: 'on' },
  ),
  check: option('CHECK', 'http[s]|h2[c]:/PATH, tcp, exec:CMD, grpc[s][:SERVICE], docker', parseCheckTarget, {
    maxLength: long,
    show: showCheck,
    defaultText: 'http:/',
  }),
  'check-host': option('ADDRESS', 'http, tcp, grpc: address to ask (where the app listens)', parseCheckHost, {
    ...short,
    checks: connecting,
  }),
  'check-port': option('PORT', "http, tcp, grpc: port to ask (the app's)", parsePort, {
    checks: connecting,
  }),
  'check-method': option('METHOD', 'http: method', parseMethod, { defaultText: 'GET', checks: http }),
  'check-header': option('NAME:VALUE', 'http: header, also Host; repeatable', parseHeaders, {
    maxLength: long,
    show: showHeaders,
    separator: '\n',
    checks: http,
  }),
  'check-status': option('LIST', 'http: statuses that pass', parseStatuses, {
    defaultText: '200-399',
    checks: http,
  }),
  'check-body': option('TEXT|/REGEX/', 'http: what the body contains', parseExpectation, {
    checks: http,
    show: showNothing,
  }),
  'check-send': option('TEXT', 'tcp: what dockreg sends', parseBytes, { checks: tcp, show: showNothing }),
  'check-expect': option('TEXT|/REGEX/', 'tcp: what the answer contains', parseExpectation, {
    checks: tcp,
    show: showNothing,
  }),
  'check-ca': option('FILE', "https, h2, grpcs: authority of the app's certificate", parsePath, {
    ...file,
    checks: secure,
  }),
  'check-cert': option('FILE', 'https, h2, grpcs: our certificate, if the app wants one', parsePath, {
    ...file,
    checks: secure,
  }),
  'check-key': option('FILE', 'https, h2, grpcs: key of that certificate', parsePath, {
    ...file,
    checks: secure,
  }),
  'check-server-name': option(
    'NAME',
    'https, h2, grpcs: name in the certificate, also for SNI',
    parseServerName,
    { checks: secure },
  ),
  'check-insecure': option('[on|off]', 'https, h2, grpcs: accept any certificate', parseSwitch, {
    impliedValue: 'on',
    checks: secure,
  }),
  'check-socket': option(
    'PATH',
    "http, tcp, grpc: a Unix socket instead of the app's port",
    parseSocketPath,
    { checks: connecting },
  ),
  'check-proxy-protocol': option(
    'v1|v2',
    'http, tcp, grpc: send the header of the PROXY protocol',
    parseChoice('v1', 'v2'),
    { checks: connecting },
  ),
  interval: option('TIME', 'time between checks', parseInterval, { defaultText: '5s' }),
  'fast-interval': option(
    'TIME',
    'time between failed checks before the keys go (the interval)',
    parseInterval,
    {},
  ),
  timeout: option('TIME', 'time limit of a check (3s, or a shorter interval)', parseTimeout, {}),
  rise: option('COUNT', 'consecutive passes that bring the service up', parseCount, { defaultText: '1' }),
  fall: option('COUNT', 'consecutive failures that bring the service down', parseCount, { defaultText: '1' }),
  tolerate: option('TIME', 'how long nothing may listen on the port before the keys go', parsePause, {
    defaultText: '0',
    checks: connecting,
  }),
  'start-period': option('TIME', 'startup time, in which failures are expected', parsePause, {
    defaultText: '0',
  }),
  ttl: option('TIME', 'lifetime of the keys after the container is lost', parseTtl, { defaultText: '20s' }),
  watch: option('on|off', 'watch the app through the kernel between checks', parseSwitch, {
    defaultText: 'on',
  }),
} satisfies Readonly<Record<string, Option>>;

export const options = { ...processOptions, ...serviceOptions };

export type OptionName = keyof typeof options;

export const optionNames = namesIn(options);
export const serviceOptionNames = namesIn(serviceOptions);

function namesIn(table: object): OptionName[] {
  return Object.keys(table).filter((word): word is OptionName => Object.hasOwn(options, word));
}

/** Whether the option applies to a check of this scheme; a detail of a check does not apply to an unknown scheme. */
export function appliesTo(name: OptionName, scheme: CheckScheme | undefined): boolean {
  const { checks }: Option = options[name];
  return checks === undefined || (scheme !== undefined && checks.includes(scheme));
}

/** `etcd-ca` → `DOCKREG_ETCD_CA` */
export function variableOf(name: OptionName): string {
  return `DOCKREG_${name.toUpperCase().replaceAll('-', '_')}`;
}

/** The one setting without a flag, because everybody on the machine can read a command line. */
export const passwordVariable = 'DOCKREG_ETCD_PASSWORD';

/** Variables of the image and its launcher. */
const foreignVariables = /^DOCKREG_(?:NODE$|NODE_|ORIGINAL_|LAUNCHER_)/;

/** Whether dockreg, its launcher or its image reads a variable of this name. */
export function isKnownVariable(variable: string): boolean {
  return variableNames.includes(variable) || foreignVariables.test(variable);
}

/** All variables of dockreg itself. */
export const variableNames: readonly string[] = [...optionNames.map(variableOf), passwordVariable];
