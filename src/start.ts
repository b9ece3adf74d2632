#!/usr/bin/env node
/**
 * Loads the program. It is in many files, so it can fail where no descriptor is left or a file may not be read. Node
 * would print a stack then. This file itself imports nothing: it must load where little is left.
 */
try {
  // Node's DNS client reads these files when it is loaded, and would wait for ever, with no handler for a signal.
  const { dnsFiles, endlessFile } = await import('./system-files.ts');
  const endless = endlessFile(dnsFiles);
  if (endless === null) await import('./main.ts');
  else {
    process.stderr.write(`dockreg: ${endless}, so no name can be looked up; put a regular file there\n`);
    process.exitCode = 78;
  }
} catch (error) {
  const { message, code } = error as NodeJS.ErrnoException;
  const isShort = code === 'EMFILE' || code === 'ENFILE';
  const hint = isShort ? 'raise the limit: docker run --ulimit nofile=1024' : 'install dockreg again';
  process.stderr.write(`dockreg: the program cannot be loaded: ${message}; ${hint}\n`);
  process.exitCode = 78;
}
