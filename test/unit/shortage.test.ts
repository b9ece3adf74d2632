/** Which errors of a check are the app's, and which are of our own machine: a resource that ran out, or a refusal. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { ownTrouble } from '../../src/core/shortage.ts';
import { attempt, fail, verdictOf, type ProbeOptions } from '../../src/probe/probe.ts';
import { PemFileError } from '../../src/tls/pem.ts';

/** An error as Node makes it: a connect over TCP has a port, one to a Unix socket only its path. */
function systemError(code: string, syscall: string, more: object = {}): Error {
  return Object.assign(new Error(`${syscall} ${code}`), { code, syscall, ...more });
}
const tcp = { address: '127.0.0.1', port: 8000 };
const path = { address: '/run/app.sock' };

describe('the verdict of a check that ends with an error', () => {
  const rows: [what: string, error: unknown, blame: 'app' | 'ours' | 'unclear'][] = [
    ['nothing listens', systemError('ECONNREFUSED', 'connect', tcp), 'app'],
    ['there is no Unix socket', systemError('ENOENT', 'connect', path), 'app'],
    ['it resets the connection', systemError('ECONNRESET', 'read', {}), 'app'],
    ['it closes while we write', systemError('EPIPE', 'write', {}), 'app'],
    ['the kernel gives a connection up', systemError('ETIMEDOUT', 'connect', tcp), 'app'],
    ['the queue of its Unix socket is full', systemError('EAGAIN', 'connect', path), 'app'],
    [
      'its answer is no HTTP',
      Object.assign(new Error('Parse Error'), { code: 'HPE_INVALID_CONSTANT' }),
      'app',
    ],
    ['our descriptors', systemError('EMFILE', 'connect', tcp), 'ours'],
    ['our descriptors, for a Unix socket', systemError('EMFILE', 'connect', path), 'ours'],
    ["the host's descriptors", systemError('ENFILE', 'connect', tcp), 'ours'],
    ['memory', systemError('ENOMEM', 'connect', tcp), 'ours'],
    ['buffers', systemError('ENOBUFS', 'connect', tcp), 'ours'],
    ['local ports', systemError('EADDRNOTAVAIL', 'connect', tcp), 'ours'],
    ['local ports, as older kernels say it', systemError('EAGAIN', 'connect', tcp), 'ours'],
    ['no socket is allowed', systemError('EPERM', 'connect', tcp), 'ours'],
    ['a Unix socket that we may not open', systemError('EACCES', 'connect', path), 'ours'],
    ['no such family of addresses', systemError('EAFNOSUPPORT', 'connect', tcp), 'ours'],
    ['no loopback interface', systemError('ENETUNREACH', 'connect', tcp), 'ours'],
    ['a process', systemError('EAGAIN', 'spawn /bin/sh'), 'ours'],
    ['the pipes of a process', systemError('EMFILE', 'spawn /bin/sh'), 'ours'],
    ['memory for a process', systemError('ENOMEM', 'spawn'), 'ours'],
    ['there is no shell', systemError('ENOENT', 'spawn /bin/sh'), 'ours'],
    ['the environment is too long', systemError('E2BIG', 'spawn'), 'ours'],
    ['a file of ours', new PemFileError('--check-ca /ca.pem cannot be read: EACCES'), 'ours'],
    ['an error without a code', new Error('odd'), 'unclear'],
    ['what is no error', 'odd', 'unclear'],
  ];
  for (const [what, error, blame] of rows)
    it(`${what}: ${blame}`, () => {
      const verdict = verdictOf(error);
      const isOurs = verdict.kind === 'unknown' && verdict.isOurs === true;
      assert.equal(verdict.kind === 'fail' ? 'app' : isOurs ? 'ours' : 'unclear', blame);
    });

  it('says what is missing and what to do about it', () => {
    assert.deepEqual(ownTrouble(systemError('EMFILE', 'connect', tcp)), {
      message: 'dockreg has no file descriptors left (connect EMFILE)',
      hint: 'raise its limit: docker run --ulimit nofile=1024',
    });
    assert.deepEqual(verdictOf(systemError('EAGAIN', 'spawn /bin/sh')), {
      kind: 'unknown',
      reason:
        'no process or thread can be started (spawn /bin/sh EAGAIN); raise the limit: docker run --pids-limit, or ulimit -u',
      isOurs: true,
    });
  });
});

describe('a certificate that is not yet valid', () => {
  const rows: [now: string, reason: string, kind: string][] = [
    ['1970-01-01T00:01:00Z', 'certificate is not yet valid', 'unknown'],
    ['2026-01-01T00:00:00Z', 'certificate is not yet valid', 'fail'],
    ['1970-01-01T00:01:00Z', 'self-signed certificate', 'fail'],
  ];
  for (const [now, reason, kind] of rows)
    it(`${reason}, by a clock at ${now}: ${kind}`, async () => {
      const clock = { ...systemClock, wall: () => Date.parse(now) };
      const options = { clock, timeoutMs: 1000 } as ProbeOptions;
      const probe = attempt(options, 'the app', () => Promise.resolve(fail(reason, 'tls')));
      assert.equal((await probe(new AbortController().signal)).kind, kind);
    });
});
