/**
 * The project's images for the hosts of the bed, which cannot download anything. scripts/image.sh builds them from
 * dist/ on the first host that needs them, on replacements of the public base images (`setup.sh image-base`). They stay
 * in the cache as one tar, named after their content, and all other hosts load that.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type Host, run, startHost } from './lan.ts';

/** The tags that a host has after `loadImages`. */
export const images = {
  layer: 'dockreg:layer',
  base: 'dockreg:base',
  example: 'dockreg:example',
  /** A Debian with supervisord and without dockreg. */
  debian: 'dockreg-bed/debian:bookworm',
} as const;

const nodeImage = 'dockreg-bed/node:24';

/** Makes scripts/image.sh build on the replacements, once `importBase` has loaded them on the host. */
export const buildEnvironment = { NODE_IMAGE: nodeImage, BASE_IMAGE: images.debian } as const;

const recipeLabel = 'dockreg-bed.recipe';
const project = fileURLToPath(new URL('../../../', import.meta.url));
const sources = [
  'Dockerfile',
  '.dockerignore',
  'scripts/image.sh',
  'dist',
  'layer',
  'supervisord',
  'example-app',
];
const buildTimeoutMs = 300_000;

/** The id of the image by its tag. */
type Ids = Readonly<Record<string, string>>;

interface Archive {
  readonly tar: string;
  readonly ids: Ids;
}

let archive: Promise<Archive> | undefined;

/** The path of a `docker save` of `images`, built from dist/ as it is at the first call. */
export async function imageArchive(builder: Host): Promise<string> {
  archive ??= makeArchive(builder);
  return (await archive).tar;
}

/** Loads `images` on a host, built from dist/ as it is at the first call. Quick when they are there. */
export async function loadImages(host: Host): Promise<void> {
  archive ??= makeArchive(host);
  const { tar, ids } = await archive;
  const there = await imageIds(host);
  if (Object.entries(ids).every(([tag, id]) => there[tag] === id)) return;
  await host.docker(['load', '--quiet', '--input', tar], { timeoutMs: buildTimeoutMs });
  await pruneImages(host);
}

/** Removes images that newer ones have replaced a day ago or longer: the next build may reuse newer layers. */
export async function pruneImages(host: Host): Promise<void> {
  await host.docker(['image', 'prune', '--force', '--filter', 'until=24h']);
}

async function makeArchive(asking: Host): Promise<Archive> {
  if (!existsSync(join(project, 'dist/dockreg.js')))
    throw new Error('dist/ is not built: run npm run build first');
  const base = await findBase();

  const folder = join(base.cache, 'images');
  const name = await contentName(base.recipe);
  const tar = join(folder, `${name}.tar`);
  const list = join(folder, `${name}.json`);
  // The list is written last: if it exists, the tar is complete.
  if (existsSync(list)) return { tar, ids: JSON.parse(await readFile(list, 'utf8')) as Ids };

  // Docker builds the images, as it does for users.
  const builder = asking.engine.startsWith('podman')
    ? await startHost({ name: 'builder', ip: '10.1.0.250', engine: 'docker' })
    : asking;
  try {
    const ids = await build(builder);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const tags = Object.keys(ids);
    await builder.docker(['save', '--output', `${tar}.part`, ...tags], { timeoutMs: buildTimeoutMs });
    await rename(`${tar}.part`, tar);
    await writeFile(list, JSON.stringify(ids));
    return { tar, ids };
  } finally {
    if (builder !== asking) await builder.stop();
  }
}

async function build(builder: Host): Promise<Ids> {
  await importBase(builder);
  await run('sh', [join(project, 'scripts/image.sh')], {
    timeoutMs: buildTimeoutMs,
    env: { ...builder.dockerEnvironment, ...buildEnvironment },
  });
  const there = await imageIds(builder);
  return Object.fromEntries(Object.values(images).map(tag => [tag, there[tag] ?? missing(tag)]));
}

interface Base {
  readonly cache: string;
  /** The folder that `setup.sh image-base` has made. */
  readonly folder: string;
  readonly recipe: string;
}

async function findBase(): Promise<Base> {
  const cache = process.env['DOCKREG_CACHE'];
  if (cache === undefined) throw new Error('images are made in the bed; run this with bed.sh');
  const folder = join(cache, 'image-base');
  if (!existsSync(join(folder, 'recipe')))
    throw new Error('no base image: run scripts/setup.sh image-base first');
  return { cache, folder, recipe: (await readFile(join(folder, 'recipe'), 'utf8')).trim() };
}

/** Loads the replacements of the public base images on a host. Quick when they are there. */
export async function importBase(builder: Host): Promise<void> {
  const { folder, recipe } = await findBase();
  const upToDate = await builder.docker([
    'images',
    '--quiet',
    '--filter',
    `label=${recipeLabel}=${recipe}`,
    nodeImage,
  ]);
  if (upToDate !== '') return;
  const label = `LABEL ${recipeLabel}=${JSON.stringify(recipe)}`;
  const timeoutMs = buildTimeoutMs;
  await builder.docker(['import', '--change', label, join(folder, 'debian.tar'), images.debian], {
    timeoutMs,
  });
  // It inherits the label and is made last: if it exists, both do.
  await builder.docker(['build', '--quiet', '--tag', nodeImage, '--file', '-', join(folder, 'node')], {
    timeoutMs,
    input: `FROM ${images.debian}\nCOPY node /usr/local/bin/node\n`,
  });
}

/** A name that depends on every byte that goes into the images. */
async function contentName(recipe: string): Promise<string> {
  const hash = createHash('sha256').update(recipe);
  for (const source of sources) {
    for (const path of await filesOf(source)) {
      const content = await readFile(join(project, path));
      hash.update(`\0${path}\0${content.length}\0`).update(content);
    }
  }
  return hash.digest('hex').slice(0, 16);
}

/** The file that a path of the project names, or all files below it, in a fixed order. */
async function filesOf(path: string): Promise<string[]> {
  const entries = await readdir(join(project, path), { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOTDIR') return undefined;
      throw error;
    },
  );
  if (entries === undefined) return [path];
  const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name));
  return files.map(file => file.slice(project.length)).toSorted();
}

async function imageIds(host: Host): Promise<Ids> {
  const lines = await host.docker(['images', '--no-trunc', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}']);
  // Podman adds localhost/ where no registry is named.
  const entries = lines.split('\n').map(line => line.replace(/^localhost\//, '').split(' '));
  return Object.fromEntries(entries as [string, string][]);
}

function missing(tag: string): never {
  throw new Error(`scripts/image.sh did not make ${tag}`);
}
