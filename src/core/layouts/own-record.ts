/**
 * A record in the user's own words: a key and a value with placeholders.
 */
import type { ServiceRecord } from '../lease/writes.ts';
import { LayoutProblem, valueOf, type Instance } from './instance.ts';
import { expand, type Template } from './template.ts';

export interface OwnRecord {
  readonly key: Template;
  readonly value: Template;
  /** As the user gave it: `KEY=VALUE`. */
  readonly text: string;
}

/** @throws LayoutProblem when a placeholder has no value, or one that the key or the consumers cannot take */
export function writeOwnRecord({ key, value, text }: OwnRecord, instance: Instance): ServiceRecord {
  const filledKey = expand(key, placeholder => {
    const piece = valueOf(placeholder, instance);
    if (piece === '' || /[\s/\p{Cc}]/u.test(piece))
      throw new LayoutProblem({
        message: `--record ${text}: ${JSON.stringify(piece)} cannot be part of a key`,
        hint: 'use a placeholder whose value has no slash and no space and is not empty',
      });
    return piece;
  });
  const filledValue = expand(value, placeholder => valueOf(placeholder, instance));
  if (filledValue === '')
    throw new LayoutProblem({
      message: `--record ${text}: the value is empty, and consumers fail on an empty value`,
      hint: 'add a text beside the placeholders',
    });
  return { key: filledKey, value: filledValue };
}
