/**
 * The secrets that dockreg knows: passwords, tokens and what a check sends. They are remembered where they are read, so
 * that the report of a crash shows none of them.
 */

/** Shorter texts are parts of ordinary words, and hiding these would tell the text. */
const shortest = 3;
const secrets = new Map<string, string>();

/** @param slot of a secret that changes: the new one takes the place of the old one */
export function rememberSecret(text: string | undefined, slot = text): void {
  if (text !== undefined && slot !== undefined && text.length >= shortest) secrets.set(slot, text);
}

/** Remembers the value of a header. `Bearer abc` is also remembered without its scheme. */
export function rememberHeader(value: string): void {
  rememberSecret(value);
  const [scheme, ...rest] = value.split(' ');
  if (/^[A-Z][A-Za-z]+$/.test(scheme ?? '')) rememberSecret(rest.join(' ').trim());
}

/** The text without the known secrets, also where they are quoted or encoded. */
export function redact(text: string): string {
  const forms = [...secrets.values()].flatMap(secret => [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(Buffer.from(secret).toString()),
    Buffer.from(secret).toString('base64'),
  ]);
  // A secret may contain another one.
  const longestFirst = [...new Set(forms)].toSorted((a, b) => b.length - a.length);
  return longestFirst.reduce((rest, form) => rest.replaceAll(form, '***'), text);
}
