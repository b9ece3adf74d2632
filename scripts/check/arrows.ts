/**
 * The architecture as an allow list: what each folder of src may import. Part of `npm run check`. Reports every import
 * that the table does not allow, every circle among files, and every package that package.json does not declare.
 * usage: node build/scripts/check/arrows.js [--unused]   --unused prints the entries of the table that no import needs
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  findFileCircles,
  findForbidden,
  findTableCircles,
  findUndeclared,
  findUnused,
  importsOf,
  type Manifest,
  readTable,
} from './imports.ts';
import { project, readSources, report } from './sources.ts';

/** What every layer above the edges may use. */
const ground = 'clock.ts errors.ts log.ts retry.ts core';
/** What an edge may use: no log, no other edge, but the folders that edges share. */
const edge = 'clock.ts errors.ts retry.ts core network tls';

/**
 * The layers, from top to bottom: main → commands → wiring → {admin, agent} → edges → core. A new folder needs a row. A
 * new entry is a decision about the architecture, so its commit gives the reason.
 */
const table = readTable({
  // The process and its command line.
  'start.ts': `main.ts system-files.ts`,
  'main.ts': `cli.ts commands core/settings core/shortage.ts core/text.ts clock.ts environment.ts errors.ts log.ts
    retry.ts secrets.ts version.ts node:fs node:inspector`,
  'cli.ts': `commands config core/settings core/text.ts errors.ts secrets.ts`,
  'version.ts': `../package.json`,

  // The commands that a person or supervisord starts.
  commands: `${ground} wiring admin agent config network commands/table.ts`,
  'commands/doctor': `${ground} wiring admin config docker etcd kernel network tls node:events`,
  'commands/ls': `${ground} wiring etcd commands/table.ts`,
  'commands/table.ts': `core`,

  // Builds the parts that a command needs.
  wiring: `${ground} environment.ts secrets.ts admin agent config probe kernel docker etcd network tls`,

  // A running dockreg: the interfaces that answer questions about it, and one registered service.
  admin: `${ground}
    npm:prom-client node:events node:fs/promises node:http node:net node:string_decoder`,
  agent: `${ground} probe kernel etcd`,

  // Turns flags, variables, labels and files into settings.
  config: `core errors.ts config/sources config/raw.ts config/options.ts config/parse`,
  'config/sources': `core errors.ts files.ts config/raw.ts config/options.ts config/parse
    npm:fastest-levenshtein npm:js-yaml npm:minimist`,
  'config/raw.ts': `errors.ts config/options.ts config/parse`,
  'config/options.ts': `core config/parse`,
  'config/parse': `core errors.ts node:net`,

  // Edges: each talks to one kind of thing outside the program and imports no other edge.
  probe: `${edge} npm:got npm:protobufjs
    node:child_process node:events node:http node:http2 node:net node:stream node:stream/promises node:tls node:zlib`,
  kernel: `${edge} node:fs`,
  docker: `${edge} files.ts npm:dockerode node:fs node:http node:https node:net node:os node:path node:util`,
  etcd: `${edge} files.ts secrets.ts npm:@grpc/grpc-js npm:cockatiel npm:etcd3 node:crypto node:stream`,

  // Shared by the edges.
  network: `core clock.ts errors.ts files.ts system-files.ts node:dns node:fs node:net node:os
    node:stream node:util`,
  tls: `core errors.ts files.ts node:crypto node:tls`,

  // The ground.
  'log.ts': `clock.ts core/settings core/text.ts`,
  'retry.ts': `clock.ts errors.ts core/retry.ts node:events`,
  'files.ts': `node:fs node:fs/promises`,
  'system-files.ts': `node:fs`,
  'clock.ts': ``,
  'environment.ts': ``,
  'secrets.ts': ``,
  'errors.ts': `core/text.ts`,

  // The core is pure: it uses no package, no module of Node and no clock.
  'core/registration': `errors.ts core/retry.ts core/address core/lease core/settings core/watch`,
  'core/settings': `errors.ts core/address core/layouts core/text.ts`,
  'core/layouts': `errors.ts core/text.ts core/address core/lease`,
  'core/pattern': ``,
  'core/watch': `errors.ts core/retry.ts core/address`,
  'core/address': `errors.ts core/retry.ts core/lease core/text.ts`,
  'core/lease': `errors.ts core/retry.ts`,
  'core/retry.ts': `errors.ts`,
  'core/shortage.ts': `errors.ts`,
  'core/text.ts': ``,
});

const imports = readSources(['src', 'test', 'demo', 'scripts', 'examples']).flatMap(importsOf);
const ofSrc = imports.filter(({ path }) => path.startsWith('src/'));
if (process.argv.includes('--unused')) {
  for (const line of findUnused(ofSrc, table)) console.log(line);
} else {
  const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as Manifest;
  report('arrows', [
    ...findForbidden(ofSrc, table),
    ...findFileCircles(imports),
    ...findUndeclared(imports, manifest),
    ...findTableCircles(table).map(circle => ({
      path: 'scripts/check/arrows.ts',
      line: 1,
      message: `the table allows a circle: ${circle.join(' → ')}`,
    })),
  ]);
}
