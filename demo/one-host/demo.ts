/** `npm run demo`: three instances on one host fail in every way. With `--processes` it runs without Docker. */
import { show } from '../show.ts';
import { openContainers } from './containers.ts';
import { openProcesses } from './processes.ts';
import { play } from './story.ts';

await show(process.argv.includes('--processes') ? openProcesses : openContainers, play);
