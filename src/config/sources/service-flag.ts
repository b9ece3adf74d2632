/**
 * The source of --service and its variable: one service per line, such as `name=web,port=8000,tags="blue,canary"`.
 */
import { brief } from '../../core/text.ts';
import { problemsOf, valueOf } from '../../errors.ts';
import { options, serviceOptionNames, type Option } from '../options.ts';
import { showServices } from '../parse/secrets.ts';
import { parseValue, ValueError, type RawOption } from '../parse/value.ts';
import { emptyConfig, type RawConfig, type RawService } from '../raw.ts';
import { collectOptions, serviceScope, type RawItem } from './collect.ts';

/** @param option the text of the flag or of the variable; undefined where neither is given */
export function readServiceFlag(option: RawOption | undefined): RawConfig {
  if (option === undefined) return emptyConfig;
  const split = parseValue(splitServices, option, { ...options.service, show });
  const problems = [...problemsOf(split)];
  const services = valueOf(split)?.map((items, index): RawService => {
    const name = items.find(({ word }) => word === 'name')?.text;
    const from = `${option.from} ${name ? brief(name) : `number ${index + 1}`}`;
    const syntax = { from: `${from}: `, before: '', between: '=' } as const;
    return { from, label: undefined, options: collectOptions(items, syntax, serviceScope, problems) };
  });
  return { ...emptyConfig, services: services ?? [], problems };
}

function show(text: string): string {
  return showServices(text, word => {
    const name = serviceOptionNames.find(each => each === word);
    const row: Option | undefined = name && options[name];
    return row !== undefined && row.show === undefined;
  });
}

/** An option, `=` and its value, plain or in double quotes, and the delimiter: a comma, the end of the line, the end. */
const pattern = /([^=,"\r\n]*)(=(?:[ \t]*"((?:[^"]|"")*)"[ \t]*|(?![ \t]*")([^,\r\n]*)))?(,|\r?\n|$)/y;

/**
 * A value with a comma or a line break is in double quotes, where `""` is one quote, as in RFC 4180 and in the flags
 * of docker.
 */
function splitServices(text: string): RawItem[][] {
  const services: RawItem[][] = [];
  let service: RawItem[] = [];
  pattern.lastIndex = 0;
  for (let end = ','; end !== '';) {
    const start = pattern.lastIndex;
    const match = pattern.exec(text);
    if (match === null) throw syntaxError(text.slice(start));
    const [, untrimmed = '', assignment, quoted, unquoted = '', delimiter = ''] = match;
    const word = untrimmed.trim();
    if (/\s/.test(word)) throw syntaxError(text.slice(start));
    const isBlankLine = word === '' && assignment === undefined && service.length === 0 && delimiter !== ',';
    if (word === '' && !isBlankLine)
      throw new ValueError(
        'has an item without an option',
        'separate options by single commas: name=web,port=8000',
      );
    if (!isBlankLine) service.push({ word, text: quoted?.replaceAll('""', '"') ?? unquoted.trim() });
    if (delimiter !== ',' && service.length > 0) {
      services.push(service);
      service = [];
    }
    end = delimiter;
  }
  if (services.length === 0) throw new ValueError('must describe a service, such as name=web,port=8000');
  return services;
}

function syntaxError(rest: string): ValueError {
  const line = brief(show(rest.split('\n')[0] ?? ''));
  return new ValueError(
    rest.includes('"')
      ? `has quotes that do not go around a whole value (${line})`
      : `must be OPTION=VALUE,… and not ${line}`,
    'write a value with a comma as tags="blue,canary", and a double quote in it as ""',
  );
}
