# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
"""`nanospan snapshot`: what a running engine did just now and did not keep, read and sent from outside."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from agent_process import Agent
from engine_process import PATIENCE, doomed, environment, lines_of, spans_of
from sink_process import Sink, command

RULES = {"TRACE_SAMPLE_RATE": "0", "NSP_OUTLIERS": "*: slower=1000s, history=60s"}


class Snapshot(unittest.TestCase):
    def setUp(self):
        self.shm = tempfile.mkdtemp(prefix="nanospan-snapshot-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.addCleanup(shutil.rmtree, self.shm, True)
        work = tempfile.TemporaryDirectory()
        self.addCleanup(work.cleanup)
        self.file = Path(work.name, "snapshot.jsonl")

    def engine(self, finished=100, unfinished=1, **settings):
        engine = doomed(self.shm, finished, unfinished, **{**RULES, **settings})
        self.addCleanup(engine.kill)
        return engine

    def run_it(self, *arguments, code=0):
        result = subprocess.run([command(), "snapshot", *map(str, arguments)], env=environment(self.shm), text=True,
                                capture_output=True, timeout=2 * PATIENCE, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result

    def check(self, spans, count):
        self.assertEqual(sorted(span.attributes["number"] for span in spans.values()), list(range(count)))
        self.assertEqual({span.attributes["nanospan.kept"] for span in spans.values()}, {"snapshot"})
        self.assertEqual({span.service for span in spans.values()}, {"doomed"})

    def test_into_a_file_and_again(self):
        """What is open is left out; nothing is changed, so it all comes again."""
        engine = self.engine()
        for wanted, name in ((engine.pid, "pid"), ("doomed", "service")):
            file = self.file.with_name(name)
            found = json.loads(self.run_it(wanted, "--output", file, "--json").stdout)
            spans, twice = spans_of(lines_of(file))
            self.assertEqual((len(spans), twice), (100, 0))
            self.check(spans, 100)
            self.assertEqual((found["service"], found["pid"], found["rules"]), ("doomed", engine.pid, 1))
            self.assertEqual((found["traces"], found["spans"], found["exported"], found["overtaken"]), (100, 100, 100, 0))
            self.assertEqual([(thread["traces"], thread["spans"]) for thread in found["threads"]], [(100, 100)])
            self.assertGreater(found["threads"][0]["reach_ns"], 0)
        self.assertIn("exists; name another FILE", self.run_it("doomed", "--output", self.file.with_name("pid"), code=2).stderr)

    def test_to_a_receiver(self):
        self.engine()
        with Sink() as sink:
            result = self.run_it("doomed", "--endpoint", f"http://127.0.0.1:{sink.port}")
            sink.stop()
            spans, twice = spans_of(sink.lines())
        self.assertEqual(twice, 0)
        self.check(spans, 100)
        self.assertRegex(result.stdout, r"^doomed \(pid \d+\): 100 traces, 100 spans; 100 spans exported to http://")
        self.assertRegex(result.stdout, r"thread \d+ .*: 100 traces, 100 spans; its buffer reaches back ")

    def test_how_far_back(self):
        self.engine()
        result = self.run_it("doomed", "--before", "1us", "--output", self.file)
        self.assertIn("0 traces, 0 spans", result.stdout)
        self.assertRegex(result.stdout, "; its buffer reaches back ")
        self.assertIn("no trace in history ended in the time of --before", result.stderr)
        self.run_it("doomed", "--before", "1m", "--output", self.file.with_name("all"))
        self.check(spans_of(lines_of(self.file.with_name("all")))[0], 100)

    def test_one_is_one(self):
        self.engine(finished=1)
        self.assertRegex(self.run_it("doomed", "--output", self.file).stdout,
                         r"^doomed \(pid \d+\): 1 trace, 1 span; 1 span exported to .*\n  thread \d+ .*: 1 trace, 1 span; its buffer ")

    def test_nothing_yet(self):
        self.engine(finished=0)
        result = self.run_it("doomed", "--output", self.file)
        self.assertIn("its buffer holds no history", result.stdout)
        self.assertIn("no trace lies in history", result.stderr)

    def test_the_file(self):
        """Only this user may read it. If it cannot be made, that is all that is said; if nothing was exported, it is gone."""
        self.engine(NSP_OUTLIERS="*: slower=1000s")
        nowhere = self.run_it("doomed", "--output", self.file.with_name("nowhere") / "file", code=1)
        self.assertEqual(nowhere.stdout, "")
        self.assertRegex(nowhere.stderr, r"^nanospan snapshot: cannot create .+: No such file or directory\n$")
        self.run_it("doomed", "--output", self.file, code=1)
        self.assertFalse(self.file.exists())
        other = self.engine()
        self.run_it(other.pid, "--output", self.file)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)

    def test_a_receiver_that_is_away(self):
        self.engine()
        result = self.run_it("doomed", "--endpoint", "http://127.0.0.1:1", "--timeout", "1s", code=1)
        self.assertIn("100 traces, 100 spans; 0 spans exported to http://127.0.0.1:1", result.stdout)
        self.assertIn("the receiver has not taken everything in time", result.stderr)

    def test_an_engine_that_an_agent_drains(self):
        with Sink() as sink, Agent(self.shm, OTLP_ENDPOINT=f"http://127.0.0.1:{sink.port}"):
            self.engine(NSP_COLLECTOR="external")
            self.run_it("doomed", "--output", self.file)
        self.check(spans_of(lines_of(self.file))[0], 100)

    def test_without_history(self):
        """What is proposed works: a new rule would come behind those that there are."""
        for rules, proposed in (("a: measure; b: errors, limit=5/s; *: slower=1000s", "b: errors, limit=5/s, history=10ms"),
                                ("a: measure", "*: slower=1ms, history=10ms")):
            engine = self.engine(NSP_OUTLIERS=rules)
            result = self.run_it(engine.pid, "--output", self.file, code=1)
            self.assertIn("no outlier rule keeps history", result.stderr)
            self.assertIn(f": nanospan tune {engine.pid} --outlier '{proposed}'\n", result.stderr)

    def test_engines_that_do_not_fit(self):
        engine = self.engine()
        self.assertIn("no engine of this user fits nobody", self.run_it("nobody", "--output", self.file, code=1).stderr)
        engine.kill()
        result = self.run_it("doomed", "--output", self.file, code=1)
        self.assertIn(f"nanospan recover --speculative {engine.pid}", result.stderr)

    @unittest.skipIf(os.geteuid() != 0, "only root can have a session of another user")
    def test_another_users_session(self):
        session = Path(self.shm, "nanospan-65534", "engine.1.0000")
        session.mkdir(parents=True)
        os.chown(session.parent, 65534, 65534)
        os.chown(session, 65534, 65534)
        result = self.run_it(session, "--output", self.file, code=1)
        self.assertRegex(result.stderr, rf"{session} belongs to the user \S+, and only that user may read it: sudo -u \S+ nanospan snapshot ")

    def test_command_line(self):
        self.assertIn("no SESSION is given", self.run_it(code=2).stderr)
        self.assertIn("where should the spans go?", self.run_it("doomed", code=2).stderr)
        self.assertIn("--before", self.run_it("doomed", "--before", "10", code=2).stderr)
        self.assertIn("exclude each other", self.run_it("doomed", "--output", "a", "--endpoint", "b", code=2).stderr)
        self.assertIn("--before", self.run_it("--help").stdout)


if __name__ == "__main__":
    unittest.main()
