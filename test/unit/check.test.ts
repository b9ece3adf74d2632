/** The notation of checks: what each text means, and what is refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatCheck, type Check } from '../../src/core/settings/check.ts';
import { watchRole } from '../../src/core/settings/service.ts';
import { enough, problemsOf, serviceOf } from '../support/config.ts';

async function checkOf(argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Check> {
  return (await serviceOf([...enough, ...argv], env)).check;
}

const http = {
  kind: 'http',
  version: 'HTTP/1.1',
  method: 'GET',
  path: '/',
  headers: [],
  statuses: [{ from: 200, to: 399 }],
  body: undefined,
  tls: undefined,
  socketPath: undefined,
  proxyProtocol: undefined,
} as const;
const http2 = { ...http, version: 'HTTP/2' } as const;
const tls = {
  ca: undefined,
  cert: undefined,
  key: undefined,
  serverName: undefined,
  insecure: false,
} as const;
const connection = { socketPath: undefined, proxyProtocol: undefined } as const;
const tcp = { kind: 'tcp', send: undefined, expect: undefined, ...connection } as const;
const grpc = { kind: 'grpc', service: '', tls: undefined, ...connection } as const;
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));

describe('a check', () => {
  const meant: [argv: string[], check: Check][] = [
    [[], http],
    [['--check', 'http'], http],
    [['--check', 'http:'], http],
    [['--check', 'http:/healthz?full=1&a=%20b'], { ...http, path: '/healthz?full=1&a=%20b' }],
    [['--check', 'https'], { ...http, tls }],
    [['--check', 'https:/healthz'], { ...http, path: '/healthz', tls }],
    [['--check-method', 'head'], { ...http, method: 'HEAD' }],
    [
      ['--check-header', 'Host: web.example', '--check-header', 'X-Empty:'],
      {
        ...http,
        headers: [
          ['Host', 'web.example'],
          ['X-Empty', ''],
        ],
      },
    ],
    [
      ['--check-status', '200-299, 301'],
      {
        ...http,
        statuses: [
          { from: 200, to: 299 },
          { from: 301, to: 301 },
        ],
      },
    ],
    [['--check-body', '"UP"'], { ...http, body: { text: '"UP"', wanted: bytes('"UP"') } }],
    [['--check-body', '/^up$/im'], { ...http, body: { text: '/^up$/im', wanted: /^up$/im } }],
    [['--check-body', 'a/b'], { ...http, body: { text: 'a/b', wanted: bytes('a/b') } }],
    [['--check-socket', '/run/app.sock'], { ...http, socketPath: '/run/app.sock' }],
    [['--check', 'https', '--check-insecure'], { ...http, tls: { ...tls, insecure: true } }],
    [['--check-insecure', 'off', '--check', 'https'], { ...http, tls }],
    [
      ['--check', 'https', '--check-ca', '/ca.pem', '--check-server-name', 'web.example'],
      { ...http, tls: { ...tls, ca: '/ca.pem', serverName: 'web.example' } },
    ],
    [
      ['--check', 'https', '--check-cert', '/own.pem', '--check-key', '/own.key'],
      { ...http, tls: { ...tls, cert: '/own.pem', key: '/own.key' } },
    ],
    [
      ['--check', 'grpcs', '--check-insecure', '--check-cert', '/own.pem', '--check-key', '/own.pem'],
      { ...grpc, tls: { ...tls, insecure: true, cert: '/own.pem', key: '/own.pem' } },
    ],
    [['--check', 'h2c:/healthz'], { ...http2, path: '/healthz' }],
    [['--check', 'h2c'], http2],
    [['--check', 'h2:/healthz'], { ...http2, path: '/healthz', tls }],
    [
      ['--check', 'h2c', '--check-header', 'TE: trailers', '--check-method', 'HEAD'],
      { ...http2, method: 'HEAD', headers: [['TE', 'trailers']] },
    ],
    [['--check-proxy-protocol', 'v1'], { ...http, proxyProtocol: 'v1' }],
    [['--check', 'grpcs', '--check-proxy-protocol', 'v2'], { ...grpc, tls, proxyProtocol: 'v2' }],
    [['--check', 'tcp', '--check-proxy-protocol', 'v2'], { ...tcp, proxyProtocol: 'v2' }],
    [['--check', 'tcp'], tcp],
    [
      ['--check', 'tcp', '--check-send', 'PING\\r\\n', '--check-expect', '+PONG'],
      { ...tcp, send: bytes('PING\r\n'), expect: { text: '+PONG', wanted: bytes('+PONG') } },
    ],
    [
      ['--check', 'tcp', '--check-expect', '\\x00\\xff\\t\\0\\\\é'],
      {
        ...tcp,
        expect: { text: '\\x00\\xff\\t\\0\\\\é', wanted: bytes('\x00\xff\t\0\\\xc3\xa9') },
      },
    ],
    [['--check', 'exec:pg_isready -q'], { kind: 'exec', command: 'pg_isready -q' }],
    [['--check', 'exec:a:b\nc'], { kind: 'exec', command: 'a:b\nc' }],
    [['--check', 'grpc'], grpc],
    [['--check', 'grpc:my.Service'], { ...grpc, service: 'my.Service' }],
    [['--check', 'grpcs:my.Service'], { ...grpc, service: 'my.Service', tls }],
    [['--check', 'docker'], { kind: 'docker' }],
  ];
  for (const [argv, check] of meant) {
    it(argv.join(' ') || 'is an HTTP check when none is named', async () =>
      assert.deepEqual(await checkOf(argv), check),
    );
  }

  it('is the same from variables, with a header a line', async () => {
    const env = {
      DOCKREG_CHECK: 'https:/healthz',
      DOCKREG_CHECK_METHOD: 'POST',
      DOCKREG_CHECK_HEADER: 'Host: web.example\nAccept: text/plain\n',
      DOCKREG_CHECK_STATUS: '204',
      DOCKREG_CHECK_INSECURE: 'on',
      DOCKREG_CHECK_SOCKET: '/run/app.sock',
    };
    assert.deepEqual(await checkOf([], env), {
      ...http,
      path: '/healthz',
      method: 'POST',
      headers: [
        ['Host', 'web.example'],
        ['Accept', 'text/plain'],
      ],
      statuses: [{ from: 204, to: 204 }],
      tls: { ...tls, insecure: true },
      socketPath: '/run/app.sock',
    });
  });

  for (const text of [
    'http:/',
    'https:/healthz',
    'h2c:/healthz',
    'h2:/healthz',
    'tcp',
    'exec:pg_isready',
    'grpc',
    'grpcs:my.Service',
    'docker',
  ]) {
    it(`${text} is written as it was read`, async () =>
      assert.equal(formatCheck(await checkOf(['--check', text])), text));
  }

  for (const [text, written] of [
    ['exec:pg_isready -q', 'exec:pg_isready ***'],
    ['exec: PGPASSWORD=hunter2 pg_isready', 'exec:***'],
    ['http:/healthz?token=hunter2', 'http:/healthz?***'],
  ] as const) {
    it(`${text} is written without what may be a secret`, async () =>
      assert.equal(formatCheck(await checkOf(['--check', text])), written));
  }

  const roles: [argv: string[], role: ReturnType<typeof watchRole>, onUdp?: ReturnType<typeof watchRole>][] =
    [
      [['--check', 'http:/'], 'verdict'],
      [['--check', 'grpcs'], 'verdict'],
      [['--check', 'h2c'], 'verdict'],
      [['--check', 'tcp'], 'verdict'],
      [['--check', 'tcp', '--check-socket', '/run/app.sock'], 'reason', 'none'],
      [['--check', 'http', '--check-socket', '/run/app.sock'], 'reason', 'none'],
      [['--check', 'exec:true'], 'reason', 'none'],
      [['--check', 'docker'], 'reason', 'none'],
      [['--check', 'tcp', '--check-port', '9000'], 'condition', 'none'],
      [['--check', 'tcp', '--check-port', '8000'], 'verdict'],
      [['--check', 'http:/', '--check-host', '::1'], 'verdict'],
    ];
  for (const [argv, role, onUdp = role] of roles) {
    it(`${argv.join(' ')}: the watch of the port is ${role}, of an app on UDP ${onUdp}`, async () => {
      const service = await serviceOf([...enough, ...argv]);
      assert.equal(watchRole(service), role);
      assert.equal(watchRole({ ...service, protocol: 'udp' }), onUdp);
    });
  }

  const refused: [argv: string[], text: RegExp][] = [
    [
      ['--check', 'htp:/'],
      /--check "htp:\/": must be http:\/PATH, https:\/PATH, h2c:\/PATH, h2:\/PATH, tcp, exec:COMMAND, grpc/,
    ],
    [['--check', '/healthz'], /must be http:\/PATH/],
    [
      ['--check', 'http://127.0.0.1:8000/healthz'],
      /a path and not a whole URL.* at its --port; write http:\/healthz/,
    ],
    [['--check', 'https:healthz'], /begins with a slash, such as https:\/healthz/],
    [['--check', 'http:/a b'], /printable ASCII without spaces/],
    [['--check', 'http:/a#b'], /without "#"/],
    [['--check', 'http:/é'], /printable ASCII/],
    [['--check', 'tcp:5432'], /takes nothing after tcp; the port is that of --port/],
    [['--check', 'docker:web'], /takes nothing after docker/],
    [['--check', 'exec'], /must name a command/],
    [['--check', 'exec: '], /must name a command/],
    [
      ['--check', 'grpc:/my.Service'],
      /must name a service with its package, such as grpc:my\.package\.Service/,
    ],
    [['--check-method', 'CONNECT'], /must be one of GET, HEAD, POST/],
    [['--check-header', 'Host'], /must be Name: value, one per line/],
    [['--check-header', 'A: b', '--check-header', 'C'], /must be Name: value/],
    [['--check-header', 'A: é€'], /must be Name: value/],
    [['--check-header', 'Connection: keep-alive'], /must not set Connection/],
    [['--check-status', '2xx'], /statuses from 200 to 599/],
    [['--check-status', '100'], /from 200 to 599/],
    [['--check-status', '299-200'], /from 200 to 599/],
    [['--check-status', '200,'], /from 200 to 599/],
    [
      ['--check-body', '/(?=a)b/'],
      /must not look around .* so that no answer can make it slow; write a simpler one, or a plain text/,
    ],
    [['--check', 'tcp', '--check-expect', '/(a)\\1/'], /must not refer to a group, as \\1 does/],
    [['--check', 'tcp', '--check-expect', '/(a{100}){100}/'], /must repeat and choose less/],
    [['--check-body', '/(/'], /is not a valid JavaScript regular expression \(.*\); write a plain text/],
    [['--check-body', 'a\\q'], /has the unknown escape "\\q"; the escapes are/],
    [['--check-body', 'a\\'], /has the unknown escape "\\"; the escapes are/],
    [['--check-body', '\\xfg'], /has the unknown escape "\\x"/],
    [['--check-method', 'HEAD', '--check-body', 'x'], /HEAD brings no body/],
    [['--check', 'tcp', '--check-send', 'x'], /--check-send needs an answer to wait for/],
    [
      ['--check-insecure'],
      /^--check-insecure is for https, h2, grpcs checks, and the check is http; leave it out/,
    ],
    [['--check-insecure', 'yes'], /must be on or off/],
    [['--check', 'https', '--check-insecure', '--check-ca', '/ca'], /takes any certificate/],
    [['--check', 'https', '--check-server-name', '10.1.0.1'], /must be a host name/],
    [
      ['--check', 'exec:true', '--check-socket', '/s'],
      /--check-socket is for http, https, h2c, h2, tcp, grpc, grpcs/,
    ],
    [['--check', 'h2c:healthz'], /begins with a slash, such as h2c:\/healthz/],
    [
      ['--check', 'https', '--check-cert', '/c'],
      /^--check-cert and --check-key go together; add --check-key$/,
    ],
    [
      ['--check', 'grpcs', '--check-key', '/k'],
      /^--check-cert and --check-key go together; add --check-cert$/,
    ],
    [
      ['--check-cert', '/c', '--check-key', '/k'],
      /^--check-cert is for https, h2, grpcs checks, and the check is http/,
    ],
    [
      ['--check', 'h2c', '--check-key', '/k'],
      /^--check-key is for https, h2, grpcs checks, and the check is h2c/,
    ],
    [
      ['--check', 'h2', '--check-header', 'Keep-Alive: 5'],
      /^--check-header must not set Keep-Alive, which HTTP\/2 does not have; leave it out$/,
    ],
    [['--check', 'h2c', '--check-header', 'TE: gzip'], /must not set TE, which HTTP\/2/],
    [['--check-proxy-protocol', 'on'], /--check-proxy-protocol "on": must be v1 or v2/],
    [
      ['--check', 'exec:true', '--check-proxy-protocol', 'v1'],
      /is for http, https, h2c, h2, tcp, grpc, grpcs checks/,
    ],
    [['--check-socket', 'app.sock'], /absolute path of a Unix socket/],
    [['--check-socket', `/${'s'.repeat(107)}`], /of 107 bytes at most/],
    [
      ['--check-host', 'localhost'],
      /^--check-host "localhost": must be an IP address of this container, such as 127\.0\.0\.1/,
    ],
    [['--check-host', '[::1]'], /must be an IP address of this container/],
    [['--check-host', '0.0.0.0'], /is a wildcard address, which cannot be asked; give one address/],
    [['--check-host', '::'], /is a wildcard address/],
    [['--check-host', '::ffff:0.0.0.0'], /is a wildcard address/],
    [['--check-host', '224.0.0.1'], /is a multicast address/],
    [['--check-host', '255.255.255.255'], /is a broadcast address/],
    [['--check-host', ''], /--check-host needs a value/],
    [['--check-port', '0'], /--check-port "0": must be a port number/],
    [['--check-port', '9000/tcp'], /must be a port number/],
    [
      ['--check', 'exec:true', '--check-host', '::1'],
      /--check-host is for http, https, h2c, h2, tcp, grpc, grpcs checks, and the check is exec; leave it out/,
    ],
    [
      ['--check', 'docker', '--check-port', '1'],
      /--check-port is for http, https, h2c, h2, tcp, grpc, grpcs/,
    ],
    [
      ['--check-socket', '/run/a', '--check-port', '1'],
      /^--check-socket is asked instead of a port, so --check-host and --check-port have no use; leave out the socket/,
    ],
    [['--check-send', 'x', '--check-expect', 'y'], /--check-send is for tcp checks/],
    [['--check', 'tcp', '--check', 'tcp'], /--check is given 2 times/],
    [['--check-header', ''], /--check-header needs a value/],
  ];
  for (const [argv, text] of refused) {
    it(`refuses ${argv.join(' ').slice(0, 60)}`, async () => {
      assert.ok(
        (await problemsOf([...enough, ...argv])).some(problem => text.test(problem)),
        (await problemsOf([...enough, ...argv])).join('\n') || 'it was accepted',
      );
    });
  }

  it('takes one address of --check-host in its shortest form, with the zone of a link-local one', async () => {
    for (const [text, host] of [
      ['127.0.0.1', '127.0.0.1'],
      ['::1', '::1'],
      ['0:0:0:0:0:0:0:1', '::1'],
      ['::ffff:172.17.0.2', '172.17.0.2'],
      ['FD00::2', 'fd00::2'],
      ['fe80::1%eth0', 'fe80::1%eth0'],
    ] as const)
      assert.equal((await serviceOf([...enough, '--check-host', text])).checkHost, host);
  });

  it('names the variable that is of no use to this check', async () => {
    assert.deepEqual(await problemsOf([...enough, '--check', 'tcp'], { DOCKREG_CHECK_STATUS: '200' }), [
      'DOCKREG_CHECK_STATUS is for http, https, h2c, h2 checks, and the check is tcp; leave it out',
    ]);
  });
});
