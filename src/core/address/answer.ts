/**
 * Reads what an engine answers, or a proxy in front of it: JSON that may be anything, into types of ours. A value that
 * does not fit is an UnavailableError that names field and value. It is thrown when the field is needed and not before,
 * so an odd value elsewhere in the answer costs nothing.
 */
import { UnavailableError } from '../../errors.ts';
import type { Binding, ContainerView, IngressPort, NetworkView } from './container.ts';
import { Field, portRule } from './field.ts';
import { canonicalIp, isIp } from './ip.ts';

/** The longest label, in UTF-16 code units. */
const longestLabel = 65_536;
/** How much of a health check's output is read, from its end. Docker itself keeps 4096 bytes. */
const longestOutput = 4096;

/** What is said of an answer that is not of this API at all. */
export const notDocker = 'the answer is not of a Docker API: is this the right socket?';

/**
 * Reads the answer to GET /containers/<id>/json.
 * @param place where the answer comes from, for messages: `Docker at unix:///var/run/docker.sock`
 * @param asked the id in the question, or its beginning
 */
export function readContainer(answer: unknown, place: string, asked: string): ContainerView {
  const top = ownAnswer(answer, place, 'Id', asked, /^[0-9a-f]{64}$/);
  const id = top.get('Id').text();
  const [state, config] = [top.get('State'), top.get('Config')];
  const mode = (): Field => top.get('HostConfig').get('NetworkMode');
  const [ports, networks] = (['Ports', 'Networks'] as const).map(
    name => (): Field => top.get('NetworkSettings').get(name),
  ) as [() => Field, () => Field];
  return {
    id,
    title: nameOf(top.get('Name')) || id.slice(0, 12),
    running: state.get('Running').flag(),
    get name() {
      const field = top.get('Name');
      return nameOf(field) ?? field.refuse('letters, digits and _.- only');
    },
    get image() {
      return config.get('Image').text();
    },
    labels: readLabels(() => config.get('Labels')),
    get networkMode() {
      return mode().text();
    },
    ports: { get: port => bindingsOf(ports(), port) },
    routed: { get: port => routedIn(ports(), port) },
    get publishedPorts() {
      return publishedIn(ports);
    },
    get networks() {
      return new Map(
        networks()
          .entries()
          .map(([name, field]) => [name, networkOf(field)]),
      );
    },
    get hostGatewayNames() {
      return hostGatewayNamesIn(valueOf(top.get('HostConfig'), 'ExtraHosts'));
    },
    get health() {
      return healthOf(state.get('Health'));
    },
  };
}

/** Reads the answer to GET /info: the node's address in its swarm, or null. */
export function readNodeIp(answer: unknown, place: string): string | null {
  return topOf(answer, place).get('Swarm').get('NodeAddr').ip() || null;
}

/**
 * Reads the answer to GET /services/<id>. A port of which not even the target can be read comes last, so it matters only
 * to who has not found its own before.
 */
export function readIngress(answer: unknown, place: string, asked: string): IngressPort[] {
  const list = ownAnswer(answer, place, 'ID', asked, /^[0-9a-z]{12,64}$/)
    .get('Endpoint')
    .get('Ports')
    .list();
  const ports = list.flatMap(field => {
    const [kind, published] = [valueOf(field, 'PublishMode'), valueOf(field, 'PublishedPort')];
    const isOther = kind === 'host' || kind === undefined || published === undefined;
    return isOther && field.isMap ? [] : [ingressPort(field)];
  });
  return [...ports.filter(hasTarget), ...ports.filter(port => !hasTarget(port))];
}

function hasTarget(port: IngressPort): boolean {
  try {
    return port.target !== '';
  } catch (error) {
    if (error instanceof UnavailableError) return false;
    throw error;
  }
}

function ingressPort(field: Field): IngressPort {
  return {
    get target() {
      const protocol = field.get('Protocol');
      if (!protocols.has(protocol.text())) protocol.refuse('tcp, udp or sctp');
      return `${field.get('TargetPort').port()}/${protocol.text()}`;
    },
    get publishedPort() {
      const kind = field.get('PublishMode');
      if (kind.value !== 'ingress') kind.refuse('ingress or host');
      return field.get('PublishedPort').port();
    },
  };
}

const protocols: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp']);

/** A value of an object; undefined for anything else. */
function valueOf(field: Field, key: string): unknown {
  return field.isMap ? field.get(key).value : undefined;
}

function topOf(answer: unknown, place: string): Field {
  const top = new Field(answer, '', place);
  if (!top.isMap) throw new UnavailableError(`${place}: ${notDocker}`);
  return top;
}

/** An answer about what was asked for: a proxy may have another one in its cache, and a name may look like an id. */
function ownAnswer(answer: unknown, place: string, key: 'Id' | 'ID', asked: string, pattern: RegExp): Field {
  const top = topOf(answer, place);
  const id = top.get(key);
  if (id.isAbsent) throw new UnavailableError(`${place}: ${notDocker}`);
  if (typeof id.value !== 'string' || !pattern.test(id.value)) return id.refuse('an id');
  if (!id.value.startsWith(asked))
    throw new UnavailableError({
      message: `${place}: asked about ${asked}, it answers about ${id.value}`,
      hint: 'check what is at --docker: a proxy may answer from a cache, or a container may have an id as its name',
    });
  return top;
}

/** Undefined for what is no name. Docker writes a slash before it. */
function nameOf({ value, isAbsent }: Field): string | undefined {
  if (isAbsent) return '';
  return typeof value === 'string' ? /^\/?([A-Za-z0-9][\w.-]{0,4094})$/.exec(value)?.[1] : undefined;
}

/** Undefined for a port that is not even exposed, unless another key is odd: it may stand for this port. */
function bindingsOf(ports: Field, port: string): Binding[] | undefined {
  const keys = ports.keys();
  if (!keys.includes(port)) {
    const odd = keys.find(key => !isPort(key));
    return odd === undefined ? undefined : ports.refuseKey(odd, 'a port such as 8000/tcp');
  }
  const bindings = fieldsOf(ports, port).filter(binding => !isRouted(binding));
  // Podman lists a binding before it has a port for it.
  const assigned = bindings.filter(({ hostPort }) => hostPort.value !== '' && hostPort.value !== '0');
  if (assigned.length === 0) bindings[0]?.hostPort.refuse(portRule, 'the engine has not assigned one yet');
  return assigned.map(({ hostIp, hostPort }) => ({ hostIp, hostPort: hostPort.port() }));
}

/** The HostIps of a port that is published without a port of the host. */
function routedIn(ports: Field, port: string): string[] {
  const listed = ports.keys().includes(port) ? fieldsOf(ports, port) : [];
  return listed.filter(isRouted).map(({ hostIp }) => hostIp);
}

interface BindingFields {
  readonly hostIp: string;
  readonly hostPort: Field;
}

function fieldsOf(ports: Field, port: string): BindingFields[] {
  const list = ports.get(port).list();
  return list.map(each => ({ hostIp: each.get('HostIp').ip(), hostPort: each.get('HostPort') }));
}

/** Docker's gateway mode `routed`. Its HostIp is the wildcard of the family that is routed. */
function isRouted({ hostIp, hostPort }: BindingFields): boolean {
  return hostPort.value === '' && (hostIp === '0.0.0.0' || hostIp === '::');
}

/** `8000/tcp` */
function isPort(key: string): boolean {
  const number = /^([1-9]\d{0,4})\/(?:tcp|udp|sctp)$/.exec(key)?.[1];
  return number !== undefined && Number(number) <= 65_535;
}

/** For messages and for the number of ports, so nothing here is refused. */
function publishedIn(ports: () => Field): string[] {
  try {
    const all = ports().entries();
    return all
      .filter(([key, { value }]) => isPort(key) && Array.isArray(value) && value.length > 0)
      .map(([key]) => key);
  } catch (error) {
    if (error instanceof UnavailableError) return [];
    throw error;
  }
}

function networkOf(field: Field): NetworkView {
  return {
    get ipv4() {
      return field.get('IPAddress').ip();
    },
    get ipv6() {
      return field.get('GlobalIPv6Address').ip();
    },
    get gateways() {
      return [valueOf(field, 'Gateway'), valueOf(field, 'IPv6Gateway')].filter(isIpText).map(canonicalIp);
    },
  };
}

/** An odd gateway is the address of nobody, so it is not refused. */
function isIpText(value: unknown): value is string {
  return typeof value === 'string' && isIp(value);
}

/** `host.docker.internal:host-gateway`. It is only for a warning, so what is odd is left out. */
function hostGatewayNamesIn(extraHosts: unknown): string[] {
  if (!Array.isArray(extraHosts)) return [];
  return extraHosts.flatMap(each =>
    typeof each === 'string' ? (/^([^:=]+)[:=]host-gateway$/.exec(each)?.[1] ?? []) : [],
  );
}

/** Without a HEALTHCHECK Docker leaves the answer out or gives `none`, and podman gives an empty status. */
function healthOf(field: Field): ContainerView['health'] {
  const status = field.get('Status');
  const text = status.text();
  if (text === '' || text === 'none') return undefined;
  if (!/^(?:starting|healthy|unhealthy)$/.test(text)) status.refuse('starting, healthy, unhealthy or none');
  const log = valueOf(field, 'Log');
  return { status: text, output: outputOf(Array.isArray(log) ? log.at(-1) : undefined) };
}

/** The text beside the status is only for people, so what is odd about it is left out. */
function outputOf(last: unknown): string {
  if (typeof last !== 'object' || last === null) return '';
  const { ExitCode: code, Output: output } = last as Readonly<Record<string, unknown>>;
  const line =
    typeof output === 'string' ? output.slice(-longestOutput).trim().split('\n').at(-1) : undefined;
  return [Number.isInteger(code) ? `exit ${String(code)}` : '', line ?? ''].filter(Boolean).join(': ');
}

/** The labels that are text. An odd one is refused when it is read by its name, or among those that configure dockreg. */
function readLabels(field: () => Field): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  const odd = new Map<string, () => never>();
  try {
    for (const [key, { value }] of field().entries())
      if (typeof value === 'string' && value.length <= longestLabel) labels.set(key, value);
      else odd.set(key, () => field().get(key).refuse(`text of at most ${longestLabel} characters`));
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
    return new OddLabels(labels, odd, () => {
      throw error;
    });
  }
  return odd.size === 0 ? labels : new OddLabels(labels, odd);
}

class OddLabels extends Map<string, string> {
  readonly #odd: ReadonlyMap<string, () => never>;
  readonly #refuseAll: (() => never) | undefined;

  /** @param refuseAll refuses each label when there are no labels but something else in their place */
  constructor(
    labels: Iterable<[string, string]>,
    odd: ReadonlyMap<string, () => never>,
    refuseAll?: () => never,
  ) {
    super(labels);
    this.#odd = odd;
    this.#refuseAll = refuseAll;
  }

  override get(key: string): string | undefined {
    (this.#refuseAll ?? this.#odd.get(key))?.();
    return super.get(key);
  }

  override has(key: string): boolean {
    this.#refuseAll?.();
    return this.#odd.has(key) || super.has(key);
  }

  override entries(): MapIterator<[string, string]> {
    return this[Symbol.iterator]();
  }

  override [Symbol.iterator](): MapIterator<[string, string]> {
    const ofOurs = [...this.#odd].find(([key]) => key.startsWith('dockreg.'))?.[1];
    (this.#refuseAll ?? ofOurs)?.();
    return super[Symbol.iterator]();
  }
}
