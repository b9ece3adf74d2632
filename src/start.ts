#!/usr/bin/env node
/**
 * Loads the program. It is in many files, so it can fail where no descriptor is left or a file may not be read. Node
 * would print a stack then. This file imports nothing else: it must load where little is left.
 */
try {
  await import('./main.ts');
} catch (error) {
  const { message, code } = error as NodeJS.ErrnoException;
  const isShort = code === 'EMFILE' || code === 'ENFILE';
  const hint = isShort ? 'raise the limit: docker run --ulimit nofile=1024' : 'install dockreg again';
  process.stderr.write(`dockreg: the program cannot be loaded: ${message}; ${hint}\n`);
  process.exitCode = 78;
}
