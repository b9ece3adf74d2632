/** One line a transition, in either format. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { createLog, withFields } from '../../src/log.ts';

const clock = { ...systemClock, wall: () => 0 };

describe('log', () => {
  it('writes logfmt and quotes what needs it', () => {
    const lines: string[] = [];
    createLog('logfmt', clock, line => lines.push(line)).warn('app "x" down', {
      tries: 2,
      was: undefined,
      cause: 'a=b\nc',
    });
    assert.deepEqual(lines, [
      'time=1970-01-01T00:00:00.000Z level=warn msg="app \\"x\\" down" tries=2 cause="a=b\\\\nc"\n',
    ]);
  });

  it('writes the same fields as JSON', () => {
    const lines: string[] = [];
    createLog('json', clock, line => lines.push(line)).info('up', { tries: 2 });
    assert.deepEqual(JSON.parse(lines[0] ?? ''), {
      time: '1970-01-01T00:00:00.000Z',
      level: 'info',
      msg: 'up',
      tries: 2,
    });
  });

  it('names the service first in each line', () => {
    const lines: string[] = [];
    const log = withFields(
      createLog('logfmt', clock, line => lines.push(line)),
      () => ({ service: 'web' }),
    );
    log.info('up');
    log.warn('down', { tries: 2 });
    log.error('broken');
    assert.deepEqual(
      lines.map(line => line.slice('time=1970-01-01T00:00:00.000Z '.length)),
      [
        'level=info msg=up service=web\n',
        'level=warn msg=down service=web tries=2\n',
        'level=error msg=broken service=web\n',
      ],
    );
  });
});
