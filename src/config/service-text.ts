/**
 * The text of --service in its parts: `name=web,port=8000,tags="blue,canary"`. What the parts mean is read elsewhere.
 */
import { ValueProblem } from './values.ts';

/** An option as it stands there; the text is empty where there is none. */
export interface ServiceItem {
  readonly word: string;
  readonly text: string;
}

/** An option, `=` and its value, bare or in double quotes, and what ends it: a comma, a line's end or the end. */
const item = /[ \t]*([^\s=,"]*)[ \t]*(=[ \t]*(?:"((?:[^"]|"")*)"|(?!")([^,\r\n]*))[ \t]*)?(,|\r?\n|$)/y;

/**
 * One service a line. A value with a comma or a line's end stands in double quotes, in which `""` is one quote, as in
 * RFC 4180 and in the flags of docker.
 */
export function parseServices(text: string): ServiceItem[][] {
  const services: ServiceItem[][] = [];
  let service: ServiceItem[] = [];
  item.lastIndex = 0;
  for (let end = ','; end !== '';) {
    const start = item.lastIndex;
    const found = item.exec(text);
    if (found === null) throw new ValueProblem(hintAt(text.slice(start)));
    const [, word = '', value, quoted, unquoted = '', delimiter = ''] = found;
    const isBlankLine = word === '' && value === undefined && service.length === 0 && delimiter !== ',';
    if (word === '' && !isBlankLine)
      throw new ValueProblem(
        'has an item without an option; separate options by single commas: name=web,port=8000',
      );
    if (!isBlankLine) service.push({ word, text: quoted?.replaceAll('""', '"') ?? unquoted.trim() });
    if (delimiter !== ',' && service.length > 0) {
      services.push(service);
      service = [];
    }
    end = delimiter;
  }
  if (services.length === 0) throw new ValueProblem('must say a service, such as name=web,port=8000');
  return services;
}

function hintAt(rest: string): string {
  const example = 'tags="blue,canary", and a double quote in it as ""';
  return rest.includes('"')
    ? `has quotes that do not go around a whole value (${rest.split('\n')[0]}); write a value with a comma as ${example}`
    : `must be OPTION=VALUE,… and not ${rest.split('\n')[0]}; write a value with a comma as ${example}`;
}
