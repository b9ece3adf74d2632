/**
 * What our own kernel says of gateways and of the bridges of engines: addresses of this host that only its own containers
 * reach. Where it cannot be read, there are none.
 */
import { endianness, networkInterfaces } from 'node:os';
import type { OwnNetwork } from '../core/address/every-host.ts';
import { canonicalIp } from '../core/address/ip.ts';
import { readRegularFile } from '../files.ts';

/** The routes of a host have at most some hundred lines, unless it is a router of the Internet. */
const mostBytes = 256 * 1024;
/** How engines name the bridges that they make. */
const engineBridge = /^(?:docker\d+|docker_gwbridge|br-[0-9a-f]{12}|(?:cni-)?podman\d+|nerdctl\d+)$/;

export async function readOwnNetwork(): Promise<OwnNetwork> {
  const [ipv4, ipv6] = await Promise.all([read('/proc/net/route'), read('/proc/net/ipv6_route')]);
  return { gateways: [...ipv4Gateways(ipv4, endianness()), ...ipv6Gateways(ipv6)], bridges: engineBridges() };
}

/** @param routes the text of /proc/net/route: interface, destination, gateway, flags, … in hexadecimal, each in one word */
export function ipv4Gateways(routes: string, endian: 'BE' | 'LE'): string[] {
  return lines(routes).flatMap(([, destination, gateway = '']) => {
    if (destination !== '00000000' || !/^[0-9A-F]{8}$/.test(gateway) || gateway === '00000000') return [];
    const bytes = gateway.match(/../g) ?? [];
    return (endian === 'LE' ? bytes.toReversed() : bytes).map(byte => Number.parseInt(byte, 16)).join('.');
  });
}

/** @param routes the text of /proc/net/ipv6_route: destination, its length, source, its length, gateway, … */
export function ipv6Gateways(routes: string): string[] {
  return lines(routes).flatMap(([destination = '', length, , , gateway = '']) => {
    if (!/^0{32}$/.test(destination) || length !== '00') return [];
    if (!/^[0-9a-f]{32}$/.test(gateway) || /^0+$/.test(gateway)) return [];
    return canonicalIp((gateway.match(/.{4}/g) ?? []).join(':'));
  });
}

function lines(text: string): string[][] {
  return text.split('\n').map(line => line.trim().split(/\s+/));
}

function engineBridges(): Map<string, string> {
  try {
    return new Map(
      Object.entries(networkInterfaces())
        .filter(([name]) => engineBridge.test(name))
        .flatMap(([name, list = []]) => list.map(({ address }) => [canonicalIp(address), name] as const)),
    );
  } catch {
    return new Map();
  }
}

async function read(path: string): Promise<string> {
  try {
    return (await readRegularFile(path, mostBytes)).toString();
  } catch {
    return '';
  }
}
