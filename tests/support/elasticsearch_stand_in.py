# SPDX-License-Identifier: Apache-2.0
"""Answers like Elasticsearch 8 to clients that prepare indices, write spans in bulk and search, over TLS
and with passwords. It keeps the requests, but stores no documents."""
import base64
import gzip
import http.server
import json
import ssl
import threading


class ElasticsearchStandIn:
    """A context manager. `requests` is [(user or None, method, path, body)]."""

    def __init__(self, certificate, key, passwords):
        self.requests, self.passwords = [], passwords
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def read_chunks(self):
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def answer(self):
                body = self.read_chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(
                    int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                user = stand_in.user_of(self.headers.get("Authorization", ""))
                stand_in.requests.append((user, self.command, self.path, body.decode()))
                status, reply = stand_in.reply(user, self.command, self.path, body)
                text = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            do_GET = do_PUT = do_POST = do_HEAD = answer

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self.server.server_address[1]}"

    def user_of(self, authorization):
        for user, password in self.passwords.items():
            if authorization == "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode():
                return user
        return None

    @staticmethod
    def reply(user, method, path, body):
        if user is None:
            return 401, {"error": "who is there?"}
        if path == "/":
            return 200, {"name": "stand-in", "cluster_name": "quantum-traces", "tagline": "You Know, for Search",
                         "version": {"number": "8.19.19", "build_flavor": "default"}}
        if path.startswith("/_bulk"):
            actions = [json.loads(line) for line in body.decode().splitlines() if '"_index"' in line]
            return 200, {"took": 1, "errors": False, "items": [{"index": {"status": 201}} for _ in actions]}
        return 200, {"acknowledged": True}

    def of(self, method, start):
        """[(user, path, body)] of the requests with this method and beginning of the path."""
        return [(user, path, body) for user, how, path, body in list(self.requests) if how == method and path.startswith(start)]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
