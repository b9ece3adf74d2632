/** Each input that may hold a secret × each way in which it is refused: the place is named, the secret is not shown. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readCommand } from '../../src/cli.ts';
import type { OptionName } from '../../src/config/options.ts';
import { variableOf } from '../../src/config/options.ts';
import { parseConfigFile } from '../../src/config/sources/file.ts';
import { formatProblems, ProblemError } from '../../src/errors.ts';

const secret = 'hunter2';
const long = 'y'.repeat(100_000);

/** The texts of each option, each refused because of its form. */
const inputs: Readonly<Partial<Record<OptionName, readonly string[]>>> = {
  etcd: [
    `http://root:${secret}@h1:2379`,
    `http://h1:2379,http://root:${secret}@h2:2379`,
    `http://root:${secret}`,
    `root:${secret}@h1:2379`,
    `http:/root:${secret}@h1:2379`,
    `http://root:${secret}/x@h1:2379`,
    `http://root:a,${secret}@h1:2379`,
    `http://root:${secret}%40h1:2379`,
    `ftp://root:${secret}@h1`,
  ],
  'etcd-user': [`root:${secret}`, `root:${secret}\u0007`, `${secret}\u0007`],
  docker: [`tcp://root:${secret}@h1:2375`, `ssh://root:${secret}@h1`, `tcp://root:${secret}`],
  check: [
    `http://root:${secret}@h1/healthz`,
    `http:healthz?token=${secret}`,
    `http:/a b?token=${secret}`,
    `exce:redis-cli -a ${secret}`,
    `exec:redis-cli -a ${secret}\0`,
    `tcp:${secret} x`,
  ],
  'check-header': [
    `Authorization Bearer ${secret}`,
    `Authorization: Bearer ${secret}\u0007`,
    `Host: a\n${secret}`,
    `Connection: ${secret}`,
    `Ünï: ${secret}`,
  ],
  'check-send': [`AUTH ${secret}\\q`],
  'check-expect': [`/(${secret}/`, `${secret}\\q`],
  'check-body': [`/[${secret}/`],
};

async function printedBy(
  argv: string[],
  env: NodeJS.ProcessEnv = {},
  yaml?: string,
  labels?: [string, string],
) {
  try {
    const command = await readCommand(argv, env, async path => parseConfigFile(yaml ?? '', path, env));
    assert.ok('config' in command && 'withLabels' in command.config, 'it was accepted');
    const result = command.config.withLabels(new Map(labels ? [labels] : []));
    return result.ok ? 'accepted' : formatProblems(result.problems).join('\n');
  } catch (error) {
    if (error instanceof ProblemError) return formatProblems(error.problems).join('\n');
    throw error;
  }
}

const base = ['--etcd', 'http://h1:2379'];

describe('a secret is not shown', () => {
  for (const [option, texts] of Object.entries(inputs)) {
    const name = option as OptionName;
    const rest = name === 'etcd' ? [] : base;
    for (const text of texts) {
      const flag = `--${name}`;
      const sameLine = JSON.stringify(text);
      const ways: Record<string, () => Promise<string>> = {
        'in a flag': () => printedBy([...rest, flag, text]),
        'in a flag with =': () => printedBy([...rest, `${flag}=${text}`]),
        'too long': () => printedBy([...rest, flag, text + long]),
        'in a flag with a wrong name': () => printedBy([...rest, `${flag}x=${text}`]),
        'after a flag with a wrong name': () => printedBy([...rest, `${flag}x`, text]),
        'in words of its own': () => printedBy([...rest, flag, ...text.split(/[ ,:]/)]),
        'for another command': () => printedBy(['status', flag, text]),
        'in a variable': () => printedBy(rest, { [variableOf(name)]: text }),
        'in a variable with a wrong name': () => printedBy([], { [`${variableOf(name)}X`]: text }),
        'in the file': () => printedBy([...rest, '--config', 'x.yaml'], {}, `${name}: ${sameLine}`),
        'in the file, without quotes': () =>
          printedBy([...rest, '--config', 'x.yaml'], {}, `${name}: ${text}\n- x`),
        'in the file, as a list': () => printedBy([...rest, '--config', 'x.yaml'], {}, `- ${sameLine}`),
        'in the file, under a wrong name': () =>
          printedBy([...rest, '--config', 'x.yaml'], {}, `${name}x: ${sameLine}`),
        'in the file, broken': () =>
          printedBy([...rest, '--config', 'x.yaml'], {}, `${name}: ${sameLine}\n  x: [`),
        'by a reference': () => printedBy([...rest, '--config', 'x.yaml'], { A: text }, `${name}: "\${A}"`),
        'by a reference in another place': () =>
          printedBy(
            [...rest, '--config', 'x.yaml'],
            { A: `${text} "` },
            'port: "${A}"\nlayout: "${A}"\nkey: "${A}"',
          ),
        'in a label': () => printedBy(base, {}, undefined, [`dockreg.${name}`, text]),
        'in a label with a wrong name': () => printedBy(base, {}, undefined, [`dockreg.web.${name}x`, text]),
        'in --service': () => printedBy([...base, '--service', `name=web,port=1,${name}="${text}"`]),
        'in --service, without quotes': () =>
          printedBy([...base, '--service', `name=web,port=1,${name}=${text},x`]),
        'in --service, with a quote too many': () =>
          printedBy([...base, '--service', `port=1,${name}="${text}"",x`]),
        'in --service, with a wrong name': () =>
          printedBy([...base, '--service', `port=1,${name}x=${text},,`]),
      };
      for (const [way, print] of Object.entries(ways)) {
        it(`${name} ${JSON.stringify(text)} ${way}`, async () => {
          const printed = await print();
          assert.ok(!printed.includes(secret), printed.slice(0, 1000));
          assert.ok(printed.length > 0 && printed.length < 10_000);
        });
      }
    }
  }

  it('of a password that is too long', async () => {
    const printed = await printedBy(base, { DOCKREG_ETCD_PASSWORD: secret.repeat(1000) });
    assert.match(printed, /^DOCKREG_ETCD_PASSWORD has 7000 characters/);
    assert.ok(!printed.includes(secret));
  });

  for (const [text, shown] of [
    [
      `http://root:${secret}@h1:2379`,
      /--etcd "http:\/\/\*\*\*@h1:2379": "http:\/\/\*\*\*@h1:2379" must not carry/,
    ],
    [`ftp://root:${secret}@h1:2379/a`, /--etcd "ftp:\/\/\*\*\*@h1:2379\/a"/],
  ] as const)
    it(`but its place is: ${text}`, async () => assert.match(await printedBy(['--etcd', text]), shown));
});
