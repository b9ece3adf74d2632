/**
 * How much of everything a configuration may have: far more than anybody needs, and little enough that reading it takes
 * a moment. docs/options.md lists these numbers.
 */
export const limits = {
  /** Characters of a text, where its row of the option table has no limit of its own. */
  textLength: 1024,
  /** Words of the command line. */
  words: 1000,
  /** Bytes of the file of --config. */
  fileBytes: 256 * 1024,
  /** Aliases of YAML in the file. */
  aliases: 100,
  /** Entries of the file, at its top or of one service. */
  entries: 1000,
  /** Labels dockreg.* of the container. */
  labels: 1000,
  services: 100,
  /** Records of all services together. */
  records: 1000,
  endpoints: 32,
  layouts: 16,
  ownRecords: 32,
  /** Characters of a key or of its root as the user gives it, and its parts. */
  keyLength: 512,
  keyParts: 32,
  tags: 64,
  meta: 64,
  headers: 32,
  statuses: 32,
  /** Characters of a host's name (RFC 1035). */
  hostLength: 253,
  /** Bytes of the path of a Unix socket, by unix(7). */
  socketPathBytes: 107,
} as const;
