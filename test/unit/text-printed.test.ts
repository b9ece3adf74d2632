/** Every place that prints × texts that would steer a terminal, forge a line or a column, or be endless. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMetrics } from '../../src/admin/metrics.ts';
import { systemClock } from '../../src/clock.ts';
import { fault, formatFinding } from '../../src/commands/doctor/finding.ts';
import { formatTable } from '../../src/commands/ls/ls.ts';
import { alignColumns } from '../../src/commands/table.ts';
import { parseConfigFile } from '../../src/config/sources/file.ts';
import { readLabels } from '../../src/config/sources/labels.ts';
import { readCommand } from '../../src/cli.ts';
import { firstLines, safeJson } from '../../src/core/text.ts';
import { formatProblem, formatProblems, ProblemError } from '../../src/errors.ts';
import { createLog, withFields } from '../../src/log.ts';
import { problemsOf } from '../support/config.ts';
import { unsafe } from '../support/unsafe.ts';

const nasty: Readonly<Record<string, string>> = {
  'a sequence that clears the screen': '\u001B[2J\u001B[H',
  'a title of the terminal': '\u001B]0;x\u0007',
  'a C1 sequence': '\u009B31mred',
  'a carriage return': 'ok\rforged',
  'a line break': 'ok\nforged',
  NEL: 'ok\u0085forged',
  'a line separator': 'ok\u2028forged',
  'a turn of the direction': '\u202Egnp.exe\u2066',
  'what nobody sees': 'a\u200Bb\uFEFFc\u{E0041}',
  'half of a pair': 'a\uD83Db',
  'a flood of marks': `z${'\u0353'.repeat(200)}`,
  'an empty cell': 'web\u3164\u2800\uFFA0',
  'a hidden text': 'a\uFE0F\u{E0121}\u{E0134}',
  'private and unassigned characters': '\uE0B0\u{10FFFF}\uFFFE',
  'a backspace and DEL': 'ab\b\b\u007F',
  'wide spaces': 'web\u2003\u2003up\u3000\u00A03m',
  'spaces like those of a table': 'web       up      3m',
  '5 MB': 'x'.repeat(5_000_000),
  '300,000 escapes': '\u001B'.repeat(300_000),
};

function logged(format: 'json' | 'logfmt', text: string): string {
  const lines: string[] = [];
  const log = createLog(format, systemClock, line => lines.push(line));
  withFields(log, () => ({ service: text })).warn(text, { cause: text, [text]: 1 });
  return lines.join('');
}

const row = (service: string) => ({
  service,
  address: '10.0.0.5:1',
  host: service,
  weight: null,
  layout: service,
  key: service,
  ttlSeconds: 1,
  grantedSeconds: 2,
  createRevision: 3,
  ageSeconds: null,
});

async function refusalOf(argv: string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  return `${(await problemsOf(argv, env)).join('\n')}\n`;
}

/** Each prints one line for a text, or as many as it says. */
const sinks: Readonly<
  Record<string, readonly [lines: number, print: (text: string) => string | Promise<string>]>
> = {
  'a line of the log in logfmt': [1, text => logged('logfmt', text)],
  'a line of the log in JSON': [1, text => logged('json', text)],
  'a problem': [1, text => `${formatProblem({ message: text, hint: text })}\n`],
  'the message of an error': [1, text => `${new ProblemError(text).message}\n`],
  'a finding of the doctor': [
    1,
    text => `${formatFinding({ service: text, ...fault('app', { message: text }) })}\n`,
  ],
  'the table of status': [
    2,
    text =>
      alignColumns([
        ['A', 'B', 'C'],
        [text, 'b', text],
      ]),
  ],
  'the table of ls': [2, text => formatTable([row(text)], false)],
  'JSON on one line': [1, text => `${safeJson([{ text, [text]: 1 }])}\n`],
  'a flag': [2, text => refusalOf([`--x${text}`, '1', '--etcd', 'http://h1:1'])],
  'the value of a flag': [1, text => refusalOf(['--etcd', 'http://h1:1', '--port', text])],
  'an argument': [1, text => refusalOf(['--etcd', 'http://h1:1', '--port', '1', `x${text}`])],
  'a variable': [1, text => refusalOf(['--etcd', 'http://h1:1'], { DOCKREG_PORT: text })],
  'a variable that nobody reads': [
    1,
    async text => {
      const command = await readCommand(['--etcd', 'http://h1:1', '--port', '1'], {
        [`DOCKREG_${text}`]: '1',
      });
      return `${'warnings' in command ? command.warnings.join('\n') : ''}\n`;
    },
  ],
  'a label': [
    1,
    text => `${formatProblems(readLabels(new Map([[`dockreg.web.x${text}`, 'y']])).problems).join('\n')}\n`,
  ],
  'a key of the file': [
    1,
    text =>
      `${formatProblems(parseConfigFile(JSON.stringify({ [`x${text}`]: 'y' }), text, {}).problems).join('\n')}\n`,
  ],
};

for (const [sink, [lines, print]] of Object.entries(sinks)) {
  describe(sink, () => {
    for (const [what, text] of Object.entries(nasty)) {
      it(`is clean with ${what}`, async () => {
        const printed = await print(text);
        for (const line of printed.split('\n')) assert.doesNotMatch(line, unsafe);
        if (!sink.startsWith('JSON')) assert.ok(printed.length < 20_000, `${printed.length} characters`);
        // A flag of this text may be several words to some, but the program gets one.
        assert.ok(printed.split('\n').length - 1 <= lines, printed.slice(0, 500));
        assert.doesNotMatch(printed, /^forged/m);
      });
    }
  });
}

describe('a table', () => {
  for (const [what, text] of Object.entries(nasty)) {
    it(`has the columns of its head, with ${what}`, () => {
      const [head, line] = alignColumns([
        ['A', 'B', 'C'],
        [text, 'b', `c${text}c`],
      ]).split('\n');
      assert.equal(head?.split(/ {2,}/).length, 3);
      assert.equal(line?.split(/\s{2,}/u).length, 3);
    });
  }

  it('does not show an instance without a name under the service above', () => {
    const shown = formatTable([row('web'), row('')], false).split('\n');
    assert.match(shown[2] ?? '', /^"" +10/);
  });
});

describe('JSON for programs', () => {
  for (const [what, text] of Object.entries(nasty)) {
    it(`has ${what} as it was`, () => {
      const value = [{ text, [text]: [text] }];
      const printed = safeJson(value, 2);
      assert.deepEqual(JSON.parse(printed), value);
      for (const line of printed.split('\n')) assert.doesNotMatch(line, unsafe);
    });
  }
});

describe('metrics', () => {
  for (const [what, text] of Object.entries(nasty)) {
    it(`have clean labels with ${what}`, async () => {
      const metrics = createMetrics('1', 0);
      metrics.countersOf(() => text);
      const printed = await metrics.text([]);
      for (const line of printed.split('\n')) {
        assert.doesNotMatch(line, unsafe);
        assert.match(line, /^(?:#|dockreg_|process_|$)/);
        assert.ok(line.length < 5000);
      }
    });
  }
});

describe('very many problems', () => {
  it('are the first 50, and how many more there are', () => {
    const problems = Array.from({ length: 1000 }, (_, index) => ({ message: `number ${index}` }));
    const lines = formatProblems(problems);
    assert.equal(lines.length, 51);
    assert.equal(lines.at(-1), 'and 950 more');
    assert.equal(new ProblemError(problems).message.split('\n').length, 51);
    assert.equal(firstLines(['a', 'b']).length, 2);
  });
});
