import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { originalEnvironment } from '../../src/environment.ts';
import { commandEnvironment } from '../../src/wiring/app-probe.ts';

describe('the original environment', () => {
  const cases: readonly (readonly [what: string, env: Record<string, string>, original: object])[] = [
    [
      'is as it is without the launcher',
      { PATH: '/bin', NODE_OPTIONS: 'x' },
      { PATH: '/bin', NODE_OPTIONS: 'x' },
    ],
    ['has the old names', { DOCKREG_ORIGINAL_DEBUG: '*', TZ: 'UTC' }, { DEBUG: '*', TZ: 'UTC' }],
    [
      "does not have the launcher's own settings",
      {
        DOCKREG_LAUNCHER: 'MALLOC_ARENA_MAX LD_LIBRARY_PATH',
        MALLOC_ARENA_MAX: '1',
        LD_LIBRARY_PATH: '/opt',
      },
      {},
    ],
    [
      "has the app's settings in place of the launcher's",
      { DOCKREG_LAUNCHER: 'MALLOC_ARENA_MAX', MALLOC_ARENA_MAX: '1', DOCKREG_ORIGINAL_MALLOC_ARENA_MAX: '8' },
      { MALLOC_ARENA_MAX: '8' },
    ],
    ['has empty variables', { DOCKREG_ORIGINAL_EMPTY: '' }, { EMPTY: '' }],
  ];
  for (const [what, env, original] of cases)
    it(what, () => assert.deepEqual(originalEnvironment(env), original));
});

const command = (env: Record<string, string>): object => commandEnvironment(env, 8000);

describe('the environment of a command', () => {
  it('has the port of the service', () => {
    assert.deepEqual(command({ A: '1', DOCKREG_PORT: '1' }), { A: '1', DOCKREG_PORT: '8000' });
  });

  it('has none of our secrets', () => {
    const secrets = {
      DOCKREG_ETCD_PASSWORD: 'x',
      DOCKREG_CHECK: 'x',
      DOCKREG_CHECK_HEADER: 'x',
      DOCKREG_CHECK_SEND: 'x',
      DOCKREG_SERVICE: 'x',
      DOCKREG_SERVICE_WEB: 'x',
      DOCKREG_ETCD: 'http://root:x@h1:2379',
    };
    const rest = {
      DOCKREG_ETCD_USER: 'app',
      DOCKREG_CHECKS: '1',
      SERVICE_NAME: 'web',
      PASSWORD: 'of the app',
    };
    assert.deepEqual(command({ ...secrets, ...rest }), { ...rest, DOCKREG_PORT: '8000' });
    assert.deepEqual(command({ DOCKREG_ETCD: 'http://h1:2379' }), {
      DOCKREG_ETCD: 'http://h1:2379',
      DOCKREG_PORT: '8000',
    });
  });
});
