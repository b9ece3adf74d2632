/** Events of one service and what must be done about them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  initialRegistration,
  register,
  type RegistrationEvent,
} from '../../src/core/registration/registration.ts';

const rules = { rise: 1, fall: 2, startUntil: 0 };
const pass = (startedAt: number): RegistrationEvent => ({
  kind: 'checked',
  verdict: { kind: 'pass', detail: 'ok' },
  startedAt,
});
const fail = (startedAt: number): RegistrationEvent => ({
  kind: 'checked',
  verdict: { kind: 'fail', reason: 'refused', trouble: 'refused' },
  startedAt,
});
const unknown: RegistrationEvent = {
  kind: 'checked',
  verdict: { kind: 'unknown', reason: 'EMFILE' },
  startedAt: 9,
};
const at = (port: number): RegistrationEvent => ({
  kind: 'address-found',
  records: [{ key: `/service/10.1.0.101:${port}`, value: 'running' }],
});
const drain: RegistrationEvent = { kind: 'admin', admin: 'drain' };
const resume: RegistrationEvent = { kind: 'admin', admin: 'register' };
const stop: RegistrationEvent = { kind: 'admin', admin: 'stop' };

/** The actions that each event leads to, in short. */
function play(...events: RegistrationEvent[]): string[] {
  let state = initialRegistration;
  return events.map(event => {
    const { after, actions } = register(state, event, rules);
    state = after;
    return actions
      .map(action => {
        if (action.kind === 'publish')
          return `publish ${action.records.map(({ key }) => key).join()} @${action.checkedAt}`;
        return action.kind === 'withdraw' ? `withdraw: ${action.reason}` : 'tell';
      })
      .filter(text => text !== 'tell')
      .join('; ');
  });
}

const one = '/service/10.1.0.101:49155';
const two = '/service/10.1.0.101:49156';

describe('registration', () => {
  it('publishes only what passed and has an address, in either order', () => {
    assert.deepEqual(play(at(49155), pass(1)), ['', `publish ${one} @1`]);
    assert.deepEqual(play(pass(1), at(49155)), ['', `publish ${one} @1`]);
    assert.deepEqual(play(at(49155), fail(1)), ['', '']);
  });

  it('confirms with every check that leaves it up, and counts fails', () => {
    assert.deepEqual(play(at(49155), pass(1), fail(2), pass(3)), [
      '',
      `publish ${one} @1`,
      `publish ${one} @2`,
      `publish ${one} @3`,
    ]);
    assert.deepEqual(play(at(49155), pass(1), fail(2), fail(3)).slice(2), [
      `publish ${one} @2`,
      'withdraw: refused',
    ]);
  });

  it('does nothing on a check that could not be made', () => {
    assert.deepEqual(play(at(49155), unknown, pass(1), unknown), ['', '', `publish ${one} @1`, '']);
  });

  it('follows a changed address', () => {
    assert.deepEqual(play(at(49155), pass(1), at(49156)).slice(1), [
      `publish ${one} @1`,
      `publish ${two} @1`,
    ]);
  });

  it('withdraws at once when nobody can connect any more, without counting, and only then', () => {
    const vanished: RegistrationEvent = { kind: 'app-gone', reason: 'nothing listens' };
    assert.deepEqual(play(at(49155), pass(1), vanished, vanished, fail(2), pass(3)).slice(2), [
      'withdraw: nothing listens',
      '',
      '',
      `publish ${one} @3`,
    ]);
    assert.deepEqual(play(at(49155), vanished, fail(1), vanished), ['', '', '', '']);
  });

  it('tells a fail within the start period as no failure, and the end of the period as one', () => {
    let state = initialRegistration;
    const told = [fail(1), fail(2), fail(11), pass(12)].flatMap(event => {
      const { after, actions } = register(state, event, { ...rules, startUntil: 10 });
      state = after;
      return actions.map(action => (action.kind === 'tell' ? `${action.level} ${action.message}` : action));
    });
    assert.deepEqual(told, [
      'info starting: refused',
      'warn down, and its start period is over: refused',
      'info up 1/1: ok',
    ]);
  });

  it('withdraws once when it stops, and publishes nothing after that', () => {
    assert.deepEqual(play(at(49155), pass(1), stop, pass(2), stop).slice(2), ['withdraw: stopping', '', '']);
    assert.deepEqual(play(stop), ['']);
    assert.deepEqual(play(at(49155), pass(1), stop, drain, resume, pass(2)).slice(3), ['', '', '']);
  });

  it('withdraws when it is drained, and publishes again when it is resumed, with what is known by then', () => {
    assert.deepEqual(play(at(49155), pass(1), drain, pass(2), resume, pass(3)).slice(1), [
      `publish ${one} @1`,
      'withdraw: drained',
      '',
      `publish ${one} @2`,
      `publish ${one} @3`,
    ]);
    assert.deepEqual(play(at(49155), pass(1), drain, fail(2), fail(3), resume, pass(4)).slice(3), [
      '',
      '',
      '',
      `publish ${one} @4`,
    ]);
    assert.deepEqual(play(at(49155), pass(1), drain, stop, resume).slice(2), ['withdraw: drained', '', '']);
  });

  const undone: [name: string, ...events: RegistrationEvent[]][] = [
    ['a check', pass(3)],
    ['a change of health', fail(3), fail(4), pass(5)],
    ['what the watch sees', { kind: 'app-gone', reason: 'nothing listens' }, pass(5)],
    ['a moved address', at(49156)],
    ['an address that is lost and found', { kind: 'address-lost' }, at(49156)],
    ['a second drain', drain],
    ['a check that could not be made', unknown],
  ];
  for (const [name, ...events] of undone) {
    it(`is not resumed by ${name}`, () => {
      assert.deepEqual(
        play(at(49155), pass(1), drain, ...events).slice(3),
        events.map(() => ''),
      );
    });
  }

  it('publishes what was drained before it was known only when it is resumed', () => {
    assert.deepEqual(play(drain, at(49155), pass(1), resume), ['', '', '', `publish ${one} @1`]);
    assert.deepEqual(play(drain, resume, at(49155), pass(1)).slice(2), ['', `publish ${one} @1`]);
    assert.deepEqual(play(drain, resume, drain, at(49155), pass(1)).slice(3), ['', '']);
  });

  it('tells a drain and its end once each', () => {
    let state = initialRegistration;
    const told = [resume, drain, drain, resume, resume, stop, drain].flatMap(event => {
      const { after, actions } = register(state, event, rules);
      state = after;
      return actions.map(action => (action.kind === 'tell' ? action.message.split(':')[0] : action.kind));
    });
    assert.deepEqual(told, ['drained', 'resumed']);
  });
});
