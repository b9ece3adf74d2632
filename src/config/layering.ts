/**
 * Precedence, all of it: which source wins for an option, which source names the services, and which defaults a service
 * takes.
 */
import { valueOf, type Problem } from '../errors.ts';
import { limits } from './parse/limits.ts';
import { appliesTo, type OptionName } from './options.ts';
import type { RawConfig, RawOptions, RawService } from './raw.ts';
import { readerOf } from './reader.ts';
import type { Environment } from './sources/environment.ts';

/** What each source gives. A source that is not read is missing. */
export interface Sources {
  readonly flags: RawConfig;
  readonly environment: Environment;
  /** Undefined without --config. */
  readonly file: RawConfig | undefined;
  readonly serviceFlag?: RawConfig;
  readonly labels?: RawConfig;
}

/** From the strongest source to the weakest. The default of the option table is weaker than all. */
const precedence = ['flags', 'environment', 'serviceFlag', 'labels', 'file'] as const;

/** One configuration of all sources, in which each service has the defaults that apply to it. */
export function layer(sources: Sources): RawConfig {
  const layers = precedence.flatMap(name => sources[name] ?? []);
  const defaults = new Map(layers.toReversed().flatMap(source => Array.from(source.defaults)));
  const services = layers.flatMap(source => source.services);
  const problems = layers.flatMap(source => source.problems);
  const excess = services.length > limits.services ? [tooMany(services.length)] : [];
  const isTwice = layers.filter(source => source.services.length > 0).length > 1;
  return {
    defaults,
    services: services.slice(0, limits.services).map(service => withDefaults(service, defaults)),
    problems: [...problems, ...excess, ...(isTwice ? [twice] : [])],
  };
}

function tooMany(count: number): Problem {
  const message = `${count} services are given, and at most ${limits.services} are allowed`;
  return { message, hint: 'use more than one dockreg' };
}

/** Labels are not asked for when another source names services, so only these two can conflict. */
const twice: Problem = {
  message: '--service and the file of --config both list services',
  hint: 'use one of the two',
};

/** Whether no source so far names a service, so that the labels of the container must. */
export function needsLabels({ defaults, services }: RawConfig): boolean {
  if (services.length > 0 || defaults.has('port')) return false;
  // Docker is not asked when the address is fixed.
  return valueOf(readerOf(defaults).value('advertise'))?.kind !== 'literal';
}

/** A service's own options win over the defaults. Defaults that do not apply to its own check or address are left out. */
function withDefaults({ from, label, options: own }: RawService, defaults: RawOptions): RawService {
  const { value } = readerOf(own);
  const check = own.has('check') ? value('check') : undefined;
  const advertise = valueOf(value('advertise'))?.kind;
  const applies = (name: OptionName): boolean => {
    if (name === 'ip') return advertise !== 'container' && advertise !== 'literal';
    const isOfPort = name === 'tolerate' || name === 'check-host' || name === 'check-port';
    if (isOfPort && own.has('check-socket')) return false;
    if (name === 'check-socket' && (own.has('check-host') || own.has('check-port'))) return false;
    return check === undefined || appliesTo(name, valueOf(check)?.scheme);
  };
  return { from, label, options: new Map([...[...defaults].filter(([name]) => applies(name)), ...own]) };
}
