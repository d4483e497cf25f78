# SPDX-License-Identifier: Apache-2.0
"""deploy/'s configurations with the real Jaeger and the real Collector: they are valid and have the
intended effect."""
# ctest: TIMEOUT 300
# Sanitizers: none, because it runs nothing that is built here
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from backends import free_ports, programs, wait_until
from elasticsearch_stand_in import ElasticsearchStandIn
from ports import closed_port

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[2]))
DEPLOY = SOURCE / "deploy"
GATE = "--feature-gates=processor.tailsamplingprocessor.usetracestate"
MASK = (1 << 56) - 1


class Program:
    """One running back end with a configuration of deploy/, moved to free ports of loopback; a context
    manager. `ports`: {port in the file: port here}."""

    def __init__(self, name, file, folder, more=None, options=(), **environment):
        self.command, self.file, self.folder = programs()[name], DEPLOY / file, Path(folder)
        self.more, self.options = more or {}, options
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")} | environment
        self.log = self.folder / f"{self.file.stem}.log"
        self.process = None

    def start(self):
        """Starts it on ports that were free a moment ago; retries once if one has been taken."""
        for attempt in range(5):
            text = self.file.read_text(encoding="utf-8")
            listen = r"\$\{env:(?:JAEGER_)?LISTEN_HOST:-localhost\}(:|\n +port: )(\d+)"
            inside = sorted({int(port) for _, port in re.findall(listen, text)})
            self.ports = dict(zip(inside, free_ports(len(inside))))
            moved = re.sub(listen, lambda match: f"127.0.0.1{match[1]}{self.ports[int(match[2])]}", text)
            path = self.folder / self.file.name
            path.write_text(moved, encoding="utf-8")
            more = self.folder / f"more-{self.file.name}"
            more.write_text(json.dumps(self.more), encoding="utf-8")  # JSON is YAML
            with self.log.open("wb") as log:
                self.process = subprocess.Popen([self.command, "--config", path, "--config", more, *self.options], stdout=log,
                                                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=self.environment)
            wait_until(lambda: self.process.poll() is not None or self.healthy(), f"{self.file.name} to be healthy")
            if self.process.poll() is None:
                return self
            said = self.log.read_text(encoding="utf-8", errors="replace")[-3000:]
            if "address already in use" not in said or attempt == 4:
                raise AssertionError(f"{self.file.name} ended with {self.process.returncode}: {said}")

    def healthy(self):
        try:
            return self.get(13133, "/status")[0] == 200
        except OSError:
            return False

    def get(self, port, path):
        """Returns (status, body)."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=20) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()


def span(trace_id, name="order", start=None, milliseconds=1, status=0, state="", **attributes):
    start = start or time.time_ns() - 10**9
    return {"traceId": trace_id, "spanId": f"{random.getrandbits(64) or 1:016x}", "name": name, "kind": 1, "traceState": state,
            "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + milliseconds * 10**6), "status": {"code": status},
            "attributes": [{"key": key.replace("_", "."), "value": {"stringValue": value}} for key, value in attributes.items()]}


def request(spans, service="execution"):
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}).encode()


def post(url, body, context=None, **headers):
    """Returns the status."""
    ask = urllib.request.Request(f"{url}/v1/traces", body, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(ask, timeout=20, context=context) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


def speaks_http2(port, context=None):
    """True if the server answers the HTTP/2 preface with its settings: what gRPC needs."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        if context:
            connection = context.wrap_socket(connection, server_hostname="localhost")
        with connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
            head = connection.recv(9)
            return len(head) == 9 and head[3] == 4


def secrets(folder):
    subprocess.run([DEPLOY / "production/make-secrets.sh", "tracing.example.com"], check=True, stdout=subprocess.DEVNULL,
                   env=os.environ | {"SECRETS": str(folder)}, timeout=60)
    return Path(folder)


class Valid(unittest.TestCase):
    def validate(self, name, file, *options, **environment):
        return subprocess.run([programs()[name], "validate", "--config", file, *options], capture_output=True, text=True,
                              timeout=60, env=os.environ | environment)

    def check(self, name, file, right, wrong, *options, **environment):
        """Checks that the file is accepted, and rejected if `right` is replaced by `wrong`."""
        done = self.validate(name, DEPLOY / file, *options, **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (DEPLOY / file).read_text(encoding="utf-8")
        self.assertIn(right, text)
        with tempfile.TemporaryDirectory() as folder:
            broken = Path(folder, "broken.yaml")
            broken.write_text(text.replace(right, wrong), encoding="utf-8")
            self.assertNotEqual(self.validate(name, broken, *options, **environment).returncode, 0)

    def test_jaeger(self):
        self.check("jaeger", "jaeger/memory.yaml", "max_traces", "max_tracs")
        self.check("jaeger", "jaeger/disk.yaml", "spans: ${env:JAEGER_RETENTION:-168h}", "spans: a week")
        storage = {"ELASTICSEARCH_URL": "https://elasticsearch:9200", "ELASTICSEARCH_PASSWORD_FILE": "/run/secrets/password",
                   "ELASTICSEARCH_CA_FILE": "/run/secrets/ca"}
        self.check("jaeger", "jaeger/collector.yaml", "use_ilm: true", "use_ilm: often", **storage)
        self.check("jaeger", "jaeger/query.yaml", "password_file", "password_fil", **storage)

    def test_gateway(self):
        with tempfile.TemporaryDirectory() as folder:
            environment = {"TLS_CERT_FILE": f"{folder}/c", "TLS_KEY_FILE": f"{folder}/k", "TOKEN_FILE": f"{folder}/t",
                           "QUEUE_DIRECTORY": folder, "JAEGER_ENDPOINT": "jaeger-collector:4317"}
            self.check("collector", "collector/gateway.yaml", "status_codes:", "status_cods:", GATE, **environment)
            self.check("collector", "collector/gateway.yaml", "tail_sampling, batch]", "tail_sampling, bath]", GATE, **environment)


class AllInOne(unittest.TestCase):
    def jaeger(self, storage, folder):
        return Program("jaeger", f"jaeger/{storage}.yaml", folder, JAEGER_DATA=str(folder),
                       JAEGER_SAMPLING_FILE=str(DEPLOY / "jaeger/sampling.json"))

    def find(self, jaeger, trace_id):
        def look():
            status, body = jaeger.get(16686, f"/api/v3/traces/{trace_id}")
            return body if status == 200 else None
        return json.loads(wait_until(look, "the trace"))

    def test_memory(self):
        with tempfile.TemporaryDirectory() as folder, self.jaeger("memory", folder) as jaeger:
            self.assertEqual(set(jaeger.ports), {16686, 16685, 5778, 5779, 4317, 4318, 13133, 8888})
            for service, rate in (("quantum-backend", 1), ("ai-engine", 1), ("execution", 1), ("somebody", 0.1)):
                status, body = jaeger.get(5778, f"/sampling?service={service}")
                self.assertEqual((status, json.loads(body)["probabilisticSampling"]["samplingRate"]), (200, rate))
            self.assertEqual(post(f"http://127.0.0.1:{jaeger.ports[4318]}", request([span("a" * 32, "submit")])), 200)
            self.assertTrue(speaks_http2(jaeger.ports[4317]))
            self.assertIn("submit", json.dumps(self.find(jaeger, "a" * 32)))
            self.assertEqual(json.loads(jaeger.get(16686, "/api/services")[1])["data"], ["execution"])
            self.assertEqual(jaeger.get(16686, "/search")[0], 200)
            self.assertIn(b"otelcol_", jaeger.get(8888, "/metrics")[1])

    def test_disk_outlives_a_restart(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.jaeger("disk", folder) as jaeger:
                self.assertEqual(post(f"http://127.0.0.1:{jaeger.ports[4318]}", request([span("b" * 32, "kept")])), 200)
                self.find(jaeger, "b" * 32)
            with self.jaeger("disk", folder) as jaeger:
                self.assertIn("kept", json.dumps(self.find(jaeger, "b" * 32)))


class Storage(unittest.TestCase):
    """The parts of the production back end, with a server that answers like Elasticsearch."""

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.secrets = secrets(Path(self.folder, "secrets"))
        self.passwords = {user: (self.secrets / f"{user}-password").read_text(encoding="utf-8").strip() for user in ("elastic", "jaeger")}
        self.elasticsearch = self.enterContext(ElasticsearchStandIn(self.secrets / "elasticsearch.crt",
                                                                    self.secrets / "elasticsearch.key", self.passwords))
        self.environment = {"ELASTICSEARCH_URL": self.elasticsearch.url, "ELASTICSEARCH_CA_FILE": str(self.secrets / "ca.crt"),
                            "ELASTICSEARCH_PASSWORD_FILE": str(self.secrets / "jaeger-password"),
                            "JAEGER_SAMPLING_FILE": str(DEPLOY / "jaeger/sampling.json")}

    def test_collector_writes(self):
        with Program("jaeger", "jaeger/collector.yaml", self.folder,
                     {"receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{closed_port()}"}}}}},
                     **self.environment) as jaeger:
            self.assertTrue(speaks_http2(jaeger.ports[4317]))
            self.assertEqual(jaeger.get(5778, "/sampling?service=execution")[0], 200)
            url = f"http://{jaeger.more['receivers']['otlp']['protocols']['http']['endpoint']}"
            self.assertEqual(post(url, request([span("c" * 32, "stored")])), 200)
            written = wait_until(lambda: [body for _, _, body in self.elasticsearch.of("POST", "/_bulk") if "c" * 32 in body],
                                 f"the span to be written: {self.elasticsearch.requests}", 20)
            self.assertIn("quantum-jaeger-span-write", written[0])
        self.assertEqual({user for user, *_ in self.elasticsearch.requests}, {"jaeger"})

    def test_query_asks(self):
        with Program("jaeger", "jaeger/query.yaml", self.folder, RETENTION="48h", **self.environment) as jaeger:
            jaeger.get(16686, "/api/services")
        asked = self.elasticsearch.of("POST", "/quantum-jaeger-service-read/_search")
        self.assertTrue(asked, self.elasticsearch.requests)
        self.assertEqual({user for user, *_ in self.elasticsearch.requests}, {"jaeger"})

    def test_setup(self):
        for name, file in (("ca", "ca.crt"), ("elastic_password", "elastic-password"), ("jaeger_password", "jaeger-password")):
            (self.secrets / name).write_bytes((self.secrets / file).read_bytes())
        environment = os.environ | self.environment | {"SECRETS": str(self.secrets), "RETENTION": "48h", "ROLLOVER_SIZE": "5gb"}
        script = ["bash", DEPLOY / "production/setup-elasticsearch.sh"]
        subprocess.run(script, check=True, env=environment, timeout=60, stdout=subprocess.DEVNULL)
        (user, _, policy), = self.elasticsearch.of("PUT", "/_ilm/policy/quantum-traces")
        phases = json.loads(policy)["policy"]["phases"]
        self.assertEqual((user, phases["delete"]["min_age"]), ("elastic", "48h"))
        self.assertEqual(phases["hot"]["actions"]["rollover"], {"max_age": "1d", "max_primary_shard_size": "5gb"})
        (_, _, account), = self.elasticsearch.of("PUT", "/_security/user/jaeger")
        self.assertEqual(json.loads(account), {"roles": ["jaeger"], "password": self.passwords["jaeger"]})
        (_, _, role), = self.elasticsearch.of("PUT", "/_security/role/jaeger")
        self.assertEqual(json.loads(role)["indices"][0]["names"], ["quantum-jaeger-*"])
        (self.secrets / "elastic_password").write_text("wrong", encoding="utf-8")
        refused = subprocess.run(script, env=environment, timeout=60, capture_output=True, text=True, check=False)
        self.assertEqual(refused.returncode, 1, refused)
        self.assertRegex(refused.stderr, r"^/_ilm/policy/quantum-traces: 401 \S")  # with what the server says


class Gateway(unittest.TestCase):
    """The gateway requires TLS and tokens, samples by tail, and sends the traces that it keeps to Jaeger."""

    def test_gateway(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        keys = secrets(Path(folder, "secrets"))
        (keys / "otlp-tokens").write_text("the-old-token\nthe-new-token\n", encoding="utf-8")
        jaeger = self.enterContext(Program("jaeger", "jaeger/memory.yaml", folder, JAEGER_SAMPLING_FILE=str(DEPLOY / "jaeger/sampling.json")))
        kept = Path(folder, "kept.jsonl")
        gateway = self.enterContext(Program(
            "collector", "collector/gateway.yaml", folder,
            {"exporters": {"file": {"path": str(kept)}}, "service": {"pipelines": {"traces": {"exporters": ["otlp_grpc", "file"]}}}},
            [GATE], TLS_CERT_FILE=str(keys / "gateway.crt"), TLS_KEY_FILE=str(keys / "gateway.key"),
            TOKEN_FILE=str(keys / "otlp-tokens"), QUEUE_DIRECTORY=f"{folder}/queue", DECISION_WAIT="5s", KEEP_PERCENT="25", SLOW_MS="500",
            JAEGER_ENDPOINT=f"127.0.0.1:{jaeger.ports[4317]}"))
        trusting = ssl.create_default_context(cafile=keys / "ca.crt")
        url = f"https://localhost:{gateway.ports[4318]}"

        self.assertEqual(post(url, request([]), trusting), 401)
        self.assertEqual(post(url, request([]), trusting, Authorization="Bearer wrong"), 401)
        with self.assertRaises(urllib.error.URLError):
            post(url, request([]), ssl.create_default_context(), Authorization="Bearer the-new-token")
        self.assertNotEqual(post(url.replace("https", "http"), request([]), Authorization="Bearer the-new-token"), 200)
        http2 = ssl.create_default_context(cafile=keys / "ca.crt")
        http2.set_alpn_protocols(["h2"])
        self.assertTrue(speaks_http2(gateway.ports[4317], http2))

        # What a head sampler at rate 0.5 sends: traces with a randomness of at least 2^55 and that threshold.
        draw = random.Random(7)
        sent = {}
        for index in range(400):
            trace_id = f"{draw.getrandbits(72) | 1:018x}{draw.randint(1 << 55, MASK):014x}"
            sent[trace_id] = {0: "failed", 1: "slow"}.get(index % 20, "ordinary")
        spans = []
        for trace_id, sort in sent.items():
            spans += [span(trace_id, "root", milliseconds=900 if sort == "slow" else 5, state="ot=th:8"),
                      span(trace_id, "leaf", status=2 if sort == "failed" else 0, state="ot=th:8")]
        for half, token in ((spans[::2], "the-old-token"), (spans[1::2], "the-new-token")):
            self.assertEqual(post(url, request(half), trusting, Authorization=f"Bearer {token}"), 200)

        # What the head at rate 0 has left out, and an outlier rule has kept: it has no threshold.
        outliers = {f"{draw.getrandbits(128) | 1:032x}": why for why in ("slow", "slowest", "error", "asked", "history", "snapshot", "recovered") * 3}
        self.assertTrue(any(int(trace_id[18:], 16) < 3 << 54 for trace_id in outliers))
        spans = [one for trace_id, why in outliers.items() for one in (span(trace_id, nanospan_kept=why), span(trace_id, "leaf"))]
        self.assertEqual(post(url, request(spans), trusting, Authorization="Bearer the-new-token"), 200)

        quarter = 3 << 54
        expected = {trace_id for trace_id, sort in sent.items() if sort != "ordinary" or int(trace_id[18:], 16) >= quarter}
        expected |= set(outliers)

        def arrived():
            text = kept.read_text(encoding="utf-8").rpartition("\n")[0] if kept.exists() else ""
            return [one for line in text.splitlines() for resource in json.loads(line)["resourceSpans"]
                    for scope in resource["scopeSpans"] for one in scope["spans"]]
        wait_until(lambda: len(arrived()) >= 2 * len(expected), "what is to be kept")
        time.sleep(3)  # by then anything that should have been dropped would have arrived
        self.assertEqual({one["traceId"] for one in arrived()}, expected)
        self.assertEqual(len(arrived()), 2 * len(expected))
        for one in arrived():
            state = {"ordinary": "ot=th:c", None: "ot=th:0"}.get(sent.get(one["traceId"]), "ot=th:8")
            self.assertEqual(one["traceState"], state)
        some = next(iter(expected))
        status, body = wait_until(lambda: next((answer for answer in [jaeger.get(16686, f"/api/v3/traces/{some}")]
                                                if answer[0] == 200), None), "a kept trace in Jaeger")
        self.assertEqual(body.count(b'"spanId"'), 2)


if __name__ == "__main__":
    programs()
    unittest.main()
