/**
 * Reads options: the text that a source gives, or else the default, by the parser of its row in the option table. A
 * value is a Result, and `combine` makes one value of several, or lists the problems of all.
 */
import { failure, problemsOf, success, type Problem, type Result } from '../errors.ts';
import { options, variableOf, type Option, type OptionName } from './options.ts';
import { parseValue } from './parse/value.ts';
import type { RawOptions } from './raw.ts';

type Rows = typeof options;

/** The options that are values, and not sources themselves. */
type ValueName = { [Name in OptionName]: Rows[Name] extends { parse: unknown } ? Name : never }[OptionName];
type Values = { [Name in ValueName]: ReturnType<Rows[Name]['parse']> };

/** The options that always have a value, by their default or because they are required. */
type CertainName = {
  [Name in ValueName]: Rows[Name] extends { defaultText: string } | { required: string } ? Name : never;
}[ValueName];
type OptionalName = Exclude<ValueName, CertainName>;

const rows: { readonly [Name in ValueName]: { readonly parse: (text: string) => Values[Name] } } = options;

export type Reader = ReturnType<typeof readerOf>;

/** Returns functions that read one option. An optional one is undefined when no source gives it. */
export function readerOf(raw: RawOptions) {
  const read = <Name extends ValueName>(name: Name): Result<Values[Name]> | null => {
    const row: Option = options[name];
    const { defaultText } = row;
    const byDefault = defaultText === undefined ? null : { text: defaultText, from: `--${name}` };
    const option = raw.get(name) ?? byDefault;
    return option && parseValue(rows[name].parse, option, row);
  };
  return {
    value: <Name extends CertainName>(name: Name) => read(name) ?? failure(missing(name)),
    optional: <Name extends OptionalName>(name: Name) => read(name) ?? success(undefined),
  };
}

function missing(name: OptionName): Problem {
  const { required }: Option = options[name];
  return { message: `--${name} is missing`, hint: `${required} (or ${variableOf(name)})` };
}

/** The problems of those options that are given. */
export function problemsOfOptions(raw: RawOptions, names: readonly OptionName[]): Problem[] {
  return names.flatMap(name => {
    const row: Option = options[name];
    const option = raw.get(name);
    return row.parse && option ? problemsOf(parseValue(row.parse, option, row)) : [];
  });
}

/**
 * One value of several; or the problems of all, and the conflicts between them.
 * @param conflictsIn returns the conflicts between the values that are known: those without a problem of their own
 */
export function combine<T extends object>(
  results: { readonly [Key in keyof T]: Result<T[Key]> },
  conflictsIn: (known: Partial<T>) => readonly Problem[] = () => [],
): Result<T> {
  const values: Partial<T> = {};
  const problems: Problem[] = [];
  for (const key in results) {
    const result = results[key];
    if (result.ok) values[key] = result.value;
    else problems.push(...result.problems);
  }
  problems.push(...conflictsIn(values));
  const isComplete = (known: Partial<T>): known is T => Object.keys(results).every(key => key in known);
  return problems.length === 0 && isComplete(values) ? success(values) : failure(...problems);
}

/** The result of the next step with the value; or the problems of this one. */
export function andThen<T, U>(result: Result<T>, next: (value: T) => Result<U>): Result<U> {
  return result.ok ? next(result.value) : result;
}

/** The result, unless there are problems besides its own. They come first. */
export function withProblems<T>(problems: readonly Problem[], result: Result<T>): Result<T> {
  return problems.length === 0 ? result : failure(...problems, ...problemsOf(result));
}

/** The problems of those rules between options that are broken. */
export function brokenRules(
  ...rules: readonly (readonly [isBroken: boolean, message: string, hint: string])[]
): Problem[] {
  return rules.flatMap(([isBroken, message, hint]) => (isBroken ? [{ message, hint }] : []));
}
