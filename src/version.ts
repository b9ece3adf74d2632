/**
 * The program's version: package.json's, which the build writes into the bundle.
 */
import manifest from '../package.json' with { type: 'json' };

export const version: string = manifest.version;
