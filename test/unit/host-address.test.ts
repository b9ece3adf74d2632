/** The host's address by a name: bounded in time, and without a pile of look-ups. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatProblem, UnavailableError } from '../../src/errors.ts';
import { resolveHostIp } from '../../src/network/host-address.ts';
import { sharedResolver, type NameAddress } from '../../src/network/lookup.ts';
import { FakeClock } from '../support/fake-clock.ts';

const named = { kind: 'name', name: 'host-1.example' } as const;
const ip = (address: string): NameAddress => ({ address, family: address.includes(':') ? 6 : 4 });

/** An answer that the test gives later. */
interface Deferred {
  readonly promise: Promise<NameAddress[]>;
  readonly resolve: (found: NameAddress[]) => void;
  readonly reject: (error: Error) => void;
}

function deferred(): Deferred {
  let settle: Pick<Deferred, 'resolve' | 'reject'> | undefined;
  const promise = new Promise<NameAddress[]>((resolve, reject) => (settle = { resolve, reject }));
  return { promise, ...settle! };
}

describe('a name in --ip', () => {
  it('is the first IPv4 address that others can reach, else the first IPv6 address', async () => {
    const of = async (...list: string[]): Promise<string> =>
      (await resolveHostIp(named, new FakeClock(), () => Promise.resolve(list.map(ip)))).ip;
    assert.equal(await of('2001:db8::1', '127.0.0.1', '10.1.0.101', '10.1.0.102'), '10.1.0.101');
    assert.equal(await of('127.0.0.1', '2001:DB8:0::1'), '2001:db8::1');
  });

  it('for which DNS is silent is given up after 3 s, and its late answer is ignored', async () => {
    const clock = new FakeClock();
    const late = deferred();
    const asked = resolveHostIp(named, clock, () => late.promise).catch((error: unknown) => error);
    await clock.advance(3000);
    const error = await asked;
    assert.ok(error instanceof UnavailableError);
    assert.match(
      formatProblem(error.problems[0]!),
      /^--ip host-1\.example .*no answer within 3000 ms; correct it/,
    );
    late.reject(new Error('too late'));
  });

  it('with answers that are no addresses resolves to none', async () => {
    const resolver = sharedResolver(() => Promise.resolve([ip('a:b'), ip('../x'), ip('')]));
    await assert.rejects(resolveHostIp(named, new FakeClock(), resolver), /resolves to no address/);
  });
});

describe('look-ups', () => {
  it('of one name are one look-up, and of several at most two at a time', async () => {
    const under = new Map<string, Deferred>();
    const started: string[] = [];
    const resolve = sharedResolver(name => {
      started.push(name);
      const next = deferred();
      under.set(name, next);
      return next.promise;
    });
    const asked = ['a', 'a', 'b', 'c', 'a', 'c', 'd'].map(name => resolve(name));
    assert.deepEqual(started, ['a', 'b']);
    under.get('a')!.resolve([ip('10.0.0.1')]);
    assert.deepEqual(await asked[4], [ip('10.0.0.1')]);
    assert.deepEqual(started, ['a', 'b', 'c']);
    under.get('b')!.reject(new Error('no'));
    await assert.rejects(asked[2]!, /no/);
    assert.deepEqual(started, ['a', 'b', 'c', 'd']);
    under.get('c')!.resolve([]);
    under.get('d')!.resolve([]);
    await Promise.all([asked[3], asked[5], asked[6]]);
    resolve('a').catch(() => undefined);
    assert.deepEqual(started, ['a', 'b', 'c', 'd', 'a']);
  });
});
