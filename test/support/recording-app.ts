/**
 * An app in Node, as a process of its own, that prints each error of a connection on a line of its own.
 * usage: node build/test/support/recording-app.js KIND PORT [CERT KEY]
 */
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import {
  createServer as createHttp2Server,
  createSecureServer as createSecureHttp2Server,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import type { Server, Socket } from 'node:net';
import { Server as GrpcServer, ServerCredentials, type sendUnaryData } from '@grpc/grpc-js';
import { message } from './answers.ts';
import { checkMethod } from './grpc-app.ts';

const [kind = '', port = '', cert = '', key = ''] = process.argv.slice(2);
const files = cert === '' ? undefined : { cert: readFileSync(cert), key: readFileSync(key) };
const record = (error: Error): void => console.log(`error: ${String(error)}`);
const serving = Buffer.from([8, 1]);

function web(answer: RequestListener): Server {
  const server = files ? createHttpsServer(files, answer) : createServer(answer);
  return server.on('clientError', record).on('tlsClientError', record);
}

function http2(): Server {
  const server = files ? createSecureHttp2Server(files) : createHttp2Server();
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', record);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(message(serving));
  });
  return server.on('sessionError', record).on('tlsClientError', record);
}

if (kind === 'grpc') {
  const server = new GrpcServer();
  const answer = (_: unknown, reply: sendUnaryData<Buffer>): void => reply(null, serving);
  server.addService({ Check: checkMethod }, { Check: answer });
  const credentials = files
    ? ServerCredentials.createSsl(null, [{ cert_chain: files.cert, private_key: files.key }])
    : ServerCredentials.createInsecure();
  server.bindAsync(`127.0.0.1:${port}`, credentials, () => console.log('listening'));
} else {
  const server =
    kind === 'http2'
      ? http2()
      : web((request, response) => {
          if (kind === 'close') response.setHeader('connection', 'close');
          response.end(request.url === '/large' ? 'x'.repeat(300_000) : 'ok\n');
        });
  server.on('connection', (socket: Socket) => socket.on('error', record));
  server.listen(Number(port), '127.0.0.1', () => console.log('listening'));
}
