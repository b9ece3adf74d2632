/** Candidates for the id of our own container, as Docker and podman show them. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { candidates, type Candidate, type IdentitySources } from '../../src/core/address/identity.ts';

const own = 'a1b2c3d4'.repeat(8);
const other = '0f'.repeat(32);
const mount = (root: string, point: string): string =>
  `514 501 254:0 ${root} ${point} rw,relatime - ext4 /dev/vda rw`;

/** The candidates where all other sources are empty. */
const sources = (some: Partial<IdentitySources>): Candidate[] =>
  candidates({ container: undefined, mountinfo: '', cgroup: '', containerenv: '', hostname: '', ...some });

describe('candidates', () => {
  it('takes the folder of the files that the engine mounts', () => {
    const mountinfo = mount(`/var/lib/docker/containers/${own}/hostname`, '/etc/hostname');
    assert.deepEqual(sources({ mountinfo, cgroup: '0::/', hostname: 'web-1' }), [
      { id: own, source: 'mountinfo' },
    ]);
  });

  it("takes podman's folder", () => {
    const mountinfo = mount(
      `/containers/storage/overlay-containers/${own}/userdata/hostname`,
      '/etc/hostname',
    );
    assert.equal(sources({ mountinfo })[0]?.id, own);
  });

  it('is not misled by an overlay id or by a decoy mounted elsewhere', () => {
    const mountinfo = [
      `500 400 0:50 / / rw - overlay overlay rw,upperdir=/var/lib/docker/overlay2/${other}/diff`,
      mount(`/var/lib/docker/containers/${other}/hostname`, '/data/hostname'),
      mount(`/var/lib/docker/containers/${own}/resolv.conf`, '/etc/resolv.conf'),
    ].join('\n');
    assert.deepEqual(
      sources({ mountinfo }).map(({ id }) => id),
      [own],
    );
  });

  it('takes the last 64 hexadecimal digits of a cgroup line', () => {
    const cgroup = `12:memory:/docker/${other}/docker/${own}\n0::/docker/${other}/docker/${own}`;
    assert.deepEqual(sources({ cgroup }), [{ id: own, source: 'cgroup' }]);
  });

  it('lists mountinfo, cgroup and hostname in this order, each id once', () => {
    const found = sources({
      mountinfo: mount(`/docker/containers/${own}/hosts`, '/etc/hosts'),
      cgroup: `1:cpu:/docker/${own}\n2:cpu:/docker/${other}`,
      hostname: 'a1b2c3d4a1b2',
    });
    assert.deepEqual(
      found.map(({ id, source }) => `${source} ${id.slice(0, 4)}`),
      ['mountinfo a1b2', 'cgroup 0f0f', 'hostname a1b2'],
    );
  });

  it('reads the id that podman gives to a privileged container', () => {
    const containerenv = `engine="podman-4.3.1"\nname="web"\nid="${own}"\nimage="app"\n`;
    assert.deepEqual(sources({ containerenv }), [{ id: own, source: 'containerenv' }]);
  });

  it('takes only the id that the user gives', () => {
    const mountinfo = mount(`/docker/containers/${own}/hosts`, '/etc/hosts');
    const found = sources({ container: other, mountinfo });
    assert.deepEqual(found, [{ id: other, source: '--container' }]);
  });

  for (const hostname of ['web', 'A1B2C3D4A1B2', 'a1b2c3d4a1b', '../x', '']) {
    it(`does not take the hostname ${JSON.stringify(hostname)}`, () => {
      assert.deepEqual(sources({ hostname }), []);
    });
  }
});

/** The sources as recorded inside a container (test/fixtures/record.ts). */
interface Recorded {
  readonly id: string;
  /** The id of the container whose network it is on, if that is not its own. */
  readonly networkOwner?: string;
  readonly hostname: string;
  readonly containerenv: readonly string[];
  readonly cgroup: readonly string[];
  readonly mountinfo: readonly string[];
}

const folder = new URL('../../../test/fixtures/self/', import.meta.url);

function recordedIn(
  engine: string,
  name: string,
): { readonly self: Recorded; readonly all: IdentitySources } {
  const text = readFileSync(new URL(`${engine}/${name}.json`, folder), 'utf8');
  const self = JSON.parse(text) as Recorded;
  const [mountinfo, cgroup, containerenv] = [self.mountinfo, self.cgroup, self.containerenv].map(lines =>
    lines.join('\n'),
  ) as [string, string, string];
  return { self, all: { container: undefined, mountinfo, cgroup, containerenv, hostname: self.hostname } };
}

for (const engine of readdirSync(folder)) {
  describe(`in a container of ${engine}, as recorded`, () => {
    for (const file of readdirSync(new URL(engine, folder))) {
      const name = file.replace('.json', '');
      const { self, all } = recordedIn(engine, name);

      it(`${name}: the first candidate is right`, () => {
        // Docker shows only the files of the network's owner, podman shows both.
        const right = engine.startsWith('podman') ? self.id : (self.networkOwner ?? self.id);
        assert.deepEqual(candidates(all)[0], { id: right, source: 'mountinfo' });
      });

      it(`${name}: the order of the mounts does not matter`, () => {
        const mountinfo = self.mountinfo.toReversed().join('\n');
        assert.deepEqual(candidates({ ...all, mountinfo }), candidates(all));
      });

      it(`${name}: without mountinfo, the cgroup is right unless it is hidden`, () => {
        // On cgroup v1, podman without root cannot give a container a group of its own.
        const hidden = name === 'cgroup-namespace-private' || engine === 'podman-sid';
        const expected = hidden ? [] : [{ id: self.id, source: 'cgroup' }];
        assert.deepEqual(sources({ cgroup: all.cgroup }), expected);
      });
    }
  });
}

it('a privileged container of podman reads its id', () => {
  const { self, all } = recordedIn('podman', 'privileged');
  assert.deepEqual(sources({ containerenv: all.containerenv }), [{ id: self.id, source: 'containerenv' }]);
});
