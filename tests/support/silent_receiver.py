# SPDX-License-Identifier: Apache-2.0
"""A receiver that never answers: what is sent to it is in doubt."""
import contextlib
import http.server
import json
import threading

from engine_process import PATIENCE


@contextlib.contextmanager
def silent_receiver():
    """Takes requests in OTLP JSON, and answers only when it ends. Yields its endpoint and the list of what it took."""
    documents, ended = [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            documents.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            ended.wait()
            with contextlib.suppress(OSError):  # whoever asked may be dead
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", documents
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)
