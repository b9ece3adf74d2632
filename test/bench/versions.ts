/**
 * The versions of dockreg that a bench measures, each as an image of the example app: `head`, built from this folder,
 * and with --base another commit, built from its worktree. The runs of the versions alternate, so that other load on
 * the machine affects both alike.
 */
import { join } from 'node:path';
import type { EtcdCluster } from '../support/etcd.ts';
import type { Watcher } from '../support/etcd-watcher.ts';
import { startExample } from '../support/example.ts';
import { buildEnvironment, images, importBase, loadImages } from '../support/images.ts';
import { type Host, lanAddress, run } from '../support/lan.ts';
import { eventually } from '../support/wait.ts';
import type { Row } from './table.ts';

export interface Version {
  readonly name: 'base' | 'head';
  readonly image: string;
  /** The folder of its sources, with its dist/. */
  readonly folder: string;
}

/** What every measurement needs. */
export interface Bench {
  readonly host: Host;
  readonly etcd: EtcdCluster;
  readonly watcher: Watcher;
  /** In the order in which they are measured. */
  readonly versions: readonly Version[];
  readonly runs: number;
}

const project = join(import.meta.dirname, '../../..');
const baseImage = 'dockreg-bench:base';
const buildTimeoutMs = 300_000;

/**
 * Brings the images to the host. Before the base is built, `onBuild` receives the function that removes its images and
 * all containers, so that it can run after a failed build too.
 */
export async function prepareVersions(
  host: Host,
  baseFolder: string | undefined,
  onBuild: (remove: () => Promise<void>) => void,
): Promise<readonly Version[]> {
  await loadImages(host);
  const head: Version = { name: 'head', image: images.example, folder: project };
  if (baseFolder === undefined) return [head];
  await importBase(host);
  const before = await imageIds(host);
  onBuild(() => removeAdded(host, before));
  const bases = Object.entries(buildEnvironment).flatMap(entry => ['--build-arg', entry.join('=')]);
  await host.docker(['build', '--quiet', '--target', 'example', '--tag', baseImage, ...bases, baseFolder], {
    timeoutMs: buildTimeoutMs,
  });
  return [{ name: 'base', image: baseImage, folder: baseFolder }, head];
}

/** Removes all containers, and the images that were not there before. */
async function removeAdded(host: Host, before: readonly string[]): Promise<void> {
  const containers = await host.docker(['ps', '--all', '--quiet']);
  if (containers !== '') await host.docker(['rm', '--force', ...containers.split('\n')]);
  const added = async (): Promise<readonly string[]> =>
    (await imageIds(host)).filter(id => !before.includes(id));
  // An image takes its parents with it, so some are gone when their turn comes.
  for (const image of [baseImage, ...(await added())])
    await host.docker(['image', 'rm', '--force', image]).catch(() => undefined);
  const left = await added();
  if (left.length > 0) throw new Error(`cannot remove the images ${left.join(' ')}`);
}

async function imageIds(host: Host): Promise<readonly string[]> {
  const ids = await host.docker(['images', '--all', '--quiet', '--no-trunc']);
  return [...new Set(ids.split('\n'))].filter(id => id !== '');
}

/** Starts a container of the version and resolves with its key. */
export async function startVersion(
  { host, etcd }: Bench,
  { image }: Version,
  name: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const endpoint = `http://${lanAddress}:${etcd.members[0]!.port}`;
  const { address } = await startExample(host, name, { DOCKREG_ETCD: endpoint, ...env }, image);
  return `/service/${address}`;
}

/** Starts a container that runs only this script, on the Node of the version's image. */
export async function startNode(
  { host }: Bench,
  { image }: Version,
  name: string,
  script: string,
): Promise<void> {
  await host.docker(['run', '--detach', '--name', name, image, '/opt/dockreg/bin/node', '-e', script]);
}

/** Resolves with the pid, as seen from the bed, of the container's process whose command line contains the text. */
export async function pidOf({ host }: Bench, container: string, text: string): Promise<number> {
  return eventually(`${text} in ${container}`, async () => {
    const lines = (await host.docker(['top', container, '-eo', 'pid,args'])).split('\n');
    const line = lines.find(each => each.includes(text));
    return Number(line?.trim().split(/\s+/)[0]);
  });
}

/** Resolves with the time at which the key was put or deleted after `since`, both in `performance.now()` ms. */
export async function changed(
  { watcher }: Bench,
  type: 'put' | 'delete',
  key: string,
  since: number,
): Promise<number> {
  const matches = (event: { type: string; key: string; at: number }): boolean =>
    event.type === type && event.key === key && event.at >= since;
  return (await watcher.first(matches, { timeoutMs: 30_000 })).at;
}

/** Measures each version once per run, in turn. A measurement that resolves with undefined adds no value. */
export async function repeat(
  { versions, runs }: Bench,
  what: string,
  measure: (version: Version) => Promise<number | undefined>,
): Promise<readonly Row[]> {
  const values = versions.map((): number[] => []);
  for (let count = 0; count < runs; count++) {
    for (const [index, version] of versions.entries()) {
      const value = await measure(version);
      if (value !== undefined) values[index]!.push(value);
    }
  }
  return versions.map(({ name }, index) => ({ what, unit: 'ms', version: name, values: values[index]! }));
}

/** The size in KiB of the version's dist/ as a compressed archive. */
export async function bundleKib({ folder }: Version): Promise<number> {
  return Number(await run('sh', ['-c', 'tar -c -C "$0" dist | gzip -c | wc -c', folder])) / 1024;
}
