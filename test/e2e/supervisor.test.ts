/** The supervisor of Debian sid, with the Python of Debian sid. Runs in the bed (bed.sh). */
import { mkdir } from 'node:fs/promises';
import { before, it } from 'node:test';
import { usrOf } from '../support/engines.ts';
import { run } from '../support/lan.ts';
import { crashUnderSupervisord } from '../support/supervised.ts';

/** Where programs in sid's /usr find the machine's own. */
const machine = '/run/dockreg-machine';
const inSid = (script: string): [string, ...string[]] => [
  'unshare',
  '--mount',
  'sh',
  '-ec',
  `mount --bind /usr ${machine}; mount --bind "$0" /usr; ${script}`,
  usrOf('sid'),
];

before(() => mkdir(machine, { recursive: true }));

it('an app that crashes under supervisord 4.3 listens again at once, twelve times, also during a check', async t => {
  const [file, ...words] = inSid('supervisord --version; /usr/bin/python3 --version');
  t.diagnostic(`supervisor ${(await run(file, words)).replace('\n', ' on ')}`);
  await crashUnderSupervisord(t, {
    command: inSid('exec supervisord "$@"'),
    node: process.execPath.replace(/^\/usr\//, `${machine}/`),
  });
});
