# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 400
"""The live page of `nanospan sink --web`: whom it answers, what it shows, and what it holds."""
import contextlib
import http.client
import json
import os
import re
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from live_sink import Live
from sink_process import Sink, attribute, chunk, command, fixed32, fixed64, number, request

START = 1_700_000_000_000_000_000
MICROSECOND, MILLISECOND = 1_000, 1_000_000
MIB = 1 << 20
TOKEN_DIGITS = 40


def span(trace, identity, name="work", parent=0, start=0, duration=1000, failed=False, remote=False, more=b""):
    """A span as bytes; ids are small numbers."""
    return (chunk(1, trace.to_bytes(16, "big")) + chunk(2, identity.to_bytes(8, "big")) +
            (chunk(4, parent.to_bytes(8, "big")) if parent else b"") + chunk(5, name) + number(6, 1) +
            fixed64(7, START + start) + fixed64(8, START + start + duration) +
            (chunk(15, number(3, 2)) if failed else b"") + fixed32(16, 0x301 if remote else 0x101) + more)


def padding(size):
    return chunk(9, chunk(1, "padding") + chunk(2, chunk(1, "x" * size)))


class Refusals(unittest.TestCase):
    """Whom the page answers."""

    @classmethod
    def setUpClass(cls):
        cls.sink = Live().__enter__()
        cls.sink.send(span(7, 1, "secret name"))
        cls.sink.wait_read(1)

    @classmethod
    def tearDownClass(cls):
        cls.sink.__exit__(None, None, None)

    def status(self, *arguments, **how):
        return self.sink.ask(*arguments, **how)[0]

    def test_methods(self):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "get"):
            for path in ("/", "/api/state", "/nothing"):
                status, headers, body = self.sink.ask(path, method)
                self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"), (method, path))
                self.assertNotIn(b"secret", body)
        self.assertEqual(self.status("/", "POST", body=b"a" * 100_000, Content_Length="100000"), 405)
        status, headers, body = self.sink.ask("/api/state", "HEAD")
        self.assertEqual((status, body), (200, b""))
        self.assertGreater(int(headers["Content-Length"]), 100)
        self.assertEqual(self.status("/api/state", "HEAD", token=None), 401)

    def test_hosts(self):
        port = self.sink.web_port
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LocalHost:{port}", f"[::1]:{port}"):
            self.assertEqual(self.status("/", host=host), 200, host)
            self.assertEqual(self.status("/api/state", host=host), 200, host)
        other = port - 1
        for host in ("", "localhost", "127.0.0.1", f"127.0.0.1:{other}", f"localhost:{other}", f"localhost:{port}0",
                     f"localhost:0{port}", f"localhost:{port} ,a", f"attacker.example:{port}", "attacker.example", f":{port}",
                     f"localhost.:{port}", f"localhost.attacker.example:{port}", f"127.0.0.1.attacker.example:{port}",
                     f"127.0.0.2:{port}", f"127.1:{port}", f"0.0.0.0:{port}", f"[::]:{port}", f"user@localhost:{port}",
                     f"http://localhost:{port}", "x" * 5000 + f":{port}"):
            for path in ("/", "/api/state", "/api/trace?id=" + "0" * 31 + "7"):
                status, _, body = self.sink.ask(path, host=host)
                self.assertEqual(status, 421, host)
                self.assertNotIn(b"secret", body)

    def test_hosts_that_are_missing_or_many(self):
        good = f"127.0.0.1:{self.sink.web_port}"
        for hosts in ([], [good, good], [good, "attacker.example"], ["attacker.example", good]):
            self.assertIn(self.status("/api/state", host=hosts), (400, 421), hosts)
        with socket.create_connection(("127.0.0.1", self.sink.web_port), timeout=60) as old:
            old.sendall(f"GET /api/state HTTP/1.0\r\nAuthorization: Bearer {self.sink.token}\r\n\r\n".encode())
            self.assertIn(old.recv(100).split()[1], (b"400", b"421"))

    def test_origins(self):
        port = self.sink.web_port
        for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
            self.assertEqual(self.status("/api/state", host=host, Origin=f"http://{host}"), 200)
        for origin in ("null", "", "http://attacker.example", f"https://127.0.0.1:{port}", f"http://127.0.0.1:{port - 1}",
                       f"http://localhost:{port}", f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{port}.attacker.example"):
            for path in ("/", "/api/state"):
                self.assertEqual(self.status(path, Origin=origin), 403, origin)

    def test_tokens(self):
        token = self.sink.token
        self.assertRegex(token, f"^[0-9a-f]{{{TOKEN_DIGITS}}}$")
        wrong = lambda at: token[:at] + ("0" if token[at] != "0" else "1") + token[at + 1:]
        for path in ("/api/state", "/api/trace?id=" + "0" * 31 + "7"):
            self.assertEqual(self.status(path), 200)
            for given in [None, "x", token[:-1], token[1:], token + "0", token * 2, token.upper() + "g", token + " " + token,
                          "0" * TOKEN_DIGITS, "", " "] + [wrong(at) for at in range(TOKEN_DIGITS)]:
                status, headers, body = self.sink.ask(path, token=given)
                self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"), given)
                self.assertNotIn(b"secret", body)
                self.assertNotIn(token.encode(), body)
            for how in ("Basic", "Bearer\t", "Token", ""):
                self.assertEqual(self.status(path, token=None, Authorization=f"{how} {token}".strip()), 401, how)
        for path in (f"/api/state?token={token}", f"/api/state?Authorization=Bearer+{token}"):
            self.assertEqual(self.status(path, token=None), 401)
        self.assertEqual(self.status("/api/state", token=None, Cookie=f"token={token}"), 401)

    def test_tokens_differ(self):
        with Live(output=False) as other:
            self.assertNotEqual(other.token, self.sink.token)
            self.assertEqual(other.ask("/api/state", token=self.sink.token)[0], 401)

    def test_paths(self):
        for path in ("/x", "/api", "/api/", "/api/state/", "/api/states", "//", "/.", "/../etc/passwd", "/%2e%2e/etc/passwd",
                     "/v1/traces", "/index.html", "/favicon.ico"):
            self.assertEqual(self.status(path), 404, path)
        for identity in ("", "id=", "id=7", "id=" + "0" * 33, "id=" + "g" * 32, "id",
                         "id=" + "%30" * 31 + "x"):
            self.assertEqual(self.status(f"/api/trace?{identity}"), 400, identity)
        self.assertEqual(self.status("/api/trace?id=" + "A" * 32), 204)
        self.assertEqual(self.status("/?anything=1"), 200)

    def test_long_and_broken_requests(self):
        port = self.sink.web_port
        good = f"Host: 127.0.0.1:{port}\r\n"
        for text in (f"GET /{'a' * 200_000} HTTP/1.1\r\n{good}\r\n", f"GET / HTTP/1.1\r\n{good}X: {'a' * 200_000}\r\n\r\n",
                     f"GET / HTTP/1.1\r\n{good}" + "X: y\r\n" * 50_000 + "\r\n", f"GET / HTTP/9.9\r\n{good}\r\n", "\0\1\2\r\n\r\n",
                     "GET\r\n\r\n", f"GET /api/state HTTP/1.1\r\n{good}Authorization: Bearer {'a' * 100_000}\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                reply = b""
                with contextlib.suppress(OSError):
                    connection.sendall(text.encode())
                    while data := connection.recv(65536):
                        reply += data
                self.assertNotIn(b" 200 ", reply[:20], text[:40])
                self.assertNotIn(b"secret", reply)
        self.assertEqual(self.status("/api/state"), 200)

    def test_many_idle_connections_are_bounded(self):
        with contextlib.ExitStack() as stack:
            for _ in range(200):
                stack.enter_context(socket.create_connection(("127.0.0.1", self.sink.web_port), timeout=60))
            descriptors = os.listdir(f"/proc/{self.sink.process.pid}/fd")
            self.assertLess(len(descriptors), 120)
            # The receiver is not affected by these.
            self.assertEqual(self.sink.post(request())[0], 200)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(ConnectionError, http.client.HTTPException):
                if self.status("/api/state") == 200:
                    break
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def test_connections_that_never_end_shut_nobody_out(self):
        """200 of them, on which a byte comes now and then, so that they are never idle."""
        with contextlib.ExitStack() as stack:
            many = [stack.enter_context(socket.create_connection(("127.0.0.1", self.sink.web_port), timeout=60))
                    for _ in range(200)]
            ended = threading.Event()

            def drip():
                while not ended.wait(0.5):
                    for one in many:
                        with contextlib.suppress(OSError):
                            one.send(b"a")

            for one in many:
                with contextlib.suppress(OSError):
                    one.send(b"GET / HTTP/1.1\r\nX: ")
            thread = threading.Thread(target=drip)
            thread.start()
            try:
                for _ in range(3):
                    self.assertEqual(self.status("/api/state"), 200)
            finally:
                ended.set()
                thread.join()

    def test_headers(self):
        for path, how in (("/", {}), ("/api/state", {}), ("/api/state", {"token": None}), ("/nothing", {}),
                          ("/", {"host": "attacker.example"}), ("/", {"method": "POST"}), ("/", {"Origin": "null"}),
                          ("/api/trace?id=" + "0" * 31 + "7", {}), ("/api/trace?id=" + "0" * 31 + "8", {}),
                          ("/api/trace?id=x", {})):
            _, headers, _ = self.sink.ask(path, **how)
            expected = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
                        "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store"}
            for name, value in expected.items():
                self.assertEqual(headers.get_all(name), [value], (path, how, name))
            policies = headers.get_all("Content-Security-Policy")
            self.assertEqual(len(policies), 1)
            rules = dict(rule.strip().partition(" ")[::2] for rule in policies[0].split(";"))
            for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
                self.assertEqual(rules[name], "'none'", (path, how, name))
            self.assertNotIn("unsafe", policies[0])
            self.assertNotIn("*", policies[0])
            self.assertIsNone(headers["Access-Control-Allow-Origin"])
            self.assertIsNone(headers["Set-Cookie"])

    def test_the_page_has_a_nonce_and_no_data(self):
        nonces = set()
        for _ in range(3):
            status, headers, body = self.sink.ask("/", token=None)
            self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
            policy = headers["Content-Security-Policy"]
            found = set(re.findall(r"'nonce-([0-9A-Za-z+/=_-]+)'", policy))
            self.assertEqual(len(found), 1, policy)
            nonce, = found
            self.assertGreaterEqual(len(nonce), 22)
            text = body.decode()
            self.assertIn("data-live", text)
            scripts = re.findall(r"<(?:script|style)\b([^>]*)>", text)
            self.assertGreaterEqual(sum(f'nonce="{nonce}"' in attributes for attributes in scripts), 2)
            self.assertRegex(policy, r"connect-src 'self'")
            for hidden in ("secret name", self.sink.token, "@NONCE@", "@LIVE@"):
                self.assertNotIn(hidden, text)
            nonces.add(nonce)
        self.assertEqual(len(nonces), 3)


class Addresses(unittest.TestCase):
    def test_files_and_start_lines(self):
        with tempfile.TemporaryDirectory() as folder:
            url = Path(folder, "url")
            url.write_text("of somebody")
            url.chmod(0o644)
            with Live(url_file=url, quiet=False) as sink:
                self.assertEqual(stat.S_IMODE(url.stat().st_mode), 0o600)
                self.assertEqual(sorted(os.listdir(folder)), ["url"])
                shown = url.read_text()
                token = shown.partition("#token=")[2].strip()
                self.assertEqual(shown, f"http://127.0.0.1:{sink.web_port}/#token={token}\n")
                self.assertEqual(sink.ask("/api/state", token=token)[0], 200)
                self.assertEqual(sink.stop(), 0)
                said = sink.process.stderr.read().decode()
                self.assertIn(f"live page: its address, with the token, is in {url}\n", said)
                self.assertNotIn(token, said, "whoever can read a log would know it")
                self.assertNotIn("warning", said)

    def test_the_address_is_printed_if_it_goes_nowhere_else(self):
        with Sink("--web", "0", quiet=False) as sink:
            self.assertEqual(sink.stop(), 0)
            self.assertRegex(sink.process.stderr.read().decode(), r"live page: http://127\.0\.0\.1:\d+/#token=[0-9a-f]{40}\n")

    def test_an_address_file_that_cannot_be_written_leaves_no_token(self):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, "url")
            place.mkdir()
            done = subprocess.run([command(), "sink", "--listen", "0", "--web", "0", "--web-url-file", place],
                                  stderr=subprocess.PIPE, text=True, check=False, timeout=60)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"cannot write {place}", done.stderr)
            self.assertEqual(os.listdir(folder), ["url"])

    def test_another_address_is_warned_about(self):
        with Live(address="0.0.0.0:0") as sink:
            port = sink.web_port
            self.assertTrue(sink.url.startswith(f"http://127.0.0.1:{port}/#token="))
            for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"192.0.2.7:{port}", f"[2001:db8::7]:{port}",
                         f"{socket.gethostname()}:{port}"):
                self.assertEqual(sink.ask("/api/state", host=host)[0], 200, host)
            for host in (f"attacker.example:{port}", "192.0.2.7", f"192.0.2.7.attacker.example:{port}", f"[x]:{port}",
                         f"[192.0.2.7]:{port}", f"2001:db8::7:{port}", f"192.0.2:{port}", f"192.0.2.7:{port - 1}"):
                self.assertEqual(sink.ask("/api/state", host=host)[0], 421, host)
            self.assertEqual(sink.ask("/api/state", token=None)[0], 401)
            sink.stop()
            said = sink.process.stderr.read().decode()
            self.assertRegex(said, "warning: .*other machines.*not encrypted")

    def test_ipv6(self):
        with contextlib.closing(socket.socket(socket.AF_INET6)) as probe:
            try:
                probe.bind(("::1", 0))
            except OSError:
                self.skipTest("there is no ::1")
        with Live(address="[::1]:0") as sink:
            self.assertEqual(sink.url, f"http://[::1]:{sink.web_port}/#token={sink.token}")
            connection = http.client.HTTPConnection("::1", sink.web_port, timeout=60)
            connection.request("GET", "/api/state", headers={"Authorization": f"Bearer {sink.token}"})
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()
            sink.stop()
            self.assertEqual(sink.process.stderr.read(), b"")

    def test_wrong_command_lines(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            in_use = str(taken.getsockname()[1])
            for options, code, message in (
                    (["--web", "x"], 2, "--web takes HOST:PORT"), (["--web", "70000"], 2, "--web takes"), (["--web"], 64, "argument"),
                    (["--web", "0", "--web-memory", "1000"], 2, "--web-memory"), (["--web", "0", "--web-memory", "x"], 2, "--web-memory"),
                    (["--web-port-file", "x"], 2, "need --web"), (["--web-url-file", "x"], 2, "need --web"),
                    (["--web", "0", "--web-url-file", ""], 2, "web-url-file"),
                    (["--web", in_use], 1, "choose another port with --web"),
                    (["--web", "0", "--web-url-file", "/no/such/folder/url"], 1, "cannot write"),
                    (["--web", "0", "--web-port-file", "/no/such/folder/port"], 1, "cannot write")):
                with tempfile.TemporaryDirectory() as folder:
                    kept = Path(folder, "kept")
                    kept.write_text("old")
                    done = subprocess.run([command(), "sink", "--listen", "0"] + options, capture_output=True, text=True, timeout=60,
                                          cwd=folder)
                    self.assertEqual(done.returncode, code if code != 64 else done.returncode, (options, done.stderr))
                    self.assertIn(message, done.stderr, options)
                    self.assertNotEqual(done.returncode, 0)

    def test_a_port_in_use_leaves_the_output_as_it_was(self):
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as taken:
            output = Path(folder, "spans.jsonl")
            output.write_text("earlier\n")
            done = subprocess.run([command(), "sink", "--listen", "0", "--web", str(taken.getsockname()[1]), "--output", output],
                                  capture_output=True, timeout=60, check=False)
            self.assertEqual((done.returncode, output.read_text()), (1, "earlier\n"))


def by_name(state, continued=False):
    return {one["name"]: one for one in state["names"] if one["continued"] == continued}


class Figures(unittest.TestCase):
    def test_they_equal_what_was_sent(self):
        with Live() as sink:
            identity, traces = 0, {"fast": 500, "slow": 40}
            sent, failed = 0, {"fast": 0, "slow": 0}
            longest = {"fast": 0, "slow": 0}
            for name, count in traces.items():
                for i in range(count):
                    identity += 1
                    duration = (i + 1) * (MICROSECOND if name == "fast" else MILLISECOND)
                    bad = i % 10 == 3
                    child = span(identity, 2, "child", 1, 10, 100, failed=bad)
                    root = span(identity, 1, name, 0, 0, duration, failed=bad and i % 20 == 3)
                    # The error of a child makes its trace a failed one, whatever comes first.
                    sink.send(*([root, child] if i % 2 else [child, root]), service=f"service of {name}")
                    sent += 2
                    failed[name] += bad
                    longest[name] = duration
            sink.send(span(1 << 64, 5, "handle", 9, 0, 3 * MILLISECOND, failed=True, remote=True))
            state = sink.wait_read(sent + 1)
            self.assertEqual(state["traces"], 540)
            self.assertEqual(state["failed"], 54)
            self.assertEqual(state["totals"]["errors"], 50 + 25 + 4 + 2 + 1)
            self.assertEqual(state["totals"]["requests"], 541)
            self.assertEqual(state["totals"]["distinct_span_ids"], sent + 1)
            self.assertEqual({one["name"]: one["spans"] for one in state["services"]},
                             {"service of fast": 1000, "service of slow": 80, "engine": 1})
            self.assertEqual([one["name"] for one in state["names"]], ["fast", "slow", "handle"])
            names = by_name(state)
            for name, count in traces.items():
                figures = names[name]["all"]
                self.assertEqual((figures["traces"], figures["failed"], figures["max"]), (count, failed[name], longest[name]))
                for quantile, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
                    exact = -(-int(share * 100) * count // 100) * longest[name] // count
                    self.assertLess(abs(figures[quantile] / exact - 1), 0.017, (name, quantile))
            handle, = by_name(state, True).values()
            self.assertEqual((handle["all"]["traces"], handle["all"]["failed"]), (1, 1))
            self.assertEqual(sorted((one["duration"] for one in state["slowest"] if one["name"] == "slow"), reverse=True),
                             [n * MILLISECOND for n in (40, 39, 38, 37, 36)])
            latest = state["latest"][0]
            self.assertEqual((latest["name"], latest["service"], latest["duration"], latest["spans"], latest["start"]),
                             ("slow", "service of slow", 40 * MILLISECOND, 2, str(START)))

    def test_totals_are_those_of_view(self):
        with Live() as sink:
            for i in range(1, 301):
                sink.send(span(i, 1, "order" if i % 3 else "quote", 0, 0, i * 777), span(i, 2, "child", 1, failed=i % 7 == 0))
            state = sink.wait_read(600)
            sink.stop()
            shown = subprocess.run([command(), "view", "--summary", "--color", "never", sink.output], capture_output=True, text=True,
                                   check=True, timeout=60).stdout
            for name, one in by_name(state).items():
                row, = [line.split() for line in shown.splitlines() if line.split()[:1] == [name]]
                failed = row[2] if row[2] != "\u00b7" else "0"
                self.assertEqual((row[1], failed), (str(one["all"]["traces"]), str(one["all"]["failed"])), shown)

    def test_recent_ones_move(self):
        with Live() as sink:
            sink.send(*(span(i, 1, "order", 0, 0, MILLISECOND) for i in range(1, 101)))
            first = by_name(sink.wait_read(100))["order"]
            self.assertEqual((first["recent"]["traces"], first["recent"]["max"]), (100, MILLISECOND))
            self.assertLess(abs(first["recent"]["p99"] / MILLISECOND - 1), 0.017)
            later = by_name(sink.wait(lambda s: by_name(s)["order"]["recent"]["traces"] == 0))["order"]
            self.assertEqual((later["recent"]["p50"], later["recent"]["max"]), (0, 0))
            self.assertEqual(later["all"], first["all"])
            sink.send(*(span(i, 1, "order", 0, 0, 5 * MILLISECOND) for i in range(101, 151)))
            moved = by_name(sink.wait_read(150))["order"]
            self.assertEqual((moved["recent"]["traces"], moved["all"]["traces"]), (50, 150))
            self.assertLess(abs(moved["recent"]["p50"] / (5 * MILLISECOND) - 1), 0.017)
            self.assertLess(moved["all"]["p50"], 2 * MILLISECOND)

    def test_samples_lead_to_the_totals(self):
        with Live() as sink:
            sink.send(span(1, 1), span(1, 2, parent=1, failed=True))
            sink.wait_read(2)
            state = sink.wait(lambda s: s["samples"][-1][1] == 2 and len(s["samples"]) >= 3)
            times = [one[0] for one in state["samples"]]
            self.assertEqual(times, sorted(times))
            self.assertLessEqual(times[-1], state["at"])
            self.assertEqual(state["samples"][-1][1:], [2, 1, 1, state["totals"]["bytes"], 1])

    def test_repeated_spans_count_once(self):
        with Live() as sink:
            once = [span(1, 1, "order"), span(1, 2, "child", 1)]
            for _ in range(3):
                sink.send(*once)
            sink.send(*once, span(2, 1, "order"))
            state = sink.wait(lambda s: s["totals"]["spans"] == 9 and s["traces"] == 2)
            self.assertEqual(by_name(state)["order"]["all"]["traces"], 2)
            self.assertEqual(state["held"]["window_spans"], 3)
            self.assertEqual(sink.trace(1)["spans"], 2)

    def test_names_are_bounded(self):
        with Live() as sink:
            sink.send(*(span(i, 1, f"name {i}") for i in range(1, 1001)))
            sink.send(*(span(i, 1, "name 5") for i in range(1001, 1011)))
            state = sink.wait_read(1010)
            self.assertEqual(len(state["names"]), 129)
            self.assertEqual(sum(one["all"]["traces"] for one in state["names"]), 1010)
            others, = [one for one in state["names"] if one["others"]]
            self.assertEqual(others["all"]["traces"], 1000 - 128)
            self.assertEqual(by_name(state)["name 5"]["all"]["traces"], 11)


class HostileNames(unittest.TestCase):
    def test_names(self):
        names = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"', "\\", "'", "\0", "\x1b[2J", "\u2028\u2029",
                 "\u202eright to left", "", " ", "a\nb\r\nX-Header: y", "\U0001f600", "__proto__", "constructor", "@TITLE@", "${1}", "]]>"]
        with Live() as sink:
            for i, name in enumerate(names, 1):
                sink.send(span(i, 1, name, duration=i), service=name or "none")
            state = sink.wait_read(len(names))
            self.assertEqual(set(by_name(state)), set(names))
            self.assertEqual({one["name"] for one in state["slowest"]}, set(names))
            self.assertEqual(sink.trace(2)["traces"], 1)

    def test_long_names(self):
        with Live() as sink:
            long = "\u00e9" * 50_000
            sink.send(span(1, 1, long), span(2, 1, long + "x"), service=long)
            state = sink.wait_read(2)
            name, = by_name(state)
            self.assertEqual(name, "\u00e9" * 100 + "\u2026")
            self.assertEqual(state["slowest"][0]["service"], "\u00e9" * 50 + "\u2026")
            self.assertGreater(sink.trace(1)["spans"], 0)

    def test_long_names_of_services(self):
        """They are in each answer, so only their beginning is; the summary has no more of them either."""
        with Live() as sink:
            for i in range(1, 5):
                sink.send(span(i, 1), service="\u00e9" * 500_000 + str(i))
            sink.send(span(5, 1), service="x" + "\u00e9" * 500_000)
            sink.wait_read(5)
            status, _, body = sink.ask("/api/state")
            self.assertEqual(status, 200)
            self.assertLess(len(body), 100_000)
            services = {one["name"]: one["spans"] for one in json.loads(body)["services"]}
            self.assertEqual(services, {"\u00e9" * 500: 4, "x" + "\u00e9" * 499: 1})
            self.assertEqual(sink.stop(), 0)
            self.assertEqual({name: one["spans"] for name, one in sink.summary()["services"].items()}, services)

    def test_json_with_everything_in_another_order(self):
        """Members in another order, unknown ones, null, escapes, upper-case ids."""
        identity, body = "ABCDEF" + "0" * 25 + "7", (
            '{"x":[1,{"spans":[]}],"resourceSpans":[{"scopeSpans":[{"spans":[{"status":{"code":2,"message":"a\\u0000b"},'
            '"endTimeUnixNano":"1700000000000000900","name":"o\\u0072der \\ud83d\\ude00 <b>","startTimeUnixNano":1700000000000000000,'
            '"links":null,"unknown":{"traceId":"x"},"spanId":"00000000000000AA","traceId":"%s"}],"scope":{"name":"s"}},'
            '{"spans":null}],"resource":{"attributes":[{"value":{"stringValue":"late\\n"},"key":"service.name"}]}},{},'
            '{"scopeSpans":[]}]}')
        with Live() as sink:
            self.assertEqual(sink.post((body % identity).encode(), "application/json")[0], 200)
            state = sink.wait_read(1)
            name, = by_name(state)
            self.assertEqual(name, "order \U0001f600 <b>")
            one, = state["slowest"]
            self.assertEqual((one["service"], one["failed"], one["duration"], one["trace"]),
                             ("late\n", True, 900, identity.lower()))
            self.assertEqual(sink.trace(int(identity, 16))["spans"], 1)

    def test_absurd_times(self):
        most = (1 << 64) - 1
        with Live() as sink:
            ids = [chunk(1, bytes([0] * 15 + [i])) + chunk(2, bytes([0] * 7 + [i])) + chunk(5, "absurd") for i in range(1, 5)]
            sink.send(ids[0] + fixed64(7, 0) + fixed64(8, most), ids[1] + fixed64(7, most) + fixed64(8, 0), ids[2],
                      ids[3] + fixed64(7, most) + fixed64(8, most))
            figures = by_name(sink.wait_read(4))["absurd"]["all"]
            self.assertEqual((figures["traces"], figures["max"], figures["p50"]), (4, most, 0))
            for i in range(1, 5):
                self.assertEqual(sink.trace(i)["spans"], 1)


class HeldTraces(unittest.TestCase):
    def fill(self, sink, first, count, size=2000):
        """Sends that many fast traces of one span, each in a request; returns how many spans these are."""
        for i in range(first, first + count):
            sink.send(span(i, 1, "filler", 0, 0, 1000, more=padding(size)))
        return count

    def test_a_trace_comes_in_several_requests(self):
        with Live() as sink:
            sink.send(span(1, 3, "grandchild", 2), span(2, 1, "another"))
            sink.send(span(1, 2, "child", 1), service="second")
            self.assertEqual(sink.wait_read(3)["traces"], 1)
            self.assertEqual(sink.trace(1)["spans"], 2)
            sink.send(span(1, 1, "root", 0, 0, 9000), service="first")
            sink.send(span(1, 4, "late", 1))
            state = sink.wait_read(5)
            header = sink.trace(1)
            self.assertEqual((header["traces"], header["spans"], header["missing"]), (1, 4, 0))
            one, = [one for one in state["slowest"] if one["name"] == "root"]
            self.assertEqual((one["spans"], one["service"], int(one["trace"], 16)), (4, "first", 1))
            self.assertIsNone(sink.trace(3))

    def test_many_traces_are_found(self):
        with Live() as sink:
            for first in range(1, 6001, 500):
                sink.send(*(span(i, 1, "root") for i in range(first, first + 500)))
                sink.send(*(span(i, 2, "child", 1) for i in range(first, first + 500)))
            self.assertEqual(sink.wait_read(12000)["held"]["traces"], 6000)
            for trace in range(1, 6001, 97):
                self.assertEqual(sink.trace(trace)["spans"], 2)
            self.assertIsNone(sink.trace(6001))

    def test_the_slowest_are_kept_when_the_window_has_moved_on(self):
        with Live("--web-memory", "1MiB") as sink:
            sink.send(span(1, 2, "child", 1, more=padding(500)), span(1, 3, "child", 1))
            sink.send(span(1, 1, "order", 0, 0, 50 * MILLISECOND))
            sink.send(span(2, 1, "order", 0, 0, 49 * MILLISECOND), span(2, 2, "child", 1))
            sent = 5 + self.fill(sink, 1000, 1000)
            state = sink.wait_read(sent)
            self.assertLess(state["held"]["window_spans"], 600)
            for trace, spans in ((1, 3), (2, 2)):
                self.assertEqual((sink.trace(trace)["spans"], sink.trace(trace)["missing"]), (spans, 0))
            self.assertIsNone(sink.trace(1100), "it was neither slow nor is it new")
            self.assertEqual(sink.trace(1999)["spans"], 1)
            # What comes of them after that belongs to them too.
            sink.send(span(1, 4, "late", 1, more=padding(300)), service="another")
            sent += 1 + self.fill(sink, 3000, 500)
            sink.wait_read(sent + 0)
            self.assertEqual(sink.trace(1)["spans"], 4)

    def test_slower_ones_take_the_place_of_the_slowest(self):
        with Live("--web-memory", "1MiB") as sink:
            for i in range(1, 21):
                sink.send(span(i, 1, "order", 0, 0, i * MILLISECOND, more=padding(100)))
            sent = 20 + self.fill(sink, 1000, 800)
            state = sink.wait_read(sent)
            kept = [int(one["trace"], 16) for one in state["slowest"] if one["name"] == "order"]
            self.assertEqual(kept, [20, 19, 18, 17, 16])
            self.assertIsNone(sink.trace(15))
            sink.send(span(50, 1, "order", 0, 0, 18 * MILLISECOND + 1))
            state = sink.wait_read(sent + 1)
            kept = [int(one["trace"], 16) for one in state["slowest"] if one["name"] == "order"]
            self.assertEqual(kept, [20, 19, 50, 18, 17])
            self.assertIsNone(sink.trace(16))

    def test_memory_is_bounded(self):
        with Live("--web-memory", "1MiB", output=False) as sink:
            def check(state):
                held = state["held"]
                self.assertLessEqual(held["window_bytes"], held["most_window_bytes"])
                self.assertLessEqual(held["kept_bytes"], held["most_kept_bytes"])
                self.assertLessEqual(held["most_window_bytes"] + held["most_kept_bytes"], MIB)
                self.assertLessEqual(state["queue"]["bytes"], state["queue"]["most_bytes"])
            sent = 0
            # Each trace is slower than all before it, and large.
            for i in range(1, 301):
                sink.send(*(span(i, k, f"order {i % 40}", k - 1, 0, i * MILLISECOND, more=padding(1500)) for k in range(1, 9)))
                sent += 8
                check(sink.state())
            # One trace that never ends.
            for i in range(1, 301):
                sink.send(*(span(77777, 1000 * i + k, "endless", 1 if (i, k) != (1, 0) else 0, 0, 900 * MILLISECOND, more=padding(900))
                            for k in range(10)))
                sent += 10
                check(sink.state())
            state = sink.wait_read(sent)
            check(state)
            self.assertGreater(state["held"]["kept_traces"], 5)
            endless = sink.trace(77777)
            self.assertEqual(endless["spans"] + endless["missing"], 3000)
            self.assertGreater(endless["missing"], 0)
            self.assertGreater(endless["spans"], 10)

    def test_a_large_resource_of_many_scopes_is_there_once(self):
        """Otherwise a small request would become gigabytes when the page asks for its trace, or when it is copied."""
        scopes, size = 3000, 200_000
        spans = b"".join(chunk(2, chunk(1, chunk(1, f"scope {i}")) + chunk(2, span(1, i, "many", i - 1)))
                         for i in range(1, scopes + 1))
        body = chunk(1, chunk(1, attribute(1, "large", chunk(1, "x" * size))) + spans)
        for memory in ("64MiB", "4MiB"): # the trace is copied, and its resource is too large for a copy
            with self.subTest(memory), Live("--web-memory", memory) as sink:
                self.assertEqual(sink.post(body)[0], 200)
                state = sink.wait_read(scopes)
                header = sink.trace(1)
                self.assertEqual((header["spans"], header["missing"]), (scopes, 0))
                self.assertEqual(state["slowest"][0]["spans"], scopes)
                self.assertLessEqual(state["held"]["kept_bytes"], state["held"]["most_kept_bytes"])
                if memory == "64MiB":
                    self.assertEqual(state["held"]["kept_spans"], scopes)
                peak = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{sink.process.pid}/status").read_text())
                self.assertLess(int(peak.group(1)) * 1024, scopes * size / 2)

    def test_what_is_too_large_for_the_queue_is_counted(self):
        with Live("--web-memory", "1MiB") as sink:
            sink.send(*(span(1, i, "huge", i - 1, more=padding(1000)) for i in range(1, 501)))
            sink.send(span(2, 1, "small"))
            state = sink.wait_read(501)
            self.assertEqual((state["queue"]["skipped_requests"], state["queue"]["skipped_spans"]), (1, 500))
            self.assertEqual((state["totals"]["spans"], state["traces"]), (501, 1))
            self.assertIsNone(sink.trace(1))
            sink.stop()
            self.assertEqual(len(sink.lines()), 2)

    def test_what_is_nested_too_deep_is_counted(self):
        """In a member that the receiver does not know, and so accepts."""
        with Live() as sink:
            for number, (begin, end) in enumerate((("[", "]"), ('{"a":', "}")), 1):
                deep = begin * 2000 + "1" + end * 2000
                body = (f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{1:032x}","spanId":"{number:016x}",'
                        f'"name":"deep","unknown":{deep}}}]}}]}}]}}')
                self.assertEqual(sink.post(body.encode(), "application/json")[0], 200)
            sink.send(span(2, 1, "small"))
            state = sink.wait_read(3)
            self.assertEqual((state["queue"]["skipped_requests"], state["queue"]["skipped_spans"]), (2, 2))
            self.assertEqual(sink.trace(2)["spans"], 1)


class Ends(unittest.TestCase):
    def test_both_listeners_end(self):
        with Live() as sink:
            sink.send(span(1, 1))
            sink.wait_read(1)
            with contextlib.ExitStack() as stack:
                idle = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
                        for port in (sink.web_port, sink.port) for _ in range(3)]
                kept = http.client.HTTPConnection("127.0.0.1", sink.web_port, timeout=60)
                kept.request("GET", "/api/state", headers={"Authorization": f"Bearer {sink.token}"})
                self.assertEqual(kept.getresponse().read()[:1], b"{")
                idle[0].sendall(b"GET / HT")
                before = time.monotonic()
                self.assertEqual(sink.stop(), 0)
                self.assertLess(time.monotonic() - before, 30)
                kept.close()
            for port in (sink.web_port, sink.port):
                with self.assertRaises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port), timeout=60)
            self.assertEqual(sink.summary()["spans"], 1)
            self.assertEqual(sink.process.stderr.read(), b"")

    def test_the_end_after_a_number_of_spans(self):
        with Live("--exit-after", "3") as sink:
            sink.send(span(1, 1), span(1, 2), span(1, 3))
            self.assertEqual(sink.process.wait(60), 0)

    def test_the_output_is_the_same_with_a_page(self):
        requests = [request(span(i, 1, f"n\u00e4me {i}", more=padding(i)), span(i, 2, parent=1, failed=True)) for i in range(1, 60)]
        requests.append(request(chunk(5, "no ids"), span(99, 1)))
        results = []
        for kind in (Sink, Live):
            with kind() as sink:
                for one in requests:
                    self.assertEqual(sink.post(one)[0], 200)
                self.assertEqual(sink.stop(), 0)
                summary = sink.summary()
                summary.pop("seconds")
                results.append((sink.output.read_bytes(), summary))
        self.assertEqual(results[0], results[1])
        self.assertEqual(results[0][1]["spans_rejected"], 1)


if __name__ == "__main__":
    unittest.main()
