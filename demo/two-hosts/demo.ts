/** `npm run demo:two-hosts`: two hosts of one etcd cluster. One is cut off, returns, and is switched off. */
import { show } from '../show.ts';
import { openTwoHosts } from './stage.ts';
import { play } from './story.ts';

await show(openTwoHosts, play);
