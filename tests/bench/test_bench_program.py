# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
"""nanospan-bench as a program: what it lists, writes and refuses, and what remains when it is interrupted.
Its figures are not checked, because they depend on how busy the machine is."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BENCH = pathlib.Path(os.environ.get("NSP_BUILD_DIR", "build"), "bin/nanospan-bench")
CHEAP = ["--quick", "--rounds", "15", "--only", "disabled"]


def bench(*arguments):
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, timeout=100)


class BenchProgram(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_lists(self):
        everything = bench("--list").stdout
        self.assertIn("hot path\n", everything)
        self.assertIn("  tail_span3 ", everything)
        some = bench("--list", "--only", "span[03]").stdout
        self.assertEqual([line.split()[0] for line in some.splitlines()[1:]], ["span0", "span3"])

    def test_wrong_calls(self):
        for arguments in (
            ["--no-such"],
            ["--rounds", "14"],
            ["extra"],
            ["--only", "disabled,nothing_like_it"],
            ["--only", ""],
            ["--list", "--only", "nothing_like_it"],
            ["--cpu", "1023"],
            ["--collector-cpu", "1023"],
            ["--check", self.folder / "missing.txt"],
            ["--compare", self.folder / "missing.json"],
            ["--json", self.folder / "missing/run.json"],
            ["--html", self.folder / "missing/run.html"],
        ):
            done = bench(*CHEAP, *arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn("nanospan-bench: ", done.stderr.replace("bin/nanospan-bench: ", "nanospan-bench: "))
            self.assertEqual(done.stdout, "", arguments)  # found before anything is measured

    def test_writes_what_it_measured(self):
        out, budgets = self.folder / "run.json", self.folder / "budgets.txt"
        budgets.write_text("disabled span_ns <= 0.0001\nspan0 ratio <= 9\n")
        done = bench(*CHEAP, "--json", out, "--check", budgets)
        run = json.loads(out.read_text())
        self.assertEqual(sorted(os.listdir(self.folder)), ["budgets.txt", "run.json"])
        self.assertEqual([result["name"] for result in run["results"]], ["disabled"])
        disabled = run["results"][0]
        self.assertEqual((disabled["rounds"], disabled["invalid_rounds"], disabled["valid"]), (15, 0, True))
        self.assertIn("--only disabled", run["command"])
        self.assertFalse(run["interrupted"])
        for fact in (
            "cpu",
            "kernel",
            "clocksource",
            "commit",
            "flags",
            "memory",
            "load_after",
            "stolen_ms",
            "least_2T_ns",
        ):
            self.assertIn(fact, run["machine"])
        # No machine is that fast, nor noisy enough to look that fast.
        self.assertEqual(done.returncode, 1)
        self.assertEqual([item["verdict"] for item in run["budgets"]["items"]], ["fail", "skip"])
        self.assertIn("budgets: 0 pass, 1 fail, 1 skipped", done.stdout)
        self.assertIn("nanospan-bench: 1 of 1: disabled", done.stderr)

        done = bench(*CHEAP, "--compare", out)
        self.assertIn("compared with", done.stdout)
        self.assertIn("better, ", done.stdout)

    def test_as_users_meet_it(self):
        out = self.folder / "run.json"
        names = ["user_burst_3", "user_tail_burst_3", "first_empty"]
        bench("--quick", "--rounds", "15", "--only", ",".join(names), "--json", out)
        results = {result["name"]: result for result in json.loads(out.read_text())["results"]}
        burst, tail, first = (results[name] for name in names)
        self.assertEqual([burst["rounds"], burst["invalid_rounds"]], [15, 0])  # none is left out
        # Every span was sent to the receiver, also those that warmed up.
        self.assertEqual(burst["accounting"]["exported"], burst["accounting"]["attempted"])
        self.assertGreaterEqual(burst["accounting"]["exported"], 15 * 400)
        self.assertGreater(burst["figures"]["ratio"]["value"], 1)
        self.assertGreater(tail["figures"]["p99.9_ns"]["value"], tail["figures"]["empty_p99_ns"]["value"])
        self.assertEqual(first["rounds"], 4 * 15)
        self.assertGreater(first["figures"]["after_12ms_ns"]["value"], 0)
        for result in (burst, tail, first):
            self.assertNotIn("problem", result)

    def test_leaves_no_round_out(self):
        out = self.folder / "run.json"
        names = "span3,tail_span0,order_10,drain_3,rate_10,refuses,by_rate_1000"
        done = bench("--quick", "--rounds", "15", "--only", names, "--json", out)
        results = json.loads(out.read_text())["results"]
        self.assertEqual(len(results), names.count(",") + 1)
        for result in results:
            share = result["figures"]["core_alone_percent"]["value"]
            self.assertTrue("withdrawn" in result if share is None else 0 <= share <= 100, result)
            self.assertTrue(result["valid"], result)
            self.assertGreaterEqual(result["rounds"], 15)
            self.assertEqual(result["invalid_rounds"], 0)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_budgets_that_cannot_be_understood(self):
        budgets = self.folder / "budgets.txt"
        budgets.write_text("\nno_such_benchmark ratio <= 1\n")
        done = bench(*CHEAP, "--check", budgets)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn(f"{budgets}:2: there is no such benchmark", done.stderr)

    def test_interrupted(self):
        out = self.folder / "run.json"
        running = subprocess.Popen(
            [BENCH, "--rounds", "1000", "--only", "disabled,unsampled6,tail_*", "--json", out],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = ""
        while not re.search(r"of \d+: tail_", said):
            line = running.stderr.readline()
            self.assertTrue(line, said)
            said += line
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        said += running.communicate(timeout=100)[1]
        self.assertEqual(running.returncode, 128 + signal.SIGINT)
        self.assertIn("interrupted", said)
        run = json.loads(out.read_text())
        self.assertTrue(run["interrupted"])
        done = [result["name"] for result in run["results"]]
        self.assertIn("disabled", done)
        self.assertLess(len(done), int(re.search(r"1 of (\d+): ", said)[1]))


if not BENCH.exists():
    print("skipped: nanospan-bench is not built")
    sys.exit(77)
unittest.main()
