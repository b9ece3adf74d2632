/**
 * The table of all layouts. To add one, write its file beside this one and add its line here: options, `dockreg ls` and
 * the checks for collisions read the table.
 */
import { goZero } from './go-zero.ts';
import { grpc } from './grpc.ts';
import { kratos } from './kratos.ts';
import type { LayoutFormat } from './layout.ts';
import { named } from './named.ts';
import { registrator } from './registrator.ts';
import { service } from './service.ts';
import { skydns } from './skydns.ts';
import { traefik } from './traefik.ts';

export const formats = {
  service,
  named,
  registrator,
  skydns,
  traefik,
  grpc,
  'go-zero': goZero,
  kratos,
} satisfies Readonly<Record<string, LayoutFormat>>;

export type LayoutName = keyof typeof formats;

/** In the order of the table. */
export const layoutNames: readonly string[] = Object.keys(formats);

export function isLayoutName(text: string): text is LayoutName {
  return Object.hasOwn(formats, text);
}

/** A layout and where its records go. */
export interface Layout {
  readonly name: LayoutName;
  /** A path without slashes at its ends; a domain for skydns. */
  readonly root: string;
}

/** `skydns:cluster.local`, as in --layout. */
export function formatLayout({ name, root }: Layout): string {
  return `${name}:${root}`;
}
