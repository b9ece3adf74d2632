/**
 * Counters of the kernel, for the benches.
 */
import { readFile } from 'node:fs/promises';

/** The kernel counts CPU time in hundredths of a second. */
const tickMs = 10;

/** User and system time of a process so far, in ms. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

/** The time of all cores of the machine so far, in ms. */
export async function machineMs(): Promise<{ readonly idle: number; readonly all: number }> {
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n');
  // user nice system idle iowait irq softirq steal; the time of guests is part of the first two.
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  const all = ticks.reduce((sum, each) => sum + each, 0);
  return { idle: ((ticks[3] ?? 0) + (ticks[4] ?? 0)) * tickMs, all: all * tickMs };
}

/** How many TCP connections servers of this machine have accepted so far. */
export async function acceptedConnections(): Promise<number> {
  const [names = [], numbers = []] = (await readFile('/proc/net/snmp', 'utf8'))
    .split('\n')
    .filter(line => line.startsWith('Tcp: '))
    .map(line => line.split(' '));
  return Number(numbers[names.indexOf('PassiveOpens')]);
}
