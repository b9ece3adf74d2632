/**
 * From what was given of a check to the check, or to the list of everything that is wrong with it.
 */
import type { Check, CheckTls } from '../core/settings/check.ts';
import type { CheckScheme } from './check-values.ts';
import { readerOf, type RawOptions } from './given.ts';
import type { OptionName } from './options.ts';

const http = ['http', 'https'] as const;
const secure = ['https', 'grpcs'] as const;
const connecting = ['http', 'https', 'tcp', 'grpc', 'grpcs'] as const;

/** Which checks each further option is for. */
const uses = {
  'check-method': http,
  'check-header': http,
  'check-status': http,
  'check-body': http,
  'check-ca': secure,
  'check-server-name': secure,
  'check-insecure': secure,
  'check-socket': connecting,
  'check-send': ['tcp'],
  'check-expect': ['tcp'],
} as const satisfies Readonly<Partial<Record<OptionName, readonly CheckScheme[]>>>;

/** Whether the option says more of a check of this scheme; any other option than those of a check does. */
export function appliesTo(name: OptionName, scheme: string): boolean {
  const schemes: readonly string[] | undefined = uses[name as keyof typeof uses];
  return schemes === undefined || schemes.includes(scheme);
}

/** Pure: the same for flags, variables, and whatever else texts may come from. `whose` begins what is not of one. */
export function readCheck(
  given: RawOptions,
  prefix = '',
): { readonly check: Check } | { readonly problems: readonly string[] } {
  const { read, problems } = readerOf(given);
  const target = read('check');
  const values = {
    method: read('check-method') ?? '',
    headers: read('check-header') ?? [],
    statuses: read('check-status') ?? [],
    body: read('check-body'),
    socketPath: read('check-socket'),
    send: read('check-send'),
    expect: read('check-expect'),
  };
  const tls: CheckTls = {
    ca: read('check-ca'),
    serverName: read('check-server-name'),
    insecure: read('check-insecure') ?? false,
  };
  if (target !== undefined) {
    for (const [name, schemes] of Object.entries(uses) as [keyof typeof uses, readonly CheckScheme[]][]) {
      const source = given.get(name)?.from;
      if (source !== undefined && !appliesTo(name, target.scheme))
        problems.push(
          `${source} is for ${schemes.join(', ')} checks, and the check is ${target.scheme}; leave it out`,
        );
    }
  }
  if (tls.insecure && tls.ca !== undefined)
    problems.push(
      `${prefix}--check-insecure takes any certificate, so --check-ca has no use; give one of them`,
    );
  if (values.method === 'HEAD' && values.body)
    problems.push(`${prefix}--check-method HEAD brings no body for --check-body; use GET`);
  if (values.send && !values.expect)
    problems.push(`${prefix}--check-send needs an answer to wait for; say which with --check-expect`);
  if (target === undefined || problems.length > 0) return { problems };

  const { scheme, argument } = target;
  const { method, headers, statuses, body, socketPath, send, expect } = values;
  switch (scheme) {
    case 'http':
    case 'https':
      return {
        check: {
          kind: 'http',
          method,
          path: argument,
          headers,
          statuses,
          body,
          tls: scheme === 'https' ? tls : undefined,
          socketPath,
        },
      };
    case 'tcp':
      return { check: { kind: 'tcp', send, expect, socketPath } };
    case 'grpc':
    case 'grpcs':
      return {
        check: {
          kind: 'grpc',
          service: argument,
          tls: scheme === 'grpcs' ? tls : undefined,
          socketPath,
        },
      };
    case 'exec':
      return { check: { kind: 'exec', command: argument } };
    case 'docker':
      return { check: { kind: 'docker' } };
  }
}
