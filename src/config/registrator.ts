/**
 * Completes the options of a service with what registrator's convention says of its check. That is weaker than every
 * option of dockreg and stronger than the defaults, and it never makes a configuration invalid: what does not go with the
 * options of dockreg is left out with a warning.
 */
import { formatProblem, problemsOf, valueOf, type Problem, type Result } from '../errors.ts';
import { readCheck } from './check.ts';
import { options, type Option, type OptionName } from './options.ts';
import { parseValue, type RawOption } from './parse/value.ts';
import type { RawConfig, RawOptions } from './raw.ts';
import { combine, readerOf } from './reader.ts';
import { suggestCheck, type RegistratorTexts, type SuggestedCheck } from './sources/registrator.ts';
import { conflictsOfTimes, impliedTimes, ttlSecondsFor, type ReadTimes } from './times.ts';

/** What is not used and why, one line each. */
type Warnings = { readonly warnings: readonly string[] };

interface CompletedOptions extends Warnings {
  readonly raw: RawOptions;
}

/** Completes each service; where none is listed, the defaults, which are the options of one. */
export function withRegistrator(
  config: RawConfig,
  texts: RegistratorTexts,
): Warnings & { readonly raw: RawConfig } {
  if (texts.size === 0) return { raw: config, warnings: [] };
  if (config.services.length === 0) {
    const { raw: defaults, warnings } = completeService(config.defaults, texts);
    return { raw: { ...config, defaults }, warnings };
  }
  const completed = config.services.map(service => completeService(service.options, texts));
  const services = config.services.map((service, index) => ({
    ...service,
    options: completed[index]?.raw ?? service.options,
  }));
  const warnings = new Set(completed.flatMap(each => each.warnings));
  return { raw: { ...config, services }, warnings: [...warnings] };
}

function completeService(own: RawOptions, texts: RegistratorTexts): CompletedOptions {
  const port = valueOf(readerOf(own).value('port'))?.localPort;
  if (port === undefined) return { raw: own, warnings: [] };
  const { check, times, warnings } = suggestCheck(texts, String(port));
  // Who gives a check replaces that of the image, and is not warned of what belongs to it.
  const checked = own.has('check') ? { raw: own, warnings: [] } : withCheck(own, check, warnings);
  return withTimes(own, checked, times);
}

function withCheck(
  own: RawOptions,
  suggested: SuggestedCheck['check'],
  unusable: readonly string[],
): CompletedOptions {
  let raw = own;
  const warnings = [...unusable];
  for (const [name, option] of suggested) {
    if (raw.has(name) || (name !== 'check' && !raw.has('check'))) continue;
    const next = new Map([...raw, [name, option]]);
    const problems = [
      ...problemsOfText(name, option),
      ...newProblems(readCheck(raw, ''), readCheck(next, '')),
    ];
    if (problems.length === 0) raw = next;
    else warnings.push(unused(option, problems));
  }
  return { raw, warnings };
}

/** The problems of the second that the first does not have. */
function newProblems(before: Result<unknown>, after: Result<unknown>): readonly Problem[] {
  const known = new Set(problemsOf(before).map(formatProblem));
  return problemsOf(after).filter(problem => !known.has(formatProblem(problem)));
}

function withTimes(
  own: RawOptions,
  checked: CompletedOptions,
  suggested: SuggestedCheck['times'],
): CompletedOptions {
  let { raw } = checked;
  const warnings = [...checked.warnings];
  for (const [name, option] of suggested) {
    if (own.has(name)) continue;
    const problems = problemsOfText(name, option);
    const next = new Map([...raw, [name, name === 'timeout' ? withinInterval(option, raw) : option]]);
    const longer = own.has('ttl') ? next : withTtl(next, option.from);
    const conflicts = problems.length > 0 ? problems : conflictsWith(longer);
    if (conflicts.length === 0) raw = longer;
    else warnings.push(unused(option, conflicts));
  }
  return { raw, warnings };
}

/** No timeout is longer than its interval; Consul has no such rule. */
function withinInterval(option: RawOption, raw: RawOptions): RawOption {
  const { value } = readerOf(new Map([...raw, ['timeout', option]]));
  const timeoutMs = valueOf(readerOf(new Map([['timeout', option]])).optional('timeout')) ?? 0;
  const intervalMs = valueOf(value('interval')) ?? 0;
  return timeoutMs > intervalMs ? { ...option, text: `${intervalMs}ms` } : option;
}

/** The TTL grows with an interval that the user did not choose. */
function withTtl(raw: RawOptions, from: string): RawOptions {
  const times = valueOf(timesIn(raw));
  if (times === undefined) return raw;
  const ttlSeconds = ttlSecondsFor({ ...times, ...impliedTimes(times) });
  return ttlSeconds <= times.ttlSeconds ? raw : new Map([...raw, ['ttl', { text: `${ttlSeconds}s`, from }]]);
}

function timesIn(raw: RawOptions): Result<Required<ReadTimes>> {
  const { value, optional } = readerOf(raw);
  return combine<Required<ReadTimes>>({
    intervalMs: value('interval'),
    fastIntervalMs: optional('fast-interval'),
    timeoutMs: optional('timeout'),
    tolerateMs: value('tolerate'),
    ttlSeconds: value('ttl'),
    fall: value('fall'),
  });
}

function conflictsWith(raw: RawOptions): readonly Problem[] {
  const times = timesIn(raw);
  return times.ok ? conflictsOfTimes(times.value, raw) : times.problems;
}

function problemsOfText(name: OptionName, option: RawOption): readonly Problem[] {
  const row: Option = options[name];
  return row.parse ? problemsOf(parseValue(row.parse, option, row)) : [];
}

function unused({ from }: RawOption, problems: readonly Problem[]): string {
  const [first] = problems;
  const why = first === undefined ? '' : formatProblem(first);
  return why.startsWith(from) ? `${why} (it is not used)` : `${from} is not used: ${why}`;
}
