# SPDX-License-Identifier: Apache-2.0
#
# ctest: TIMEOUT 500 COST 30
"""The trading platform: traces across three processes, how they show each failure, sampling, and the end of
services."""
import collections
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[2]))
BIN = Path(os.environ.get("NSP_BUILD_DIR", SOURCE / "build")) / "bin"
PLATFORM = SOURCE / "examples" / "platform"
sys.path[:0] = [str(SOURCE / "examples"), str(SOURCE / "tests" / "support")]
from backends import wait_until  # noqa: E402
from check_traces import read_spans  # noqa: E402
from peers import missing
from platform_service import Service, clean_environment  # noqa: E402
from sink_process import Sink  # noqa: E402

SERVER, CLIENT, ERROR = 2, 3, 2
TRADE = {"user_id": "user-7", "symbol": "BTCUSDT"}
EXECUTE = "/api/trades/execute"


class Platform:
    """The three services and a receiver."""

    def __init__(self, timeout_ms=20000, busy_ms=10000, **variables):
        self.files = Path(tempfile.mkdtemp())
        self.sink = Sink()
        busy = ("--busy-ms", busy_ms)
        self.environment = clean_environment(OTLP_ENDPOINT=f"http://127.0.0.1:{self.sink.port}", **variables)
        self.ai_engine = Service("ai-engine", self.files, self.environment, *busy)
        self.execution = Service("execution", self.files, self.environment, *busy)
        self.backend = Service("backend", self.files, self.environment, *busy, "--timeout-ms", timeout_ms, "--ai-engine",
                               f"http://{self.ai_engine.address}", "--execution", f"http://{self.execution.address}")
        self.services = [self.backend, self.execution, self.ai_engine]

    def ask(self, method, path, body=None, **headers):
        return self.backend.ask(method, path, body, **headers)

    def stop(self):
        """Ends everything; returns the spans that arrived."""
        self.codes = [service.stop() for service in self.services]
        self.said = "".join(service.log() for service in self.services)
        self.sink.stop()
        spans, self.twice = read_spans(self.sink.output)
        return list(spans.values())

    def close(self):
        for service in self.services:
            if service.process.poll() is None:
                service.process.kill()
            service.process.wait()
        self.sink.__exit__()
        shutil.rmtree(self.files)


class PlatformTest(unittest.TestCase):
    def platform(self, **options):
        platform = Platform(**options)
        self.addCleanup(platform.close)
        return platform

    def only(self, spans, name, **attributes):
        found = [span for span in spans
                 if span.name == name and all(span.attributes.get(key) == value for key, value in attributes.items())]
        self.assertEqual(len(found), 1, f"{name}: {found}")
        return found[0]

    def assert_failed(self, span, kind):
        self.assertEqual(span.status.get("code"), ERROR, span)
        self.assertEqual(span.attributes.get("error.type"), kind, span)


class Demonstration(unittest.TestCase):
    """A small `./run platform`, and that its check notices wrong traces."""

    def run_script(self, *options, **variables):
        """Runs it; where it puts temporary files, nothing may be left but a page of the traces, if there are any."""
        with tempfile.TemporaryDirectory() as temporary:
            done = subprocess.run(["bash", PLATFORM / "platform.sh", BIN.parent, "--duration", "2", *options],
                                  env=clean_environment(**variables, TMPDIR=temporary), capture_output=True, text=True, timeout=400,
                                  check=False)
            self.pages = sorted(Path(temporary).rglob("*.html"))
            self.assertEqual(len(list(Path(temporary).iterdir())), len(self.pages), list(Path(temporary).iterdir()))
            return done

    def test_all_is_well_and_a_lie_is_found(self):
        with tempfile.TemporaryDirectory() as files:
            done = self.run_script("--rate", "100", "--files", files)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("everything agrees", done.stdout)
            self.assertIn("fails: the AI engine is down", done.stdout)
            self.assertIn('id="pack"', (Path(files) / "page.html").read_text(encoding="utf-8"))
            traces = Path(files) / "traces.jsonl"
            text = traces.read_text(encoding="utf-8")
            for before, after in (('"predict"', '"foretell"'), ('"kind":3', '"kind":2'), ('"store_trade"', '"predict"'),
                                  ('"stringValue":"executed"', '"stringValue":"unknown_symbol"'),
                                  ('"code":2', '"code":1'), ('"confidence"', '"certainty"'),
                                  ('"stringValue":"signals"', '"stringValue":"trades"'), ('"stringValue":"ai-engine"', '"stringValue":"ai"')):
                self.assertIn(before, text)
                traces.write_text(text.replace(before, after, 1), encoding="utf-8")
                self.assertEqual(subprocess.run([sys.executable, PLATFORM / "check_platform.py", files],
                                                capture_output=True, check=False).returncode, 1, before)

    def test_sampling_decides_once_for_all_three(self):
        done = self.run_script("--rate", "200", TRACE_SAMPLE_RATE="0.3")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("at a sample rate of 0.3", done.stdout)
        self.assertEqual(len(self.pages), 1)

    def test_without_tracing(self):
        done = self.run_script("--rate", "100", ENABLE_TRACING="false")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("tracing is off: no spans were begun", done.stdout)
        self.assertEqual(self.pages, [])

    @staticmethod
    def spans_shown(address, token):
        """How many spans the live page shows."""
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request("GET", "/api/state", headers={"Authorization": f"Bearer {token}"})
        state = json.loads(connection.getresponse().read())
        connection.close()
        return state["totals"]["spans"]

    def test_serving_until_interrupted(self):
        with tempfile.TemporaryDirectory() as files:
            script = subprocess.Popen(["bash", PLATFORM / "platform.sh", BIN.parent, "--duration", "0.5", "--serve",
                                       "--web", "0", "--files", files], env=clean_environment(), stdout=subprocess.PIPE, text=True)
            page = None
            for line in script.stdout:
                page = re.fullmatch(r"live page: http://(127\.0\.0\.1:\d+)/#token=([0-9a-f]+)\n", line) or page
                if line.strip().startswith("curl") and line.strip().endswith("/ready"):
                    break
            address = (Path(files) / "backend.address").read_text().strip()
            connection = http.client.HTTPConnection(address, timeout=60)
            connection.request("GET", "/api/signals")
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()
            wait_until(lambda: self.spans_shown(*page.groups()) > 0, "spans on the live page")
            script.send_signal(signal.SIGTERM)
            rest = script.communicate(timeout=60)[0]
            self.assertEqual(script.returncode, 0, rest)
            self.assertNotIn("NOT BALANCED", rest)
            with self.assertRaises(OSError):
                socket.create_connection(tuple(address.split(":")), timeout=5)
            self.assertIn('id="pack"', (Path(files) / "page.html").read_text(encoding="utf-8"))
            self.assertIn("HTTP GET /api/signals", (Path(files) / "traces.jsonl").read_text(encoding="utf-8"))


class Failures(PlatformTest):
    """Failures are answered in JSON, and the span in which they happened shows them."""

    def test_ai_engine_killed(self):
        platform = self.platform()
        self.assertEqual(platform.ask("POST", EXECUTE, TRADE)[0], 201)
        platform.ai_engine.process.kill()
        platform.ai_engine.process.wait()
        status, body = platform.ask("POST", EXECUTE, TRADE)
        self.assertEqual((status, body["error"]), (503, "upstream_unreachable"))
        self.assertEqual(platform.ask("GET", "/health")[0], 200)
        status, body = platform.ask("GET", "/ready")
        self.assertEqual((status, body["checks"]["ai-engine"], body["checks"]["execution"]), (503, False, True))
        spans = platform.stop()
        root = self.only(spans, "POST " + EXECUTE, result="upstream_unreachable")
        self.assert_failed(root, "503")
        self.assertTrue(root.attributes["error"])
        self.assertEqual([event["name"] for event in root.events], ["request_failed"])
        trace = [span for span in spans if span.trace == root.trace]
        self.assertEqual({span.name for span in trace}, {root.name, "validate_request", "ai-engine: get_signal"})
        client = self.only(trace, "ai-engine: get_signal")
        self.assertEqual((client.kind, client.status.get("code")), (CLIENT, ERROR))
        self.assertTrue(client.attributes["error.type"])

    def test_ai_engine_too_slow(self):
        platform = self.platform(timeout_ms=300)
        stop_for_now(platform.ai_engine.process)
        status, body = platform.ask("POST", EXECUTE, TRADE)
        self.assertEqual((status, body["error"]), (504, "upstream_timeout"))
        platform.ai_engine.process.send_signal(signal.SIGCONT)
        spans = platform.stop()
        self.assert_failed(self.only(spans, "POST " + EXECUTE), "504")
        self.assert_failed(self.only(spans, "ai-engine: get_signal"), "timeout")

    def test_refusals(self):
        platform = self.platform()
        cases = [
            ({**TRADE, "side": "BUY", "amount": 1e9}, "insufficient_balance", "check_balance"),
            ({**TRADE, "user_id": "nobody"}, "unknown_user", "check_balance"),
            ({**TRADE, "side": "BUY", "amount": 0.01, "symbol": "BTCUSDT"}, "size_below_lot", "calculate_size"),
            ({**TRADE, "side": "BUY", "symbol": "FTTUSDT"}, "symbol_halted", "submit_to_exchange"),
            ({**TRADE, "side": "BUY", "symbol": "LUNAUSDT"}, "symbol_not_listed", "submit_to_exchange"),
            ({**TRADE, "side": "BUY", "limit_price": 30000}, "price_out_of_band", "submit_to_exchange"),
            ({**TRADE, "side": "BUY", "limit_price": 59990}, "no_quotes_at_limit", "submit_to_exchange"),
        ]
        for body, result, _ in cases:
            status, answer = platform.ask("POST", EXECUTE, body)
            self.assertEqual((status, answer["error"]), (422, result))
        spans = platform.stop()
        for _, result, where in cases:
            root = self.only(spans, "POST " + EXECUTE, result=result)
            self.assertEqual((root.status.get("code", 0), root.attributes["error"]), (0, False))
            trace = [span for span in spans if span.trace == root.trace]
            self.assert_failed(self.only(trace, where), result)
            self.assertTrue(self.only(trace, where).status["message"])
            self.assert_failed(self.only(trace, "execution: place_order"), "422")
            self.assertEqual(self.only(trace, "POST /orders").status.get("code", 0), 0)
            self.assertNotIn("store_trade", [span.name for span in trace])
        self.assertEqual(platform.codes, [0, 0, 0], platform.said)

    def test_partial_fill(self):
        """Two levels of quotes lie within the limit: 0.5 and 1.0."""
        platform = self.platform()
        status, body = platform.ask("POST", EXECUTE, {**TRADE, "side": "BUY", "amount": 500000, "limit_price": 60010})
        self.assertEqual((status, body["size"]), (201, 1.5))
        spans = platform.stop()
        self.only(spans, "POST /orders", result="partially_filled")
        submit = self.only(spans, "submit_to_exchange")
        self.assertEqual([event["name"] for event in submit.events], ["fill", "fill"])
        self.assertEqual(submit.attributes["trade.size"], 1.5)
        with sqlite3.connect(platform.execution.database) as database:
            self.assertEqual(database.execute("SELECT ordered > filled, filled FROM orders").fetchall(), [(1, 1.5)])
            self.assertAlmostEqual(database.execute("SELECT cash FROM accounts WHERE user_id = 'user-7'").fetchone()[0],
                                   1000000 - 0.5 * 60005 - 60010)

    def test_what_the_client_did_wrong(self):
        platform = self.platform()
        for body in ("{", "[]", "", '{"symbol": "BTCUSDT"}', '{"user_id": "user-1", "symbol": "../x"}',
                     '{"user_id": "user-1", "symbol": "BTCUSDT", "side": "HOLD", "amount": -1}'):
            status, answer = platform.ask("POST", EXECUTE, body)
            self.assertEqual((status, answer["error"]), (400, "invalid_request"))
        self.assertEqual(platform.ask("POST", EXECUTE, "x" * 70000)[0], 413)
        self.assertEqual(platform.ask("POST", EXECUTE, {**TRADE, "symbol": "NOSUCH"})[0], 404)
        self.assertEqual(platform.ask("GET", "/api/signals?limit=0")[0], 400)
        self.assertEqual(platform.ask("GET", "/api/orders")[0], 404)
        self.assertEqual(platform.ask("DELETE", "/api/signals")[0], 405)
        spans = platform.stop()
        self.assertFalse([span for span in spans if span.kind == SERVER and span.status.get("code") == ERROR])
        checks = [span for span in spans if span.name == "validate_request" and span.status.get("code") == ERROR]
        self.assertEqual(len(checks), 6)
        self.assertEqual(max(len(span.events) for span in checks), 2)  # side and amount
        self.assert_failed(self.only([span for span in spans if "error.type" in span.attributes], "predict"),
                           "unknown_symbol")

    def test_database_missing(self):
        platform = self.platform()
        self.assertEqual(platform.ask("GET", "/api/signals")[0], 200)
        platform.backend.database.rename(platform.files / "elsewhere.db")
        status, body = platform.ask("GET", "/api/signals")
        self.assertEqual((status, body["error"]), (503, "database_unavailable"))
        (platform.files / "elsewhere.db").rename(platform.backend.database)
        self.assertEqual(platform.ask("GET", "/api/signals")[0], 200)
        spans = platform.stop()
        root = self.only(spans, "HTTP GET /api/signals", result="database_unavailable")
        self.assert_failed(root, "503")
        trace = [span for span in spans if span.trace == root.trace]
        self.assertEqual(collections.Counter(span.name for span in trace),
                         collections.Counter([root.name, "query_signals", "connect_db"]))
        self.assert_failed(self.only(trace, "connect_db"), "SQLITE_CANTOPEN")

    def test_database_corrupt(self):
        platform = self.platform()
        replacement = platform.files / "garbage"
        replacement.write_bytes(b"no database " * 1000)
        for suffix in ("-wal", "-shm"):
            Path(str(platform.ai_engine.database) + suffix).unlink(missing_ok=True)
        replacement.replace(platform.ai_engine.database)
        status, body = platform.ask("POST", EXECUTE, TRADE)
        self.assertEqual((status, body["error"]), (502, "upstream_failed"))
        spans = platform.stop()
        self.assert_failed(self.only(spans, "load_models"), "SQLITE_NOTADB")
        self.assert_failed(self.only(spans, "GET /signals/{symbol}"), "500")
        self.assert_failed(self.only(spans, "ai-engine: get_signal"), "500")
        self.assert_failed(self.only(spans, "POST " + EXECUTE), "502")

    def test_database_locked(self):
        platform = self.platform(busy_ms=200)
        locks = []
        for service in (platform.execution, platform.backend):
            lock = sqlite3.connect(service.database, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            locks.append(lock)
        status, body = platform.ask("POST", EXECUTE, TRADE)
        self.assertEqual((status, body["error"]), (502, "upstream_failed"))
        locks[0].rollback()
        status, body = platform.ask("POST", EXECUTE, TRADE)
        self.assertEqual((status, body["error"]), (500, "trade_not_stored"))
        self.assertEqual(platform.ask("GET", "/api/signals")[0], 200)  # reading still works
        for lock in locks:
            lock.close()
        self.assertEqual(platform.ask("POST", EXECUTE, TRADE)[0], 201)
        spans = platform.stop()
        for name, result in (("check_balance", "upstream_failed"), ("store_trade", "trade_not_stored")):
            root = self.only(spans, "POST " + EXECUTE, result=result)
            span = self.only([span for span in spans if span.trace == root.trace], name)
            self.assert_failed(span, "SQLITE_BUSY")
            self.assertEqual([event["name"] for event in span.events], ["database_busy"])
            self.assertGreater(span.end - span.start, 150_000_000)

    def test_receiver_gone(self):
        """Neither requests nor the end of the services depend on the receiver of the traces."""
        platform = self.platform()
        platform.sink.process.kill()
        platform.sink.process.wait()
        self.assertEqual(platform.ask("POST", EXECUTE, TRADE)[0], 201)
        began = time.monotonic()
        self.assertEqual(platform.backend.stop(), 0, platform.backend.log())
        self.assertLess(time.monotonic() - began, 15)


class Contexts(PlatformTest):
    def test_callers_context(self):
        platform = self.platform()
        trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
        platform.ask("POST", EXECUTE, TRADE, traceparent=f"00-{trace}-{parent}-01", tracestate="vendor=value")
        platform.ask("GET", "/api/signals", traceparent=f"00-{'1' * 32}-{parent}-00")  # not sampled: nothing is recorded
        platform.ask("GET", "/api/signals", traceparent="nonsense")
        platform.ask("GET", "/health")
        platform.ask("GET", "/ready")
        spans = platform.stop()
        self.assertEqual(sum(span.trace == trace for span in spans), 12)
        self.assertEqual(self.only(spans, "POST " + EXECUTE).parent, parent)
        self.assertFalse([span for span in spans if span.trace == "1" * 32])
        self.only(spans, "HTTP GET /api/signals", result="ok")
        self.assertFalse([span for span in spans if "health" in span.name or "ready" in span.name])
        self.assertEqual(platform.codes, [0, 0, 0], platform.said)

    def test_answers_name_their_trace(self):
        platform = self.platform()
        connection = http.client.HTTPConnection(platform.backend.address, timeout=30)
        connection.request("GET", "/api/signals")
        trace = connection.getresponse().headers["X-Trace-Id"]
        connection.close()
        self.assertEqual(self.only(platform.stop(), "HTTP GET /api/signals").trace, trace)

    def test_names_of_the_environment(self):
        platform = self.platform(SERVICE_VERSION="7.1", ENVIRONMENT="staging")
        platform.ask("POST", EXECUTE, TRADE)
        services = {span.service for span in platform.stop()}
        self.assertEqual(platform.codes, [0, 0, 0], platform.said)
        self.assertEqual(services, {"quantum-backend", "ai-engine", "execution"}, platform.said)
        resources = [group["resource"] for line in platform.sink.lines() for group in line["resourceSpans"]]
        for resource in resources:
            said = {pair["key"]: pair["value"].get("stringValue") for pair in resource["attributes"]}
            self.assertEqual((said["service.version"], said["deployment.environment.name"]), ("7.1", "staging"))

    def test_driver_with_traces_of_its_own(self):
        platform = self.platform()
        done = subprocess.run([BIN / "platform-load", "--url", f"http://{platform.backend.address}", "--requests", "30",
                               "--failures", "0", "--trace", "--quiet"], env=platform.environment, capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        spans = platform.stop()
        roots = [span for span in spans if not span.parent]
        self.assertEqual({(span.service, span.kind) for span in roots}, {("platform-load", CLIENT)})
        self.assertEqual(len(roots), 30)


def stop_for_now(process):
    """Until SIGCONT. On a busy machine, a thread may go on for a while after the signal has been sent: this waits for all."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


def has_unread(address):
    """Has a connection to this address on 127.0.0.1 bytes that its server has not read yet?"""
    port = f":{int(address.rsplit(':', 1)[1]):04X}"
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(port) and fields[3] == "01" and int(fields[4].split(":")[1], 16) > 0:
            return True
    return False


class Endings(PlatformTest):
    def test_request_under_way_is_answered(self):
        platform = self.platform()
        stop_for_now(platform.ai_engine.process)
        answers = []
        client = threading.Thread(target=lambda: answers.append(platform.ask("POST", EXECUTE, TRADE)))
        client.start()
        wait_until(lambda: has_unread(platform.ai_engine.address), "the request to be under way")
        platform.backend.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        platform.ai_engine.process.send_signal(signal.SIGCONT)
        client.join(30)
        self.assertEqual([status for status, _ in answers], [201])
        spans = platform.stop()
        self.assertEqual(platform.codes, [0, 0, 0], platform.said)
        self.assertNotIn("NOT BALANCED", platform.said)
        self.assertEqual(len(spans), 12)

    def test_many_requests_and_then_the_end(self):
        """Every answered request is traced, even if the services are stopped right after the last answer."""
        platform = self.platform()
        for _ in range(20):
            self.assertEqual(platform.ask("POST", EXECUTE, TRADE)[0], 201)
        spans = platform.stop()
        self.assertEqual(len(spans), 20 * 12)
        self.assertEqual(platform.twice, 0)

    def test_wrong_starts(self):
        files = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, files)
        database = ["--database", files / "x.db"]
        with socket.create_server(("127.0.0.1", 0)) as taken:
            cases = [(2, "backend", ["--threads", "0"]), (2, "execution", ["--nothing"]), (2, "ai-engine", ["argument"]),
                     (1, "ai-engine", database + ["--listen", f"127.0.0.1:{taken.getsockname()[1]}"]),
                     (1, "execution", ["--database", files / "no" / "such.db"]), (2, "load", ["--rate", "fast"])]
            for code, name, options in cases:
                done = subprocess.run([BIN / f"platform-{name}", *options], env=clean_environment(ENABLE_TRACING="false"),
                                      cwd=files, capture_output=True, text=True, timeout=30, check=False)
                self.assertEqual(done.returncode, code, (name, options, done.stderr))
                self.assertTrue(done.stderr)
        for name in ("backend", "ai-engine", "execution", "load"):
            done = subprocess.run([BIN / f"platform-{name}", "--help"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0)
            self.assertIn("Exit codes", done.stdout)


if __name__ == "__main__":
    for name in ("platform-backend", "platform-ai-engine", "platform-execution", "platform-load", "nanospan"):
        if not (BIN / name).exists():
            missing(f"{name} is not built")
    unittest.main()
