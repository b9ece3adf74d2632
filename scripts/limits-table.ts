/** The table of the limits of a configuration in docs/options.md. */
import { limits } from '../src/config/parse/limits.ts';
import { recordLimits } from '../src/core/layouts/records.ts';

/** What each limit is the most of. */
const meanings: Readonly<Record<keyof typeof limits, string>> = {
  textLength: 'characters of a text, where the tables above say nothing else; also of the password',
  words: 'words of the command line',
  fileBytes: 'bytes of the file of `--config`, which must be a regular file in UTF-8',
  aliases: 'YAML aliases in the file',
  entries: 'entries at the top of the file, and of each service in it',
  labels: 'labels `dockreg.*` of the container',
  services: 'services of a process',
  records: 'records of all services together',
  endpoints: 'endpoints of etcd',
  layouts: 'layouts of a service',
  ownRecords: 'records of your own of a service',
  keyLength: 'characters of `--key`, of the root of a layout, and of the key of a record as it is given',
  keyParts: 'names in such a key',
  tags: 'tags',
  meta: 'items of `--meta`',
  headers: 'headers of a check',
  statuses: 'items of `--check-status`',
  hostLength: 'characters of the name of a host',
  socketPathBytes: 'bytes of the path of a Unix socket',
};
const meaningsOfRecords: Readonly<Record<keyof typeof recordLimits, string>> = {
  keyLength: 'characters of a key in etcd, with all placeholders filled in',
  valueLength: 'characters of a value in etcd',
  allValuesLength: 'characters of all values of a service',
};

export function limitsTable(): string {
  const rows = [...rowsOf(meanings, limits), ...rowsOf(meaningsOfRecords, recordLimits)];
  return ['| at most | of |', '| --- | --- |', ...rows].join('\n');
}

function rowsOf<Name extends string>(
  texts: Readonly<Record<string, string>>,
  numbers: Readonly<Record<Name, number>>,
): string[] {
  return Object.entries<number>(numbers).map(([name, most]) => `| ${most} | ${texts[name]} |`);
}
