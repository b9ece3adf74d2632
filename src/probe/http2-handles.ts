/**
 * Keeps node:http2 from ending the process. When an app answers with a block of headers that is not valid or does not
 * end, the stream in C++ still owns what came of it. If garbage collection then takes the session before its stream, an
 * assertion fails (`current_nghttp2_memory_`, nodejs/node#39951) and Node aborts: any app could end its dockreg. So the
 * session's handle is kept until the handle of its stream is gone.
 */
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';

const sessions = new Set<object>();
const streams = new FinalizationRegistry<object>(session => sessions.delete(session));

/** Call it before either of them is destroyed. */
export function keepUntilStreamIsGone(session: ClientHttp2Session, stream: ClientHttp2Stream): void {
  stream.once('ready', () => {
    const [ofSession, ofStream] = [handleOf(session), handleOf(stream)];
    if (ofSession === undefined || ofStream === undefined) return;
    sessions.add(ofSession);
    streams.register(ofStream, ofSession);
  });
}

/** The object in C++, which Node keeps under a symbol of its own. */
function handleOf(owner: object): object | undefined {
  const symbol = Object.getOwnPropertySymbols(owner).find(({ description }) => description === 'kHandle');
  const object: unknown = symbol && Reflect.get(owner, symbol);
  return typeof object === 'object' && object !== null ? object : undefined;
}
