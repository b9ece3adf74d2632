/**
 * Builds dist/: the program with the parts of its libraries that it uses. The bundle is split into chunks, so the
 * program loads only what it needs. Part of `npm run build`, after the compiler.
 * usage: node build/scripts/bundle.js [--inputs]   --inputs prints the largest inputs of each chunk, in bytes
 */
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { build, type Plugin } from 'esbuild';

const require = createRequire(import.meta.url);
const root = join(import.meta.dirname, '../..');

/**
 * Modules that the program never uses, by the package that imports them. dockerode: everything but inspecting a
 * container, and docker-modem, as dockreg has a transport of its own (src/docker/transport.ts). gRPC: the server. etcd3: what is built on top of its leases and watches. prom-client: its default metrics.
 */
const unused: readonly (readonly [importer: RegExp, paths: RegExp])[] = [
  [
    /node_modules.dockerode/,
    /^(\.\/(session|buildkit|image|volume|network|plugin|secret|config|task|node|exec)|docker-modem|@balena\/dockerignore|tar-fs)$/,
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
      unused.some(([importers, paths]) => importers.test(importer) && paths.test(path))
        ? { path, namespace: 'omitted' }
        : undefined,
    );
    // gRPC calls setup() of each of its modules.
    onLoad({ filter: /.*/, namespace: 'omitted' }, ({ path }) => ({
      contents: `module.exports = () => { throw new Error('${path} is not part of this bundle'); };
        module.exports.setup = () => {};`,
    }));
  },
};

/**
 * etcd3 parses its .proto files each time it is loaded. The bundle contains one parsed descriptor instead, and replaces
 * proto-loader, which also describes every message for server reflection, by the part that a client needs.
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
      // Asynchronously, the order of the messages in the bundle would depend on the timing of the disk.
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
 * An `import` of a Node module reads each of its exports, and some of them load a large part of Node when they are
 * read: `node:http` loads all of undici for its WebSocket. As an object, a module loads only what the program reads.
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
  entryPoints: { dockreg: 'src/start.ts' },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  minify: true,
  // The package long would divide in WebAssembly. Without V8's compilers, the call costs more than the division.
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
