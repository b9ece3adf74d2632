/**
 * What the app watch sees, as lines of the log. What only leads to a check is not told: the check tells.
 */
import { formatAddress } from '../core/address/ip.ts';
import { describeOwner, type Survey, type WatchEvent } from '../core/watch/watch.ts';
import type { Log } from '../log.ts';

export function logWatchEvent(log: Log, news: WatchEvent): void {
  switch (news.kind) {
    case 'watching':
      return log.info(`app is watched: ${describeSight(news.survey)}`);
    case 'loopback':
      return log.warn(
        `app listens on ${formatAddress(news.socket)} only, which nobody outside the container reaches, also not ` +
          `through a published port; let it listen on 0.0.0.0`,
      );
    case 'replaced':
      return news.handover
        ? log.info(`app is served by another process: ${describeSight(news.now)}`, {
            before: describeOwner(news.before.owner),
          })
        : log.warn(`app was restarted: ${describeSight(news.now)}`, {
            before: describeOwner(news.before.owner),
          });
    case 'stopped':
      return log.warn(`app was stopped by a signal: ${describeOwner(news.owner)}`);
    case 'resumed':
      return log.info(`app was resumed: ${describeOwner(news.owner)}`);
    case 'app-gone':
    case 'listening':
    case 'waiting':
      return;
  }
}

function describeSight({ sockets, owner, hidden }: Survey): string {
  const [socket] = sockets ?? [];
  if (socket === undefined) return `by its checks and by connects alone (${hidden})`;
  const place = formatAddress(socket);
  if (owner?.certain) return `${describeOwner(owner)} listens on ${place}`;
  if (owner) return `${describeOwner(owner)}, by its end alone (${hidden}), listens on ${place}`;
  return `by the socket on ${place} alone, every few seconds (${hidden})`;
}
