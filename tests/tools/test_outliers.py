# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
"""Outlier rules of a running engine, from `nanospan tune` to the receiver, and the figures of what they decide."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from engine_process import BUILD, PATIENCE, environment, spans_of, wait_until
from peers import missing
from sink_process import Sink, command
from test_metrics import parse

SLOW_NS = 2000000


class Ruled:
    """A process of tests/programs/ruled.c."""

    def __init__(self, shm, **settings):
        path = BUILD / "tests" / "ruled"
        if not os.access(path, os.X_OK):
            missing(f"there is no {path}")
        settings = {"TRACE_SAMPLE_RATE": "0", "OTEL_BSP_SCHEDULE_DELAY": "10", "SERVICE_NAME": "ruled", **settings}
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment(shm, **settings))
        self.pid = self.process.pid
        assert self.process.stdout.readline() == "ready\n"

    def record(self, first, count, spans=1, name="order"):
        """The slow ones of these orders."""
        self.process.stdin.write(f"{name} {first} {count} {spans}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"
        return [number for number in range(first, first + count) if number % 10 == 0]

    def end(self):
        """Everything is sent when it has ended."""
        out, _ = self.process.communicate(timeout=PATIENCE)
        assert (out, self.process.returncode) == ("bye\n", 0), (out, self.process.returncode)

    def kill(self):
        self.process.kill()
        self.process.communicate()


class Outliers(unittest.TestCase):
    def setUp(self):
        self.shm = tempfile.mkdtemp(prefix="nanospan-outliers-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.addCleanup(shutil.rmtree, self.shm, True)

    def ruled(self, **settings):
        engine = Ruled(self.shm, **{"OTEL_TRACES_EXPORTER": "none", **settings})
        self.addCleanup(engine.kill)
        return engine

    def run_it(self, *arguments, codes=(0,), **settings):
        result = subprocess.run([command(), *map(str, arguments)], env=environment(self.shm, **settings), text=True,
                                capture_output=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL)
        self.assertIn(result.returncode, codes, result.stdout + result.stderr)
        return result.stdout

    def look(self):
        return json.loads(self.run_it("top", "--json", "--once", "--interval", "100ms"))["engines"][0]

    def findings(self):
        found = json.loads(self.run_it("doctor", "--json", "--no-send", codes=(0, 1), OTEL_TRACES_EXPORTER="none"))["findings"]
        return {finding["check"]: finding for finding in found if finding["check"].startswith("engine.")}

    # ---- from tune to the receiver ----

    def test_rules_that_are_tuned_decide_what_arrives(self):
        """Nothing before there is a rule; exactly what it names while it is in force; nothing any more when it is removed."""
        with Sink() as sink:
            engine = self.ruled(OTEL_TRACES_EXPORTER="otlp", OTLP_ENDPOINT=f"http://127.0.0.1:{sink.port}")
            engine.record(1, 1000)
            self.assertEqual(self.run_it("tune", "ruled", "--outlier", "order*: slower=1ms"),
                             f"ruled (pid {engine.pid}): outlier rule order*: slower=1ms added\n")
            slow = engine.record(1001, 1000)
            engine.record(5001, 100, name="quote")  # concerns no rule
            self.run_it("tune", "ruled", "--outlier", "order*: slower=1ms, errors")
            errors = [number for number in range(2001, 2101) if number % 10 == 5]
            slow += engine.record(2001, 100)
            self.run_it("tune", "ruled", "--remove-outlier", "order*")
            engine.record(3001, 1000)
            engine.end()
            sink.stop()
            spans, twice = spans_of(sink.lines())
        self.assertEqual(twice, 0)
        roots = {span.attributes["number"]: span for span in spans.values() if span.name == "order"}
        self.assertEqual(sorted(roots), sorted(slow + errors))
        self.assertEqual({number: span.attributes["nanospan.kept"] for number, span in roots.items()},
                         {**dict.fromkeys(slow, "slow"), **dict.fromkeys(errors, "error")})
        self.assertEqual({span.end - span.start >= SLOW_NS // 2 for span in map(roots.get, slow)}, {True})
        self.assertEqual(len(spans), 2 * len(roots), "each has its child, and there is no other span")
        self.assertTrue(all("nanospan.left_out" not in span.attributes for span in spans.values()))

    def test_history_comes_with_what_was_slow(self):
        """What the thread did before: each trace once, marked, and linked from the slow one."""
        with Sink() as sink:
            engine = self.ruled(OTEL_TRACES_EXPORTER="otlp", OTLP_ENDPOINT=f"http://127.0.0.1:{sink.port}")
            self.run_it("tune", "ruled", "--outlier", "order*: slower=1ms, history=60s")
            engine.record(1, 29)
            state = self.look()["stats"]
            self.run_it("tune", "ruled", "--remove-outlier", "order*")
            engine.end()
            sink.stop()
            spans, twice = spans_of(sink.lines())
            view = self.run_it("view", "--summary", sink.output)
            raw = [span for line in sink.lines() for resource in line["resourceSpans"] for scope in resource["scopeSpans"]
                   for span in scope["spans"] if span["name"] == "order"]
        why = {span.attributes["number"]: span.attributes["nanospan.kept"] for span in spans.values() if span.name == "order"}
        self.assertEqual(why, {number: "history" if number % 10 else "slow" for number in range(1, 21)})
        self.assertEqual((twice, len(spans)), (0, 40))
        self.assertEqual((state["kept"], state["taken_back"], state["speculated"]), (40, 18, 58), "what became history is kept")
        self.assertIn("kept: 20 of order (slow 2, history 18)\n", view)
        ids = {spans[span["traceId"], span["spanId"]].attributes["number"]: span["spanId"] for span in raw}
        links = {spans[span["traceId"], span["spanId"]].attributes["number"]: [link["spanId"] for link in span.get("links", ())]
                 for span in raw}
        for slow in (10, 20):
            self.assertEqual(links[slow], [ids[number] for number in range(slow - 1, slow - 10, -1)], "newest first")
            self.assertTrue(all(links[number] == [ids[slow]] for number in range(slow - 9, slow)))

    # ---- the figures ----

    def test_figures(self):
        """100 traces of 3 spans and 10 that are kept, as each command has them."""
        engine = self.ruled(NSP_OUTLIERS="order: slower=1ms; quote: measure")
        self.assertIn("Ends: speculated 0, undecided 0, taken back 0, kept 0,",
                      re.sub(r"\s+", " ", self.run_it("top", "--once", "--interval", "100ms")))
        engine.record(1, 100, spans=2)
        wanted = {"speculated": 300, "taken_back": 270, "kept": 30, "kept_incomplete": 0, "speculating": 0, "kept_limited": 0}
        state = self.look()
        self.assertEqual({key: state["stats"][key] for key in wanted}, wanted)
        self.assertEqual(state["per_second"]["kept"], 0)
        self.assertEqual(state["stats"]["attempted"], 30)
        text = self.run_it("top", "--once", "--interval", "100ms", COLUMNS="160")
        self.assertRegex(text, r"(?m)^Ends:   speculated 300, undecided 0, taken back 270, kept 30, traces without some of their spans 0, ")
        self.assertRegex(text.splitlines()[1], r"KEPT/s$")
        found = {name: value for (name, labels), samples in parse(self.run_it("metrics")).items() for value, _ in samples.values()
                 if not labels}
        self.assertEqual({name: found[f"nanospan_{name}"] for name in
                          ("spans_speculated_total", "spans_kept_total", "spans_taken_back", "spans_speculating",
                           "traces_kept_incomplete_total", "traces_beyond_limit_total")},
                         {"spans_speculated_total": 300, "spans_kept_total": 30, "spans_taken_back": 270, "spans_speculating": 0,
                          "traces_kept_incomplete_total": 0, "traces_beyond_limit_total": 0})
        self.assertIn("# TYPE nanospan_spans_taken_back gauge\n", self.run_it("metrics"), "it may become fewer")

    def test_engines_without_rules_are_shown_as_before(self):
        self.ruled().record(1, 10)
        self.assertNotIn("Ends:", self.run_it("top", "--once", "--interval", "100ms"))
        self.assertEqual([check for check in self.findings() if "outlier" in check or "kept" in check], [])

    # ---- the doctor ----

    def test_the_doctor_says_what_rules_do(self):
        engine = self.ruled(NSP_OUTLIERS="order: slower=1ms; never: slower=1s; quote: slower=1s; order*: errors")
        engine.record(1, 100, spans=2)
        engine.record(1, 10000, spans=0, name="quote")
        found = self.findings()
        self.assertEqual(found["engine.outliers"]["level"], "ok")
        self.assertIn(f"ruled (pid {engine.pid}): the head left out traces of 10,300 spans about which an outlier rule decides at "
                      "their end; 30 of these spans were kept, and 0 are not decided yet", found["engine.outliers"]["text"])
        nothing = found["engine.outlier_keeps_nothing"]
        self.assertEqual(nothing["level"], "note")
        took = re.search(r"the outlier rule quote: slower=1s has kept nothing: of 10,000 local roots, the slowest took "
                         r"([0-9.]+) ms$", nothing["text"])
        self.assertIsNotNone(took, nothing["text"])
        self.assertAlmostEqual(float(took[1]), 2, delta=0.06)  # 3 %: what the steps of a histogram allow
        self.assertIn("lower its bound", nothing["advice"][0])
        report = json.loads(self.run_it("doctor", "--json", "--no-send", OTEL_TRACES_EXPORTER="none", codes=(0, 1)))["findings"]
        unmatched = [finding["text"] for finding in report if finding["check"] == "engine.outlier_unmatched"]
        self.assertEqual([text.split("the outlier rule ")[1].split(" decides")[0] for text in unmatched],
                         ["never: slower=1s", "order*: errors"], "the names of the last one belong to the first one")
        for check in ("engine.kept_incomplete", "engine.kept_limited", "engine.slowest_undrained"):
            self.assertNotIn(check, found)

    def test_the_doctor_says_what_is_missing(self):
        engine = self.ruled(NSP_OUTLIERS="order: slower=1ms, slowest=1%, limit=0.001/s", NSP_OUTLIER_BYTES="4096", NSP_COLLECTOR="external",
                            OTEL_TRACES_EXPORTER="")
        engine.record(10, 1, spans=100)  # outgrows the buffer
        engine.record(11, 90, spans=1)
        found = self.findings()
        self.assertEqual(self.look()["stats"]["kept_incomplete"], 1)
        incomplete = found["engine.kept_incomplete"]
        self.assertEqual((incomplete["level"], "1 trace was kept without some of its spans" in incomplete["text"]), ("warn", True))
        self.assertIn("NSP_OUTLIER_BYTES", incomplete["advice"][0])
        limited = found["engine.kept_limited"]
        self.assertEqual((limited["level"], "9 more traces met an outlier rule" in limited["text"]), ("note", True), limited)
        self.assertIn(f"`nanospan tune {engine.pid} --outlier ", limited["advice"][0])
        undrained = found["engine.slowest_undrained"]
        self.assertEqual(undrained["level"], "warn")
        self.assertIn("nobody drains", undrained["text"])
        self.assertRegex(re.sub(r"\s+", " ", self.run_it("top", "--once", "--interval", "100ms")),
                         "traces without some of their spans 1, traces beyond a limit 9")


if __name__ == "__main__":
    unittest.main()
