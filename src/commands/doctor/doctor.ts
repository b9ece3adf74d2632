/**
 * `dockreg doctor`: for a person whose app does not appear. Goes every step from our container to the key in etcd, also
 * after one that failed, and says what is wrong and the way out. It leaves nothing behind.
 */
import type { Config, ConfigByLabels } from '../../config/config.ts';
import type { ServiceConfig } from '../../core/settings/service.ts';
import { examineAddress, examineCheck, examineListener } from './app.ts';
import { examineDrain } from './drain.ts';
import { examineEtcd, examineRecords } from './etcd.ts';
import { formatFinding, type Finding } from './finding.ts';
import { examineContainer, examinePort, examineServices, type ServicePlace } from './container.ts';
import { createDocker } from '../../wiring/docker.ts';

/** Answers whether all is well. With `json` the findings come as one array, at the end. */
export async function doctor(
  config: Config | ConfigByLabels,
  version: string,
  { json }: { readonly json: boolean },
  write: (text: string) => void,
): Promise<boolean> {
  const findings: Finding[] = [];
  for await (const finding of examine(config, version)) {
    findings.push(finding);
    if (!json) write(`${formatFinding(finding)}\n`);
  }
  if (json) write(`${JSON.stringify(findings, null, 2)}\n`);
  return findings.every(({ ok }) => ok !== false);
}

async function* examine(config: Config | ConfigByLabels, version: string): AsyncGenerator<Finding> {
  const docker = createDocker(config);
  const whereabouts = yield* examineContainer(config, docker);
  const services = yield* examineServices(config, whereabouts);
  const of = ({ label }: ServiceConfig, finding: Finding): Finding =>
    services.length === 1 ? finding : { service: label, ...finding };
  const places: ServicePlace[] = [];
  for (const service of services) {
    const { place, finding } = await examinePort(service, docker, whereabouts);
    places.push(place);
    if (finding) yield of(service, finding);
    yield of(service, examineListener(service));
    yield of(service, await examineCheck(service, docker, version));
    yield of(service, await examineAddress(service, place.address));
  }
  const reports = yield* examineEtcd(config, places);
  for (const place of places) yield of(place.service, examineRecords(place, reports));
  yield* examineDrain(config.control);
}
