/**
 * References to the environment in a text: `${NAME}` and `${NAME:-default}`, as in compose files.
 */
import { ValueError } from '../parse/value.ts';

/** `$${` is a literal `${`. An empty variable is not set. @throws ValueError */
export function resolveReferences(text: string, env: NodeJS.ProcessEnv): string {
  return text.replaceAll(
    /\$\$\{|\$\{(?:([A-Za-z_]\w*)(?::-([^}]*))?\})?/g,
    (reference, name: string | undefined, defaultText: string | undefined) => {
      if (reference === '$${') return '${';
      if (name === undefined)
        throw new ValueError('has "${" without a variable', 'write ${NAME}, or $${ for a literal "${"');
      const value = env[name] || defaultText;
      if (value === undefined)
        throw new ValueError(
          `names the variable ${name}, which is not set`,
          `set it, or write \${${name}:-a default}`,
        );
      return value;
    },
  );
}
