/** From the options of a check to the check. */
import type { Check } from '../core/settings/check.ts';
import { success, type Problem, type Result } from '../errors.ts';
import { appliesTo, optionNames, options, type Option } from './options.ts';
import type { CheckScheme } from './parse/check.ts';
import { withPrefix } from './parse/value.ts';
import type { RawOptions } from './raw.ts';
import { andThen, brokenRules, combine, readerOf } from './reader.ts';

/** @param prefix begins each problem that is not of a single option */
export function readCheck(raw: RawOptions, prefix: string): Result<Check> {
  const { value, optional } = readerOf(raw);
  const results = {
    target: value('check'),
    method: value('check-method'),
    headers: optional('check-header'),
    statuses: value('check-status'),
    body: optional('check-body'),
    socketPath: optional('check-socket'),
    send: optional('check-send'),
    expect: optional('check-expect'),
    ca: optional('check-ca'),
    serverName: optional('check-server-name'),
    insecure: optional('check-insecure'),
  };
  const combined = combine(results, ({ target, method, body, ca, insecure, send, ...known }) => [
    ...(target ? uselessDetails(raw, target.scheme) : []),
    ...brokenRules(
      [
        insecure === true && ca !== undefined,
        '--check-insecure takes any certificate, so --check-ca has no use',
        'give one of them',
      ],
      [
        method === 'HEAD' && body !== undefined,
        '--check-method HEAD brings no body for --check-body',
        'use GET',
      ],
      [
        send !== undefined && 'expect' in known && known.expect === undefined,
        '--check-send needs an answer to wait for',
        'give it with --check-expect',
      ],
      [
        raw.has('check-socket') && (raw.has('check-host') || raw.has('check-port')),
        '--check-socket is asked instead of a port, so --check-host and --check-port have no use',
        'leave out the socket, or the other two',
      ],
    ).map(withPrefix(prefix)),
  ]);
  return andThen(combined, ({ target: { scheme, argument }, ...values }): Result<Check> => {
    const { method, headers = [], statuses, body, send, expect, socketPath } = values;
    const { ca, serverName, insecure = false } = values;
    const tls = scheme === 'https' || scheme === 'grpcs' ? { ca, serverName, insecure } : undefined;
    switch (scheme) {
      case 'http':
      case 'https':
        return success({ kind: 'http', method, path: argument, headers, statuses, body, tls, socketPath });
      case 'tcp':
        return success({ kind: 'tcp', send, expect, socketPath });
      case 'grpc':
      case 'grpcs':
        return success({ kind: 'grpc', service: argument, tls, socketPath });
      case 'exec':
        return success({ kind: 'exec', command: argument });
      case 'docker':
        return success({ kind: 'docker' });
    }
  });
}

/** The details that are given and do not apply to this kind of check. */
function uselessDetails(raw: RawOptions, scheme: CheckScheme): Problem[] {
  return optionNames.flatMap(name => {
    const { checks = [] }: Option = options[name];
    const from = raw.get(name)?.from;
    if (from === undefined || appliesTo(name, scheme)) return [];
    const message = `${from} is for ${checks.join(', ')} checks, and the check is ${scheme}`;
    return [{ message, hint: 'leave it out' }];
  });
}
