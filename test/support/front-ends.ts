/** HAProxy and nginx as apps: what they ask of a client before they answer, each on a port of its own. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child, cleanEnvironment } from './children.ts';
import type { CertificateFiles } from './tls.ts';
import { eventually, freePort } from './wait.ts';

/** By what a port asks: `proxy` for a header of the PROXY protocol, `certificate` for one of the client. */
export type Asked = `${'http' | 'https' | 'h2c' | 'h2'} ${'nothing' | 'proxy' | 'certificate'}`;

export interface FrontEnd {
  readonly ports: Readonly<Partial<Record<Asked, number>>>;
  /** Takes connections with a header of the PROXY protocol, and passes them on; 0 for nginx. */
  readonly relayPort: number;
  stop(): Promise<void>;
}

export interface FrontEndOptions {
  readonly certificate: CertificateFiles;
  /** The authority of the clients' certificates. */
  readonly ca: string;
  /** Where connections are passed on to. */
  readonly relayTo: number;
}

const asked: readonly Asked[] = [
  'http proxy',
  'https proxy',
  'h2c proxy',
  'h2 proxy',
  'https certificate',
  'h2 certificate',
  'h2c nothing',
  'http nothing',
];

async function freePorts(): Promise<Readonly<Record<string, number>>> {
  const ports: Record<string, number> = {};
  for (const each of asked) ports[each] = await freePort();
  return ports;
}

async function start(
  folder: string,
  command: string,
  args: readonly string[],
  ports: readonly number[],
): Promise<() => Promise<void>> {
  const child = await Child.spawn(command, args, { env: cleanEnvironment(), stdio: 'ignore' });
  for (const port of ports)
    await eventually(
      `${command} on port ${port}`,
      () =>
        new Promise<boolean>(resolve => {
          const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
          socket.once('connect', () => socket.end());
        }),
    );
  return async () => {
    child.signal('SIGKILL');
    await child.exited(10_000);
    await rm(folder, { recursive: true, force: true });
  };
}

export async function startHaproxy({ certificate, ca, relayTo }: FrontEndOptions): Promise<FrontEnd> {
  const folder = await mkdtemp(join(tmpdir(), 'dockreg-haproxy-'));
  const pem = join(folder, 'own.pem');
  await writeFile(
    pem,
    (await readFile(certificate.cert, 'utf8')) + (await readFile(certificate.key, 'utf8')),
  );
  const ports = await freePorts();
  const relayPort = await freePort();
  const frontEnds = asked.map((each, index) => {
    const [protocol = '', what] = each.split(' ');
    const tls = protocol === 'https' ? `ssl crt ${pem}` : protocol === 'h2' ? `ssl crt ${pem} alpn h2` : '';
    const more = { nothing: '', proxy: 'accept-proxy', certificate: `ca-file ${ca} verify required` }[
      what ?? ''
    ];
    return `frontend f${index}
  bind 127.0.0.1:${ports[each]} ${tls} ${protocol === 'h2c' ? 'proto h2' : ''} ${more}
  http-request return status 200 content-type text/plain string ready`;
  });
  await writeFile(
    join(folder, 'haproxy.cfg'),
    `global
  maxconn 200
defaults
  mode http
  timeout connect 10s
  timeout client 10s
  timeout server 10s
${frontEnds.join('\n')}
listen relay
  mode tcp
  bind 127.0.0.1:${relayPort} accept-proxy
  server app 127.0.0.1:${relayTo}
`,
  );
  const stop = await start(
    folder,
    'haproxy',
    ['-db', '-f', join(folder, 'haproxy.cfg')],
    Object.values(ports),
  );
  return { ports, relayPort, stop };
}

/** It compresses what it answers for a client that takes gzip. */
export async function startNginx({ certificate, ca }: FrontEndOptions): Promise<FrontEnd> {
  const folder = await mkdtemp(join(tmpdir(), 'dockreg-nginx-'));
  const ports = await freePorts();
  const servers = asked.map(each => {
    const [protocol = '', what = ''] = each.split(' ');
    const isTls = protocol === 'https' || protocol === 'h2';
    const words = [
      isTls ? 'ssl' : '',
      protocol.startsWith('h2') ? 'http2' : '',
      what === 'proxy' ? 'proxy_protocol' : '',
    ];
    const tls = isTls ? `ssl_certificate ${certificate.cert}; ssl_certificate_key ${certificate.key};` : '';
    const verify = what === 'certificate' ? `ssl_client_certificate ${ca}; ssl_verify_client on;` : '';
    return `server {
      listen 127.0.0.1:${ports[each]} ${words.join(' ')}; ${tls} ${verify}
      location / { return 200 "ready\\n"; }
      location = /host { return 200 "$request_method $http_host $http_x_twice"; }
      location = /large { root ${folder}; }
    }`;
  });
  await writeFile(join(folder, 'large'), 'x'.repeat(300_000));
  await writeFile(
    join(folder, 'nginx.conf'),
    `pid ${folder}/pid; error_log ${folder}/error.log; daemon off; master_process off;
    events {}
    http {
      access_log off; client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c;
      uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
      default_type text/plain; gzip on; gzip_types text/plain; gzip_min_length 1;
      ${servers.join('\n')}
    }`,
  );
  const args = ['-p', folder, '-e', join(folder, 'error.log'), '-c', join(folder, 'nginx.conf')];
  const stop = await start(folder, 'nginx', args, Object.values(ports));
  return { ports, relayPort: 0, stop };
}
