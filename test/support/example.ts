/**
 * A container of the example image on a host of the bed, started as the README says.
 */
import { images } from './images.ts';
import { type Host, run } from './lan.ts';

export interface Example {
  readonly host: Host;
  readonly name: string;
  /** Where others reach the app: `10.1.0.101:49155`. */
  readonly address: string;
  /** What the app, dockreg and supervisord have said on the container's standard output. */
  log(): Promise<string>;
  /** What the container gets when it asks for a page. Rejects when it gets none. */
  get(url: string): Promise<string>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

const askFor = `
  const response = await fetch(process.argv[1], { signal: AbortSignal.timeout(5000) });
  process.stdout.write(await response.text());`;

/**
 * Starts it in place of the container of that name, if there is one. `variables` are added to its environment.
 * @param image one that was built on the example's
 */
export async function startExample(
  host: Host,
  name: string,
  variables: Readonly<Record<string, string>>,
  image: string = images.example,
): Promise<Example> {
  await host.docker(['rm', '--force', name]).catch(() => undefined);
  await host.docker([
    ...['run', '--detach', '--name', name, '--publish', '8000'],
    ...exampleOptions(host, { DOCKREG_IP: host.ip, ...variables }),
    image,
  ]);
  const port = (await host.docker(['port', name, '8000/tcp'])).split('\n')[0]?.split(':').at(-1);
  return {
    host,
    name,
    address: `${host.ip}:${port}`,
    log: () => host.docker(['logs', name]),
    get: url =>
      host.docker(['exec', name, '/opt/dockreg/bin/node', '--input-type=module', '--eval', askFor, url]),
    async stop() {
      await host.docker(['stop', name]);
    },
    async kill() {
      await host.docker(['kill', name]);
    },
  };
}

/** What every way to start the example has in common: the engine's socket and variables, as options. */
export function exampleOptions(host: Host, variables: Readonly<Record<string, string>>): string[] {
  return [
    ...['--mount', `type=bind,source=${host.dockerSocket},target=/var/run/docker.sock`],
    ...Object.entries(variables).flatMap(([key, value]) => ['--env', `${key}=${value}`]),
  ];
}

/** All that a container has said. Its two outputs come on the CLI's two, and their order matters less than that both are read. */
export async function logsOf(host: Host, container: string): Promise<string> {
  return run('sh', ['-c', 'docker logs "$0" 2>&1', container], { env: host.dockerEnvironment });
}

/** When the app began to listen, by its own words in its log, in ms since 1970; undefined before. */
export function listeningIn(log: string): number | undefined {
  return saidIn(log, 'listening');
}

/** When the app got its SIGTERM, in the same way. */
export function stoppingIn(log: string): number | undefined {
  return saidIn(log, 'stopping');
}

function saidIn(log: string, what: string): number | undefined {
  const line = log.split('\n').find(text => text.includes(`example: ${what}`));
  return line === undefined ? undefined : Date.parse(line.split(' ')[0] ?? '');
}
