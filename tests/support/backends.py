# SPDX-License-Identifier: Apache-2.0
"""Starts the real Jaeger and the real OpenTelemetry Collector, which `./run backends` builds, for a test:
on loopback, on ports of their own, with receivers in clear text, with TLS, and with TLS that asks for the
client's certificate.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import otlp_json_form
import peers

SOURCES = Path(os.environ.get("NSP_SOURCE_DIR") or Path(__file__).resolve().parents[2])
RECEIVERS = ("clear", "tls", "mutual")
PATIENCE = 60


def programs():
    """{"jaeger": path, "collector": path}; if they have not been built, the test ends here: skipped, or
    failed in CI."""
    done = subprocess.run([SOURCES / "tools/backends/build.sh", "--where"], stdout=subprocess.PIPE, text=True, timeout=60)
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    missing = [name for name in ("jaeger", "collector") if name not in found]
    if missing:
        peers.missing(f"{' and '.join(missing)} not built; `./run backends` builds them, where Go is there")
    return found


def wait_until(condition, what, patience=PATIENCE):
    """Waits for and returns the first true value of condition()."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s in vain: {what}")
        time.sleep(0.02)


def free_ports(count):
    """That many ports on which nothing listens now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Backend:
    """One running program, a context manager. Its log stays in the build folder until the next run."""

    PORTS = tuple((protocol, receiver) for receiver in RECEIVERS for protocol in ("grpc", "http"))

    def __init__(self, name, program, folder, certificates):
        self.name, self.program, self.certificates = name, program, certificates
        self.folder = Path(folder)
        logs = Path(os.environ.get("NSP_BUILD_DIR", folder), "backends")
        logs.mkdir(exist_ok=True)
        self.log = logs / f"{Path(sys.argv[0]).stem}.{name}.log"
        self.log.unlink(missing_ok=True)
        self.process = None
        # A port that was free may be taken before the program uses it.
        for attempt in range(5):
            self.ports = dict(zip(self.PORTS, free_ports(len(self.PORTS))))
            try:
                self.start()
                return
            except OSError:
                if attempt == 4:
                    raise

    def receivers(self):
        """The configuration of the OTLP receivers, by name."""
        found = {}
        for receiver in RECEIVERS:
            protocols = {protocol: {"endpoint": f"127.0.0.1:{self.ports[protocol, receiver]}"}
                         for protocol in ("grpc", "http")}
            if receiver != "clear":
                tls = {"cert_file": self.certificates.path("server"), "key_file": self.certificates.path("server_key")}
                if receiver == "mutual":
                    tls["client_ca_file"] = self.certificates.path("ca")
                for protocol in protocols.values():
                    protocol["tls"] = tls
            found[f"otlp/{receiver}"] = {"protocols": protocols}
        return found

    def configuration(self):
        raise NotImplementedError

    def start(self):
        """Starts it, on the same ports if it has run before, and waits until it listens. Raises OSError if
        a port is taken."""
        path = self.folder / f"{self.name}.yaml"
        path.write_text(json.dumps(self.configuration(), indent=1), encoding="utf-8")  # JSON is YAML
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([self.program, "--config", path], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: self.process.poll() is not None or all(map(listens, self.ports.values())),
                       f"{self.name} does not listen; see {self.log}")
        except AssertionError:
            self.stop(signal.SIGKILL)
            raise
        if self.process.poll() is not None:
            said = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
            if "address already in use" in said:
                raise OSError(f"{self.name}: a port is taken")
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {said}")

    def stop(self, how=signal.SIGTERM):
        """Ends it; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def endpoint(self, protocol, receiver="clear"):
        """The value of OTEL_EXPORTER_OTLP_ENDPOINT for grpc, http/protobuf or http/json."""
        port = self.ports["grpc" if protocol == "grpc" else "http", receiver]
        return f"{'http' if receiver == 'clear' else 'https'}://localhost:{port}"


class Jaeger(Backend):
    """Jaeger with storage in memory: its spans are gone once it is stopped."""

    PORTS = Backend.PORTS + (("query", "http"), ("query", "grpc"))

    def __init__(self, folder, certificates):
        super().__init__("jaeger", programs()["jaeger"], folder, certificates)

    def configuration(self):
        receivers = self.receivers()
        return {
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query"],
                "pipelines": {"traces": {"receivers": list(receivers), "exporters": ["jaeger_storage_exporter"]}},
                "telemetry": {"metrics": {"level": "none"}},
            },
            "receivers": receivers,
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
            "extensions": {
                "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 100000}}}},
                "jaeger_query": {
                    "storage": {"traces": "memory"},
                    "enable_tracing": False,  # of its own work
                    "http": {"endpoint": f"127.0.0.1:{self.ports['query', 'http']}"},
                    "grpc": {"endpoint": f"127.0.0.1:{self.ports['query', 'grpc']}"},
                },
            },
        }

    def ask(self, path, **query):
        """The answer of the query API; None if it has no such trace."""
        address = f"http://127.0.0.1:{self.ports['query', 'http']}{path}"
        if query:
            address += "?" + urllib.parse.urlencode(query)
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
                return otlp_json_form.parse(answer.read())
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise AssertionError(f"{path}: {error.code}: {error.read().decode(errors='replace')}") from None

    def trace(self, trace_id):
        """OTLP JSON of a trace, from the API that keeps nanoseconds."""
        return self.ask(f"/api/v3/traces/{trace_id}")

    def spans(self, trace_ids, service):
        """The service's spans in these traces, in plain form."""
        return [span for trace_id in trace_ids for resource, _, spans in otlp_json_form.groups_of(self.trace(trace_id) or {})
                if resource["service.name"] == service for span in spans]

    def search(self, service, seconds=600, most=99999):
        """OTLP JSON of the service's traces in the last seconds; None: there are none."""
        now = time.time()
        return self.ask("/api/v3/traces", **{
            "query.service_name": service, "query.start_time_min": rfc3339(now - seconds),
            "query.start_time_max": rfc3339(now + 60), "query.num_traces": most})


def rfc3339(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Collector(Backend):
    """The Collector, which writes spans to a file at once: what it has acknowledged is there even if it is
    killed."""

    def __init__(self, folder, certificates):
        self.output = Path(folder, "collected.jsonl")
        super().__init__("collector", programs()["collector"], folder, certificates)

    def configuration(self):
        receivers = self.receivers()
        return {
            "service": {
                "pipelines": {"traces": {"receivers": list(receivers), "exporters": ["file"]}},
                "telemetry": {"metrics": {"level": "none"}},
            },
            "receivers": receivers,
            # With rotation on, its writes are not buffered. The file stays far below the size at which it
            # rotates.
            "exporters": {"file": {"path": str(self.output), "rotation": {"max_megabytes": 4096}}},
        }

    def start(self):
        # If it was killed while writing, half a line is left, which it has not acknowledged. The next line
        # would be appended to it.
        if self.output.exists():
            written = self.output.read_bytes()
            os.truncate(self.output, written.rfind(b"\n") + 1)
        super().start()

    def trees(self):
        """OTLP JSON of everything that it has written, without an incomplete last line."""
        if not self.output.exists():
            return []
        whole = self.output.read_text(encoding="utf-8").rpartition("\n")[0]
        return [otlp_json_form.parse(line) for line in whole.split("\n") if line]

    def groups(self):
        """[(resource, scope, spans in plain form)] of everything that it has written."""
        return [group for tree in self.trees() for group in otlp_json_form.groups_of(tree)]

    def spans(self, service):
        return [span for resource, _, spans in self.groups() if resource["service.name"] == service for span in spans]
