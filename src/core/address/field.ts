/**
 * One value in an engine's answer. It is checked when it is read; a value that does not fit is an UnavailableError that
 * names the field and the value.
 */
import { UnavailableError } from '../../errors.ts';
import { clean } from '../text.ts';
import { canonicalIp, isIp } from './ip.ts';

/** The longest name of an image, a network mode and the like, in UTF-16 code units. */
const longestText = 4096;
/** How much of an odd value a message repeats, in UTF-16 code units. */
const repeated = 60;

export const portRule = 'a whole number from 1 to 65535';
const hint =
  'neither Docker nor podman answers this: check what is at --docker, or do without it: --advertise IP:PORT';

export class Field {
  readonly value: unknown;
  readonly #path: string;
  readonly #place: string;

  constructor(value: unknown, path: string, place: string) {
    this.value = value;
    this.#path = path;
    this.#place = place;
  }

  get isAbsent(): boolean {
    return this.value === undefined || this.value === null;
  }

  get isMap(): boolean {
    return typeof this.value === 'object' && this.value !== null && !Array.isArray(this.value);
  }

  refuse(rule: string, because = hint): never {
    const message = `${this.#place}: ${this.#path} is ${show(this.value)}, but must be ${rule}`;
    throw new UnavailableError({ message, hint: because });
  }

  /** A field of an object. Nothing has no fields. */
  get(key: string): Field {
    const map = this.#map();
    const name = /^[A-Za-z]\w{0,60}$/.test(key) ? `.${key}` : `[${show(key)}]`;
    const path = this.#path === '' ? key : `${this.#path}${name}`;
    return new Field(Object.hasOwn(map, key) ? map[key] : undefined, path, this.#place);
  }

  /** For a key of an object that is none. */
  refuseKey(key: string, rule: string): never {
    throw new UnavailableError({
      message: `${this.#place}: ${this.#path} has ${show(key)}, but must have ${rule}`,
      hint,
    });
  }

  keys(): string[] {
    return Object.keys(this.#map());
  }

  entries(): [string, Field][] {
    return this.keys().map(key => [key, this.get(key)]);
  }

  list(): Field[] {
    if (this.isAbsent) return [];
    if (!Array.isArray(this.value)) return this.refuse('a list');
    return this.value.map((value, index) => new Field(value, `${this.#path}[${index}]`, this.#place));
  }

  /** The empty string where there is none. */
  text(longest = longestText): string {
    if (this.isAbsent) return '';
    if (typeof this.value !== 'string') return this.refuse('text');
    if (this.value.length > longest) return this.refuse(`at most ${longest} characters long`);
    return this.value;
  }

  flag(): boolean {
    return typeof this.value === 'boolean' ? this.value : this.refuse('true or false');
  }

  /** As a number or, as engines write a HostPort, as text. */
  port(): number {
    const isText = typeof this.value === 'string' && /^[1-9]\d{0,4}$/.test(this.value);
    const port = isText ? Number(this.value) : this.value;
    const fits = typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535;
    return fits ? port : this.refuse(portRule);
  }

  /** In its canonical form; the empty string where there is none. */
  ip(): string {
    if (this.isAbsent || this.value === '') return '';
    if (typeof this.value !== 'string' || !isIp(this.value)) return this.refuse('an IP address');
    return canonicalIp(this.value);
  }

  #map(): Readonly<Record<string, unknown>> {
    if (this.isAbsent) return {};
    return this.isMap ? (this.value as Record<string, unknown>) : this.refuse('an object');
  }
}

/** What a message repeats of a value. */
function show(value: unknown): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'string')
    return clean(`${JSON.stringify(value.slice(0, repeated))}${value.length > repeated ? '…' : ''}`);
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}
