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

/**
 * What no path of ours reaches, by the package that asks for it: of dockerode all but the inspection of a container, of
 * gRPC the server, of etcd3 what is built on its leases and watches, of prom-client what it measures by itself.
 */
const leftOut: readonly (readonly [importer: RegExp, paths: RegExp])[] = [
  [/node_modules.docker-modem/, /^(\.\/(ssh|http_duplex))$/],
  [
    /node_modules.dockerode/,
    /^(\.\/(session|buildkit|image|volume|network|plugin|secret|config|task|node|exec)|@balena\/dockerignore|tar-fs)$/,
  ],
  [
    /node_modules.@grpc.grpc-js/,
    /^(@grpc\/proto-loader|zlib|\.\/(server|server-credentials|server-interceptors|orca|load-balancer-(round-robin|outlier-detection|weighted-round-robin)))$/,
  ],
  [
    /node_modules.prom-client/,
    /^\.\/(lib\/)?(cluster|defaultMetrics|metricAggregators|pushgateway|summary|bucketGenerators)$/,
  ],
  [/node_modules.etcd3/, /^(bignumber\.js|\.\/(election|lock|stm))$/],
];

const omit: Plugin = {
  name: 'omit',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^/]|^\.\// }, ({ path, importer }) =>
      leftOut.some(([importers, paths]) => importers.test(importer) && paths.test(path))
        ? { path, namespace: 'omitted' }
        : undefined,
    );
    // gRPC sets each of its parts up.
    onLoad({ filter: /.*/, namespace: 'omitted' }, ({ path }) => ({
      contents: `module.exports = () => { throw new Error('${path} is not part of this bundle'); };
        module.exports.setup = () => {};`,
    }));
  },
};

/**
 * etcd3 reads its .proto files when it is loaded; the bundle carries them as one parsed descriptor instead. And
 * proto-loader describes every message of it once more, for servers that reflect: here is what a client needs.
 */
const inlineProto: Plugin = {
  name: 'inline-proto',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^@grpc\/proto-loader$/ }, ({ importer }) =>
      /node_modules.etcd3/.test(importer) ? { path: 'rpc', namespace: 'proto' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'proto' }, async () => {
      const { default: protobuf } = await import('protobufjs');
      const protoRoot = new protobuf.Root();
      const folder = join(dirname(require.resolve('etcd3/package.json')), 'proto');
      // Synchronously: otherwise the order in which the disk answers decides the order of the messages in the bundle.
      protoRoot.loadSync(join(folder, 'rpc.proto'), { keepCase: true });
      return {
        resolveDir: root,
        contents: `
          const { Root } = require('protobufjs/light');
          const descriptor = ${JSON.stringify(protoRoot.toJSON())};
          const serializer = type => value => type.encode(type.fromObject(value)).finish();
          const deserializer = (type, options) => bytes => type.toObject(type.decode(bytes), options);
          exports.loadSync = (path, options) => {
            const { etcdserverpb } = Root.fromJSON(descriptor).resolveAll().nested;
            const services = etcdserverpb.nestedArray.filter(({ methods }) => methods);
            return Object.fromEntries(services.map(({ name, methodsArray }) => [
              'etcdserverpb.' + name,
              Object.fromEntries(methodsArray.map(method => [method.name, {
                path: '/etcdserverpb.' + name + '/' + method.name,
                originalName: method.name[0].toLowerCase() + method.name.slice(1),
                requestStream: Boolean(method.requestStream),
                responseStream: Boolean(method.responseStream),
                requestSerialize: serializer(method.resolvedRequestType),
                responseDeserialize: deserializer(method.resolvedResponseType, options),
              }])),
            ]));
          };`,
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
  // long would do its divisions in WebAssembly: without V8's compilers each call costs more than the division.
  define: { WebAssembly: 'undefined' },
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
