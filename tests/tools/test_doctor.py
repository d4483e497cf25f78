# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240 COST 100
"""`nanospan doctor` with endpoints that are correct, wrong, silent and absent: its findings, its advice
and its exit code."""
import contextlib
import http.server
import json
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

import backends
import outside_lock
from certificates import Certificates
from engine_process import Engine, doomed, wait_until
from peers import needs
from ports import closed_port
from receivers import Receiver, grpc_is_there
from sink_process import Sink, command

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR") or Path(__file__).parents[2])
BUILD = Path(os.environ.get("NSP_BUILD_DIR", "build"))
SHM = tempfile.TemporaryDirectory(prefix="nanospan-doctor-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
SPARE = ("PATH", "HOME", "LD_LIBRARY_PATH", "NSP_CPU_NUMBERS", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")


class Report:
    """The JSON output of one run."""

    def __init__(self, run):
        self.code = run.returncode
        self.text = run.stdout
        document = json.loads(run.stdout)
        self.findings = document["findings"]
        assert document["exit_code"] == run.returncode, (document["exit_code"], run.returncode)

    def levels(self, check):
        return [finding["level"] for finding in self.findings if finding["check"] == check]

    def one(self, check):
        found = [finding for finding in self.findings if finding["check"] == check]
        assert len(found) == 1, (check, self.findings)
        return found[0]


def run(*options, timeout=60, **environment):
    kept = {name: os.environ[name] for name in SPARE if name in os.environ}
    settings = {"NSP_SHM_DIR": SHM.name, "COLUMNS": "100", **environment}
    return subprocess.run([command(), "doctor", *options], env={**kept, **settings}, capture_output=True, text=True,
                          timeout=timeout, check=False)


def examine(*options, **environment):
    result = run("--json", *options, **environment)
    assert result.stderr == "", result.stderr
    return Report(result)


def endpoint(port, scheme="http", host="127.0.0.1"):
    return f"{scheme}://{host}:{port}"


@contextlib.contextmanager
def listener(serve):
    """Calls serve(connection) for each connection; yields the port."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    ended = threading.Event()
    threads = []

    def one(connection):
        with contextlib.suppress(OSError):
            with connection:
                connection.settimeout(60)
                serve(connection)

    def accept():
        while not ended.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                threads.append(threading.Thread(target=one, args=(server.accept()[0],), daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server.getsockname()[1]
    finally:
        ended.set()
        acceptor.join(10)
        server.close()


@contextlib.contextmanager
def web(answer, context=None):
    """An HTTP/1.1 server; answer(path) gives (status, headers, body)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, body = answer(self)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_CONNECT = reply

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            pass  # a client that used another protocol

        def finish_request(self, request, client_address):
            request.settimeout(60)
            if not context:
                return super().finish_request(request, client_address)
            with context.wrap_socket(request, server_side=True) as wrapped:
                return super().finish_request(wrapped, client_address)

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def http2(connection):
    """A minimal HTTP/2 server: it sends SETTINGS and then only reads."""
    connection.sendall(b"\0\0\0\4\0\0\0\0\0")
    if connection.recv(3) != b"PRI":
        return
    while connection.recv(65536):
        pass


def silence(connection):
    while connection.recv(65536):
        pass


class Authority(Certificates):
    """Adds a server certificate that does not expire tomorrow."""

    def __init__(self, folder):
        super().__init__(folder)
        self._issue("good", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "300")

    def context(self, name, demand=False, alpn=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(name), self.path(f"{name}_key"))
        if demand:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.path("ca"))
        if alpn:
            context.set_alpn_protocols(alpn)
        return context


class Configuration(unittest.TestCase):
    def test_nothing_set(self):
        report = examine()
        self.assertEqual(report.code, 1)
        self.assertIn("no endpoint is set", report.one("tracing")["text"])
        self.assertEqual(report.levels("configuration.defaults"), [])  # the test sets NSP_SHM_DIR
        self.assertEqual(report.levels("span.not_sent"), ["note"])

    def test_turned_off(self):
        for variable, value in (("ENABLE_TRACING", "false"), ("ENABLE_TRACING", "0"), ("OTEL_SDK_DISABLED", "true"),
                                ("OTEL_SDK_DISABLED", " true\n")):
            with self.subTest(variable):
                report = examine(**{variable: value})
                self.assertEqual((report.code, report.one("tracing")["level"]), (1, "warn"))
                self.assertIn(variable, report.one("tracing")["text"])

    def test_exporter_none(self):
        report = examine(OTEL_TRACES_EXPORTER="none", OTLP_ENDPOINT=endpoint(closed_port()))
        self.assertEqual(report.code, 1)
        self.assertIn("OTEL_TRACES_EXPORTER", report.one("tracing")["text"])
        self.assertEqual(report.levels("endpoint.connect"), [])

    def test_rate_zero(self):
        with Sink() as sink:
            report = examine(OTLP_ENDPOINT=endpoint(sink.port), TRACE_SAMPLE_RATE="0")
            self.assertEqual((report.code, report.one("tracing")["level"]), (1, "warn"))
            self.assertIn("sample rate is 0", report.one("tracing")["text"])

    def test_a_list_of_exporters(self):
        with Sink() as sink:
            report = examine(OTEL_TRACES_EXPORTER=" otlp,file,zipkin\n", OTLP_ENDPOINT=endpoint(sink.port),
                             NSP_FILE=f"{SHM.name}/listed.jsonl")
            self.assertIn("the exporters are otlp,file", report.one("tracing")["text"])
            self.assertIn("entry 3 is left out: zipkin is not known", report.one("configuration.left_out")["text"])
            self.assertEqual(report.levels("span.file"), ["ok"])
            self.assertEqual(report.levels("endpoint.connect"), ["ok"])

    def test_entries_that_are_left_out(self):
        report = examine("--no-send", OTLP_ENDPOINT="http://127.0.0.1:1",
                         OTEL_EXPORTER_OTLP_TRACES_HEADERS="x-a=1,bad key=hush-2,te=hush-3",
                         OTEL_EXPORTER_OTLP_HEADERS="x-b=hush-4", OTEL_RESOURCE_ATTRIBUTES="a=%0A,b")
        told = [finding["text"] for finding in report.findings if finding["check"] == "configuration.left_out"]
        self.assertEqual(len(told), 2)
        self.assertIn("OTEL_RESOURCE_ATTRIBUTES: entry 2 is left out", told[0])
        self.assertIn("OTEL_EXPORTER_OTLP_TRACES_HEADERS: entry 2 is left out", told[1])
        self.assertIn("entry 3 is left out", told[1])
        self.assertNotIn("hush", report.text)

    def test_bad_headers_let_no_weaker_ones_in(self):
        report = examine("--no-send", OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_EXPORTER_OTLP_TRACES_HEADERS="hush",
                         OTEL_EXPORTER_OTLP_HEADERS="x-b=hush-4")
        self.assertIn("no entry that can be used", report.one("configuration.bad")["text"])
        self.assertIn("OTEL_EXPORTER_OTLP_HEADERS", report.one("configuration.beaten")["text"])
        self.assertNotIn("hush", report.text)

    def test_headers_for_the_other_protocol(self):
        for protocol, levels in (("http/protobuf", []), ("grpc", ["warn"])):
            report = examine("--no-send", OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_EXPORTER_OTLP_HEADERS="x-a=%C3%A4",
                             OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
            self.assertEqual(report.levels("endpoint.doubt"), levels)

    def test_a_path_that_is_given_twice(self):
        whole = "http://127.0.0.1:1/v1/traces"
        report = examine("--no-send", OTEL_EXPORTER_OTLP_ENDPOINT=whole)
        self.assertIn("/v1/traces/v1/traces", report.one("endpoint.doubt")["text"])
        for name in ("OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
            report = examine("--no-send", **{name: whole})
            self.assertEqual(report.levels("endpoint.doubt"), [])
            self.assertIn(f"to {whole};", report.one("endpoint.url")["text"])

    def test_an_empty_name_is_no_name(self):
        for value, levels in (("service.name=", ["note"]), ("a=b, service.name = x ", [])):
            report = examine("--no-send", OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_RESOURCE_ATTRIBUTES=value)
            self.assertEqual(report.levels("configuration.service"), levels)

    def test_file_exporter(self):
        report = examine(OTEL_TRACES_EXPORTER="file", NSP_FILE="/nowhere/spans.jsonl")
        self.assertEqual((report.code, report.one("span.file")["level"]), (3, "fail"))
        report = examine(OTEL_TRACES_EXPORTER="file", NSP_FILE=f"{SHM.name}/spans.jsonl")
        self.assertEqual((report.code, report.one("span.file")["level"]), (0, "ok"))
        self.assertFalse(Path(SHM.name, "spans.jsonl").exists())

    def test_sizes_that_are_rounded_up(self):
        """A forgotten unit is refused with the range, and what is rounded up says to what."""
        for size in ("5", "64", "4095"):
            self.assertIn(f"NSP_OUTLIER_BYTES={size} is not accepted and is ignored; accepted: 0 (none) or 4 KiB to 16 MiB; used",
                          examine("--no-send", NSP_OUTLIER_BYTES=size).one("configuration.bad")["text"])
        for size, advice in (("0", []), ("4096", []), ("5 KiB", ["each thread has 8.0 KiB, the next power of two"])):
            report = examine("--no-send", NSP_OUTLIER_BYTES=size)
            found = [one["advice"] for one in report.findings if one["text"].startswith("outlier_bytes = ")]
            self.assertEqual(found, [advice], report.text)

    def test_bad_beaten_and_misspelled(self):
        with Sink() as sink:
            report = examine(OTLP_ENDPOINT="http://elsewhere:4317", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint(sink.port),
                             NSP_RING_BYTES="a lot", TRACE_SAMPLE_RTE="0.5", SERVICE_NAME="x", OTEL_SERVICE_NAME="x")
            self.assertEqual(report.code, 1)
            self.assertIn("OTLP_ENDPOINT=http://elsewhere:4317 is not used", report.one("configuration.beaten")["text"])
            self.assertIn("NSP_RING_BYTES=a lot is not accepted", report.one("configuration.bad")["text"])
            self.assertEqual(report.one("configuration.misspelled")["advice"], ["did you mean TRACE_SAMPLE_RATE?"])
            self.assertEqual(report.levels("span.accepted"), ["ok"])

    def test_environment_of_another_process(self):
        with Sink() as sink:
            other = subprocess.Popen(["sleep", "60"], env={"OTLP_ENDPOINT": endpoint(sink.port), "NSP_SHM_DIR": SHM.name})
            try:
                deadline = time.monotonic() + 60
                while b"OTLP" not in Path(f"/proc/{other.pid}/environ").read_bytes() and time.monotonic() < deadline:
                    time.sleep(0.01)
                report = examine("--pid", str(other.pid))
            finally:
                other.kill()
                other.wait()
            self.assertEqual((report.code, report.levels("span.accepted")), (0, ["ok"]))
        self.assertEqual(run("--pid", str(other.pid)).returncode, 2)


class Endpoint(unittest.TestCase):
    def test_nothing_listens(self):
        report = examine(OTLP_ENDPOINT=endpoint(closed_port()))
        self.assertEqual((report.code, report.one("endpoint.connect")["level"]), (3, "fail"))
        self.assertIn("refused", report.one("endpoint.connect")["text"])
        self.assertEqual(report.levels("span.not_sent"), ["note"])

    def test_unknown_name(self):
        start = time.monotonic()
        report = examine(OTLP_ENDPOINT="http://no-such-host.invalid:4317")
        self.assertEqual((report.code, report.one("endpoint.resolve")["level"]), (3, "fail"))
        self.assertLess(time.monotonic() - start, 30)

    def test_sink(self):
        with Sink() as sink:
            report = examine(OTLP_ENDPOINT=endpoint(sink.port), SERVICE_NAME="examined")
            self.assertEqual(report.code, 0, report.text)
            self.assertEqual([finding["level"] for finding in report.findings if finding["level"] not in ("ok", "note")], [])
            self.assertEqual(report.levels("endpoint.protocol") + report.levels("span.accepted"), ["ok", "ok"])
            self.assertEqual(report.levels("machine.skew"), ["ok"])
            trace = report.one("span.accepted")["text"].split()[-1]
            sink.stop()
            spans = [(span["traceId"], span["name"]) for line in sink.lines() for group in line["resourceSpans"]
                     for scope in group["scopeSpans"] for span in scope["spans"]]
            self.assertEqual(spans, [(trace, "nanospan doctor")])
            self.assertEqual(list(sink.summary()["services"]), ["examined"])

    def test_sink_with_service_and_json(self):
        with Sink() as sink:
            report = examine("--service", "other", OTLP_ENDPOINT=endpoint(sink.port), SERVICE_NAME="examined",
                             OTEL_EXPORTER_OTLP_PROTOCOL="http/json")
            self.assertEqual((report.code, report.levels("span.accepted")), (0, ["ok"]), report.text)
            sink.stop()
            self.assertEqual(list(sink.summary()["services"]), ["other"])

    def test_no_send(self):
        with Sink() as sink:
            report = examine("--no-send", OTLP_ENDPOINT=endpoint(sink.port))
            self.assertEqual((report.code, report.levels("span.not_sent")), (0, ["note"]))
            sink.stop()
            self.assertEqual(sink.summary()["spans"], 0)

    def test_silent_server(self):
        with listener(silence) as port:
            start = time.monotonic()
            report = examine("--timeout", "8s", OTLP_ENDPOINT=endpoint(port))
            self.assertLess(time.monotonic() - start, 20)
            self.assertEqual((report.code, report.levels("endpoint.silent")), (3, ["fail"]))
            self.assertEqual(report.levels("span.accepted"), ["fail"])

    def test_server_that_hangs_up(self):
        with listener(lambda connection: connection.recv(1)) as port:
            report = examine(OTLP_ENDPOINT=endpoint(port))
            self.assertEqual((report.code, report.levels("endpoint.protocol")), (3, ["fail"]))

    def test_http1_where_grpc_is_configured(self):
        with Sink() as sink:
            report = examine(OTLP_ENDPOINT=endpoint(sink.port), OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
            self.assertEqual((report.code, report.one("endpoint.protocol")["level"]), (3, "fail"))
            self.assertIn("uses HTTP/1.1, but gRPC is configured", report.one("endpoint.protocol")["text"])
            self.assertIn("http/protobuf", report.one("endpoint.protocol")["advice"][0])

    def test_http2_where_http1_is_configured(self):
        with listener(http2) as port:
            report = examine(OTLP_ENDPOINT=endpoint(port))
            self.assertEqual((report.code, report.one("endpoint.protocol")["level"]), (3, "fail"))
            self.assertIn("uses HTTP/2, like gRPC", report.one("endpoint.protocol")["text"])
            self.assertIn("OTEL_EXPORTER_OTLP_PROTOCOL=grpc", report.one("endpoint.protocol")["advice"][0])

    def test_statuses(self):
        cases = {401: ("endpoint.authentication", "fail", 3), 403: ("endpoint.authentication", "fail", 3),
                 404: ("endpoint.path", "fail", 3), 405: ("endpoint.path", "fail", 3), 415: ("endpoint.protocol", "fail", 3),
                 500: ("endpoint.protocol", "fail", 3), 302: ("endpoint.path", "fail", 3), 503: ("endpoint.busy", "warn", 1)}
        for status, (check, level, code) in cases.items():
            with self.subTest(status), web(lambda _, status=status: (status, {"Location": "https://there/"}, b"no\x1b[31m!")) as port:
                report = examine("--no-send", OTLP_ENDPOINT=endpoint(port))
                self.assertEqual((report.code, report.levels(check)), (code, [level]), report.text)
                self.assertNotIn("\x1b", report.text)

    def test_web_page(self):
        with web(lambda _: (200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>")) as port:
            report = examine("--no-send", OTLP_ENDPOINT=endpoint(port))
            self.assertEqual((report.code, report.levels("endpoint.protocol")), (3, ["fail"]))
            self.assertIn("web page", report.one("endpoint.protocol")["text"])

    def test_exact_path(self):
        with Sink() as sink:
            report = examine("--no-send", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=endpoint(sink.port) + "/")
            self.assertEqual((report.code, report.levels("endpoint.path")), (3, ["fail"]))
            self.assertIn("/v1/traces", report.one("endpoint.path")["advice"][0])

    def test_clock_of_the_receiver(self):
        date = "Tue, 01 Jan 2030 00:00:00 GMT"

        def answer(handler):
            handler.date_time_string = lambda *_: date
            return 200, {}, b""

        with web(answer) as port:
            report = examine("--no-send", OTLP_ENDPOINT=endpoint(port))
            self.assertEqual((report.code, report.levels("machine.skew")), (1, ["warn"]))

    def test_unix_socket(self):
        path = f"{SHM.name}/otlp.sock"
        report = examine(OTLP_ENDPOINT=f"unix://{path}")
        self.assertEqual((report.code, report.levels("endpoint.connect")), (3, ["fail"]))

    def test_headers_are_those_of_the_exporter(self):
        heard = []

        def listen(handler):
            heard.append([item for item in handler.headers.items() if item[0] not in ("Content-Length", "Host")])
            return 200, {}, b""

        with web(listen) as port:
            examine(OTLP_ENDPOINT=endpoint(port), OTEL_EXPORTER_OTLP_HEADERS=f"x-long={'k' * 6000},x-empty=, x-blank = a%20 ")
        self.assertEqual(len(heard), 2)  # the doctor's request and the library's
        self.assertEqual(heard[0], heard[1])
        self.assertEqual(dict(heard[0])["x-long"], "k" * 6000)

    def test_proxy(self):
        proxied = {"http_proxy": "http://user:hush-hush@127.0.0.1:1/", "OTLP_ENDPOINT": "http://collector.invalid:4318"}
        report = examine("--no-send", **proxied)
        self.assertEqual(report.levels("endpoint.proxy"), ["warn"])
        self.assertNotIn("hush", report.text)
        self.assertEqual(report.levels("endpoint.proxy_connect"), ["fail"])
        self.assertIn("cannot connect to the proxy 127.0.0.1:1: Connection refused", report.text)
        self.assertEqual(report.levels("endpoint.resolve"), [])  # the proxy resolves the name
        self.assertEqual(examine("--no-send", no_proxy=".invalid", **proxied).levels("endpoint.proxy"), [])

    def test_insecure_is_true_or_false(self):
        report = examine("--no-send", OTEL_EXPORTER_OTLP_ENDPOINT="localhost:1", OTEL_EXPORTER_OTLP_INSECURE="1",
                         OTLP_INSECURE="true")
        self.assertIn("OTEL_EXPORTER_OTLP_INSECURE=1 is not accepted and counts as false", report.text)
        self.assertIn("OTLP_INSECURE=true is not used", report.text)
        self.assertIn("with TLS, to https://localhost:1", report.text)

    def test_proxy_that_answers(self):
        for status, target in ((403, "http://collector.invalid:4317"), (407, "http://collector.invalid:4317"),
                               (407, "http://collector.invalid:4318"), (502, "https://collector.invalid:4317")):
            with self.subTest(status=status, target=target), web(lambda _, status=status: (status, {}, b"")) as port:
                scheme = target.split(":", 1)[0]
                report = examine("--no-send", **{f"{scheme}_proxy": f"http://user:hush-hush@127.0.0.1:{port}/",
                                                 "OTLP_ENDPOINT": target})
                self.assertEqual((report.code, report.levels("endpoint.proxy_connect")), (3, ["ok", "fail"]), report.text)
                self.assertIn(f"refused with HTTP status {status}", report.text)
                self.assertNotIn("hush", report.text)
        with web(lambda _: (200, {}, b"")) as port:  # asked like a proxy, it answers itself
            report = examine("--no-send", http_proxy=endpoint(port), OTLP_ENDPOINT="http://collector.invalid:4318")
            self.assertEqual(report.levels("endpoint.protocol"), ["ok"], report.text)

    def test_secrets_are_never_shown(self):
        def repeat(handler):
            return 401, {}, ("got " + str(handler.headers["Authorization"]) + " " + str(handler.headers["x-key"])).encode()

        with web(repeat) as port:
            settings = {"OTLP_ENDPOINT": f"http://somebody:hush-password@127.0.0.1:{port}/?token=hush-token",
                        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20hush-bearer,x-key=hush%2Dkey"}
            for options in ((), ("--json",), ("--quiet",)):
                result = run(*options, **settings)
                self.assertEqual(result.returncode, 3)
                self.assertNotIn("hush", result.stdout + result.stderr)


@needs(shutil.which("openssl"), "there is no openssl")
class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.authority = Authority(folder.name)

    @staticmethod
    def fine(_):
        return 200, {}, b""

    def test_trusted(self):
        with web(self.fine, self.authority.context("good")) as port:
            report = examine(OTLP_ENDPOINT=endpoint(port, "https"), OTEL_EXPORTER_OTLP_CERTIFICATE=self.authority.path("ca"))
            self.assertEqual((report.code, report.levels("endpoint.certificate"), report.levels("span.accepted")), (0, ["ok"], ["ok"]),
                             report.text)

    def test_soon_to_expire(self):
        with web(self.fine, self.authority.context("server")) as port:
            report = examine("--no-send", OTLP_ENDPOINT=endpoint(port, "https"),
                             OTEL_EXPORTER_OTLP_CERTIFICATE=self.authority.path("ca"))
            self.assertEqual((report.code, report.levels("endpoint.certificate")), (1, ["warn"]), report.text)

    def test_untrusted(self):
        with web(self.fine, self.authority.context("good")) as port:
            report = examine("--no-send", OTLP_ENDPOINT=endpoint(port, "https"))
            self.assertEqual((report.code, report.levels("endpoint.certificate")), (3, ["fail"]), report.text)
            self.assertIn("is not trusted", report.one("endpoint.certificate")["text"])
            self.assertIn("OTEL_EXPORTER_OTLP_CERTIFICATE", report.one("endpoint.certificate")["advice"][0])

    def test_untrusted_server_is_told_no_secret(self):
        heard = []

        def listen(handler):
            heard.append(handler.path + str(handler.headers))
            return 200, {}, b""

        with web(listen, self.authority.context("good")) as port:
            examine("--no-send", OTLP_ENDPOINT=f"https://somebody:hush-password@127.0.0.1:{port}/?token=hush-token",
                    OTEL_EXPORTER_OTLP_HEADERS="x-key=hush-key")
        self.assertTrue(heard)  # the doctor did connect
        for request in heard:
            self.assertNotRegex(request, "(?i)hush|authorization")

    def test_key_with_a_passphrase(self):
        locked = Path(self.authority.path("client_key")).with_name("locked.pem")
        subprocess.run(["openssl", "pkey", "-in", self.authority.path("client_key"), "-aes128", "-passout", "pass:hush", "-out",
                        locked], check=True, capture_output=True, timeout=60)
        with web(self.fine, self.authority.context("good")) as port:
            # If there is a terminal, the TLS library would ask there and wait.
            primary, terminal = os.openpty()
            try:
                kept = {"PATH": os.environ["PATH"], "NSP_SHM_DIR": SHM.name, "OTLP_ENDPOINT": endpoint(port, "https"),
                        "OTEL_EXPORTER_OTLP_CERTIFICATE": self.authority.path("ca"),
                        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": self.authority.path("client"),
                        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(locked)}
                kept.update({name: os.environ[name] for name in SPARE if name in os.environ})
                done = subprocess.run(["setsid", "--ctty", "--wait", command(), "doctor", "--no-send"], env=kept, stdin=terminal,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
            finally:
                os.close(primary)
                os.close(terminal)
        self.assertEqual(done.returncode, 3, done.stdout)
        self.assertIn(b"cannot be used", done.stdout)

    def test_name_mismatch(self):
        with web(self.fine, self.authority.context("other_host")) as port:
            report = examine("--no-send", OTLP_ENDPOINT=endpoint(port, "https"),
                             OTEL_EXPORTER_OTLP_CERTIFICATE=self.authority.path("ca"))
            self.assertEqual((report.code, report.levels("endpoint.certificate")), (3, ["fail"]), report.text)
            self.assertIn("is for another name", report.one("endpoint.certificate")["text"])

    def test_expired(self):
        with web(self.fine, self.authority.context("expired")) as port:
            report = examine("--no-send", OTLP_ENDPOINT=endpoint(port, "https"),
                             OTEL_EXPORTER_OTLP_CERTIFICATE=self.authority.path("ca"))
            self.assertEqual((report.code, report.levels("endpoint.certificate")), (3, ["fail"]), report.text)
            self.assertIn("has expired", report.one("endpoint.certificate")["text"])

    def test_client_certificate(self):
        settings = {"OTEL_EXPORTER_OTLP_CERTIFICATE": self.authority.path("ca")}
        with web(self.fine, self.authority.context("good", demand=True)) as port:
            report = examine("--no-send", OTLP_ENDPOINT=endpoint(port, "https"), **settings)
            self.assertEqual((report.code, report.levels("endpoint.client_certificate")), (3, ["fail"]), report.text)
            settings["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"] = self.authority.path("client")
            settings["OTEL_EXPORTER_OTLP_CLIENT_KEY"] = self.authority.path("client_key")
            report = examine(OTLP_ENDPOINT=endpoint(port, "https"), **settings)
            self.assertEqual((report.code, report.levels("span.accepted")), (0, ["ok"]), report.text)

    def test_certificate_files(self):
        report = examine("--no-send", OTLP_ENDPOINT="https://127.0.0.1:1", OTEL_EXPORTER_OTLP_CERTIFICATE="/nowhere/ca.pem")
        self.assertEqual((report.code, report.levels("configuration.file")), (3, ["fail"]))

    def test_tls_where_clear_text_is_configured(self):
        with web(self.fine, self.authority.context("good")) as port:
            for protocol in ("http/protobuf", "grpc"):
                with self.subTest(protocol):
                    report = examine("--no-send", OTLP_ENDPOINT=endpoint(port), OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
                    self.assertEqual((report.code, report.levels("endpoint.tls")), (3, ["fail"]), report.text)
                    self.assertIn("uses TLS, but clear text is configured", report.one("endpoint.tls")["text"])

    def test_clear_text_where_tls_is_configured(self):
        with Sink() as sink:
            report = examine("--no-send", OTLP_ENDPOINT=endpoint(sink.port, "https"))
            self.assertEqual((report.code, report.levels("endpoint.tls")), (3, ["fail"]), report.text)
            self.assertIn("HTTP/1.1 in clear text", report.one("endpoint.tls")["text"])
        with listener(http2) as port:
            report = examine("--no-send", OTLP_ENDPOINT=endpoint(port, "https"), OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
            self.assertEqual((report.code, report.levels("endpoint.tls")), (3, ["fail"]), report.text)
            self.assertIn("HTTP/2 (gRPC) in clear text", report.one("endpoint.tls")["text"])

    def test_grpc_over_tls_that_has_no_http2(self):
        with web(self.fine, self.authority.context("good", alpn=["http/1.1"])) as port:
            report = examine("--no-send", OTLP_ENDPOINT=endpoint(port, "https"), OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
                             OTEL_EXPORTER_OTLP_CERTIFICATE=self.authority.path("ca"))
            self.assertEqual((report.code, report.levels("endpoint.protocol")), (3, ["fail"]), report.text)


@needs(grpc_is_there(), "python3-grpcio is not installed")
class Grpc(unittest.TestCase):
    """A real gRPC server."""

    def test_in_clear(self):
        with Receiver("grpc") as receiver:
            report = examine(OTLP_ENDPOINT=receiver.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
            self.assertEqual((report.code, report.levels("endpoint.protocol"), report.levels("span.accepted")), (0, ["ok"], ["ok"]),
                             report.text)
            report = examine("--no-send", OTLP_ENDPOINT=receiver.endpoint)
            self.assertEqual((report.code, report.levels("endpoint.protocol")), (3, ["fail"]))
            self.assertIn("uses HTTP/2, like gRPC", report.one("endpoint.protocol")["text"])

    def test_unix_socket(self):
        with Receiver("grpc", unix=True) as receiver:
            report = examine(OTLP_ENDPOINT=receiver.endpoint)
            self.assertIn("OTLP over gRPC", report.one("endpoint.url")["text"])
            self.assertEqual((report.code, report.levels("endpoint.protocol"), report.levels("span.accepted")), (0, ["ok"], ["ok"]),
                             report.text)

    def test_refusals(self):
        cases = ((16, "endpoint.authentication", "fail", 3), (7, "endpoint.authentication", "fail", 3), (12, "endpoint.path", "fail", 3),
                 (14, "endpoint.busy", "warn", 1), (3, "endpoint.protocol", "fail", 3))
        with Receiver("grpc", answers=[{"status": case[0], "message": "not \u2603 so"} for case in cases]) as receiver:
            for status, check, level, code in cases:
                report = examine("--no-send", OTLP_ENDPOINT=receiver.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
                self.assertEqual((report.code, report.levels(check)), (code, [level]), (status, report.text))
                self.assertIn("not \u2603 so", report.one(check)["text"])

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(folder)
            settings = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_CERTIFICATE": authority.path("ca")}
            with Receiver("grpc", tls=(authority.path("good"), authority.path("good_key")), client_ca=authority.path("ca")) as receiver:
                report = examine("--no-send", OTLP_ENDPOINT=receiver.endpoint, **settings)
                self.assertEqual((report.code, report.levels("endpoint.client_certificate")), (3, ["fail"]), report.text)
                report = examine(OTLP_ENDPOINT=receiver.endpoint, **settings,
                                 OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=authority.path("client"),
                                 OTEL_EXPORTER_OTLP_CLIENT_KEY=authority.path("client_key"))
                self.assertEqual((report.code, report.levels("span.accepted")), (0, ["ok"]), report.text)
                report = examine("--no-send", OTLP_ENDPOINT=receiver.endpoint.replace("https", "http"), **settings)
                self.assertEqual((report.code, report.levels("endpoint.tls")), (3, ["fail"]), report.text)


class Query(unittest.TestCase):
    """A stand-in for Jaeger's query API, which knows the spans that the sink wrote."""

    def jaeger(self, sink, blind=False):
        def answer(handler):
            if handler.path == "/api/v3/services":
                return 200, {"Content-Type": "application/json"}, b'{"services":["examined","other"]}'
            lines = [] if blind else sink.lines()
            wanted = handler.path.rpartition("/")[2]
            found = [line for line in lines if wanted in json.dumps(line)]
            if handler.path.startswith("/api/v3/traces/") and found:
                return 200, {"Content-Type": "application/json"}, json.dumps({"result": found[0]}).encode()
            return 404, {"Content-Type": "application/json"}, b'{"error":{"httpCode":404,"message":"No traces found"}}'

        return web(answer)

    def test_found(self):
        with Sink() as sink, self.jaeger(sink) as port:
            report = examine("--query", endpoint(port), OTLP_ENDPOINT=endpoint(sink.port), SERVICE_NAME="examined")
            self.assertEqual((report.code, report.levels("query.connect"), report.levels("query.found")), (0, ["ok"], ["ok"]),
                             report.text)
            self.assertIn("among them examined", report.one("query.connect")["text"])
            # A Jaeger on this machine is not queried through a proxy.
            report = examine("--query", endpoint(port), OTLP_ENDPOINT=endpoint(sink.port), http_proxy="http://127.0.0.1:1")
            self.assertEqual((report.code, report.levels("query.found")), (0, ["ok"]), report.text)

    def test_not_found(self):
        with Sink() as sink, self.jaeger(sink, blind=True) as port:
            report = examine("--query", endpoint(port) + "/", "--timeout", "4s", OTLP_ENDPOINT=endpoint(sink.port))
            self.assertEqual((report.code, report.levels("query.found")), (3, ["fail"]))

    def test_not_there(self):
        with Sink() as sink:
            report = examine("--query", endpoint(closed_port()), OTLP_ENDPOINT=endpoint(sink.port))
            self.assertEqual((report.code, report.levels("query.connect")), (3, ["fail"]))
            report = examine("--query", endpoint(sink.port), OTLP_ENDPOINT=endpoint(sink.port))
            self.assertEqual((report.code, report.levels("query.connect")), (3, ["fail"]))


@contextlib.contextmanager
def engine(shm, *options, **environment):
    """The example engine with this environment; yields its process after it has handled some orders."""
    program = BUILD / "bin" / "engine"
    if not os.access(program, os.X_OK):
        raise unittest.SkipTest(f"there is no {program}")
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder, "address")
        kept = {name: os.environ[name] for name in SPARE if name in os.environ}
        process = subprocess.Popen([program, "--listen", "127.0.0.1:0", "--no-pin", "--address-file", address, *options],
                                   env={**kept, "NSP_SHM_DIR": shm, **environment}, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            while not address.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            host, port = address.read_text(encoding="ascii").strip().rsplit(":", 1)
            with socket.create_connection((host, int(port)), timeout=60) as client:
                for number in range(1, 51):
                    body = struct.pack("<IQII8sBB6x", 1, number, 100, 1, b"BTCUSDT", 1, 1)
                    client.sendall(struct.pack("<HBB", 4 + len(body), 1, 1) + body)
                    client.recv(65536)
            yield process
        finally:
            process.kill()
            process.wait(20)


class RealJaeger(unittest.TestCase):
    """Every protocol at every port of the real backends, if `./run backends` has built them."""

    @classmethod
    def setUpClass(cls):
        where = SOURCE / "tools" / "backends" / "build.sh"
        built = where.exists() and subprocess.run([where, "--where"], capture_output=True, text=True, check=False).stdout
        if not built or "jaeger " not in built:
            raise unittest.SkipTest("Jaeger is not built")
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.authority = Authority(folder.name)
        work = tempfile.TemporaryDirectory()
        cls.addClassCleanup(work.cleanup)
        cls.jaeger = cls.enterClassContext(backends.Jaeger(work.name, cls.authority))

    def examine(self, at, protocol, *options, scheme=None, **more):
        where = self.jaeger.endpoint(*at)
        if scheme:
            where = scheme + where[where.index(":"):]
        return examine(*options, OTLP_ENDPOINT=where, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, SERVICE_NAME="examined", **more)

    def test_right_ones(self):
        trust = {"OTEL_EXPORTER_OTLP_CERTIFICATE": self.authority.path("ca"),
                 "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": self.authority.path("client"),
                 "OTEL_EXPORTER_OTLP_CLIENT_KEY": self.authority.path("client_key")}
        query = endpoint(self.jaeger.ports["query", "http"])
        for protocol in ("grpc", "http/protobuf", "http/json"):
            for receiver in backends.RECEIVERS:
                with self.subTest(protocol=protocol, receiver=receiver):
                    report = self.examine((protocol, receiver), protocol, "--query", query, **trust)
                    # Its certificate is valid for two days, which gives a warning.
                    self.assertEqual(report.code, 0 if receiver == "clear" else 1, report.text)
                    for check in ("endpoint.protocol", "span.accepted", "query.connect", "query.found"):
                        self.assertEqual(report.levels(check), ["ok"], report.text)

    def test_wrong_ones(self):
        trust = {"OTEL_EXPORTER_OTLP_CERTIFICATE": self.authority.path("ca")}
        other = {"grpc": "http/protobuf", "http/protobuf": "grpc"}
        for protocol in other:
            cases = {
                "the other's port": ((other[protocol], "clear"), None, trust, "endpoint.protocol"),
                "the other's TLS port": ((other[protocol], "tls"), None, trust, "endpoint.protocol"),
                "in clear at the TLS port": ((protocol, "tls"), "http", {}, "endpoint.tls"),
                "TLS at the port in clear": ((protocol, "clear"), "https", trust, "endpoint.tls"),
                "no client certificate": ((protocol, "mutual"), None, trust, "endpoint.client_certificate"),
                "an unknown authority": ((protocol, "tls"), None, {}, "endpoint.certificate"),
            }
            for name, (at, scheme, more, check) in cases.items():
                with self.subTest(name, protocol=protocol):
                    report = self.examine(at, protocol, "--no-send", scheme=scheme, **more)
                    self.assertEqual((report.code, report.levels(check)[-1:]), (3, ["fail"]), report.text)


class Engines(unittest.TestCase):
    def test_one_that_drops(self):
        with tempfile.TemporaryDirectory(dir=SHM.name) as shm, Sink() as sink:
            settings = {"OTLP_ENDPOINT": endpoint(sink.port), "SERVICE_NAME": "tiny engine", "NSP_OPEN_SPANS": "1",
                        "OTEL_BSP_SCHEDULE_DELAY": "50"}
            with engine(shm, "--calls", **settings) as process:  # a path is one span deep
                report = examine("--no-send", NSP_SHM_DIR=shm, OTLP_ENDPOINT=endpoint(sink.port))
                self.assertEqual((report.code, report.levels("engine.too_deep")), (1, ["warn"]), report.text)
                self.assertIn(f"tiny engine (pid {process.pid})", report.one("engine.too_deep")["text"])
                self.assertIn("NSP_OPEN_SPANS", report.one("engine.too_deep")["advice"][0])
                self.assertEqual(report.levels("engine.alive"), ["ok"])
                # With that engine's environment, everything else is fine.
                report = examine("--pid", str(process.pid))
                self.assertEqual((report.code, report.levels("span.accepted")), (1, ["ok"]), report.text)
                process.send_signal(signal.SIGKILL)
                process.wait(20)
                report = examine("--no-send", NSP_SHM_DIR=shm, OTLP_ENDPOINT=endpoint(sink.port))
                self.assertEqual((report.code, report.levels("engine.dead"), report.levels("engine.alive")), (0, ["note"], []),
                                 report.text)
                self.assertEqual(report.levels("engine.too_deep") + report.levels("engine.left_behind"), ["note", "note"])

    def test_one_that_is_drained_from_outside(self):
        with tempfile.TemporaryDirectory(dir=SHM.name) as shm, Sink() as sink:
            settings = {"NSP_SHM_DIR": shm, "OTLP_ENDPOINT": endpoint(sink.port)}
            with engine(shm, SERVICE_NAME="outside", NSP_COLLECTOR="external") as process:
                name = f"outside (pid {process.pid})"
                report = examine("--no-send", **settings)
                self.assertEqual((report.code, report.levels("engine.undrained")), (1, ["warn"]), report.text)
                self.assertRegex(report.one("engine.undrained")["text"],
                                 re.escape(name) + r" .*nobody drains it; its fullest ring is \d+% full")
                self.assertIn("start `nanospan agent`", report.one("engine.undrained")["advice"][0])
                session, = Path(shm, f"nanospan-{os.geteuid()}").iterdir()
                with outside_lock.hold(session, pid=4711):
                    report = examine("--no-send", **settings)
                    self.assertEqual((report.code, report.levels("engine.drained")), (0, ["ok"]), report.text)
                    self.assertIn(f"{name} is drained by the agent with pid 4711", report.one("engine.drained")["text"])
                with outside_lock.hold(session, pid=4711, idle=100):
                    report = examine("--no-send", **settings)
                    self.assertEqual((report.code, report.levels("engine.stalled")), (1, ["warn"]), report.text)
                    self.assertIn(f"{name}: the agent with pid 4711 has not drained it for 1",
                                  report.one("engine.stalled")["text"])
                process.terminate()
                process.wait(60)
                report = examine("--no-send", NSP_COLLECTOR="external", NSP_SHM_DIR=shm)
                self.assertEqual(report.levels("tracing"), ["note"], report.text)
                self.assertIn("agent's environment", report.one("tracing")["advice"][0])
                report = examine("--no-send", NSP_COLLECTOR="external", **{**settings, "NSP_SHM_DIR": "none"})
                self.assertEqual(report.levels("tracing"), ["warn"], report.text)
                self.assertIn("nsp_init fails", report.one("tracing")["text"])
                report = examine("--no-send", **settings)
                self.assertEqual((report.levels("engine.dead"), report.levels("engine.alive")), (["note"], []), report.text)
                self.assertIn("has ended and left its session to an agent", report.one("engine.dead")["text"])
                self.assertIn("this sends them: nanospan recover ", report.one("engine.dead")["advice"][0])

    def test_settings_of_one_that_is_drained_from_outside(self):
        """Those for exporters have no effect in it, however it came to be external, and nothing is sent to them."""
        wrong = f"http://127.0.0.1:{closed_port()}"
        with tempfile.TemporaryDirectory(dir=SHM.name) as shm:
            with engine(shm, SERVICE_NAME="outside", NSP_COLLECTOR="external", OTLP_ENDPOINT=wrong,
                        OTEL_EXPORTER_OTLP_CERTIFICATE="/nowhere") as process:
                session, = Path(shm, f"nanospan-{os.geteuid()}").iterdir()
                with outside_lock.hold(session, pid=4711):
                    report = examine("--pid", str(process.pid))
                self.assertEqual((report.code, report.levels("tracing")), (0, ["ok"]), report.text)
                self.assertIn("an agent sends them", report.one("tracing")["text"])
                self.assertEqual(report.levels("configuration.without_effect"), ["note", "note"], report.text)
                self.assertIn(f"OTLP_ENDPOINT={wrong} has no effect in this engine", report.text)
                self.assertEqual(report.levels("endpoint.connect"), [], report.text)
                self.assertIn("an agent sends the spans of this engine", report.one("span.not_sent")["text"])
                # The doctor's own environment is also one for an agent.
                report = examine("--no-send", NSP_COLLECTOR="external", NSP_SHM_DIR=shm, OTLP_ENDPOINT=wrong)
                self.assertEqual((report.code, report.levels("endpoint.connect")), (3, ["fail"]), report.text)
                self.assertIn("with these settings if it has this environment", report.one("tracing")["text"])
        report = examine(NSP_COLLECTOR="external")
        self.assertIn("does not say where an agent sends them", report.one("span.not_sent")["text"])

    def test_one_whose_attempts_fail(self):
        """An answer is no success, and whoever sends has the endpoint and the log."""
        with tempfile.TemporaryDirectory(dir=SHM.name) as shm, Sink() as sink:
            settings = {"NSP_SHM_DIR": shm, "OTLP_ENDPOINT": endpoint(sink.port)}
            with engine(shm, SERVICE_NAME="inside", OTLP_ENDPOINT=endpoint(closed_port()), OTEL_BSP_SCHEDULE_DELAY="50") as process:
                report = self.wait_for_failing(settings)
                self.assertRegex(report.one("engine.failing")["text"], r"attempts? to send failed; 0 requests were answered$")
                self.assertIn(f"the engine's endpoint is wrong or its receiver is unreachable: run `nanospan doctor --pid "
                              f"{process.pid}`, and read the engine's log", report.one("engine.failing")["advice"])
            with engine(shm, SERVICE_NAME="outside", NSP_COLLECTOR="external"):
                wrong = endpoint(sink.port) + "/elsewhere"
                kept = {name: os.environ[name] for name in SPARE if name in os.environ}
                with subprocess.Popen([command(), "agent", "--endpoint", wrong], stderr=subprocess.DEVNULL,
                                      env={**kept, "NSP_SHM_DIR": shm, "OTEL_BSP_SCHEDULE_DELAY": "50"}) as agent:
                    try:
                        report = self.wait_for_failing(settings)
                        self.assertRegex(report.one("engine.failing")["text"],
                                         r"attempts? to send failed; (1 request was|\d+ requests were) answered$")
                        self.assertIn("the agent's endpoint or token is wrong, or its receiver has trouble: run `nanospan doctor "
                                      f"--pid {agent.pid}`, and read the agent's log", report.one("engine.failing")["advice"])
                        self.assertIn("the agent's log has the receiver's reason", report.one("engine.rejected")["advice"][0])
                    finally:
                        agent.kill()

    def wait_for_failing(self, settings):
        deadline = time.monotonic() + 60
        while True:
            report = examine("--no-send", **settings)
            if report.levels("engine.failing") or time.monotonic() > deadline:
                return report
            time.sleep(0.2)

    def test_one_whose_spans_go_nowhere(self):
        with tempfile.TemporaryDirectory(dir=SHM.name) as shm, Sink() as sink:
            with engine(shm, SERVICE_NAME="lost"):
                deadline = time.monotonic() + 60  # until the engine's collector has come to them
                while True:
                    report = examine("--no-send", NSP_SHM_DIR=shm, OTLP_ENDPOINT=endpoint(sink.port))
                    if report.levels("engine.discarded") or time.monotonic() > deadline:
                        break
                    time.sleep(0.2)
                self.assertEqual((report.code, report.levels("engine.discarded")), (1, ["warn"]), report.text)

    def test_what_was_left_behind_stays(self):
        with tempfile.TemporaryDirectory(dir=SHM.name) as shm, Sink() as sink:
            for _ in range(2):
                with engine(shm, SERVICE_NAME="killed"):
                    pass
            for _ in range(2):
                report = examine(NSP_SHM_DIR=shm, NSP_KEEP_SESSIONS="0", OTLP_ENDPOINT=endpoint(sink.port))
                self.assertEqual(report.levels("engine.dead"), ["note", "note"], report.text)
                self.assertEqual(report.levels("span.accepted"), ["ok"])


    def test_what_a_recovery_would_leave_out(self):
        with tempfile.TemporaryDirectory(dir=SHM.name) as shm:
            doomed(shm, 10, 2, TRACE_SAMPLE_RATE="0", NSP_OUTLIERS="*: slower=1000s, history=60s").kill()
            dead = examine("--no-send", NSP_SHM_DIR=shm).one("engine.dead")
            self.assertIn("0 of its spans were never sent", dead["text"])
            self.assertRegex(dead["advice"][0], r"it also holds [\d.]+ (KiB|B) of history and 2 spans of traces that were not decided, "
                             "which --speculative recovers; without it they go with the session")
            self.assertRegex(dead["advice"][1], "nanospan recover --output crashed.jsonl --speculative /")

    def test_what_one_samples_and_how_it_keeps_up(self):
        with tempfile.TemporaryDirectory(dir=SHM.name) as shm, Sink() as sink:
            settings = {"OTLP_ENDPOINT": endpoint(sink.port), "SERVICE_NAME": "tuned", "TRACE_SAMPLE_RATE": "0.5",
                        "TRACE_SAMPLE_LIMIT": "100000", "OTEL_BSP_SCHEDULE_DELAY": "50"}
            with engine(shm, **settings) as process:
                kept = {name: os.environ[name] for name in SPARE if name in os.environ}
                subprocess.run([command(), "tune", "tuned", "risk_*=0.25"], check=True, env={**kept, "NSP_SHM_DIR": shm}, timeout=60,
                               stdout=subprocess.DEVNULL)
                report = examine("--no-send", NSP_SHM_DIR=shm, OTLP_ENDPOINT=endpoint(sink.port))
                alive = report.one("engine.alive")
                self.assertIn("it samples 50% of traces (environment), apart from these rules", alive["text"])
                for line in ("100% of order_life (code)", "25% of risk_* (tune)",
                             "at most 100000 traces a second (environment): all rates are multiplied by 1 now"):
                    self.assertIn(line, alive["advice"])
                self.assertRegex(alive["advice"][-1], r"^changed by process \d+ \(nanospan tune\), \d+ s ago$")
                figures = report.one("engine.figures")
                self.assertEqual(figures["level"], "ok")
                self.assertRegex(figures["text"], rf"^tuned \(pid {process.pid}\): records waited [\d.]+ \S+ at most, and no ring was "
                                                  r"more than \d+% full; (the receiver answers in [\d.]+ \S+ on average, "
                                                  r"[\d.]+ \S+ at most|no receiver has answered yet)$")

    def test_one_that_refuses_traces(self):
        """What lowers its rate while it runs is said."""
        with tempfile.TemporaryDirectory(dir=SHM.name) as shm:
            steady = Engine(shm, "--rate", 20000, service="full", program="steady", NSP_COLLECTOR="external", NSP_RING_BYTES="65536")
            self.addCleanup(steady.kill)
            wait_until(lambda: examine("--no-send", NSP_SHM_DIR=shm).levels("engine.refused") == ["warn"], "a trace that is refused")
            self.assertIn(f"lower the rate, now by `nanospan tune {steady.pid} 0.1`, for later starts by TRACE_SAMPLE_RATE",
                          examine("--no-send", NSP_SHM_DIR=shm).one("engine.refused")["advice"][0])

    def test_one_in_huge_pages_that_are_locked(self):
        with tempfile.TemporaryDirectory(dir=SHM.name) as shm, Sink() as sink:
            settings = {"NSP_SHM_DIR": shm, "NSP_HUGE_PAGES": "yes", "NSP_LOCK_MEMORY": "yes",
                        "OTLP_ENDPOINT": endpoint(sink.port)}
            before = examine("--no-send", **settings).one("machine.shm")["text"]
            self.assertIn("16.0 MiB, and 2.0 MiB for each thread", before)
            with engine(shm, SERVICE_NAME="huge", **{name: settings[name] for name in settings if name != "NSP_SHM_DIR"}):
                report = examine("--no-send", **settings)
                self.assertEqual(report.levels("engine.alive"), ["ok"], report.text)
                self.assertIn("huge (pid", report.one("engine.alive")["text"])
                sizes = {path.name: path.stat().st_size for path in Path(shm).rglob("*") if path.is_file()}
                self.assertEqual({size % (2 << 20) for size in sizes.values()}, {0}, sizes)
                self.assertEqual({name for name in sizes if sizes[name]}, {"control", "detached", "batches", "threads"})

    def test_too_little_to_lock(self):
        def nobody():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (4 << 20, 4 << 20))
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)

        if 0 <= resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] < 4 << 20:
            self.skipTest("this user may not lock 4 MiB")
        small = {"NSP_BATCHES": "2", "NSP_BATCH_BYTES": "64 KiB", "NSP_DETACHED_SPANS": "0"}
        for settings, level in (({}, "warn"), (small, "ok"), ({**small, "NSP_HUGE_PAGES": "yes"}, "warn")):
            kept = {name: os.environ[name] for name in SPARE if name in os.environ}
            try:
                result = subprocess.run([command(), "doctor", "--json", "--no-send"], capture_output=True, text=True, timeout=60,
                                        env={**kept, "NSP_SHM_DIR": "none", "NSP_LOCK_MEMORY": "yes", **settings},
                                        preexec_fn=nobody, check=False)
            except PermissionError:
                self.skipTest("other users cannot enter the build directory")
            self.assertEqual(Report(result).levels("machine.lock"), [level], result.stdout)
        self.assertEqual(examine("--no-send").levels("machine.lock"), [])  # nobody asked for it


    def test_context_switches(self):
        """What the kernel says depends on the machine; that it is said, and by what name, does not."""
        self.assertEqual(examine("--no-send").levels("machine.switches"), [])  # nobody asked for them
        finding = examine("--no-send", NSP_SWITCHES="yes").one("machine.switches")
        if finding["level"] == "ok":
            self.assertRegex(finding["text"], r"the kernel permits perf events of context switches \(kernel.perf_event_paranoid is -?\d\)")
        else:
            self.assertTrue(finding["advice"], finding)

    def test_context_switches_that_are_forbidden(self):
        """As nobody with Debian's own setting, or with a kernel that knows nothing of them: by a system call that fails."""
        refuse = Path(command()).parent.parent / "tests" / "refusing"
        if not os.access(refuse, os.X_OK):
            self.skipTest(f"there is no {refuse}")
        for error, text, advice in (("EACCES", "does not permit perf events (kernel.perf_event_paranoid is", "has to allow perf_event_open"),
                                    ("ENOSYS", "has no perf events of context switches", "everything else works"),
                                    ("EMFILE", "cannot be recorded: Too many open files", "everything else works")):
            kept = {name: os.environ[name] for name in SPARE if name in os.environ}
            result = subprocess.run([refuse, error, command(), "doctor", "--json", "--no-send"], capture_output=True, text=True,
                                    timeout=60, env={**kept, "NSP_SHM_DIR": "none", "NSP_SWITCHES": "1"}, check=False)
            if result.returncode == 77:
                self.skipTest(result.stdout)
            finding = Report(result).one("machine.switches")
            self.assertEqual(finding["level"], "warn")
            self.assertIn(text, finding["text"])
            self.assertIn(advice, finding["advice"][0])


class LoggingOut(unittest.TestCase):
    """In a mount namespace, in which the files of systemd-logind are the test's."""

    PREPARE = """
        mount -t tmpfs none /etc/systemd && mount -t tmpfs none /run/systemd && mount -t tmpfs none /var/lib/systemd &&
        mkdir -p /run/systemd/users /var/lib/systemd/linger /etc/systemd/logind.conf.d || exit 100
        %s
        exec setpriv --reuid=%d --regid=65534 --clear-groups "$@"
    """

    def levels(self, prepare="", uid=12345):
        enter = ["unshare", "--mount", "sh", "-c", self.PREPARE % (prepare, uid), "sh"]
        if os.geteuid() != 0 or subprocess.run([*enter, "true"], capture_output=True, check=False).returncode:
            raise unittest.SkipTest("needs root, mount namespaces and the folders of systemd")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as shm:
            os.chmod(shm, 0o777)
            kept = {name: os.environ[name] for name in SPARE if name in os.environ}
            result = subprocess.run([*enter, command(), "doctor", "--json", "--no-send"], env={**kept, "NSP_SHM_DIR": shm},
                                    capture_output=True, text=True, timeout=60, check=False)
        if "Permission denied" in result.stderr and not result.stdout:
            raise unittest.SkipTest("another user may not run the command here")
        return Report(result).levels("machine.logout")

    def test_who_is_told(self):
        self.assertEqual(self.levels(), ["note"])
        self.assertEqual(self.levels(uid=999), [])
        self.assertEqual(self.levels("rmdir /run/systemd/users"), [])  # there is no logind
        for setting in ("RemoveIPC=no", "RemoveIPC=off", "RemoveIPC=0"):
            self.assertEqual(self.levels(f"echo {setting} > /etc/systemd/logind.conf"), [], setting)
        self.assertEqual(self.levels("echo RemoveIPC=no > /etc/systemd/logind.conf;"
                                     "echo RemoveIPC=yes > /etc/systemd/logind.conf.d/own.conf"), ["note"])
        self.assertEqual(self.levels("echo '#RemoveIPC=no' > /etc/systemd/logind.conf"), ["note"])

    def test_who_lingers(self):
        user = next((user for user in pwd.getpwall() if 1000 <= user.pw_uid < 60000), None)
        if user is None:
            raise unittest.SkipTest("there is no user that is a person")
        self.assertEqual(self.levels(uid=user.pw_uid), ["note"])
        self.assertEqual(self.levels(f"touch /var/lib/systemd/linger/{user.pw_name}", user.pw_uid), [])


class CommandLine(unittest.TestCase):
    def test_wrong_ones(self):
        for options in (("--timeout", "soon"), ("--timeout", "1ns"), ("--query", "ftp://x"), ("--query", "::"), ("--color", "blue"),
                        ("--pid", "0"), ("--nonsense",), ("argument",)):
            with self.subTest(options):
                self.assertEqual(run(*options).returncode, 2)

    def test_help(self):
        result = run("--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("Exit codes: 0 no warnings", " ".join(result.stdout.split()))
        self.assertIn("nanospan doctor --query http://localhost:16686", result.stdout)

    def test_width_and_colour(self):
        for width in ("60", "100"):
            result = run("--color", "never", COLUMNS=width, OTLP_ENDPOINT="http://no-such-host.invalid:4317")
            self.assertNotIn("\x1b", result.stdout)
            # A word that is longer than the line stays whole.
            self.assertEqual([line for line in result.stdout.splitlines() if len(line) > int(width) and line.count(" ") > 12], [])
        self.assertIn("\x1b[1;31mFAIL", run("--color", "always", OTLP_ENDPOINT="http://no-such-host.invalid:4317").stdout)

    def test_quiet(self):
        with Sink() as sink:
            result = run("--quiet", OTLP_ENDPOINT=endpoint(sink.port))
            self.assertEqual((result.returncode, result.stdout), (0, ""))
        result = run("--quiet", OTLP_ENDPOINT=endpoint(closed_port()))
        self.assertEqual(result.returncode, 3)
        self.assertNotIn(" OK ", result.stdout)
        self.assertIn("FAIL", result.stdout)


if __name__ == "__main__":
    unittest.main()
