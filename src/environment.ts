/**
 * The environment of the container was written for the app. Node and the libraries read much of it: proxies, tracing,
 * TLS without verification. So this process keeps only what is listed here, and nothing else of it is read through
 * `process.env`. The settings and the command of an exec check come from the whole environment, which is kept here.
 */

/** The launcher, layer/dockreg, puts this before the name of a variable that is not for dockreg. */
const prefix = 'DOCKREG_ORIGINAL_';
/** The launcher names here what it has set for Node, the allocator and the loader. */
const launcherVariable = 'DOCKREG_LAUNCHER';
const kept = /^(?:PATH|HOME|TZ|LANG|LC_[A-Z]+)$/;

type Variables = Readonly<Record<string, string | undefined>>;

let container: Variables | undefined;

/** The environment as the container has it. */
export function containerEnvironment(): Variables {
  return container ?? originalEnvironment(process.env);
}

/** Removes everything from `process.env` that is not for dockreg. Must be called before a library is loaded. */
export function takeEnvironment(): Variables {
  container = originalEnvironment(process.env);
  for (const name of Object.keys(process.env)) if (!kept.test(name)) delete process.env[name];
  return container;
}

/** Undoes what the launcher has done to the names. */
export function originalEnvironment(env: Variables): Variables {
  const ofLauncher = new Set([launcherVariable, ...(env[launcherVariable] ?? '').split(' ')]);
  const entries = Object.entries(env);
  const own = entries.filter(([name]) => !name.startsWith(prefix) && !ofLauncher.has(name));
  const renamed = entries.filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries([...own, ...renamed.map(([name, text]) => [name.slice(prefix.length), text])]);
}
