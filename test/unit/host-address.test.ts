/** The host's address by a name: bounded in time, and without a pile of look-ups. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HostIp } from '../../src/core/address/advertise.ts';
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

const chosenFrom = async (...list: string[]): Promise<string> =>
  (await resolveHostIp(named, new FakeClock(), () => Promise.resolve(list.map(ip)))).ip;

/** What is chosen of a list while this address is registered. */
const keptOf = async (registered: string, ...list: string[]): Promise<string> => {
  const known = { registered: { ip: registered, port: 80 } };
  return (await resolveHostIp(named, new FakeClock(), () => Promise.resolve(list.map(ip)), new Map(), known))
    .ip;
};

describe('a name in --ip', () => {
  it('is the first IPv4 address that others can reach, else the first IPv6 address', async () => {
    assert.equal(await chosenFrom('2001:db8::1', '127.0.0.1', '10.1.0.101', '10.1.0.102'), '10.1.0.101');
    assert.equal(await chosenFrom('127.0.0.1', '2001:DB8:0::1'), '2001:db8::1');
  });

  it('that has several addresses keeps the one that was chosen, in whatever order DNS gives them', async () => {
    const chosen = new Map<string, string>();
    const next = async (...list: string[]): Promise<string> =>
      (await resolveHostIp(named, new FakeClock(), () => Promise.resolve(list.map(ip)), chosen)).ip;
    assert.equal(await next('10.1.0.102', '10.1.0.101', '10.1.0.103'), '10.1.0.102');
    assert.equal(await next('10.1.0.101', '10.1.0.103', '10.1.0.102'), '10.1.0.102');
    assert.equal(await next('10.1.0.103', '10.1.0.101'), '10.1.0.103', 'unless it is gone');
    assert.equal(await next('127.0.0.1'), '127.0.0.1');
    assert.equal(await next('127.0.0.1', '10.1.0.101'), '10.1.0.101', 'or a better one is there');
  });

  it('keeps the registered address while DNS lists it, also when one of the other family appears', async () => {
    assert.equal(await keptOf('10.1.0.102', '10.1.0.101', '10.1.0.102'), '10.1.0.102');
    assert.equal(await keptOf('2001:db8::1', '10.1.0.101', '2001:db8::1'), '2001:db8::1');
    assert.equal(await keptOf('10.1.0.103', '10.1.0.101', '10.1.0.102'), '10.1.0.101', 'unless it is gone');
    assert.equal(
      await keptOf('127.0.0.1', '127.0.0.1', '10.1.0.101'),
      '10.1.0.101',
      'or a better one is there',
    );
  });

  it('of a host with bridges of Docker is the address that others reach, and the equals of it are named', async () => {
    const own = { gateways: ['10.88.0.1'], bridges: new Map([['172.30.0.1', 'br-0123456789ab']]) };
    const resolve = (...list: string[]): Promise<HostIp> =>
      resolveHostIp(named, new FakeClock(), () => Promise.resolve(list.map(ip)), new Map(), { own });
    const all = ['172.17.0.1', '10.88.0.1', '172.30.0.1', '2001:db8::1', '10.1.0.102', '10.1.0.101'];
    const { ip: chosen, others, name } = await resolve(...all);
    assert.deepEqual([chosen, others, name], ['10.1.0.102', ['10.1.0.101'], 'host-1.example']);
    assert.equal((await resolve('172.17.0.1', '2001:db8::1')).ip, '2001:db8::1');
    assert.deepEqual((await resolve('10.1.0.101', '10.1.0.101', '::ffff:10.1.0.101')).others, []);
  });

  it('keeps its address while DNS says nothing about the family of it', async () => {
    const chosen = new Map<string, string>();
    const next = async (...list: NameAddress[]): Promise<string> =>
      (await resolveHostIp(named, new FakeClock(), () => Promise.resolve(list), chosen)).ip;
    const other = { ...ip('2001:db8::1'), isPartial: true } as const;
    assert.equal(await next(other), '2001:db8::1', 'at first it is enough');
    assert.equal(await next(ip('10.1.0.101'), ip('2001:db8::1')), '10.1.0.101');
    await assert.rejects(next(other), {
      message: '--ip host-1.example: the name server does not answer about IPv4, and it was 10.1.0.101',
    });
    assert.equal(await next(ip('10.1.0.101')), '10.1.0.101');
    assert.equal(await next(ip('2001:db8::1')), '2001:db8::1', 'unless DNS says that it is gone');
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

describe('a look-up', () => {
  it('is shared while it is under way, so that a silent DNS server leaves one for each name', async () => {
    const under: Deferred[] = [];
    const started: string[] = [];
    const resolve = sharedResolver(name => {
      started.push(name);
      const next = deferred();
      under.push(next);
      return next.promise;
    });
    const clock = new FakeClock();
    const asked = ['a', 'a', 'b', 'a'].map(name => resolveHostIp({ kind: 'name', name }, clock, resolve));
    const outcomes = Promise.allSettled(asked);
    await clock.advance(3000);
    assert.ok((await outcomes).every(({ status }) => status === 'rejected'));
    const again = resolveHostIp({ kind: 'name', name: 'a' }, clock, resolve);
    assert.deepEqual(started, ['a', 'b']);
    under[0]!.resolve([ip('10.0.0.1')]);
    assert.equal((await again).ip, '10.0.0.1');
    resolve('a').catch(() => undefined);
    under[1]!.reject(new Error('no'));
    assert.deepEqual(started, ['a', 'b', 'a']);
  });
});
