/** The health reducer: rise, fall, and checks that could not be made. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeCheck } from '../../src/agent/log.ts';
import {
  detailOf,
  isConclusive,
  judge,
  unknownHealth,
  type Health,
  type Verdict,
} from '../../src/core/registration/health.ts';

const verdicts: Record<string, Verdict> = {
  p: { kind: 'pass', detail: 'HTTP 200' },
  f: { kind: 'fail', reason: 'refused', trouble: 'refused' },
  u: { kind: 'unknown', reason: 'EMFILE' },
  i: { kind: 'impossible', problem: { message: 'no HEALTHCHECK', hint: 'add one' } },
};

/** Capitals are checks within the start period. */
function after(sequence: string, rise: number, fall: number): Health {
  return sequence.split('').reduce((health, letter) => {
    const verdict = verdicts[letter.toLowerCase()]!;
    return judge(health, verdict, { rise, fall }, letter !== letter.toLowerCase());
  }, unknownHealth);
}

describe('health', () => {
  const cases: [sequence: string, rise: number, fall: number, status: Health['status']][] = [
    ['', 1, 1, 'unknown'],
    ['u', 1, 1, 'unknown'],
    ['i', 1, 1, 'unknown'],
    ['p', 1, 1, 'up'],
    ['f', 1, 1, 'down'],
    ['pf', 1, 1, 'down'],
    ['pu', 1, 1, 'up'],
    ['i', 1, 1, 'unknown'],
    ['pi', 1, 1, 'up'],
    ['fu', 1, 1, 'down'],
    ['p', 2, 1, 'down'],
    ['pp', 2, 1, 'up'],
    ['pfp', 2, 1, 'down'],
    ['pup', 2, 1, 'up'],
    ['pip', 2, 1, 'up'],
    ['pffif', 1, 3, 'down'],
    ['f', 1, 3, 'down'],
    ['pff', 1, 3, 'up'],
    ['pfff', 1, 3, 'down'],
    ['pffpff', 1, 3, 'up'],
    ['pffuf', 1, 3, 'down'],
    ['pfffp', 2, 3, 'down'],
    ['pfffpp', 2, 3, 'up'],
    ['ppfffpp', 2, 3, 'up'],
    ['U', 1, 1, 'unknown'],
    ['F', 1, 1, 'starting'],
    ['FFF', 1, 1, 'starting'],
    ['FU', 1, 1, 'starting'],
    ['FP', 1, 1, 'up'],
    ['FP', 2, 1, 'starting'],
    ['FPP', 2, 1, 'up'],
    ['PFP', 2, 1, 'starting'],
    ['Pf', 2, 1, 'down'],
    ['Pp', 2, 1, 'up'],
    ['Ff', 1, 3, 'down'],
    ['fF', 1, 3, 'down'],
    ['PF', 1, 1, 'down'],
    ['PFF', 1, 3, 'up'],
    ['PFFF', 1, 3, 'down'],
    ['PFF', 1, 1, 'down'],
  ];
  for (const [sequence, rise, fall, status] of cases) {
    it(`${sequence || 'nothing'} with rise ${rise} and fall ${fall} is ${status}`, () => {
      assert.equal(after(sequence, rise, fall).status, status);
    });
  }

  it('says each transition once, with its counter and reason', () => {
    const rules = { rise: 2, fall: 2 };
    let health = unknownHealth;
    const texts = 'ffppupiffffp'.split('').map(letter => {
      const next = judge(health, verdicts[letter]!, rules, false);
      const event = {
        kind: 'checked',
        verdict: verdicts[letter]!,
        tookMs: 1,
        before: health,
        after: next,
      } as const;
      const text = describeCheck(event, rules);
      health = next;
      return text;
    });
    assert.deepEqual(texts, [
      'down: refused',
      null,
      'rising 1/2: HTTP 200',
      'up 2/2: HTTP 200',
      null,
      null,
      null,
      'failing 1/2: refused',
      'down 2/2: refused',
      null,
      null,
      'rising 1/2: HTTP 200',
    ]);
  });

  const letters: [letter: string, isConclusive: boolean, detail: string][] = [
    ['p', true, 'HTTP 200'],
    ['f', true, 'refused'],
    ['u', false, 'EMFILE'],
    ['i', false, 'no HEALTHCHECK; add one'],
  ];
  for (const [letter, expected, detail] of letters) {
    it(`${verdicts[letter]!.kind} ${expected ? 'says' : 'does not say'} something about the app`, () => {
      assert.equal(isConclusive(verdicts[letter]!), expected);
      assert.equal(detailOf(verdicts[letter]!), detail);
    });
  }
});
