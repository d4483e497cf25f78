# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
"""The receiver `nanospan sink`: what it accepts, refuses, writes and counts."""
import base64
import contextlib
import gzip
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

from peers import need
from sink_process import Sink, attribute, chunk, command, fixed32, fixed64, number, plain_span, request, varint

START = 1_700_000_000_000_000_000


def rich_span():
    """A span with everything in it, and its OTLP JSON."""
    values = [
        ("text", chunk(1, 'quote " slash \\ line\n tab\t \x01 ünï €'), {"stringValue": 'quote " slash \\ line\n tab\t \x01 ünï €'}),
        ("empty", chunk(1, ""), {"stringValue": ""}),
        ("yes", number(2, 1), {"boolValue": True}),
        ("no", number(2, 0), {"boolValue": False}),
        ("least", number(3, -(1 << 63)), {"intValue": str(-(1 << 63))}),
        ("most", number(3, (1 << 63) - 1), {"intValue": str((1 << 63) - 1)}),
        ("tenth", fixed64(4, struct.unpack("<Q", struct.pack("<d", 0.1))[0]), {"doubleValue": 0.1}),
        ("tiny", fixed64(4, 1), {"doubleValue": 5e-324}),
        ("infinite", fixed64(4, 0x7FF0 << 48), {"doubleValue": "Infinity"}),
        ("nan", fixed64(4, 0x7FF8 << 48), {"doubleValue": "NaN"}),
        ("bytes", chunk(7, b"\x00\xff\x10"), {"bytesValue": base64.b64encode(b"\x00\xff\x10").decode()}),
        ("list", chunk(5, chunk(1, number(3, 7)) + chunk(1, chunk(1, "b")) + chunk(1, b"")),
         {"arrayValue": {"values": [{"intValue": "7"}, {"stringValue": "b"}, {}]}}),
        ("map", chunk(6, attribute(1, "k", number(3, 0))), {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "0"}}]}}),
        ("nothing", b"", {}),
        ("last wins", chunk(1, "a") + number(3, 4), {"intValue": "4"}),
    ]
    trace, span, parent = bytes(range(16)), b"\xff" * 8, b"\xab" * 8
    # Repeated fields between others, an unknown field and an unknown group are all allowed.
    wire = (chunk(1, trace) + chunk(2, span) + chunk(3, "ot=th:0") + chunk(4, parent) + attribute(9, *values[0][:2]) +
            chunk(5, "order 'é'") + number(6, 3) + fixed64(7, START) + b"".join(attribute(9, k, v) for k, v, _ in values[1:]) +
            fixed64(8, START + 5) + number(10, 2) + number(99, 5) + varint(98 << 3 | 3) + number(1, 1) + varint(98 << 3 | 4) +
            chunk(11, fixed64(1, START + 2) + chunk(2, "filled") + attribute(3, "n", number(3, 1)) + number(4, 6)) +
            number(12, 3) + chunk(13, chunk(1, trace) + chunk(2, parent) + chunk(3, "a=b") + attribute(4, "n", number(3, 1)) +
                                  number(5, 8) + fixed32(6, 0x301)) +
            number(14, 4) + chunk(15, chunk(2, "boom")) + chunk(15, number(3, 2)) + fixed32(16, 0x101))
    one = [{"key": "n", "value": {"intValue": "1"}}]
    expected = {
        "traceId": trace.hex(), "spanId": span.hex(), "parentSpanId": parent.hex(), "traceState": "ot=th:0",
        "name": "order 'é'", "kind": 3, "startTimeUnixNano": str(START), "endTimeUnixNano": str(START + 5),
        "attributes": [{"key": key, "value": value} for key, _, value in values], "droppedAttributesCount": 2,
        "events": [{"timeUnixNano": str(START + 2), "name": "filled", "attributes": one, "droppedAttributesCount": 6}],
        "droppedEventsCount": 3,
        "links": [{"traceId": trace.hex(), "spanId": parent.hex(), "traceState": "a=b", "attributes": one,
                   "droppedAttributesCount": 8, "flags": 0x301}],
        "droppedLinksCount": 4, "status": {"message": "boom", "code": 2}, "flags": 0x101,
    }
    return wire, expected


def document(*spans):
    return {"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "engine"}}]},
        "scopeSpans": [{"scope": {"name": "scope"}, "spans": list(spans)}]}]}


class Protobuf(unittest.TestCase):
    def test_every_field_is_written(self):
        wire, expected = rich_span()
        with Sink() as sink:
            status, headers, body = sink.post(request(wire))
            self.assertEqual((status, body), (200, b""))
            self.assertEqual(headers["Content-Type"], "application/x-protobuf")
            self.assertEqual(sink.stop(), 0)
            self.assertEqual(sink.lines(), [document(expected)])
            self.assertEqual(sink.summary()["services"], {"engine": {"spans": 1, "errors": 1}})
            self.assertEqual(sink.summary()["errors"], 1)

    def test_every_truncation(self):
        wire, _ = rich_span()
        whole = request(wire)
        with Sink() as sink:
            for length in range(1, len(whole)):
                status, _, body = sink.post(whole[:length])
                self.assertEqual(status, 400, f"cut to {length} bytes")
                self.assertIn(b"malformed protobuf", body)
            # The empty prefix is an empty request.
            self.assertEqual(sink.post(b"")[0], 200)
            self.assertEqual(sink.stop(), 0)
            self.assertEqual(sink.lines(), [])
            self.assertEqual((sink.summary()["spans"], sink.summary()["requests_refused"]), (0, len(whole) - 1))

    def test_every_flipped_byte_is_answered(self):
        wire, _ = rich_span()
        whole = request(wire)
        with Sink() as sink:
            taken = 0
            for at in range(len(whole)):
                broken = bytearray(whole)
                broken[at] ^= 0xFF
                status = sink.post(bytes(broken))[0]
                self.assertIn(status, (200, 400), f"byte {at}")
                taken += status == 200
            self.assertEqual(sink.stop(), 0)
            self.assertEqual(sink.summary()["requests"], taken)
            sink.lines()

    def test_malformed(self):
        good = plain_span(1, 1)
        cases = {
            "trace id of 15 bytes": chunk(1, b"\x01" * 15) + chunk(2, b"\x01" * 8),
            "span id of 9 bytes": chunk(1, b"\x01" * 16) + chunk(2, b"\x01" * 9),
            "name as a number": good + number(5, 1),
            "start as a varint": good + number(7, 1),
            "name that is not UTF-8": good + chunk(5, b"\xc3\x28"),
            "overlong UTF-8": good + chunk(5, b"\xc0\xaf"),
            "surrogate": good + chunk(5, b"\xed\xa0\x80"),
            "field number 0": good + b"\x00\x01",
            "wire type 7": good + b"\x0f",
            "group without an end": good + varint(98 << 3 | 3),
            "end of a group that never began": good + varint(98 << 3 | 4),
            "varint of 11 bytes": good + b"\x30" + b"\x80" * 10 + b"\x01",
            "length beyond 64 bits": good + b"\x2a" + b"\xff" * 9 + b"\x02",
            "length of nearly 2^64": good + b"\x2a" + b"\xff" * 9 + b"\x01",
        }
        deep = number(3, 1)
        for _ in range(200):
            deep = chunk(5, chunk(1, deep))
        cases["values nested 200 deep"] = good + attribute(9, "k", deep)
        with Sink() as sink:
            for name, span in cases.items():
                with self.subTest(name):
                    status, headers, body = sink.post(request(span))
                    self.assertEqual(status, 400)
                    self.assertEqual(headers["Content-Type"], "application/x-protobuf")
                    # Status: code 3 (invalid argument), then the message.
                    self.assertTrue(body.startswith(b"\x08\x03\x12"), body)
            self.assertEqual(sink.stop(), 0)
            self.assertEqual(sink.summary()["requests"], 0)

    def test_spans_without_identity(self):
        nameless = chunk(5, "no ids")
        zero = chunk(1, bytes(16)) + chunk(2, bytes(8))
        with Sink() as sink:
            status, _, body = sink.post(request(plain_span(1, 1), nameless, zero, plain_span(1, 2)))
            self.assertEqual(status, 200)
            # partial_success { rejected_spans: 2, error_message }
            self.assertEqual(body[0], 0x0A)
            self.assertEqual(body[2:5], b"\x08\x02\x12")
            body = json.dumps(document({"traceId": "", "spanId": "", "name": "x"})).encode()
            status, _, body = sink.post(body, "application/json")
            self.assertEqual(json.loads(body)["partialSuccess"]["rejectedSpans"], "1")
            self.assertEqual(sink.stop(), 0)
            self.assertEqual(len(sink.lines()[0]["resourceSpans"][0]["scopeSpans"][0]["spans"]), 2)
            self.assertEqual((sink.summary()["spans"], sink.summary()["spans_rejected"]), (2, 3))

    def test_as_python_protobuf_reads_it(self):
        try:
            from google.protobuf import json_format
            from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
        except ImportError:
            need(False, "opentelemetry-proto is not installed")
        wire, _ = rich_span()
        two = request(wire, plain_span(5, 6)) + request(plain_span(7, 8), service="feed")
        parsed = ExportTraceServiceRequest.FromString(two)
        theirs = json_format.MessageToDict(parsed, use_integers_for_enums=True)

        def ids_to_hex(node):
            if isinstance(node, list):
                return [ids_to_hex(item) for item in node]
            if not isinstance(node, dict):
                return node
            ids = ("traceId", "spanId", "parentSpanId")
            return {key: base64.b64decode(value).hex() if key in ids else ids_to_hex(value) for key, value in node.items()}

        with Sink() as sink:
            self.assertEqual(sink.post(two)[0], 200)
            self.assertEqual(sink.stop(), 0)
            self.assertEqual(sink.lines(), [ids_to_hex(theirs)])


class Json(unittest.TestCase):
    def test_document_is_kept(self):
        _, expected = rich_span()
        sent = document(expected, dict(expected, spanId="00000000000000AA", unknown={"a": [1]}, status=None))
        with Sink() as sink:
            status, headers, body = sink.post(json.dumps(sent).encode(), "application/json; charset=utf-8")
            self.assertEqual((status, body), (200, b"{}"))
            self.assertEqual(headers["Content-Type"], "application/json")
            self.assertEqual(sink.post(b"{}", "application/json")[0], 200)
            self.assertEqual(sink.stop(), 0)
            self.assertEqual(sink.lines(), [sent])
            self.assertEqual((sink.summary()["spans"], sink.summary()["errors"]), (2, 1))

    def test_malformed(self):
        _, good = rich_span()
        bad_members = {
            "traceId": ["xyz", "00" * 15, 5], "spanId": ["0g" * 8, "00" * 9], "name": [5, {}], "kind": ["SPAN_KIND_SERVER", 1.5],
            "startTimeUnixNano": ["-1", "1e3", "", "18446744073709551616", 1.5, True], "endTimeUnixNano": [-1],
            "attributes": [{}, [5], [{"key": 1}], [{"key": "k", "value": {"intValue": "1", "boolValue": True}}],
                           [{"key": "k", "value": {"bytesValue": "a"}}], [{"key": "k", "value": {"doubleValue": "x"}}],
                           [{"key": "k", "value": {"intValue": "9223372036854775808"}}]],
            "flags": [-1, 1 << 32], "status": [[], {"code": "2"}], "events": [[{"name": 5}]], "links": [[{"spanId": "1"}]],
        }
        with Sink() as sink:
            for member, values in bad_members.items():
                for value in values:
                    with self.subTest(member=member, value=value):
                        status, _, body = sink.post(json.dumps(document(dict(good, **{member: value}))).encode(), "application/json")
                        self.assertEqual(status, 400)
                        message = json.loads(body)
                        self.assertEqual(message["code"], 3)
                        self.assertIn(f"resourceSpans[0].scopeSpans[0].spans[0].{member}", message["message"])
            for text in (b"", b"[]", b"{", b"{} x", b"nonsense", b'{"resourceSpans": 5}', b"\xff", b'{"a":1,"a":2}', b"[" * 100000):
                with self.subTest(text=text[:20]):
                    self.assertEqual(sink.post(text, "application/json")[0], 400)
            self.assertEqual(sink.stop(), 0)
            self.assertEqual((sink.lines(), sink.summary()["requests"]), ([], 0))

    def test_every_truncation(self):
        _, expected = rich_span()
        whole = json.dumps(document(expected)).encode()
        with Sink() as sink:
            for length in range(len(whole)):
                self.assertEqual(sink.post(whole[:length], "application/json")[0], 400, f"cut to {length} bytes")
            self.assertEqual(sink.post(whole, "application/json")[0], 200)


class Http(unittest.TestCase):
    def test_wrong_requests(self):
        body = request(plain_span(1, 1))
        with Sink() as sink:
            self.assertEqual(sink.post(body, path="/v1/metrics")[0], 404)
            self.assertEqual(sink.post(body, path="/")[0], 404)
            status, headers, _ = sink.post(None, method="GET")
            self.assertEqual((status, headers["Allow"]), (405, "POST"))
            self.assertEqual(sink.post(body, kind=None)[0], 415)
            self.assertEqual(sink.post(body, kind="text/plain")[0], 415)
            self.assertEqual(sink.post(body, Content_Encoding="br")[0], 415)
            self.assertEqual(sink.post(body, Content_Encoding="identity")[0], 200)
            self.assertEqual(sink.post(body, kind="APPLICATION/X-PROTOBUF")[0], 200)
            self.assertEqual(sink.stop(), 0)
            self.assertEqual(sink.summary()["requests_refused"], 6)

    def test_requests_of_web_pages_are_refused(self):
        """A page that the user of a browser has open can send requests to this machine; its browser says so with an
        Origin."""
        body, text = request(plain_span(1, 1)), json.dumps(document()).encode()
        with Sink() as sink:
            for origin in ("https://example.com", f"http://127.0.0.1:{sink.port}", "null", ""):
                status, _, reply = sink.post(body, Origin=origin)
                self.assertEqual(status, 403, origin)
                self.assertEqual(reply[:2], number(1, 7), "PERMISSION_DENIED")
                self.assertIn(b"Origin", reply)
            status, _, reply = sink.post(text, "application/json", Origin="https://example.com")
            self.assertEqual((status, json.loads(reply)["code"]), (403, 7))
            self.assertIn("Origin", json.loads(reply)["message"])
            self.assertEqual(sink.post(None, None, method="OPTIONS", Origin="https://example.com")[0], 403)
            self.assertEqual(sink.post(body)[0], 200)
            self.assertEqual(sink.stop(), 0)
            self.assertEqual((sink.summary()["requests_refused"], sink.summary()["spans"]), (6, 1))
            self.assertEqual(len(sink.lines()), 1)

    def test_gzip(self):
        body = request(*(plain_span(1, i) for i in range(1, 2000)))
        packed = gzip.compress(body)
        with Sink() as sink:
            self.assertEqual(sink.post(packed, Content_Encoding="gzip")[0], 200)
            half = len(body) // 2
            self.assertEqual(sink.post(gzip.compress(body[:half]) + gzip.compress(body[half:]), Content_Encoding="GZIP")[0], 200)
            lying = packed[:-4] + b"\xff\xff\xff\x7f"
            for broken in (packed[:-1], packed[:20], b"", b"not gzip at all, but long enough", packed + b"x", lying):
                self.assertEqual(sink.post(broken, Content_Encoding="gzip")[0], 400)
            self.assertEqual(sink.stop(), 0)
            summary = sink.summary()
            self.assertEqual((summary["spans"], summary["distinct_span_ids"]), (2 * 1999, 1999))
            self.assertEqual(summary["bytes_decoded"], 2 * len(body))
            self.assertLess(summary["bytes"], len(body))

    def test_size_limits(self):
        with Sink("--max-body", "10000") as sink:
            exact = request(*(plain_span(1, i) for i in range(1, 101)))
            filled = exact + chunk(99, bytes(10000 - len(exact) - 4))
            self.assertEqual(len(filled), 10000)
            self.assertEqual(sink.post(filled)[0], 200)
            self.assertEqual(sink.post(gzip.compress(filled), Content_Encoding="gzip")[0], 200)
            over = exact + chunk(99, bytes(10001 - len(exact) - 4))
            self.assertEqual(sink.post(over)[0], 413)
            self.assertEqual(sink.post(bytes(2_000_000))[0], 413)
            self.assertEqual(sink.post(gzip.compress(over), Content_Encoding="gzip")[0], 413)
            self.assertEqual(sink.post(gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")[0], 413)
            # In chunks without a length, the size shows only while the body arrives.
            self.assertEqual(sink.post(iter([over[:5000], over[5000:]]))[0], 413)
            self.assertEqual(sink.post(iter([filled[:5000], filled[5000:]]))[0], 200)
            # A sender that first asks for permission is refused before it sends anything.
            with socket.create_connection(("127.0.0.1", sink.port), 60) as asking:
                asking.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
                               b"Content-Length: 10001\r\nExpect: 100-continue\r\n\r\n")
                self.assertTrue(asking.recv(100).startswith(b"HTTP/1.1 413"))
            self.assertEqual(sink.stop(), 0)
            self.assertEqual((sink.summary()["requests"], sink.summary()["requests_refused"]), (3, 6))

    def test_many_connections_at_once(self):
        with Sink() as sink:
            failures = []

            def run(thread):
                try:
                    for i in range(20):
                        first = (thread * 20 + i) * 50 + 1
                        status = sink.post(request(*(plain_span(9, first + k) for k in range(50))))[0]
                        if status != 200:
                            failures.append(status)
                except OSError as error:
                    failures.append(error)
            threads = [threading.Thread(target=run, args=(i,)) for i in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(failures, [])
            self.assertEqual(sink.stop(), 0)
            self.assertEqual((sink.summary()["spans"], sink.summary()["distinct_span_ids"]), (16000, 16000))
            self.assertEqual(len(sink.lines()), 320)


class Accounting(unittest.TestCase):
    def test_distinct_spans(self):
        # The same span id in two traces makes two spans; the ids are as badly distributed as possible.
        with Sink(output=False) as sink:
            for first in range(1, 200_001, 20_000):
                body = request(*(plain_span(1 + i % 2, i) for i in range(first, first + 20_000)), service="a")
                self.assertEqual(sink.post(body)[0], 200)
                self.assertEqual(sink.post(body)[0], 200)
            self.assertEqual(sink.post(request(plain_span(3, 1), service='b "c"'))[0], 200)
            self.assertEqual(sink.stop(signal.SIGINT), 0)
            summary = sink.summary()
            self.assertEqual((summary["spans"], summary["distinct_span_ids"]), (400_001, 200_001))
            self.assertIs(summary["distinct_is_exact"], True)
            self.assertEqual(summary["services"], {"a": {"spans": 400_000, "errors": 0}, 'b "c"': {"spans": 1, "errors": 0}})

    def test_limit_of_distinct_spans(self):
        with Sink("--max-distinct", "10", output=False) as sink:
            sink.post(request(*(plain_span(1, i) for i in range(1, 21))))
            self.assertEqual(sink.stop(), 0)
            summary = sink.summary()
            self.assertEqual((summary["spans"], summary["distinct_span_ids"]), (20, 10))
            self.assertIs(summary["distinct_is_exact"], False)

    def test_exit_after(self):
        with Sink("--exit-after", "5") as sink:
            for i in range(1, 6):
                self.assertIsNone(sink.process.poll())
                self.assertEqual(sink.post(request(plain_span(1, i)))[0], 200)
            self.assertEqual(sink.process.wait(60), 0)
            self.assertEqual(sink.summary()["spans"], 5)

    def test_names_in_the_closing_summary_steer_no_terminal(self):
        with Sink(quiet=False) as sink:
            sink.post(request(plain_span(1, 1), service="evil\x1b[2J\u009b31m"))
            sink.stop()
            shown = sink.process.stderr.read().decode()
        self.assertIn("service evil\\x1b[2J\\x9b31m: 1", shown)
        self.assertNotRegex(shown, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")

    def test_running_request_is_finished(self):
        # On a busy machine the request may not even have come when the sink stops.
        for come, ms in ((0.3, 700), (0.3, 700), (1, 2000), (3, 5000), (10, 15000)):
            with Sink("--delay", f"{ms}ms") as sink:
                replies = []

                def send():
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        replies.append(sink.post(request(plain_span(1, 1)))[0])
                sender = threading.Thread(target=send)
                sender.start()
                time.sleep(come)
                self.assertEqual(sink.stop(), 0)
                sender.join()
                self.assertIn(replies, ([], [200]))
                self.assertEqual((sink.summary()["spans"], len(sink.lines())), (len(replies), len(replies)))
                if replies:
                    return
        self.fail("no request was answered")

    def test_full_disk(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with Sink("--output", "/dev/full", output=False) as sink:
            self.assertEqual(sink.post(request(plain_span(1, 1)))[0], 503)
            self.assertEqual(sink.stop(), 1)
            self.assertEqual(sink.summary()["spans"], 0)


class Faults(unittest.TestCase):
    def test_shares(self):
        with Sink("--fail-rate", "0.5", "--fail-status", "429", "--retry-after", "7", "--lose-replies", "20%") as sink:
            taken = failed = lost = 0
            for i in range(1, 201):
                try:
                    status, headers, _ = sink.post(request(plain_span(1, i)))
                except (OSError, http.client.HTTPException):
                    lost += 1
                    continue
                self.assertIn(status, (200, 429))
                self.assertEqual(headers["Retry-After"], "7" if status == 429 else None)
                taken += status == 200
                failed += status == 429
            self.assertEqual(sink.stop(), 0)
            summary = sink.summary()
            self.assertEqual((summary["requests"], summary["requests_failed"], summary["replies_lost"]), (taken + lost, failed, lost))
            self.assertEqual(summary["distinct_span_ids"], taken + lost)
            self.assertTrue(60 < failed < 140 and 5 < lost < 50, (taken, failed, lost))


class CommandLine(unittest.TestCase):
    def run_command(self, *arguments):
        done = subprocess.run([command(), *arguments], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_help(self):
        for arguments in (["--help"], ["help"], ["sink", "--help"], ["view", "--help"], ["version", "--help"], ["help", "sink"]):
            code, out, _ = self.run_command(*arguments)
            self.assertEqual(code, 0, arguments)
            self.assertIn("sage", out)

    def test_version(self):
        for word in ("version", "--version"):
            code, out, _ = self.run_command(word)
            self.assertEqual(code, 0)
            self.assertRegex(out, r"^nanospan \d+\.\d+\.\d+\n")

    def test_wrong_command_lines(self):
        wrong = [[], ["nonsense"], ["sink", "extra"], ["sink", "--nonsense"], ["sink", "--listen", "nonsense"],
                 ["sink", "--listen", "127.0.0.1:70000"], ["sink", "--max-body", "-1"], ["sink", "--max-body", "5 apples"],
                 ["sink", "--fail-rate", "1.5"], ["sink", "--fail-rate", "nan"], ["sink", "--fail-status", "200"],
                 ["sink", "--delay", "5"], ["sink", "--rates", "x"], ["view"], ["view", "--sort", "x", "a"],
                 ["view", "--min-duration", "5", "a"], ["view", "--trace", "xyz", "a"], ["view", "--color", "x", "a"],
                 ["version", "x"]]
        for arguments in wrong:
            with self.subTest(arguments):
                code, out, err = self.run_command(*arguments)
                self.assertEqual((code, out), (2, ""))
                self.assertIn("nanospan", err)

    def test_port_in_use(self):
        with Sink() as sink:
            for arguments in (["--listen", f"127.0.0.1:{sink.port}"], ["--port", str(sink.port)]):
                code, _, err = self.run_command("sink", *arguments, "--exit-after", "1")
                self.assertEqual(code, 1)
                self.assertIn("--listen", err)

    def test_output_that_cannot_be_written(self):
        code, _, err = self.run_command("sink", "--listen", "127.0.0.1:0", "--output", "/nowhere/at/all")
        self.assertEqual(code, 1)
        self.assertIn("/nowhere/at/all", err)


if __name__ == "__main__":
    command()
    unittest.main()
