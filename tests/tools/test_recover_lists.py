# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
"""`nanospan recover` with a list of exporters, as the engine had: each gets every span, and one that is away keeps the
session."""
import json
import signal
import subprocess
import unittest

from engine_process import PATIENCE, environment, lines_of, spans_of, wait_until
from ports import closed_port
from receivers import Receiver
from sink_process import Sink, command
from recover_process import Recovery

LISTS = ("otlp,file", "file,otlp")
BATCH = 100


class Lists(Recovery):
    def settings(self, endpoint, exporters="otlp,file", **more):
        return {"OTEL_TRACES_EXPORTER": exporters, "NSP_FILE": str(self.file), "OTLP_ENDPOINT": endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(BATCH),
                "NSP_RETRY_MIN_MS": "10", "NSP_RETRY_MAX_MS": "100", **more}

    def sink(self, *options):
        sink = self.enterContext(Sink(*options))
        sink.url = f"http://127.0.0.1:{sink.port}"
        return sink

    def in_file(self):
        return spans_of(lines_of(self.file)) if self.file.exists() else ({}, 0)

    def in_sink(self, sink):
        if sink.process.poll() is None:
            self.assertEqual(sink.stop(), 0)
        return spans_of(sink.lines())

    def check_both(self, sink, finished, unfinished):
        for spans, twice in (self.in_file(), self.in_sink(sink)):
            self.assertEqual((len(spans), twice), (finished + unfinished, 0))
            self.check_spans(spans, finished, unfinished)
        self.assertEqual(self.left(), [])


class Both(Lists):
    def test_every_span_once_in_each(self):
        for exporters in LISTS:
            with self.subTest(exporters):
                self.file.unlink(missing_ok=True)
                self.killed(500, 2)
                sink = self.sink()
                account = self.one(**self.settings(sink.url, exporters))["account"]
                self.assertEqual((account["attempted"], account["exported"], account["unfinished"]), (502, 502, 2))
                self.check_both(sink, 500, 2)

    def test_batches_of_an_engine_with_the_same_list(self):
        """What one of them had is in doubt, and in the account."""
        engine = self.engine(500, 2, NSP_COLLECTOR="thread", OTEL_BSP_SCHEDULE_DELAY="10",
                             **self.settings(f"http://127.0.0.1:{closed_port()}"))
        # A line may be looked at while it is being written.
        wait_until(lambda: self.file.exists() and self.file.read_bytes().endswith(b"\n"), "the first batch in the file")
        engine.kill()
        before = len(self.in_file()[0])
        sink = self.sink()
        account = self.one(**self.settings(sink.url))["account"]
        self.assertEqual((account["exported"], account["in_doubt"]), (502, before))
        self.assertGreaterEqual(account["from_batches"], before)
        spans, twice = self.in_file()
        self.assertEqual((len(spans), twice), (502, before))
        self.check_spans(self.in_sink(sink)[0], 500, 2)
        self.assertEqual(self.left(), [])

    def test_output_wins(self):
        self.killed(10, 0)
        output = self.file.with_name("output")
        self.assertEqual(self.one("--output", output, **self.settings("http://127.0.0.1:1"))["account"]["exported"], 10)
        self.assertEqual((len(spans_of(lines_of(output))[0]), self.file.exists()), (10, False))

    def test_one_that_cannot_be_created(self):
        """The spans would count as exported, and be in one of them alone."""
        self.killed(10, 0)
        sink = self.sink()
        one = self.one(code=1, **self.settings(sink.url, NSP_FILE=str(self.file.parent / "no" / "file")))
        self.assertIn("not all of the exporters otlp,file can be used", one["problem"])
        self.assertEqual(len(self.left()), 1)
        self.one(**self.settings(sink.url))
        self.check_both(sink, 10, 0)


class OneIsAway(Lists):
    def test_receiver_from_the_beginning(self):
        """The file has nothing, so it gets nothing twice."""
        for exporters in LISTS:
            with self.subTest(exporters):
                self.file.unlink(missing_ok=True)
                self.killed(500, 2)
                one = self.one("--timeout", "500ms", code=1, **self.settings(f"http://127.0.0.1:{closed_port()}", exporters))
                self.assertEqual((one["account"]["left"], one["account"]["exported"], one["removed"]), (502, 0, False))
                self.assertNotIn("may have been taken", one["problem"])
                self.assertEqual(self.in_file(), ({}, 0))
                sink = self.sink()
                self.assertEqual(self.one(**self.settings(sink.url, exporters))["account"]["exported"], 502)
                self.check_both(sink, 500, 2)

    def test_receiver_in_the_middle(self):
        """It takes two requests: these are in the file, and settled."""
        self.killed(500, 2)
        answers = [{"status": 200}] * 2 + [{"status": 503}] * 10000
        with Receiver("http", answers=answers) as receiver:
            process = subprocess.Popen([command(), "recover", "--json"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       env=environment(self.shm, **self.settings(receiver.endpoint)))
            self.addCleanup(process.kill)
            wait_until(lambda: len(receiver.requests()) > 2, "a request that is refused")
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 1, output + errors)
        one = json.loads(output)
        self.assertTrue(one["account"]["balanced"], one)
        self.assertEqual((one["account"]["exported"], one["account"]["left"]), (2 * BATCH, 502 - 2 * BATCH))
        spans, twice = self.in_file()
        self.assertEqual((len(spans), twice), (2 * BATCH, 0))
        sink = self.sink()
        self.one(**self.settings(sink.url))
        spans, twice = self.in_file()
        self.assertEqual((len(spans), twice), (502, 0))
        self.check_spans(spans, 500, 2)
        spans, twice = self.in_sink(sink)
        self.assertEqual((len(spans), twice, self.left()), (502 - 2 * BATCH, 0, []))

    def test_receiver_that_refuses(self):
        """The spans stay, and are not in the file."""
        self.killed(500, 2)
        with Receiver("http", answers=[{"status": 401}] * 100) as receiver:
            one = self.one(code=1, **self.settings(receiver.endpoint))
        self.assertIn("the receiver has refused spans", one["problem"])
        self.assertEqual((one["account"]["left"], one["account"]["rejected"], self.in_file()), (502, 0, ({}, 0)))
        sink = self.sink()
        self.one(**self.settings(sink.url))
        self.check_both(sink, 500, 2)

    def test_file(self):
        """The receiver has one request by then. That it arrives twice is said, then and later."""
        self.killed(500, 2)
        sink = self.sink()
        one = self.one("--timeout", "60m", code=1, **self.settings(sink.url, NSP_FILE="/dev/full"))
        self.assertIn("its spans could not be written: file: cannot write to /dev/full: No space left on device", one["problem"])
        self.assertIn("spans of its last request may have been taken, and be sent twice", one["problem"])
        self.assertEqual((one["account"]["left"], one["account"]["exported"]), (502, 0))
        result = self.run_it(**self.settings(sink.url))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stderr, r"an earlier recovery of the session doomed\.\S+ was killed, or ended, before its last "
                                        "request was answered: the spans of that one may arrive twice")
        spans, twice = self.in_file()
        self.assertEqual((len(spans), twice, self.left()), (502, 0, []))
        spans, twice = self.in_sink(sink)
        self.assertEqual((len(spans), twice), (502, BATCH))


if __name__ == "__main__":
    unittest.main()
