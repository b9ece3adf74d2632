/**
 * Writes docs/options.md from the option table, so that the page lists exactly the options that the program takes.
 * usage: node build/scripts/options.js [--check]     --check writes nothing and fails when the page is stale
 */
import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  optionNames,
  options,
  passwordVariable,
  variableOf,
  type Option,
  type OptionName,
} from '../src/config/options.ts';
import { printedLength } from '../src/core/text.ts';
import { ExitCode } from '../src/errors.ts';
import { limitsTable } from './limits-table.ts';

const subjects = [
  'etcd',
  'Services',
  'Keys and metadata',
  'Address',
  'Checks',
  'Times and thresholds',
  'Process',
] as const;

interface Row {
  readonly subject: (typeof subjects)[number];
  readonly meaning: string;
  /** In place of the default of the option table. */
  readonly defaultValue?: string;
}

/** What the help text has no room for. */
const rows: Readonly<Record<OptionName, Row>> = {
  etcd: {
    subject: 'etcd',
    meaning: 'Endpoints of etcd, all `http://` or all `https://`, each with its port.',
    defaultValue: 'required',
  },
  'etcd-ca': {
    subject: 'etcd',
    meaning: "Authority that signed etcd's certificate, a PEM file.",
    defaultValue: 'what Node trusts',
  },
  'etcd-cert': { subject: 'etcd', meaning: 'Client certificate for etcd, a PEM file.' },
  'etcd-key': { subject: 'etcd', meaning: 'Key of the client certificate. The two go together.' },
  'etcd-user': { subject: 'etcd', meaning: 'User of etcd.' },
  'etcd-password-file': {
    subject: 'etcd',
    meaning: `File with the password of the user. The password itself may be in \`${passwordVariable}\` instead.`,
  },
  port: {
    subject: 'Services',
    meaning: "The app's local port. With several services it is the port of those that give none.",
    defaultValue: 'required, unless `--service`, `--config` or labels name the services',
  },
  service: {
    subject: 'Services',
    meaning: 'One of several [services](services.md), such as `name=web,port=8000`.',
  },
  config: {
    subject: 'Services',
    meaning: 'A YAML file with options and [services](services.md).',
  },
  key: {
    subject: 'Keys and metadata',
    meaning:
      'Parent of the keys: `/PARENT/<ip>:<port>`. Give each app its own. It has no placeholders; `--record` has.',
  },
  layout: {
    subject: 'Keys and metadata',
    meaning:
      'Which [layouts](layouts.md) are written, each for a consumer: `service`, `named`, `registrator`, `skydns`, `traefik`, `grpc`, `go-zero`, `kratos`.',
    defaultValue: '`service`; none with `--record`',
  },
  record: {
    subject: 'Keys and metadata',
    meaning:
      'A [record](layouts.md) of your own, with placeholders such as `{address}` in the key and the value.',
  },
  name: {
    subject: 'Keys and metadata',
    meaning: 'Name of the service.',
    defaultValue: 'from `SERVICE_NAME`, compose, swarm, or the image',
  },
  scheme: {
    subject: 'Keys and metadata',
    meaning: 'Protocol of the app: `http`, `https`, `h2c`, `grpc`, `grpcs` or `tcp`.',
  },
  host: {
    subject: 'Keys and metadata',
    meaning: 'Name of the host, in the layouts that have one.',
    defaultValue: 'the registered IP address',
  },
  tags: { subject: 'Keys and metadata', meaning: 'Tags, in the [layouts](layouts.md) that carry metadata.' },
  weight: {
    subject: 'Keys and metadata',
    meaning: 'Share of the requests, in the same layouts.',
  },
  zone: { subject: 'Keys and metadata', meaning: 'Where the app runs, in the same layouts.' },
  meta: {
    subject: 'Keys and metadata',
    meaning: 'Any other metadata, such as `version=2.1`, in the same layouts.',
  },
  docker: {
    subject: 'Address',
    meaning: 'The Docker API: a path, `unix://…` or `tcp://…`.',
  },
  container: {
    subject: 'Address',
    meaning: 'The id of the container that dockreg runs in.',
    defaultValue: 'found out',
  },
  ip: {
    subject: 'Address',
    meaning:
      "The host's address to register, a name that resolves to it, or, on the host's network, an interface.",
    defaultValue: 'from the published port',
  },
  advertise: {
    subject: 'Address',
    meaning:
      'Which [address](address.md) is registered: `published`, `host`, `container`, `container:NETWORK`, `swarm`, or a fixed `IP:PORT`. With `IP:PORT` dockreg does not ask Docker at all.',
  },
  'allow-loopback': {
    subject: 'Address',
    meaning:
      'Whether to register an address that only this host and its containers reach: loopback, or [where containers reach their host](address.md), such as 172.17.0.1.',
  },
  'allow-unreachable': {
    subject: 'Address',
    meaning:
      'Whether to register an app that listens on loopback addresses only, which [nobody reaches](address.md#an-app-on-127001) unless something in its network passes connections on. `--allow-loopback` implies it.',
  },
  check: {
    subject: 'Checks',
    meaning:
      'The [check](checks.md): `http:/PATH`, `https:/PATH`, `h2c:/PATH`, `h2:/PATH`, `tcp`, `exec:COMMAND`, `grpc[:SERVICE]`, `grpcs[:SERVICE]` or `docker`.',
  },
  'check-host': {
    subject: 'Checks',
    meaning:
      'The address of this container at which the app is [asked](checks.md#where-the-app-is-asked), such as `::1` or `172.17.0.2`.',
    defaultValue: 'where the app listens, `127.0.0.1` first',
  },
  'check-port': {
    subject: 'Checks',
    meaning: 'The port at which it is asked, such as one for management.',
    defaultValue: "the app's local port",
  },
  'check-method': { subject: 'Checks', meaning: 'Method: `GET`, `HEAD`, `POST`, `PUT` or `OPTIONS`.' },
  'check-header': { subject: 'Checks', meaning: 'A header of the request, such as `Host: web.example`.' },
  'check-status': { subject: 'Checks', meaning: 'Statuses that pass, such as `200-299,301`.' },
  'check-body': {
    subject: 'Checks',
    meaning: 'What the first 64 KiB of the body must contain: a text, or a JavaScript regular expression.',
  },
  'check-send': {
    subject: 'Checks',
    meaning:
      'What dockreg sends after it has connected; `\\r`, `\\n`, `\\t`, `\\0`, `\\xHH` and `\\\\` stand for bytes.',
  },
  'check-expect': {
    subject: 'Checks',
    meaning: 'What the first 16 KiB of the answer must contain: a text, or a JavaScript regular expression.',
    defaultValue: 'a connection is enough',
  },
  'check-ca': {
    subject: 'Checks',
    meaning: "Authority that signed the app's certificate, a PEM file.",
    defaultValue: 'what Node trusts',
  },
  'check-cert': {
    subject: 'Checks',
    meaning: "dockreg's own certificate, a PEM file, for an app that demands one. Read again for each check.",
  },
  'check-key': { subject: 'Checks', meaning: 'Key of that certificate. The two go together.' },
  'check-server-name': {
    subject: 'Checks',
    meaning: 'The name that the certificate must have, also sent as SNI.',
    defaultValue: 'the address that is asked; `localhost` does too for a loopback address',
  },
  'check-insecure': {
    subject: 'Checks',
    meaning: 'Whether any certificate is accepted.',
    defaultValue: '`off`',
  },
  'check-socket': { subject: 'Checks', meaning: 'A Unix socket of the app, in place of its port.' },
  'check-proxy-protocol': {
    subject: 'Checks',
    meaning:
      'Whether each check begins with a header of the PROXY protocol, and of which version: as `check-send-proxy` in HAProxy.',
    defaultValue: 'none is sent',
  },
  interval: { subject: 'Times and thresholds', meaning: 'Time between checks.' },
  'fast-interval': {
    subject: 'Times and thresholds',
    meaning:
      'Time between checks while they fail and the keys are still there, with `--fall` above 1 or with `--tolerate`; at most the interval.',
    defaultValue: 'the interval',
  },
  timeout: {
    subject: 'Times and thresholds',
    meaning: 'Time limit of a check; at most the interval.',
    defaultValue: '`3s`, or the interval if that is shorter',
  },
  rise: { subject: 'Times and thresholds', meaning: 'Consecutive passes after which the keys are written.' },
  fall: {
    subject: 'Times and thresholds',
    meaning:
      'Consecutive failures, each an interval after the one before, after which the keys are removed. A connect that is refused is not counted; see [checks](checks.md#from-checks-to-health).',
  },
  tolerate: {
    subject: 'Times and thresholds',
    meaning:
      'How long nothing may listen on the port before the keys are removed; at most `--ttl`. See [checks](checks.md#from-checks-to-health).',
  },
  'start-period': {
    subject: 'Times and thresholds',
    meaning:
      'Time after the start of dockreg in which a failed check does not count. In this time the app is checked every second.',
  },
  ttl: {
    subject: 'Times and thresholds',
    meaning: 'How long the keys outlive a lost container, in whole seconds; at least two intervals.',
  },
  watch: {
    subject: 'Checks',
    meaning: 'Whether dockreg [watches the app](checks.md) through the kernel between checks.',
  },
  drain: {
    subject: 'Process',
    meaning:
      'At a stop, how long dockreg, and with it the app, runs on after the keys are gone; see [drain](operations.md).',
  },
  control: {
    subject: 'Process',
    meaning: 'The Unix socket for `dockreg drain`, `resume` and `status`; `off` for none.',
  },
  listen: {
    subject: 'Process',
    meaning:
      'Where to serve `/metrics`, `/status` and `/healthz` over HTTP; see [operations](operations.md).',
    defaultValue: 'nowhere',
  },
  log: { subject: 'Process', meaning: 'Format of the log: `logfmt` or `json`.' },
};

const exits: Readonly<Record<ExitCode, string>> = {
  [ExitCode.ok]: 'stopped by a signal; for other commands, all is well',
  [ExitCode.notOk]: '`doctor`: something is wrong; `status`: a service is not up',
  [ExitCode.usage]: 'a flag or a variable is wrong, also if the file is wrong too',
  [ExitCode.unavailable]: '`ls`, `drain`, `resume`, `status`: no answer',
  [ExitCode.internal]: 'internal error, a fault of dockreg',
  [ExitCode.config]:
    'cannot work in this container: a port that is not published, a wrong label, a file that is wrong or cannot be read',
  [ExitCode.interrupted]: 'a second SIGINT during a stop',
  [ExitCode.terminated]: 'a second SIGTERM during a stop',
};

/** The text of docs/options.md. */
export function optionsPage(): string {
  return `# Options

<!-- Written by scripts/options.ts from src/config/options.ts. Do not edit this page. -->

Each option is a flag (\`--port 8000\`) and a variable (\`DOCKREG_PORT=8000\`). Without \`--port\` and \`--service\`, container
labels may give the options of services (\`dockreg.port=8000\`, \`dockreg.web.port=8000\`), and the file of \`--config\` may give
all options but \`--config\` itself (\`port: 8000\`). [Several services](services.md) shows how each of these is written.

${subjects.map(subject => `## ${subject}\n\n${tableOf(subject)}`).join('\n\n')}

\`--help\` prints a short form of these tables, \`--version\` the version. \`dockreg doctor\` takes the same options as dockreg;
\`dockreg ls\` takes those of etcd, \`--key\`, \`--layout\`, \`--name\` and \`--config\`; \`dockreg drain\`, \`resume\` and \`status\` take
\`--control\` and \`--config\`.

## Which value holds

1. The flag.
2. The variable. An empty variable is not set.
3. The label of the container.
4. The file of \`--config\`.
5. The default.

A service's own option, in \`--service\`, in its labels or under its name in the file, holds before an option for all services,
wherever that is given. A service ignores options for all services that do not apply to its own check or address, such as
\`--check-status\` for \`check=tcp\`, or \`--ip\` for \`advertise=container\`.

All that is wrong is reported at once, at the start.

## TIME

\`5s\`, \`250ms\`, \`1m\`, \`1h\`, or plain seconds. Each option has its range in the tables. \`0\` means none for
${pauses()}.

## Limits

What is longer or more than this is refused at the start, whatever the source.

${limitsTable()}

A text in a log line or in a message is cut after ${printedLength} characters, and the rest is counted. Characters that would steer a
terminal are written as \`\\x1b\` or \`\\u202e\`. A message shows \`***\` in place of what may be a secret: the user and the password
in a URL, the value of a header, the arguments of a command, the query of a path, and what a check sends or expects.

## Wrong names

An unknown flag, label, or entry of the file or of \`--service\` is refused. An unknown variable \`DOCKREG_…\` is only warned of:
others may have set it. A message names what was meant where one or two letters are wrong.

## Other variables

| variable | meaning |
| --- | --- |
| \`${passwordVariable}\` | The password for etcd. It has no flag, because everybody on the machine can read a command line. |
| \`DOCKER_HOST\` | As for the docker CLI; \`${variableOf('docker')}\` and \`--docker\` win over it. |
| \`DOCKER_TLS_VERIFY\`, \`DOCKER_CERT_PATH\` | As for the docker CLI: TLS to a \`tcp://\` engine, with \`ca.pem\`, \`cert.pem\` and \`key.pem\` in the folder. TLS without verification is refused. |
| \`SERVICE_NAME\`, \`SERVICE_TAGS\`, \`SERVICE_ID\`, each also with a port as in \`SERVICE_8000_NAME\` | As for registrator; see [layouts](layouts.md#images-for-registrator). |
| \`SERVICE_CHECK_HTTP\`, \`SERVICE_8000_CHECK_HTTP\` and the other check variables of registrator, also as labels | The check of an image for registrator, weaker than every option of dockreg; see [layouts](layouts.md#images-for-registrator). |
| \`DOCKREG_NODE\` | The Node binary, 20.19 or newer, that the launcher in the image starts instead of its own. |

## Exit codes

| code | meaning |
| --- | --- |
${Object.entries(exits)
  .map(([code, meaning]) => `| ${code} | ${meaning} |`)
  .join('\n')}

Why dockreg ends is on standard error, one line \`dockreg: …\` for each problem, and in its log on standard output, in the
format of \`--log\`, with \`level=error\` and the exit code in \`exit\`. Other commands write it to standard error only.

etcd or Docker out of reach never ends dockreg: it waits for them.
`;
}

function tableOf(subject: Row['subject']): string {
  const lines = optionNames.filter(name => rows[name].subject === subject).map(lineOf);
  return ['| flag | variable | default | meaning |', '| --- | --- | --- | --- |', ...lines].join('\n');
}

function lineOf(name: OptionName): string {
  const row: Option = options[name];
  const { placeholder, defaultText, fallbackVariable, impliedValue, separator, checks, maxLength, parse } =
    row;
  const { meaning, defaultValue } = rows[name];
  const defaults = [fallbackVariable, defaultText].flatMap(text =>
    text === undefined ? [] : [`\`${text}\``],
  );
  const notes = [
    checks && `For ${checks.join(', ')} checks.`,
    meaning,
    parse?.range && `From ${parse.range}.`,
    maxLength && `At most ${maxLength} characters.`,
    impliedValue && `The flag alone means \`${impliedValue}\`.`,
    separator && (separator === '\n' ? 'Repeatable; one per line in the variable.' : 'Repeatable.'),
  ];
  const cells = [
    `\`--${name} ${placeholder}\``,
    `\`${variableOf(name)}\``,
    defaultValue ?? defaults.join(', else '),
    notes.filter(Boolean).join(' '),
  ];
  return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

/** The options for which the text `0` stands for none. */
function pauses(): string {
  const names = optionNames.filter(name => {
    const { defaultText }: Option = options[name];
    return defaultText === '0';
  });
  const [last, ...others] = names.map(name => `\`--${name}\``).toReversed();
  return `${others.toReversed().join(', ')} and ${last}`;
}

function main(): void {
  const path = join(import.meta.dirname, '../../docs/options.md');
  const page = optionsPage();
  if (!process.argv.includes('--check')) return writeFileSync(path, page);
  if (readFileSync(path, 'utf8') === page) return;
  console.error('docs/options.md is stale; write it again: npm run build && node build/scripts/options.js');
  process.exitCode = 1;
}

// The page is imported by its test too.
if (realpathSync(process.argv[1] ?? '') === import.meta.filename) main();
