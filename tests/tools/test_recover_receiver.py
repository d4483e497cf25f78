# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 400
"""`nanospan recover --endpoint`: what was not sent goes to a receiver, with what may happen on the way."""
import contextlib
import json
import os
import pty
import signal
import subprocess
import unittest

from engine_process import PATIENCE, environment, lines_of, spans_of, wait_until
from ports import closed_port
from receivers import Receiver, grpc_is_there
from recover_process import Recovery
from silent_receiver import silent_receiver
from sink_process import Sink, command


class ToReceiver(Recovery):
    def test_by_option_and_by_variable(self):
        for by_option in (True, False):
            with self.subTest(by_option=by_option), Sink() as sink:
                self.killed(3000, 2)
                where = f"http://127.0.0.1:{sink.port}"
                account = (self.one("--endpoint", where) if by_option else self.one(OTLP_ENDPOINT=where))["account"]
                self.assertEqual((account["attempted"], account["exported"]), (3002, 3002))
                sink.stop()
                spans, twice = spans_of(sink.lines())
                self.assertEqual((len(spans), twice), (3002, 0))
                self.check_spans(spans, 3000, 2)
                self.assertEqual(self.left(), [])

    def test_headers_and_protocol_are_those_of_the_environment(self):
        with Sink() as sink:
            self.killed(10, 0)
            self.one(OTLP_ENDPOINT=f"http://127.0.0.1:{sink.port}", OTEL_EXPORTER_OTLP_PROTOCOL="http/json",
                     OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
            sink.stop()
            self.assertEqual(len(spans_of(sink.lines())[0]), 10)

    def test_engine_that_was_sending(self):
        """What the engine has sent, and what was recovered, are together exactly what it began."""
        with Sink("--delay", "200ms") as sink:
            settings = {"OTLP_ENDPOINT": f"http://127.0.0.1:{sink.port}", "NSP_COLLECTOR": "thread",
                        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "500", "OTEL_BSP_SCHEDULE_DELAY": "10"}
            engine = self.engine(4000, 2, **settings)
            wait_until(lambda: sink.output.stat().st_size, "the first batch")
            engine.kill()
            account = self.one("--endpoint", settings["OTLP_ENDPOINT"])["account"]
            self.assertEqual((account["attempted"], account["left"], account["unfinished"]), (4002, 0, 2))
            sink.stop()
            spans, twice = spans_of(sink.lines())
            self.assertLessEqual(twice, account["in_doubt"])
            self.assertEqual(len(spans), 4002 - account["lost_at_crash"])
            self.check_spans(spans, 4000, 2)

    def test_in_doubt(self):
        for what, in_file in (("skip", 1), ("send", 401)):
            with self.subTest(what), silent_receiver() as (where, documents):
                engine = self.engine(400, 1, OTLP_ENDPOINT=where, OTEL_EXPORTER_OTLP_PROTOCOL="http/json", NSP_COLLECTOR="thread",
                                     OTEL_BSP_MAX_EXPORT_BATCH_SIZE="400", OTEL_BSP_SCHEDULE_DELAY="3600000")
                wait_until(lambda: documents, "the first request")
                engine.kill()  # the receiver has its spans, but has not answered
                file = self.file.with_name(what)
                account = self.one("--output", file, "--in-doubt", what)["account"]
                self.assertEqual((account["in_doubt"], account["skipped"], account["exported"]), (400, 401 - in_file, in_file))
                arrived, recovered = spans_of(documents)[0], spans_of(lines_of(file))[0]
                self.assertEqual((len(arrived), len(recovered), len(arrived | recovered)), (400, in_file, 401))
                self.check_spans(arrived | recovered, 400, 1)

    def test_receiver_that_is_not_there(self):
        self.killed(500, 1)
        where = f"http://127.0.0.1:{closed_port()}"
        result = self.run_it("--json", "--endpoint", where, "--timeout", "500ms")
        self.assertEqual(result.returncode, 1, result.stderr)
        account = json.loads(result.stdout)["account"]
        self.assertEqual((account["attempted"], account["left"], account["exported"], account["balanced"]), (501, 501, 0, True))
        self.assertIn("501 spans are left in shared memory", result.stderr)
        self.assertEqual(len(self.left()), 1)
        with Sink() as sink:
            self.assertEqual(self.one("--endpoint", f"http://127.0.0.1:{sink.port}")["account"]["exported"], 501)
            sink.stop()
            self.assertEqual(len(spans_of(sink.lines())[0]), 501)

    def refused(self, receiver, protocol, words):
        """The session stays as it was, and the right receiver gets it."""
        result = self.run_it("--json", "--timeout", "60m", "--endpoint", receiver.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        one = json.loads(result.stdout)
        self.assertIn(words, one["problem"])
        self.assertIn("look at the endpoint", one["problem"])
        account = one["account"]
        self.assertEqual((account["left"], account["rejected"], account["exported"], account["balanced"], one["removed"]),
                         (501, 0, 0, True, False))
        self.assertNotIn("for good", result.stderr)
        self.assertEqual(len(receiver.requests()), 1)
        with Sink() as sink:
            self.assertEqual(self.one("--endpoint", f"http://127.0.0.1:{sink.port}")["account"]["exported"], 501)
            sink.stop()
            spans, twice = spans_of(sink.lines())
            self.assertEqual((len(spans), twice), (501, 0))

    def test_wrong_receiver(self):
        for answer, words in (({"status": 404, "body": "no such path"}, "refused spans: {} answered 404: no such path"),
                              ({"status": 400}, "refused spans: {} answered 400"), ({"status": 401}, "refused spans: {} answered 401"),
                              ({"status": 501}, "refused spans: {} answered 501"),
                              ({"body": "<html></html>"}, "not confirmed spans: {} answered with success and a body that is not OTLP")):
            with self.subTest(answer=answer), Receiver("http", answers=[answer]) as receiver:
                self.killed(500, 1)
                self.refused(receiver, "http/protobuf", words.format(receiver.endpoint + "/v1/traces"))

    @unittest.skipUnless(grpc_is_there(), "python3-grpcio is not installed")
    def test_wrong_receiver_of_grpc(self):
        with Receiver("grpc", answers=[{"status": 16, "message": "which token?"}]) as receiver:  # UNAUTHENTICATED
            self.killed(500, 1)
            self.refused(receiver, "grpc", "which token?")

    def test_spans_that_a_receiver_rejects(self):
        """It took the others, so these are settled: it is the right one."""
        self.killed(500, 1)
        answer = {"body": '{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}'}
        with Receiver("http", answers=[answer]) as receiver:
            one = self.one("--endpoint", receiver.endpoint, code=1, OTEL_EXPORTER_OTLP_PROTOCOL="http/json")
        self.assertEqual((one["account"]["exported"], one["account"]["rejected"], one["removed"]), (498, 3, True))
        self.assertIn("has rejected 3 of the spans", one["problem"])

    def interrupt(self, number):
        """Ends a recovery in the middle and lets a second one complete it; returns the first one's output."""
        total = 3002
        self.killed(3000, 2)
        with Sink("--delay", "100ms") as sink:
            settings = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100"}
            where = f"http://127.0.0.1:{sink.port}"
            process = subprocess.Popen([command(), "recover", "--json", "--endpoint", where], text=True, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, env=environment(self.shm, **settings))
            wait_until(lambda: sink.output.stat().st_size or process.poll() is not None, "the first request")
            process.send_signal(number)
            output, errors = process.communicate(timeout=PATIENCE)
            second = self.one("--endpoint", where, **settings)["account"]
            self.assertEqual((second["attempted"], second["left"]), (total, 0))
            sink.stop()
            spans, twice = spans_of(sink.lines())
            self.assertEqual(len(spans), total)
            self.check_spans(spans, 3000, 2)
            self.assertLessEqual(twice, 100)  # the request that was in flight
            return process.returncode, output, errors

    def test_progress_on_a_terminal(self):
        self.killed(3000, 0)
        with Sink("--delay", "30ms") as sink:
            terminal, theirs = pty.openpty()
            process = subprocess.Popen([command(), "recover", "--endpoint", f"http://127.0.0.1:{sink.port}"], stderr=theirs,
                                       stdout=subprocess.DEVNULL,
                                       env=environment(self.shm, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="100"))
            os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):  # EIO: the other end is closed
                while more := os.read(terminal, 4096):
                    shown += more
            os.close(terminal)
            self.assertEqual(process.wait(PATIENCE), 0)
            self.assertRegex(shown.decode(), r"\r\x1b\[Kdoomed \(pid \d+\): [0-9,]+ of 3,000 spans")
            self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)

    def test_interrupted(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number=number):
                code, output, errors = self.interrupt(number)
                account = json.loads(output)["account"]
                self.assertEqual((code, account["balanced"]), (1, True), errors)
                self.assertGreater(account["left"], 0)
                self.assertIn("interrupted", errors)
                self.assertIn("spans are left in shared memory", errors)

    def test_killed_itself(self):
        self.assertEqual(self.interrupt(signal.SIGKILL)[0], -signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()
