# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 400
"""`nanospan metrics`: its figures, Prometheus' text format, and Prometheus itself."""
import contextlib
import http.client
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from agent_process import EXTERNAL, Agent
from engine_process import PATIENCE, Engine, doomed, environment, wait_until
from peers import need
from prometheus_process import Prometheus
from sink_process import Sink, command

TYPE = "text/plain; version=0.0.4; charset=utf-8"
NAME, LABEL = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})\{{((?:{LABEL})(?:,{LABEL})*)\}} (-?[0-9.e+-]+)")
# Every control character; and of what is no UTF-8: stray and missing continuations, longer forms than needed, half of a
# surrogate pair, beyond the last character, and bytes that never occur.
ANY_BYTES = [bytes(range(1, 32)) + b"\x7f\xc2\x80\xc2\x9f", "ü\"\\ ".encode(), b"\x80", b"\xfe*", b"\xff*", b"\xc3", b"\xe2\x82",
             b"\xe2\x82a", b"\xf0\x9f\x98", b"\xc0\xaf", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf5"]
ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
SESSION = ("service_name", "process_pid", "session")


def parse(text):
    """{(name, other labels): {session: value}}. Fails unless each line is right and each name is introduced once."""
    found, types = {}, {}
    *lines, rest = text.split("\n")  # splitlines would also split labels, at control characters
    assert rest == "", rest
    lines = iter(lines)
    for line in lines:
        if line.startswith("# HELP "):
            name = line.split()[2]
            kind = re.fullmatch(rf"# TYPE {name} (counter|gauge|histogram)", next(lines))
            assert kind and name not in types and len(line.split(None, 3)) == 4, line
            types[name] = kind[1]
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, value = match[1], float(match[3])
        base = re.sub("_(bucket|sum|count)$", "", name)
        current = list(types)[-1]
        assert current in (name, base), f"{name} is among those of {current}"
        assert (types[current] == "counter") == name.endswith("_total"), name
        labels = {key: re.sub(r'\\[n"\\]', lambda escape: ESCAPES[escape[0]], text)
                  for key, text in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2])}
        assert set(SESSION) <= set(labels), line
        rest = tuple(sorted((key, text) for key, text in labels.items() if key not in SESSION))
        samples = found.setdefault((name, rest), {})
        key = labels["session"]
        assert key not in samples, f"{line} comes twice"
        samples[key] = value, labels
    return found


class Metrics(unittest.TestCase):
    def setUp(self):
        self.shm = tempfile.mkdtemp(prefix="nanospan-metrics-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.addCleanup(shutil.rmtree, self.shm, True)

    def engine(self, *arguments, **settings):
        engine = doomed(self.shm, *arguments, **settings)
        self.addCleanup(engine.kill)
        return engine

    def run_it(self, *options, code=0):
        result = subprocess.run([command(), "metrics", *options], env=environment(self.shm), capture_output=True, timeout=PATIENCE,
                                check=False)
        self.assertEqual(result.returncode, code, result.stderr)
        return (result.stdout if code == 0 else result.stderr).decode()  # text mode would make line feeds of carriage returns

    def serve(self, *options):
        port_file = Path(self.shm, "port")
        server = subprocess.Popen([command(), "metrics", "--listen", "0", "--port-file", str(port_file), *options],
                                  env=environment(self.shm), stderr=subprocess.PIPE, text=True)

        def stop():
            server.kill()
            server.communicate()
        self.addCleanup(stop)
        wait_until(lambda: port_file.exists() or server.poll() is not None, "the port file")
        return server, int(port_file.read_text(encoding="ascii"))

    def tune_any_bytes(self, engine):
        """Gives the engine a rule for each of ANY_BYTES. Returns their rates."""
        rates = {pattern: 1 / 2 ** i if i != 0 else 0 for i, pattern in enumerate(ANY_BYTES)}
        subprocess.run([command(), "tune", str(engine.pid), *(b"%s=%.17g" % rule for rule in rates.items())], check=True,
                       env=environment(self.shm), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE)
        return rates

    def one(self, found, name, **labels):
        (value, _), = found[(name, tuple(sorted(labels.items())))].values()
        return value

    # ---- the figures ----

    def test_without_engines_there_are_no_samples(self):
        text = self.run_it()
        self.assertEqual(parse(text), {})
        self.assertIn("# TYPE otel_sdk_span_started_total counter\n", text)

    def test_figures_of_an_engine(self):
        engine = self.engine(1000, 2, service="engine", TRACE_SAMPLE_RATE="1")
        found = parse(self.run_it())
        wanted = [("otel_sdk_span_started_total", {"otel_span_sampling_result": "RECORD_AND_SAMPLE"}, 1002),
                  ("otel_sdk_span_started_total", {"otel_span_sampling_result": "DROP"}, 0),
                  ("otel_sdk_span_live", {"otel_span_sampling_result": "RECORD_AND_SAMPLE"}, 2),
                  ("otel_sdk_processor_span_queue_size", {}, 1000),
                  ("otel_sdk_processor_span_processed_total", {}, 0),
                  ("otel_sdk_processor_span_processed_total", {"error_type": "queue_full"}, 0),
                  ("otel_sdk_exporter_span_exported_total", {}, 0), ("otel_sdk_exporter_span_inflight", {}, 0),
                  ("nanospan_spans_unsent", {}, 1002), ("nanospan_session_alive", {}, 1), ("nanospan_sample_rate", {}, 1),
                  ("nanospan_threads", {}, 1), ("nanospan_drain_pass_age_seconds", {}, 0)]
        self.assertEqual([(name, labels, self.one(found, name, **labels)) for name, labels, _ in wanted], wanted)
        self.assertTrue(0 < self.one(found, "nanospan_ring_fill_ratio") < 1)
        for samples in found.values():
            for _, labels in samples.values():
                self.assertEqual((labels["service_name"], labels["process_pid"]), ("engine", str(engine.pid)))
                self.assertRegex(labels["session"], rf"^engine\.{engine.pid}\.\w+$")

    def test_figures_of_sending(self):
        with Sink() as sink:
            engine = Engine(self.shm, "--spans", 500, "--rate", 100000, program="steady", service="sender", OTLP_ENDPOINT=
                            f"http://127.0.0.1:{sink.port}", OTEL_BSP_SCHEDULE_DELAY="10")
            self.addCleanup(engine.kill)
            self.assertEqual(engine.process.stdout.readline(), "full\n")
            exported = "otel_sdk_exporter_span_exported_total"
            wait_until(lambda: self.one(parse(self.run_it()), exported) == 500, "the export")
            found = parse(self.run_it())
        answers = self.one(found, "otel_sdk_exporter_operation_duration_seconds_count")
        self.assertEqual(answers, self.one(found, "nanospan_requests_answered_total"))
        self.assertEqual(answers, self.one(found, "otel_sdk_exporter_operation_duration_seconds_bucket", le="+Inf"))
        self.assertGreaterEqual(answers, 1)
        longest = self.one(found, "nanospan_request_duration_longest_seconds")
        self.assertTrue(0 < self.one(found, "nanospan_request_duration_last_seconds") <= longest)
        self.assertTrue(longest <= self.one(found, "otel_sdk_exporter_operation_duration_seconds_sum") <= answers * longest * 1.001)
        self.assertEqual(self.one(found, "otel_sdk_processor_span_processed_total"), 500)
        self.assertGreater(self.one(found, "nanospan_sent_bytes_total"), 0)
        self.assertGreater(self.one(found, "nanospan_drain_lag_longest_seconds"), 0)
        self.assertGreater(self.one(found, "nanospan_drain_pass_age_seconds"), 0)
        self.assertGreater(self.one(found, "nanospan_ring_fill_peak_ratio"), 0)
        self.assertEqual(self.one(found, "nanospan_drained"), 1)

    def test_counters_never_go_back(self):
        """Of an engine that discards its spans as fast as it can, too."""
        engine = Engine(self.shm, "--rate", 300000, "--threads", 4, program="steady", service="hurried", OTEL_TRACES_EXPORTER="none",
                        TRACE_SAMPLE_RATE="0.5", NSP_POLL_MAX_US="100")
        self.addCleanup(engine.kill)
        discarded = ("otel_sdk_exporter_span_exported_total", (("error_type", "discarded"),))
        looks, before = 0, {}
        while looks < 300:
            found = {key: value for key, samples in parse(self.run_it()).items() for value, _ in samples.values()
                     if re.search("_(total|sum|count)$", key[0])}
            self.assertEqual([(key, before[key], found[key]) for key in before if found[key] < before[key]], [])
            looks, before = looks + 1, found
        self.assertGreater(found[discarded], 0)

    def test_figures_of_an_engine_that_an_agent_drains(self):
        with Sink() as sink, Agent(self.shm, "--endpoint", f"http://127.0.0.1:{sink.port}"):
            engine = Engine(self.shm, "--spans", 500, "--rate", 100000, program="steady", service="drained", **EXTERNAL)
            self.addCleanup(engine.kill)
            self.assertEqual(engine.process.stdout.readline(), "full\n")
            wait_until(lambda: self.one(parse(self.run_it()), "otel_sdk_exporter_span_exported_total") == 500, "the export")
            found = parse(self.run_it())
        for name in ("otel_sdk_exporter_operation_duration_seconds_count", "nanospan_drain_lag_longest_seconds",
                     "nanospan_drain_pass_age_seconds", "nanospan_ring_fill_peak_ratio", "nanospan_drained"):
            self.assertGreater(self.one(found, name), 0, name)

    def test_threads_are_there_if_asked_for(self):
        self.engine(10, 1)
        self.assertFalse([name for name, _ in parse(self.run_it()) if name.startswith("nanospan_thread_")])
        found = {name: samples for (name, _), samples in parse(self.run_it("--threads")).items()}
        (value, labels), = found["nanospan_thread_spans_started_total"].values()
        self.assertEqual((value, labels["slot"]), (11, "0"))
        (fill, _), = found["nanospan_thread_ring_fill_bytes"].values()
        (size, _), = found["nanospan_thread_ring_bytes"].values()
        self.assertTrue(0 < fill < size)

    def test_labels_are_escaped(self):
        name = 'a "quoted" \\ name\nof two lines, ü'
        self.engine(1, 0, service=name)
        (_, labels), = parse(self.run_it())[("nanospan_session_alive", ())].values()
        self.assertEqual(labels["service_name"], name)

    def test_rules_of_any_bytes(self):
        """What is no UTF-8 is written as \\xNN, so that it stays apart; what is UTF-8 comes as it is, control characters too."""
        rates = self.tune_any_bytes(self.engine(1, 0))
        found = {dict(rest)["rule"]: value for (name, rest), samples in parse(self.run_it()).items() for value, _ in samples.values()
                 if name == "nanospan_sample_rule_rate"}
        self.assertEqual(found, {pattern.decode("utf-8", "backslashreplace"): rate for pattern, rate in rates.items()})

    def test_the_limit_of_those_that_have_one(self):
        self.engine(1, 0, service="free")
        self.engine(1, 0, service="limited", TRACE_SAMPLE_LIMIT="500/s")
        found = parse(self.run_it())
        for name, expected in (("nanospan_sample_limit", 500), ("nanospan_sample_limit_factor", 1)):
            (value, labels), = found[(name, ())].values()
            self.assertEqual((labels["service_name"], value), ("limited", expected))

    def test_sessions_that_are_gone_have_no_figures(self):
        dead, living = self.engine(5, 0, service="dead"), self.engine(6, 0, service="living")
        dead.kill()
        alive = {labels["service_name"]: value for value, labels in parse(self.run_it())[("nanospan_session_alive", ())].values()}
        self.assertEqual(alive, {"dead": 0, "living": 1})
        session, = Path(self.shm, f"nanospan-{os.geteuid()}").glob(f"*.{dead.pid}.*")
        shutil.rmtree(session)
        for samples in parse(self.run_it()).values():
            self.assertEqual([labels["process_pid"] for _, labels in samples.values()], [str(living.pid)])

    def test_what_cannot_be_read_says_so(self):
        engine = self.engine(5, 0).kill()
        session, = Path(self.shm, f"nanospan-{os.geteuid()}").glob(f"*.{engine.pid}.*")
        os.truncate(session / "control", 100)
        found = parse(self.run_it())
        self.assertEqual(self.one(found, "nanospan_session_readable"), 0)
        self.assertEqual({name for name, _ in found},
                         {"nanospan_session_readable", "nanospan_session_alive", "nanospan_session_memory_bytes"})

    # ---- the command line ----

    def test_wrong_command_lines(self):
        for options in (["extra"], ["--listen", "nowhere"], ["--listen", "1:2:3"], ["--port-file", "x"], ["--shm-dir", ""]):
            self.assertIn("metrics", self.run_it(*options, code=2))
        self.assertIn("not '99999'", self.run_it("--listen", "99999", code=2))

    def test_a_folder_that_is_open_to_others_is_refused(self):
        folder = Path(self.shm, f"nanospan-{os.geteuid()}")
        folder.mkdir()
        folder.chmod(0o777)
        self.assertIn("the sessions cannot be read", self.run_it(code=1))
        _, port = self.serve("--quiet")
        with self.assertRaises(urllib.error.HTTPError) as failed:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE)
        self.assertEqual(failed.exception.code, 500)
        failed.exception.close()

    # ---- HTTP ----

    def ask(self, port, method, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def test_requests(self):
        self.engine(3, 0, service="served")
        server, port = self.serve()
        status, headers, body = self.ask(port, "GET", "/metrics")
        self.assertEqual((status, headers["Content-Type"]), (200, TYPE))
        self.assertEqual(self.one(parse(body), "nanospan_spans_unsent"), 3)
        self.engine(4, 0, service="another")
        _, _, body = self.ask(port, "GET", "/metrics?name=ignored")
        self.assertEqual(len(parse(body)[("nanospan_session_alive", ())]), 2)
        for path in ("/", "/metrics/", "/v1/traces"):
            self.assertEqual(self.ask(port, "GET", path)[0], 404)
        status, headers, body = self.ask(port, "HEAD", "/metrics")
        self.assertEqual((status, headers["Content-Type"], body), (200, TYPE, ""))
        for method in ("POST", "PUT", "DELETE"):
            status, headers, _ = self.ask(port, method, "/metrics")
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=PATIENCE)
        self.assertEqual(server.returncode, 0)
        self.assertEqual(said, f"nanospan metrics: listening on 127.0.0.1:{port}, path /metrics; press Ctrl-C to end\n")

    def test_idle_connections_keep_nobody_waiting(self):
        _, port = self.serve("--quiet")
        deadline = time.monotonic() + PATIENCE
        while True:
            began = time.monotonic()
            with contextlib.ExitStack() as stack:
                idle = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) for _ in range(200)]
                for number, connection in enumerate(idle):
                    connection.sendall(b"GET /metrics HT" if number % 2 else b"G")
                self.assertEqual(self.ask(port, "GET", "/metrics")[0], 200)
                ended = len(select.select(idle, [], [], 0)[0])
            # After 3 s they are ended anyway: then the machine was too busy to tell.
            if time.monotonic() - began < 3 or time.monotonic() > deadline:
                break
        self.assertLess(ended, len(idle) // 2, "they had to be ended first")

    def test_a_port_that_is_taken(self):
        _, port = self.serve("--quiet")
        self.assertIn("cannot listen", self.run_it("--listen", f"127.0.0.1:{port}", code=1))

    # ---- Prometheus ----

    def test_promtool_has_no_complaint(self):
        need(shutil.which("promtool"), "there is no promtool (Debian: prometheus)")
        self.engine(3, 0, service='it\'s "one"\n\\')
        for options in ([], ["--threads"]):
            result = subprocess.run(["promtool", "check", "metrics"], input=self.run_it(*options), capture_output=True, text=True,
                                    timeout=PATIENCE, check=False)
            self.assertEqual((result.returncode, result.stdout + result.stderr), (0, ""))

    def test_prometheus_scrapes_it(self):
        need(shutil.which("prometheus"), "there is no prometheus (Debian: prometheus)")
        engine = self.engine(7, 1, service="scraped")
        rates = self.tune_any_bytes(engine)
        _, port = self.serve("--quiet")
        prometheus = Prometheus(self, Path(self.shm, "prometheus"), port)
        ask = prometheus.ask
        started = 'otel_sdk_span_started_total{otel_span_sampling_result="RECORD_AND_SAMPLE"}'
        prometheus.wait_until_ready()
        seen = []
        wait_until(lambda: seen.extend(ask(started)) or seen, "a scrape")
        labels, value = seen[0]
        self.assertEqual((value, labels["service_name"], labels["process_pid"]), (8, "scraped", str(engine.pid)))
        wait_until(lambda: [value for _, value in ask('up{job="nanospan"}')] == [1], "a scrape without an error")
        self.assertEqual(sorted(value for _, value in ask("nanospan_sample_rule_rate")), sorted(rates.values()))
        engine.kill()
        session, = Path(self.shm, f"nanospan-{os.geteuid()}").glob(f"*.{engine.pid}.*")
        shutil.rmtree(session)
        wait_until(lambda: not ask(started), "the end of the series")
        self.assertIsNone(prometheus.process.poll())


if __name__ == "__main__":
    unittest.main()
