# SPDX-License-Identifier: Apache-2.0
"""Starts the receivers of the tests, runs the program `emit` with them, and reads what arrived."""
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import expected
from peers import missing

SUPPORT = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"  # it finds Debian's python3-grpcio


def emit_program():
    """The path of the program emit; ends the test if it was not built."""
    path = str(Path(os.environ.get("NSP_BUILD_DIR", "build")) / "tests" / "emit")
    if not os.access(path, os.X_OK):
        missing(f"there is no {path}")
    return path


def grpc_is_there():
    return subprocess.run([SYSTEM_PYTHON, "-c", "import grpc"], stderr=subprocess.DEVNULL).returncode == 0


class Receiver:
    """One running receiver, a context manager. protocol: http or grpc. tls: (certificate, key), and
    client_ca to ask clients for theirs. answers: described in the scripts."""

    def __init__(self, protocol, tls=None, client_ca=None, unix=False, answers=()):
        self.holder = tempfile.TemporaryDirectory()
        self.folder = Path(self.holder.name)
        self.scheme = "https" if tls else "http"
        script = [SYSTEM_PYTHON if protocol == "grpc" else sys.executable, SUPPORT / f"{protocol}_receiver.py"]
        arguments = ["--folder", self.folder]
        if unix:
            arguments += ["--unix", self.folder / "socket"]
        if tls:
            arguments += ["--certificate", tls[0], "--key", tls[1]]
        if client_ca:
            arguments += ["--client-ca", client_ca]
        if answers:
            (self.folder / "answers").write_text(json.dumps(list(answers)), encoding="utf-8")
            arguments += ["--answers", self.folder / "answers"]
        # Debian's modules must not mix with those of a virtual environment.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        self.process = subprocess.Popen([str(part) for part in script + arguments], env=environment,
                                        stderr=subprocess.PIPE)
        ready = self.folder / "ready"
        deadline = time.monotonic() + 60
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"the receiver did not start: {self.process.communicate()[1].decode()}")
            time.sleep(0.02)
        self.port = int(ready.read_text())
        self.endpoint = f"unix://{self.folder / 'socket'}" if unix else f"{self.scheme}://localhost:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        self.holder.cleanup()

    def requests(self):
        """[(description, body as sent, body)] in order of arrival."""
        found = []
        for path in sorted(self.folder.glob("[0-9]*.json")):
            description = json.loads(path.read_text(encoding="utf-8"))
            sent = path.with_suffix(".body").read_bytes()
            packed = description["headers"].get("content-encoding") == "gzip"
            found.append((description, sent, gzip.decompress(sent) if packed else sent))
        return found


class Emitted:
    """Runs `emit` with these variables; returns its exit code, its output, and what it expects a receiver
    to have."""

    def __init__(self, variables, count=1, timeout=20):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "expected.json")
            kept = {key: value for key, value in os.environ.items()
                    if key == "NSP_CPU_NUMBERS" or not key.startswith(("OTEL_", "OTLP_", "NSP_"))}
            done = subprocess.run([emit_program(), "--count", str(count), "--timeout", str(timeout), "--expect", path],
                                  env={**kept, **variables}, stderr=subprocess.PIPE, text=True, timeout=timeout + 60)
            self.code, self.said = done.returncode, done.stderr
            if not path.exists():
                raise AssertionError(f"emit ended with {done.returncode}: {done.stderr}")
            self.spans, self.accounting = expected.load(path)
