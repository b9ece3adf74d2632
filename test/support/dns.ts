/**
 * A DNS server on port 53 of an address of the loopback, which needs root. It knows one address for every name under
 * `example` that does not begin with `unknown`, and no other name, until it goes silent. With `hasIpv6` each name has the
 * address 2001:db8::1 too.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

import { Journal } from './wait.ts';

const headerBytes = 12;
const typeA = 1;
const typeAaaa = 28;
/** 2001:db8::1 */
const ipv6 = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

export class DnsServer {
  /** Whether it ignores what it is asked. */
  isSilent = false;
  /** Whether the names have an IPv6 address too. */
  hasIpv6 = false;
  /** The family about which it never answers. */
  ignores: 4 | 6 | null = null;
  readonly address: string;
  readonly #socket: Socket;
  readonly #queries = new Journal<string>('DNS query');

  constructor(socket: Socket, address: string, known: string) {
    this.address = address;
    this.#socket = socket;
    socket.on('message', (query, { port, address: from }) => {
      this.#queries.push(nameIn(query));
      const isIgnored = this.ignores === (asksForIpv4(query) ? 4 : 6);
      if (!this.isSilent && !isIgnored) socket.send(answerTo(query, known, this.hasIpv6), port, from);
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

/** Repeats the question, and answers it with an address, with none, or that there is no such name. */
function answerTo(query: Buffer, known: string, hasIpv6: boolean): Buffer {
  const end = query.indexOf(0, headerBytes) + 5;
  const exists = /^(?!unknown).*\.example$/.test(nameIn(query));
  const isIpv4 = asksForIpv4(query);
  const address = isIpv4 ? known.split('.').map(Number) : hasIpv6 ? ipv6 : [];
  const isAnswered = exists && address.length > 0;
  const header = Buffer.from(query.subarray(0, headerBytes));
  header.writeUInt16BE(exists ? 0x81_80 : 0x81_83, 2);
  header.writeUInt16BE(isAnswered ? 1 : 0, 6);
  header.writeUInt32BE(0, 8);
  const record = Buffer.from([
    0xc0,
    headerBytes,
    0,
    isIpv4 ? typeA : typeAaaa,
    0,
    1,
    0,
    0,
    0,
    1,
    0,
    address.length,
  ]);
  const records = isAnswered ? [record, Buffer.from(address)] : [];
  return Buffer.concat([header, query.subarray(headerBytes, end), ...records]);
}
