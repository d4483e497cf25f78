# SPDX-License-Identifier: Apache-2.0
"""An HTTP receiver made with Python's standard library: plain, TLS or mutual TLS, TCP or Unix socket.
Keeps the bodies as received. An answer is
{"status": 503, "headers": {...}, "body": text, "delay": seconds, "close": true (no answer)}."""
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import receiver_store


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def setup(self):
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(self.timeout)
            self.request.do_handshake()
        super().setup()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        peer = self.request.getpeercert() if isinstance(self.request, ssl.SSLSocket) else None
        answer = self.server.store.keep({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()},
                                         "client": dict(pair[0] for pair in peer["subject"]) if peer else None}, body)
        time.sleep(answer.get("delay", 0))
        if answer.get("close"):
            self.close_connection = True
            return
        json_spoken = self.headers.get("Content-Type", "").startswith("application/json")
        reply = answer.get("body", "{}" if json_spoken else "").encode()
        self.send_response(answer.get("status") or 200)
        self.send_header("Content-Type", self.headers.get("Content-Type", "text/plain"))
        self.send_header("Content-Length", str(len(reply)))
        for name, value in answer.get("headers", {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply)

    def address_string(self):
        return "client"

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # a client that goes away, or that refuses the certificate
        pass


class UnixServer(Server):
    address_family = socket.AF_UNIX

    def server_bind(self):  # HTTPServer's own looks up the host's name
        self.socket.bind(self.server_address)


def main():
    options = receiver_store.options(__doc__)
    receiver_store.block_signals()
    server = UnixServer(options.unix, Handler) if options.unix else Server(("127.0.0.1", 0), Handler)
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
        if options.client_ca:
            context.load_verify_locations(options.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        # Each connection does its own handshake, so that a client that hangs does not block others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.store = receiver_store.Store(options.folder, options.answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.store.ready(0 if options.unix else server.server_address[1])
    receiver_store.wait_for_the_end()


if __name__ == "__main__":
    main()
