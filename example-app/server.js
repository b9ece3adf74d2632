/**
 * The app of the demo: a web server that does not know dockreg and that misbehaves on request. It always answers the
 * paths under /play, so that it can be healed, except while it is busy.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { hostname, tmpdir } from 'node:os';

const port = Number(process.env.PORT ?? 8000);

function say(what) {
  console.log(`${new Date().toISOString()} example: ${what}`);
}

/** @type {'well' | 'failing' | 'hanging'} */
let state = 'well';

const play = {
  '/play/fail': { what: 'answers 500 until healed', act: () => void (state = 'failing') },
  '/play/hang': {
    what: 'accepts requests and never answers them, until healed',
    act: () => void (state = 'hanging'),
  },
  '/play/busy': { what: 'computes and answers no request; ?seconds=10', act: compute },
  '/play/heal': { what: 'answers again', act: () => void (state = 'well') },
  '/play/stop': { what: 'stops listening; ?seconds=10', act: stopListening },
  '/play/crash': { what: 'exits with code 1; ?seconds=8 delays the next start', act: crash },
};

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://app');
  if (pathname in play) {
    const { what, act } = play[pathname];
    say(pathname);
    response.on('finish', () => act(searchParams));
    return response.end(`${what}\n`);
  }
  if (pathname === '/play') {
    const lines = Object.entries(play).map(([path, { what }]) => `${path.padEnd(12)} ${what}\n`);
    return response.end(`now: ${state}\n${lines.join('')}`);
  }
  switch (state) {
    case 'hanging':
      return;
    case 'failing':
      response.statusCode = 500;
      return response.end('failing\n');
    case 'well':
      return response.end(`Hello from ${hostname()}\n`);
  }
});

function compute(searchParams) {
  const until = Date.now() + (Number(searchParams.get('seconds')) || 10) * 1000;
  while (Date.now() < until);
}

function stopListening(searchParams) {
  const seconds = Number(searchParams.get('seconds')) || 10;
  server.close();
  server.closeAllConnections();
  setTimeout(listen, seconds * 1000);
}

/** A crash writes to this file for how many seconds the next start must wait before it listens. */
const slowStart = `${tmpdir()}/example-slow-start-${port}`;

function crash(searchParams) {
  const seconds = Number(searchParams.get('seconds'));
  if (seconds > 0) writeFileSync(slowStart, String(seconds));
  say('crashing');
  process.exit(1);
}

function startSeconds() {
  if (!existsSync(slowStart)) return 0;
  const seconds = Number(readFileSync(slowStart, 'utf8'));
  rmSync(slowStart);
  return seconds;
}

function listen() {
  server.listen(port, () => say(`listening on ${port}`));
}

process.on('SIGTERM', () => {
  say('stopping');
  process.exit(0);
});

setTimeout(listen, startSeconds() * 1000);
