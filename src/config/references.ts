/**
 * References to the environment in a text: `${NAME}` and `${NAME:-a default}`, as compose files have them.
 */

/** The message continues "<place> <text>: …". */
export class ReferenceProblem extends Error {
  override readonly name = 'ReferenceProblem';
}

/** `$${` is a literal `${`. A variable that is empty is not set. @throws ReferenceProblem */
export function resolve(text: string, env: Readonly<Record<string, string | undefined>>): string {
  return text.replaceAll(
    /\$\$\{|\$\{(?:([A-Za-z_]\w*)(?::-([^}]*))?\})?/g,
    (reference, name: string | undefined, defaultText: string | undefined) => {
      if (reference === '$${') return '${';
      if (name === undefined)
        throw new ReferenceProblem('has "${" without a variable; write ${NAME}, or $${ for a literal "${"');
      const value = env[name] || defaultText;
      if (value === undefined)
        throw new ReferenceProblem(
          `names the variable ${name}, which is not set; set it, or write \${${name}:-a default}`,
        );
      return value;
    },
  );
}
