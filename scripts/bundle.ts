/**
 * Makes dist/: the program and the parts of its libraries that it uses, split so that what is not needed is not
 * loaded. Run by `npm run build` after the compiler.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { build, type Plugin } from 'esbuild';

const require = createRequire(import.meta.url);
const root = join(import.meta.dirname, '../..');

/** What no path of ours reaches: dockerode's image builds, and docker-modem's ssh transport. */
const leftOut = /^(ssh2|\.\/session|\.\/ssh|tar-fs|yargs)$/;

const omit: Plugin = {
  name: 'omit',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: leftOut }, ({ path, importer }) =>
      /node_modules.(dockerode|docker-modem|@grpc.proto-loader)/.test(importer)
        ? { path, namespace: 'omitted' }
        : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'omitted' }, ({ path }) => ({
      contents: `module.exports = () => { throw new Error('${path} is not part of this bundle'); };`,
    }));
  },
};

/** etcd3 reads its .proto files when it is loaded; the bundle carries them as one parsed descriptor instead. */
const inlineProto: Plugin = {
  name: 'inline-proto',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^@grpc\/proto-loader$/ }, ({ importer }) =>
      /node_modules.etcd3/.test(importer) ? { path: 'rpc', namespace: 'proto' } : undefined,
    );
    // Only the parser needs the full build of protobufjs.
    onResolve({ filter: /^protobufjs$/ }, () => ({ path: require.resolve('protobufjs/light') }));
    onLoad({ filter: /.*/, namespace: 'proto' }, async () => {
      const { default: protobuf } = await import('protobufjs');
      const protoRoot = new protobuf.Root();
      const folder = join(dirname(require.resolve('etcd3/package.json')), 'proto');
      await protoRoot.load(join(folder, 'rpc.proto'), { keepCase: true });
      const loader = require.resolve('@grpc/proto-loader', { paths: [dirname(require.resolve('etcd3'))] });
      return {
        resolveDir: dirname(loader),
        contents: `
          const { fromJSON } = require(${JSON.stringify(loader)});
          const descriptor = ${JSON.stringify(protoRoot.toJSON())};
          exports.loadSync = (path, options) => fromJSON(descriptor, options);`,
      };
    });
  },
};

/**
 * An `import` of a module of Node's reads every one of its exports, also those that load something large when they are
 * read: `node:http` brings all of undici with its WebSocket. Taken as an object, only what is used is read.
 */
const plainBuiltins: Plugin = {
  name: 'plain-builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === 'import-statement' || kind === 'dynamic-import' ? { path, namespace: 'builtin' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
    }));
  },
};

rmSync(join(root, 'dist'), { recursive: true, force: true });
const result = await build({
  absWorkingDir: root,
  entryPoints: { dockreg: 'src/main.ts' },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  minify: true,
  keepNames: true,
  legalComments: 'linked',
  metafile: true,
  plugins: [omit, inlineProto, plainBuiltins],
  banner: {
    js: "const require = process.getBuiltinModule('node:module').createRequire(import.meta.url), __dirname = import.meta.dirname;",
  },
});
writeFileSync(join(root, 'dist/package.json'), '{"type":"module"}\n');

const outputs = Object.entries(result.metafile.outputs).filter(([path]) => path.endsWith('.js'));
const bytes = outputs.reduce((sum, [, output]) => sum + output.bytes, 0);
console.log(`dist: ${outputs.length} files, ${Math.round(bytes / 1024)} KiB`);
if (process.argv.includes('--inputs')) {
  for (const [path, { inputs }] of outputs) {
    console.log(path);
    const rows = Object.entries(inputs).toSorted(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput);
    for (const [input, { bytesInOutput }] of rows.slice(0, 25)) console.log(`  ${bytesInOutput} ${input}`);
  }
}
