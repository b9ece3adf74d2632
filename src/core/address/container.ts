/**
 * What the Docker engine reports about a container.
 */

/**
 * `id`, `title` and `running` are known. Every other property, down to each port and each address, is checked when it is
 * read, because an odd value matters only to who needs it. It then throws an UnavailableError that names field and value.
 */
export interface ContainerView {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** How messages name it: its name, or the first 12 digits of its id. */
  readonly title: string;
  readonly name: string;
  readonly running: boolean;
  /** The image as it was named at the start: `registry:5000/app:1.2`. */
  readonly image: string;
  readonly labels: ReadonlyMap<string, string>;
  /** As in HostConfig.NetworkMode: `default`, `bridge`, `host`, `none`, `container:<id>`, or a network's name. */
  readonly networkMode: string;
  /** NetworkSettings.Ports: `8000/tcp` → its bindings; the list is empty for a port that is exposed but not published. */
  readonly ports: Pick<ReadonlyMap<string, readonly Binding[]>, 'get'>;
  /**
   * `8000/tcp` → the wildcards, `0.0.0.0` or `::`, of the families in which it is published without a port of the host:
   * Docker's gateway mode `routed`, where others reach the container's own address.
   */
  readonly routed: Pick<ReadonlyMap<string, readonly string[]>, 'get'>;
  /** The ports with at least one binding: `8000/tcp`. */
  readonly publishedPorts: readonly string[];
  /** NetworkSettings.Networks: the networks that the container is on, by name. */
  readonly networks: ReadonlyMap<string, NetworkView>;
  /** The names that --add-host gives to the host as the engine knows it. */
  readonly hostGatewayNames?: readonly string[];
  /**
   * The last result of the container's HEALTHCHECK; undefined if it has none. The status is `starting`, `healthy` or
   * `unhealthy`. The output is the exit code and the last line of output; it is empty before the first check.
   */
  readonly health: { readonly status: string; readonly output: string } | undefined;
}

/** A port of the host that the engine maps to a port of the container. */
export interface Binding {
  /** `0.0.0.0`, `::`, the empty string (podman's wildcard), or a specific address of the host, in its canonical form. */
  readonly hostIp: string;
  /** 1 to 65535. */
  readonly hostPort: number;
}

/** The container's own addresses on one network; the empty string where it has none. */
export interface NetworkView {
  readonly ipv4: string;
  readonly ipv6: string;
  /** Where the container's routes into this network lead. */
  readonly gateways?: readonly string[];
}

/** A port that a swarm service publishes on every node. Its parts are checked when they are read, as a container's are. */
export interface IngressPort {
  /** `8000/tcp` */
  readonly target: string;
  /** 1 to 65535. */
  readonly publishedPort: number;
}
