/**
 * `dockreg doctor`: for a person whose app does not appear. Goes every step from our container to the key in etcd, also
 * after one that failed, and says what is wrong and the way out. It leaves nothing behind.
 */
import type { Config } from '../config/config.ts';
import { examineAddress, examineCheck, examineListener } from '../doctor/app.ts';
import { examineEtcd } from '../doctor/etcd.ts';
import { formatFinding, type Finding } from '../doctor/finding.ts';
import { examinePlace } from '../doctor/place.ts';

/** Answers whether all is well. With `json` the findings come as one array, at the end. */
export async function doctor(
  config: Config,
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

async function* examine(config: Config, version: string): AsyncGenerator<Finding> {
  const place = yield* examinePlace(config);
  yield examineListener(config);
  yield await examineCheck(config, version);
  yield await examineAddress(config, place.address);
  yield* examineEtcd(config, place);
}
