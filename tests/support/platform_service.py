# SPDX-License-Identifier: Apache-2.0
"""One service of the trading platform, run for a test."""
import http.client
import json
import os
import signal
import subprocess
import time
from pathlib import Path

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[2]))
BIN = Path(os.environ.get("NSP_BUILD_DIR", SOURCE / "build")) / "bin"


def clean_environment(**variables):
    """The environment without the machine's own settings, which must not reach the services."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("OTEL_", "OTLP_", "SERVICE_", "TRACE_", "ENABLE_", "NSP_KEEP", "NSP_SHM"))}
    environment.update(OTEL_BSP_SCHEDULE_DELAY="200", OTEL_LOG_LEVEL="warn", **variables)
    return environment


class Service:
    """One running service; `files` is the folder of its database and log."""

    def __init__(self, name, files, environment, *options):
        self.log_path = files / f"{name}.log"
        self.database = files / f"{name}.db"
        address = files / f"{name}.address"
        address.unlink(missing_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [BIN / f"platform-{name}", "--listen", "127.0.0.1:0", "--address-file", address, "--database",
                 self.database, *map(str, options)], env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not address.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start: {self.log()}")
            time.sleep(0.01)
        self.address = address.read_text().strip()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def ask(self, method, path, body=None, **headers):
        """Makes one request on a connection of its own; returns (status, JSON)."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, json.dumps(body) if isinstance(body, dict) else body, sent)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def stop(self, how=signal.SIGTERM):
        """Ends the service; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
