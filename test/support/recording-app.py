"""
An app in Python that does not set SO_REUSEADDR, and prints each error of a connection on a line of its own.
usage: recording-app.py KIND PORT [CERT KEY]
"""

import http.server
import socket
import socketserver
import ssl
import sys
import time


class Recording(socketserver.ThreadingMixIn):
    allow_reuse_address = False
    daemon_threads = True

    def handle_error(self, request, client_address):
        print(f"error: {sys.exc_info()[1]!r}", flush=True)


class HttpServer(Recording, socketserver.TCPServer):
    pass


class Http(http.server.BaseHTTPRequestHandler):
    fields = ()

    def do_GET(self):
        if self.path == "/slow":
            time.sleep(0.25)
        size = 300_000 if self.path == "/large" else 3
        self.send_response(200)
        self.send_header("content-length", str(size))
        for name, value in self.fields:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"ok\n" if size == 3 else b"x" * size)

    def log_message(self, format, *args):
        pass


class Http11(Http):
    protocol_version = "HTTP/1.1"


class HttpClose(Http11):
    fields = (("connection", "close"),)


def tcp(speak):
    class Tcp(socketserver.BaseRequestHandler):
        def handle(self):
            speak(self.request)

    return Tcp


def read_to_end(connection):
    while connection.recv(4096):
        pass


def silent(connection):
    read_to_end(connection)


def greets(connection):
    connection.sendall(b"220 ready\r\n")
    read_to_end(connection)


def greets_late(connection):
    time.sleep(0.02)
    greets(connection)


def greets_and_closes(connection):
    connection.sendall(b"220 ready\r\n")


def pongs(connection):
    while connection.recv(4096):
        connection.sendall(b"+PONG\r\n")


def pongs_and_closes(connection):
    connection.recv(4096)
    connection.sendall(b"+PONG\r\n")


def answers_and_closes(connection):
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n")


handlers = {
    "answers-and-closes": tcp(answers_and_closes),
    "http10": Http,
    "http11": Http11,
    "close": HttpClose,
    "silent": tcp(silent),
    "greets": tcp(greets),
    "greets-late": tcp(greets_late),
    "greets-and-closes": tcp(greets_and_closes),
    "pongs": tcp(pongs),
    "pongs-and-closes": tcp(pongs_and_closes),
}
kind, port, *files = sys.argv[1:]


class Tls(HttpServer):
    def get_request(self):
        connection, address = super().get_request()
        return context.wrap_socket(connection, server_side=True), address


if files:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
server = (Tls if files else HttpServer)(("127.0.0.1", int(port)), handlers[kind])
print("listening", flush=True)
server.serve_forever()
