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
    proxyProtocol: optional('check-proxy-protocol'),
    ca: optional('check-ca'),
    cert: optional('check-cert'),
    key: optional('check-key'),
    serverName: optional('check-server-name'),
    insecure: optional('check-insecure'),
  };
  const combined = combine(results, ({ target, method, headers, body, ca, insecure, send, ...known }) => [
    ...(target ? uselessDetails(raw, target.scheme) : []),
    ...brokenRules(
      [
        insecure === true && ca !== undefined,
        '--check-insecure takes any certificate, so --check-ca has no use',
        'give one of them',
      ],
      [
        'cert' in known && 'key' in known && (known.cert === undefined) !== (known.key === undefined),
        '--check-cert and --check-key go together',
        `add --check-${'cert' in known && known.cert === undefined ? 'cert' : 'key'}`,
      ],
      [
        (target?.scheme === 'h2' || target?.scheme === 'h2c') && headers?.some(isOfHttp1) === true,
        `--check-header must not set ${headers?.find(isOfHttp1)?.[0]}, which HTTP/2 does not have`,
        'leave it out',
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
    const { method, headers = [], statuses, body, send, expect, socketPath, proxyProtocol } = values;
    const { ca, cert, key, serverName, insecure = false } = values;
    const isSecure = scheme === 'https' || scheme === 'h2' || scheme === 'grpcs';
    const tls = isSecure ? { ca, cert, key, serverName, insecure } : undefined;
    const connection = { socketPath, proxyProtocol };
    switch (scheme) {
      case 'http':
      case 'https':
      case 'h2c':
      case 'h2': {
        const version = scheme === 'h2c' || scheme === 'h2' ? 'HTTP/2' : 'HTTP/1.1';
        const request = { version, method, path: argument, headers, statuses, body } as const;
        return success({ kind: 'http', ...request, tls, ...connection });
      }
      case 'tcp':
        return success({ kind: 'tcp', send, expect, ...connection });
      case 'grpc':
      case 'grpcs':
        return success({ kind: 'grpc', service: argument, tls, ...connection });
      case 'exec':
        return success({ kind: 'exec', command: argument });
      case 'docker':
        return success({ kind: 'docker' });
    }
  });
}

/** Headers of a single connection, which only HTTP/1.1 has. */
function isOfHttp1([name, value]: readonly [name: string, value: string]): boolean {
  return (
    /^(?:keep-alive|proxy-connection|http2-settings)$/i.test(name) ||
    (/^te$/i.test(name) && value !== 'trailers')
  );
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
