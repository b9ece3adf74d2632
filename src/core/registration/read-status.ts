/**
 * Reads the status of a process from what another program sent: the counterpart of `statusOf`. Fields that are not known
 * are left out, and anything of the wrong type makes the whole unreadable.
 */
import type { Health, Verdict } from './health.ts';
import type { ProcessStatus, RegistrationStatus, ServiceStatus } from './status.ts';

const healths: Readonly<Record<Health['status'], true>> = {
  unknown: true,
  starting: true,
  up: true,
  down: true,
};
const registrations: Readonly<Record<RegistrationStatus, true>> = {
  absent: true,
  registering: true,
  registered: true,
  unconfirmed: true,
  uncertain: true,
  withdrawing: true,
};
const verdicts: Readonly<Record<Verdict['kind'], true>> = {
  pass: true,
  fail: true,
  unknown: true,
  impossible: true,
};

/** The value is not of the type that its field has. */
class MismatchError extends Error {
  override readonly name = 'MismatchError';
}

/** Returns null when the value is no status. */
export function readProcessStatus(value: unknown): ProcessStatus | null {
  try {
    const { version, startedAt, services } = object(value);
    return { version: text(version), startedAt: date(startedAt), services: list(services).map(service) };
  } catch (error) {
    if (error instanceof MismatchError) return null;
    throw error;
  }
}

function service(value: unknown): ServiceStatus {
  const it = object(value);
  return {
    name: text(it['name']),
    health: oneOf(healths, it['health']),
    why: orNull(text, it['why']),
    since: date(it['since']),
    drained: truth(it['drained']),
    address: orNull(text, it['address']),
    addressCause: orNull(text, it['addressCause']),
    registration: oneOf(registrations, it['registration']),
    registeredSince: orNull(date, it['registeredSince']),
    records: list(it['records']).map(each => {
      const { key, value: content } = object(each);
      return { key: text(key), value: text(content) };
    }),
    addressWarning: orNull(text, it['addressWarning']),
    lease: orNull(each => {
      const { id, remainingSeconds } = object(each);
      return { id: text(id), remainingSeconds: amount(remainingSeconds) };
    }, it['lease']),
    etcdError: orNull(text, it['etcdError']),
    etcdErrors: amount(it['etcdErrors']),
    etcdAnsweredAt: orNull(date, it['etcdAnsweredAt']),
    isLate: truth(it['isLate']),
    uncheckedSince: orNull(date, it['uncheckedSince']),
    lastCheck: orNull(each => {
      const { at, seconds, verdict, detail } = object(each);
      return {
        at: date(at),
        seconds: amount(seconds),
        verdict: oneOf(verdicts, verdict),
        detail: text(detail),
      };
    }, it['lastCheck']),
  };
}

function object(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new MismatchError();
}

function list(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new MismatchError();
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new MismatchError();
}

function truth(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new MismatchError();
}

/** 0 or more. */
function amount(value: unknown): number {
  if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value;
  throw new MismatchError();
}

function date(value: unknown): string {
  if (!Number.isNaN(Date.parse(text(value)))) return text(value);
  throw new MismatchError();
}

function oneOf<T extends string>(choices: Readonly<Record<T, true>>, value: unknown): T {
  if (Object.hasOwn(choices, text(value))) return value as T;
  throw new MismatchError();
}

function orNull<T>(read: (value: unknown) => T, value: unknown): T | null {
  return value === null ? null : read(value);
}
