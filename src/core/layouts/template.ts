/**
 * Texts with placeholders, such as `/app/{service}/{address}`. An unknown placeholder is refused when the text is
 * parsed, so no `{adress}` reaches etcd. Other braces, such as those of JSON, stay as they are.
 */
import { ProblemError } from '../../errors.ts';
import { brief } from '../text.ts';

export type Template = readonly (string | Placeholder)[];

interface Placeholder {
  /** `ip`, `address`, …; `label` and `meta` have an argument. */
  readonly name: PlaceholderName;
  /** The label of `{label:com.example.role}`, the key of `{meta:version}`. */
  readonly argument: string | undefined;
}

export type PlaceholderName = (typeof distinctive | typeof common | typeof metadata)[number];

/** These differ between two instances of a service. */
const distinctive = ['ip', 'port', 'address', 'container', 'id', 'host', 'label'] as const;
const common = ['service', 'localPort', 'proto'] as const;
/** These are metadata, which may contain the placeholders above. */
const metadata = ['tags', 'weight', 'zone', 'meta'] as const;
/** These need an argument. */
const argumentOf: Readonly<Partial<Record<PlaceholderName, string>>> = { label: ':NAME', meta: ':KEY' };

/** @throws ProblemError for an unknown placeholder, with a message that continues `--flag "text": …` */
export function parseTemplate(text: string, kind: 'record' | 'metadata'): Template {
  const known: PlaceholderName[] = [...distinctive, ...common, ...(kind === 'record' ? metadata : [])];
  const pieces: (string | Placeholder)[] = [];
  let end = 0;
  for (const match of text.matchAll(/\{([A-Za-z]+)(?::([^{}\s]+))?\}/g)) {
    const [whole, word = '', argument] = match;
    const name = known.find(candidate => candidate === word);
    if (name === undefined || (argument === undefined) !== (argumentOf[name] === undefined))
      throw new ProblemError({
        message: `has the unknown placeholder ${brief(whole)}`,
        hint: `the placeholders are ${known.map(each => `{${each}${argumentOf[each] ?? ''}}`).join(' ')}`,
      });
    pieces.push(text.slice(end, match.index), { name, argument });
    end = match.index + whole.length;
  }
  return [...pieces, text.slice(end)].filter(piece => piece !== '');
}

/** Whether two instances of one service always get different texts. */
export function isDistinctive(template: Template): boolean {
  return template.some(piece => typeof piece !== 'string' && distinctive.some(name => name === piece.name));
}
