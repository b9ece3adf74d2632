/**
 * Makes the images of the bed's hosts and keeps them in the cache, so that beds that run side by side find them there.
 * Runs in a bed (bed.sh).
 */
import { imageArchive } from './images.ts';
import { startHost } from './lan.ts';

const host = await startHost({ name: 'builder', ip: '10.1.0.250' });
try {
  await imageArchive(host);
} finally {
  await host.stop();
}
