# SPDX-License-Identifier: Apache-2.0
"""What the receivers of the tests (http_receiver.py, grpc_receiver.py) have in common: options, what they
are to answer, and a folder in which each request leaves its raw bytes (00001.body) and a description
(00001.json)."""
import argparse
import json
import os
import signal
import threading
import time
from pathlib import Path


def options(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--folder", type=Path, required=True, help="requests and the file `ready` are written here")
    parser.add_argument("--unix", help="listen on this Unix socket instead of a free port of 127.0.0.1")
    parser.add_argument("--certificate", help="PEM; with --key: speak TLS")
    parser.add_argument("--key")
    parser.add_argument("--client-ca", help="ask clients for a certificate by this authority")
    parser.add_argument("--answers", help="JSON list: what to answer, one entry a request; after the last one: success")
    return parser.parse_args()


class Store:
    def __init__(self, folder, answers):
        self.folder = folder
        self.answers = json.loads(Path(answers).read_text(encoding="utf-8")) if answers else []
        self.lock = threading.Lock()
        self.requests = 0

    def keep(self, description, body):
        """Stores a request; returns the answer to give, {} for success."""
        with self.lock:
            self.requests += 1
            number = self.requests
            answer = self.answers.pop(0) if self.answers else {}
        stem = self.folder / f"{number:05}"
        stem.with_suffix(".body").write_bytes(body)
        # The body is written first, so that there is a body for every description.
        partial = stem.with_suffix(".part")
        partial.write_text(json.dumps(dict(description, time=time.time(), answered=answer.get("status", 0))), encoding="utf-8")
        os.replace(partial, stem.with_suffix(".json"))
        return answer

    def ready(self, port):
        partial = self.folder / "ready.part"
        partial.write_text(str(port), encoding="utf-8")
        os.replace(partial, self.folder / "ready")


def wait_for_the_end():
    """Returns when the process is asked to end."""
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


def block_signals():
    """Must be called before any thread starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
