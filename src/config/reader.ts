/**
 * Reads options: the text that a source gives, or else the default, by the parser of its row in the option table. A
 * value is a Result, and `combine` makes one value of several, or lists the problems of all.
 */
import { failure, success, type Problem, type Result } from '../errors.ts';
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

const rows: { readonly [Name in ValueName]: { readonly parse: (text: string) => Values[Name] } } = options;

export interface Reader {
  value<Name extends CertainName>(this: void, name: Name): Result<Values[Name]>;
  /** Undefined when no source gives the option. */
  optional<Name extends Exclude<ValueName, CertainName>>(
    this: void,
    name: Name,
  ): Result<Values[Name] | undefined>;
}

export function readerOf(raw: RawOptions): Reader {
  const read = <Name extends ValueName>(name: Name): Result<Values[Name]> | null => {
    const { defaultText }: Option = options[name];
    const option =
      raw.get(name) ?? (defaultText === undefined ? null : { text: defaultText, from: `--${name}` });
    return option && parseValue(rows[name].parse, option);
  };
  return {
    value: name => read(name) ?? failure(missing(name)),
    optional: name => read(name) ?? success(undefined),
  };
}

function missing(name: OptionName): Problem {
  const { required }: Option = options[name];
  return { message: `--${name} is missing`, hint: `${required} (or ${variableOf(name)})` };
}

/** The problems of those options that are given. */
export function problemsOfOptions(raw: RawOptions, names: readonly OptionName[]): Problem[] {
  return names.flatMap(name => {
    const { parse }: Option = options[name];
    const option = raw.get(name);
    return parse && option ? problemsOf(parseValue(parse, option)) : [];
  });
}

/** A Result for each property of T. */
export type Results<T> = { readonly [Key in keyof T]: Result<T[Key]> };

/** One value of several; or the problems of all, and the conflicts between them. */
export function combine<T extends object>(
  results: Results<T>,
  conflicts: readonly Problem[] = [],
): Result<T> {
  const values: Partial<T> = {};
  const problems: Problem[] = [];
  for (const key in results) {
    const result = results[key];
    if (result.ok) values[key] = result.value;
    else problems.push(...result.problems);
  }
  return isComplete(values, results) && problems.length + conflicts.length === 0
    ? success(values)
    : failure(...problems, ...conflicts);
}

function isComplete<T extends object>(values: Partial<T>, results: Results<T>): values is T {
  return Object.keys(results).every(key => key in values);
}

/** The result of the next step with the value; or the problems of this one. */
export function andThen<T, U>(result: Result<T>, next: (value: T) => Result<U>): Result<U> {
  return result.ok ? next(result.value) : result;
}

/** The problems of those rules between options that are broken. */
export function brokenRules(
  ...rules: readonly (readonly [isBroken: boolean, message: string, hint: string])[]
): Problem[] {
  return rules.flatMap(([isBroken, message, hint]) => (isBroken ? [{ message, hint }] : []));
}

/** The value; undefined where there is a problem instead. */
export function valueOf<T>(result: Result<T>): T | undefined {
  return result.ok ? result.value : undefined;
}

export function problemsOf(result: Result<unknown>): readonly Problem[] {
  return result.ok ? [] : result.problems;
}
