/**
 * A container of the example image on a host of the bed, started as the README shows.
 */
import { images } from './images.ts';
import { type Host, run } from './lan.ts';

export interface Example {
  readonly host: Host;
  readonly name: string;
  /** The published address of the app: `10.1.0.101:49155`. */
  readonly address: string;
  /** What the app, dockreg and supervisord have written to the container's standard output. */
  log(): Promise<string>;
  /** The page as the container itself gets it. Rejects when there is none. */
  get(url: string): Promise<string>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

const askFor = `
  const response = await fetch(process.argv[1], { signal: AbortSignal.timeout(5000) });
  process.stdout.write(await response.text());`;

/**
 * Starts it in place of the container with that name, if there is one. `variables` are added to its environment.
 * @param image built on the example image
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

/** The options that every start of the example needs: the engine's socket and the variables. */
export function exampleOptions(
  host: Pick<Host, 'dockerSocket'>,
  variables: Readonly<Record<string, string>>,
): string[] {
  return [
    ...['--mount', `type=bind,source=${host.dockerSocket},target=/var/run/docker.sock`],
    ...Object.entries(variables).flatMap(([key, value]) => ['--env', `${key}=${value}`]),
  ];
}

/** Both outputs of a container as one text. The order between the two is not kept. */
export async function logsOf(host: Host, container: string): Promise<string> {
  return run('sh', ['-c', 'docker logs "$0" 2>&1', container], { env: host.dockerEnvironment });
}

/** When the app began to listen, as its log says, in ms since 1970; undefined before. */
export function listeningIn(log: string): number | undefined {
  return timeOf(log, 'listening');
}

/** When the app received SIGTERM, in the same way. */
export function stoppingIn(log: string): number | undefined {
  return timeOf(log, 'stopping');
}

function timeOf(log: string, what: string): number | undefined {
  const line = log.split('\n').find(text => text.includes(`example: ${what}`));
  return line === undefined ? undefined : Date.parse(line.split(' ')[0] ?? '');
}
