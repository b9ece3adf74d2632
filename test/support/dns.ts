/**
 * A DNS server on port 53 of an address of the loopback, which needs root. It knows one address for every name under
 * `example` that does not begin with `unknown`, and no other name, until it goes silent.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

import { Journal } from './wait.ts';

const headerBytes = 12;
const typeA = 1;

export class DnsServer {
  /** Whether it ignores what it is asked. */
  isSilent = false;
  /** Whether it answers questions about IPv4 addresses only. */
  ignoresIpv6 = false;
  readonly address: string;
  readonly #socket: Socket;
  readonly #queries = new Journal<string>('DNS query');

  constructor(socket: Socket, address: string, known: string) {
    this.address = address;
    this.#socket = socket;
    socket.on('message', (query, { port, address: from }) => {
      this.#queries.push(nameIn(query));
      const isIgnored = this.ignoresIpv6 && !asksForIpv4(query);
      if (!this.isSilent && !isIgnored) socket.send(answerTo(query, known), port, from);
    });
  }

  /** The names that it was asked for. */
  get queries(): readonly string[] {
    return this.#queries.entries;
  }

  /** Resolves with the next query. */
  async query(timeoutMs = 10_000): Promise<string> {
    return this.#queries.first(() => true, { timeoutMs, since: this.queries.length });
  }

  close(): void {
    this.#socket.close();
  }
}

/**
 * Starts one that listens on `address`.
 * @param known the IPv4 address of every name
 */
export async function startDns(address: string, known = '10.1.0.101'): Promise<DnsServer> {
  const socket = createSocket('udp4').unref();
  socket.bind(53, address);
  await once(socket, 'listening');
  return new DnsServer(socket, address, known);
}

function nameIn(query: Buffer): string {
  const labels: string[] = [];
  for (let at = headerBytes; (query[at] ?? 0) > 0; at += 1 + (query[at] ?? 0))
    labels.push(query.toString('latin1', at + 1, at + 1 + (query[at] ?? 0)));
  return labels.join('.');
}

function asksForIpv4(query: Buffer): boolean {
  return query.readUInt16BE(query.indexOf(0, headerBytes) + 1) === typeA;
}

/** Repeats the question, and answers one for an IPv4 address; others have an empty answer, or that of no such name. */
function answerTo(query: Buffer, known: string): Buffer {
  const end = query.indexOf(0, headerBytes) + 5;
  const exists = /^(?!unknown).*\.example$/.test(nameIn(query));
  const isA = exists && asksForIpv4(query);
  const header = Buffer.from(query.subarray(0, headerBytes));
  header.writeUInt16BE(exists ? 0x81_80 : 0x81_83, 2);
  header.writeUInt16BE(isA ? 1 : 0, 6);
  header.writeUInt32BE(0, 8);
  const record = Buffer.from([
    0xc0,
    headerBytes,
    0,
    typeA,
    0,
    1,
    0,
    0,
    0,
    1,
    0,
    4,
    ...known.split('.').map(Number),
  ]);
  return Buffer.concat([header, query.subarray(headerBytes, end), ...(isA ? [record] : [])]);
}
