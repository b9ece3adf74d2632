/**
 * The source of registrator's convention, as it stands in variables and labels of a container: `SERVICE_CHECK_HTTP=/health`
 * for all ports, `SERVICE_8000_CHECK_HTTP` for one. Images carry it for other programs, so what cannot be used is a warning.
 */
import type { OptionName } from '../options.ts';
import type { RawOption } from '../parse/value.ts';

/** By name, such as `SERVICE_8000_CHECK_HTTP`. */
export type RegistratorTexts = ReadonlyMap<string, string>;

/** Another SERVICE_ variable may hold a secret and is not read. */
const known = /^SERVICE_(?:\d{1,5}_)?(?:NAME|TAGS|ID|CHECK_[A-Z0-9_]{1,40})$/;

/** What of the texts is of the convention. An empty text is not set; of two with one name the last holds. */
export function readRegistrator(
  texts: Iterable<readonly [name: string, text: string | undefined]>,
): RegistratorTexts {
  return new Map(
    [...texts].flatMap(([name, text]) => (text && known.test(name) ? [[name, text] as const] : [])),
  );
}

/** What the convention says of the check of a port. */
export interface SuggestedCheck {
  /** The options of the check itself: the first is `check`, and the others are details of it. */
  readonly check: ReadonlyMap<OptionName, RawOption>;
  readonly times: ReadonlyMap<OptionName, RawOption>;
  /** What dockreg has no equal of, one line each. */
  readonly warnings: readonly string[];
}

export function suggestCheck(texts: RegistratorTexts, port: string): SuggestedCheck {
  const given = textsOfPort(texts, port);
  const { check, details } = kindOf(given, port);
  const warnings = [...given].flatMap(([word, { from, text }]) => {
    const why = reasons[word]?.(text) ?? (word in reasons || honoured.has(word) ? null : unknownWord);
    return why === null ? [] : [`${from} is not used: ${why}`];
  });
  return {
    check: new Map<OptionName, RawOption>(check === undefined ? [] : [['check', check], ...details]),
    times: optionsOf(given, { INTERVAL: 'interval', TIMEOUT: 'timeout' }, plainTime),
    warnings,
  };
}

/** The texts of the check by the word after `CHECK_`. That of the port stands before that of all ports. */
function textsOfPort(
  texts: RegistratorTexts,
  port: string,
): ReadonlyMap<string, RawOption & { isOfPort: boolean }> {
  const found = new Map<string, RawOption & { isOfPort: boolean }>();
  for (const isOfPort of [false, true])
    for (const [from, text] of texts) {
      const start = `SERVICE_${isOfPort ? `${port}_` : ''}CHECK_`;
      if (from.startsWith(start)) found.set(from.slice(start.length), { from, text, isOfPort });
    }
  return found;
}

type PortTexts = ReturnType<typeof textsOfPort>;

/** The kinds of checks, in registrator's order: of several the first holds. */
const kinds: Readonly<Record<string, (text: string, port: string, given: PortTexts) => string | undefined>> =
  {
    HTTP: path => `http:${path}`,
    HTTPS: path => `https:${path}`,
    CMD: command => `exec:${command}`,
    SCRIPT: (script, port) =>
      `exec:${script.replaceAll(/\$(?:SERVICE_IP\b|\{SERVICE_IP\})/g, '127.0.0.1').replaceAll(/\$(?:SERVICE_PORT\b|\{SERVICE_PORT\})/g, port)}`,
    TCP: text => (isOff(text) ? undefined : 'tcp'),
    GRPC: (text, _port, given) =>
      isOff(text) ? undefined : isOff(given.get('GRPC_USE_TLS')?.text ?? 'false') ? 'grpc' : 'grpcs',
  };

/** A kind that is given for the port stands before all that are given for every port. */
function kindOf(given: PortTexts, port: string): { check?: RawOption; details: Map<OptionName, RawOption> } {
  for (const isOfPort of [true, false])
    for (const [word, textOf] of Object.entries(kinds)) {
      const source = given.get(word);
      const text = source?.isOfPort === isOfPort ? textOf(source.text, port, given) : undefined;
      if (source === undefined || text === undefined) continue;
      const isSecure = /^(?:https|grpcs)\b/.test(text);
      const details = optionsOf(
        given,
        {
          ...(word.startsWith('HTTP') && { [`${word}_METHOD`]: 'check-method' as const }),
          ...(isSecure && { TLS_SKIP_VERIFY: 'check-insecure' as const }),
        },
        (each, name) => (name === 'check-insecure' ? (isOff(each) ? 'off' : 'on') : each),
      );
      return { check: { text, from: source.from }, details };
    }
  return { details: new Map() };
}

function optionsOf(
  given: PortTexts,
  names: Readonly<Record<string, OptionName>>,
  textOf: (text: string, name: OptionName) => string,
): Map<OptionName, RawOption> {
  return new Map(
    Object.entries(names).flatMap(([word, name]) => {
      const source = given.get(word);
      return source ? [[name, { from: source.from, text: textOf(source.text, name) }] as const] : [];
    }),
  );
}

/** To registrator every text is a yes. One that says no in plain words is not meant so. */
function isOff(text: string): boolean {
  return /^(?:0|n|no|off|false)$/i.test(text.trim());
}

/** A duration of Go, such as `1m30s`, as one number of ms; any other text as it is. */
function plainTime(text: string): string {
  if (!/^(?:\d{1,9}(?:\.\d{1,9})?(?:h|ms|m|s))+$/.test(text)) return text;
  const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
  const matches = [...text.matchAll(/([\d.]+)(h|ms|m|s)/g)];
  return `${Math.round(matches.reduce((sum, [, number, unit = '']) => sum + Number(number) * (unitMs[unit] ?? 0), 0))}ms`;
}

const honoured = new Set([
  ...Object.keys(kinds),
  ...['INTERVAL', 'TIMEOUT', 'HTTP_METHOD', 'HTTPS_METHOD', 'TLS_SKIP_VERIFY', 'GRPC_USE_TLS'],
]);

const unknownWord = 'dockreg knows no check variable of this name; give --check and its options';

/** Why dockreg does not use a word; null where the text asks for what dockreg does anyway. */
const reasons: Readonly<Record<string, (text: string) => string | null>> = {
  TTL: () => 'dockreg asks the app itself and takes no heartbeats; give --check',
  INITIAL_STATUS: text =>
    text === 'critical'
      ? null
      : 'an app is registered only after its first passed check; give --start-period for a slow start',
  DEREGISTER_AFTER: () => 'an app that fails is removed at once; give --fall for a later removal',
  DEREGISTER_CRITICAL_SERVICE_AFTER: text => reasons['DEREGISTER_AFTER']?.(text) ?? null,
  HTTP_PORT: () => 'the check asks the port of the service; give --check-port',
  HTTPS_PORT: () => 'the check asks the port of the service; give --check-port',
};
