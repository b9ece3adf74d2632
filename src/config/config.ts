/**
 * The pipeline of the configuration: sources → layering → reader → config. A source returns texts; layering decides
 * which text holds; the reader parses it; the result is one configuration, or every problem at once.
 */
import type { ListConfig, SharedConfig } from '../core/settings/process.ts';
import type { ServiceConfig } from '../core/settings/service.ts';
import { failure, success, type Problem, type Result } from '../errors.ts';
import { layer, needsLabels, type Sources } from './layering.ts';
import { serviceOptionNames } from './options.ts';
import { readControlPath, readList, readShared } from './process.ts';
import type { RawConfig } from './raw.ts';
import { andThen, combine, problemsOfOptions, readerOf, withProblems } from './reader.ts';
import { readServices } from './service.ts';
import type { Environment } from './sources/environment.ts';
import { readLabels } from './sources/labels.ts';
import { readServiceFlag } from './sources/service-flag.ts';

export interface Config extends SharedConfig {
  /** At least one. */
  readonly services: readonly ServiceConfig[];
}

/** No source names a service, so the labels of the container must. */
export interface ConfigByLabels extends SharedConfig {
  readonly withLabels: (labels: ReadonlyMap<string, string>) => Result<Config>;
}

export type AnyConfig = Config | ConfigByLabels;

export function configure(sources: Sources): Result<AnyConfig> {
  const { environment } = sources;
  const serviceFlag = readServiceFlag(layer(sources).defaults.get('service'));
  const raw = layer({ ...sources, serviceFlag });
  const shared = readShared(readerOf(raw.defaults), environment);
  if (!needsLabels(raw)) return complete(raw, shared, environment);
  const defaults = combine({ shared }, () => problemsOfOptions(raw.defaults, serviceOptionNames));
  const config = andThen(defaults, values => success({ ...values.shared, withLabels }));
  return withProblems(raw.problems, config);

  function withLabels(labels: ReadonlyMap<string, string>): Result<Config> {
    const labelled = layer({ ...sources, labels: readLabels(labels) });
    const { services, defaults: all, problems } = labelled;
    return services.length > 0 || all.has('port') || problems.length > 0
      ? complete(labelled, shared, environment)
      : failure(noService);
  }
}

const noService: Problem = {
  message: 'no service is configured',
  hint: 'give --port 8000 (or DOCKREG_PORT), --service or --config, or label the container with dockreg.port=8000',
};

function complete(
  raw: RawConfig,
  shared: Result<SharedConfig>,
  { registrator }: Environment,
): Result<Config> {
  const combined = combine({ shared, services: readServices(raw, registrator) });
  const config = andThen(combined, values => success({ ...values.shared, services: values.services }));
  return withProblems(raw.problems, config);
}

/** For `dockreg ls`. */
export function configureList(sources: Sources): Result<ListConfig> {
  const { defaults, problems } = layer(sources);
  return withProblems(problems, readList(readerOf(defaults), sources.environment));
}

/** For the commands that ask a running dockreg: the path of its control socket, whatever else the file has. */
export function configureControl(sources: Sources): Result<string> {
  return withProblems(sources.flags.problems, readControlPath(readerOf(layer(sources).defaults)));
}
