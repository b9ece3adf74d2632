/**
 * Chaos from the command line: runs one schedule after the other for some minutes, or until one shows a violation.
 */
import { parseArgs } from 'node:util';

import { check, type Violation } from './checker.ts';
import { renderWindow, type History } from './history.ts';
import { prepareSabotage, sabotages } from './sabotage.ts';
import type { Auth } from '../support/auth.ts';
import { drawSchedule, usualShape, type Tempo, type Schedule, type Shape } from './schedule.ts';
import { runSchedule } from './world.ts';

const command = 'node build/test/chaos/chaos.js';

const usage = `usage: ${command} [--minutes N] [--seed S] [--members 1|3|5]
                                        [--auth none|simple|jwt] [--tempo quick|lasting] [--sabotage RULE] [--steps]
  --minutes N   go on for N minutes; default: one schedule
  --seed S      the first seed; each next schedule takes the next number; default: random
  --members N   the size of the cluster; default: 3, 1, 3, 5 by the seed
  --auth KIND   authentication, and the kind of its tokens; default: by the seed
  --tempo TEMPO how long each fault lasts; default: every third seed is lasting
  --sabotage R  run a program that breaks a rule, which must be found: ${sabotages.join(', ')}
  --steps       print each step when it begins`;

/** How much of the history before a violation is printed, in ms. */
const windowMs = 15_000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string' },
      seed: { type: 'string' },
      members: { type: 'string' },
      auth: { type: 'string' },
      tempo: { type: 'string' },
      sabotage: { type: 'string' },
      steps: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const first = numberOf('--seed', values.seed ?? String(Math.floor(Math.random() * 1e6)));
  const untilMs = performance.now() + numberOf('--minutes', values.minutes ?? '0') * 60_000;
  const { entry, remove } = values.sabotage
    ? await prepareSabotage(values.sabotage)
    : { entry: undefined, remove: () => undefined };
  const say = values.steps ? (text: string): void => console.log(`  ${text}`) : undefined;
  let seed = first;
  try {
    do {
      const shape = shapeOf(seed, values);
      const schedule = drawSchedule(seed, shape);
      const { members, auth, tempo } = shape;
      console.log(`seed ${seed}: ${members} members, auth ${auth}, ${tempo}, ${countSteps(schedule)} steps`);
      const history = await runSchedule(schedule, { entry, say });
      const violations = check(history);
      console.log(`  ${summary(history)}`);
      if (violations.length > 0) {
        for (const violation of violations) console.log(report(history, violation));
        const sabotage = values.sabotage ? ` --sabotage ${values.sabotage}` : '';
        console.log(
          `to repeat it: ${command} --seed ${seed} --members ${members} --auth ${auth} --tempo ${tempo}${sabotage}`,
        );
        return 1;
      }
      seed++;
    } while (performance.now() < untilMs);
  } finally {
    remove();
  }
  console.log(`${seed - first} schedules, no violation`);
  return 0;
}

function numberOf(flag: string, text: string): number {
  const number = Number(text);
  if (!Number.isFinite(number) || number < 0) throw new Error(`${flag} ${text}: must be a number\n${usage}`);
  return number;
}

/** The shape of a seed. The command line overrides parts of it. */
function shapeOf(
  seed: number,
  values: { readonly members?: string; readonly auth?: string; readonly tempo?: string },
): Shape {
  const members = Number(values.members ?? [3, 1, 3, 5][seed % 4]);
  if (members !== 1 && members !== 3 && members !== 5)
    throw new Error(`--members ${values.members}: must be 1, 3 or 5\n${usage}`);
  const auth = values.auth ?? ['none', 'none', 'simple', 'none', 'jwt'][seed % 5];
  if (!isAuth(auth)) throw new Error(`--auth ${auth}: must be none, simple or jwt\n${usage}`);
  const tempo = values.tempo ?? (seed % 3 === 0 ? 'lasting' : 'quick');
  if (!isTempo(tempo)) throw new Error(`--tempo ${tempo}: must be quick or lasting\n${usage}`);
  return { ...usualShape, members, auth, tempo };
}

function isTempo(text: string): text is Tempo {
  return text === 'quick' || text === 'lasting';
}

function isAuth(text: string | undefined): text is Auth {
  return text === 'none' || text === 'simple' || text === 'jwt';
}

function countSteps({ tracks }: Schedule): number {
  return tracks.reduce((sum, { steps }) => sum + steps.length, 0);
}

function summary({ facts }: History): string {
  const count = (kind: string): number => facts.filter(fact => fact.kind === kind).length;
  const skipped = facts.filter(fact => fact.kind === 'note' && fact.text.startsWith('!!')).length;
  return `${count('put')} puts, ${count('delete')} deletes, ${count('ended')} processes, ${count('stall')} stalls, ${skipped} steps failed`;
}

function report(history: History, { invariant, slot, message, span }: Violation): string {
  const window = renderWindow(history, span.from - windowMs, span.to + 1000, slot);
  return `\nVIOLATION ${invariant}: ${message}\n${window}\n`;
}

process.exit(await main());
