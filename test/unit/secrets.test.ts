import assert from 'node:assert/strict';
import { it } from 'node:test';
import { redact, rememberHeader, rememberSecret } from '../../src/secrets.ts';

it('a text has none of the secrets that dockreg knows', () => {
  rememberSecret('geheim');
  rememberSecret('geheim und mehr');
  rememberSecret('first token', 'token');
  rememberSecret('second token', 'token');
  rememberSecret('ab');
  rememberSecret(undefined);
  rememberHeader('Bearer abc.def');
  rememberHeader('plain');
  rememberSecret('a"b\\c/ü');
  const cases = [
    ['', ''],
    ['geheim, geheim', '***, ***'],
    ['geheim und mehr', '***'],
    ['a second token, and the first token', 'a ***, and the first token'],
    ['ab is too short', 'ab is too short'],
    ['Authorization: Bearer abc.def', 'Authorization: ***'],
    ['token=abc.def', 'token=***'],
    ['plain', '***'],
    [JSON.stringify({ password: 'a"b\\c/ü' }), '{"password":"***"}'],
    [encodeURIComponent('a"b\\c/ü'), '***'],
    [Buffer.from('a"b\\c/ü').toString('base64'), '***'],
  ] as const;
  for (const [text, redacted] of cases) assert.equal(redact(text), redacted);
});

it('a lone surrogate in a secret does not break the report', () => {
  rememberSecret('x\ud800y');
  assert.equal(redact('x\ud800y'), '***');
});
