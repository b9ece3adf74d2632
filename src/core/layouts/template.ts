/**
 * Texts with placeholders, such as `/app/{service}/{address}`. What looks like a placeholder and is none is refused
 * when the text is read, so that no `{adress}` ever stands in etcd; the braces of JSON are left alone.
 */
import { ProblemError } from '../../errors.ts';

export type Template = readonly (string | Placeholder)[];

export interface Placeholder {
  /** `ip`, `address`, …; `label` and `meta` have an argument. */
  readonly name: PlaceholderName;
  /** The label of `{label:com.example.role}`, the key of `{meta:version}`. */
  readonly argument: string | undefined;
}

export type PlaceholderName = (typeof facts)[number] | (typeof metadata)[number];

/** Of the instance itself. */
const facts = [
  'ip',
  'port',
  'address',
  'service',
  'container',
  'id',
  'localPort',
  'proto',
  'host',
  'label',
] as const;
/** Of its metadata, which may be made of the facts. */
const metadata = ['tags', 'weight', 'zone', 'meta'] as const;

/** These tell two instances of a service apart. */
const distinctive: ReadonlySet<PlaceholderName> = new Set([
  'ip',
  'port',
  'address',
  'container',
  'id',
  'host',
  'label',
]);

/** The text is no template. The message continues "<flag> <value>: …". */
export class TemplateProblem extends ProblemError {
  override readonly name = 'TemplateProblem';
}

/** @throws TemplateProblem for an unknown placeholder */
export function parseTemplate(text: string, kind: 'record' | 'metadata'): Template {
  const known: readonly PlaceholderName[] = kind === 'record' ? [...facts, ...metadata] : facts;
  const pieces: (string | Placeholder)[] = [];
  let end = 0;
  for (const match of text.matchAll(/\{([A-Za-z][A-Za-z]*)(?::([^{}\s]+))?\}/g)) {
    const [whole, word = '', argument] = match;
    const name = known.find(candidate => candidate === word);
    const wantsArgument = name === 'label' || name === 'meta';
    if (name === undefined || wantsArgument !== (argument !== undefined)) {
      throw new TemplateProblem({
        message: `knows no placeholder ${whole}`,
        hint: `there are ${known.map(spell).join(' ')}`,
      });
    }
    pieces.push(text.slice(end, match.index), { name, argument });
    end = match.index + whole.length;
  }
  return [...pieces, text.slice(end)].filter(part => part !== '');
}

/** The text with its placeholders filled in. */
export function expand(template: Template, value: (placeholder: Placeholder) => string): string {
  return template.map(part => (typeof part === 'string' ? part : value(part))).join('');
}

/** Whether two instances of one service always get different texts. */
export function isDistinctive(template: Template): boolean {
  return template.some(part => typeof part !== 'string' && distinctive.has(part.name));
}

function spell(name: PlaceholderName): string {
  if (name === 'label') return '{label:NAME}';
  return name === 'meta' ? '{meta:KEY}' : `{${name}}`;
}
