# SPDX-License-Identifier: Apache-2.0
"""Runs `nanospan recover` for a test, in a folder of sessions of its own."""
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from engine_process import PATIENCE, doomed, environment
from sink_process import command

SHM = tempfile.TemporaryDirectory(prefix="nanospan-recover-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
SUM = ("engine_exported", "engine_rejected", "engine_unconfirmed", "engine_discarded", "engine_spooled", "dropped", "exported",
       "rejected", "unconfirmed", "skipped", "invalid", "left", "lost_at_crash")


class Recovery(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=SHM.name)
        self.addCleanup(folder.cleanup)
        self.shm = Path(folder.name)
        self.sessions = self.shm / f"nanospan-{os.geteuid()}"
        work = tempfile.TemporaryDirectory()
        self.addCleanup(work.cleanup)
        self.file = Path(work.name, "recovered.jsonl")

    def engine(self, *arguments, **settings):
        engine = doomed(self.shm, *arguments, **settings)
        self.addCleanup(engine.kill)
        return engine

    def killed(self, *arguments, **settings):
        return self.engine(*arguments, **settings).kill()

    def run_it(self, *options, before=None, **settings):
        return subprocess.run([command(), "recover", *map(str, options)], env=environment(self.shm, **settings),
                              preexec_fn=before, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)

    def recover(self, *options, code=0, **settings):
        """Runs it with --json; returns its objects, whose accounts are balanced."""
        result = self.run_it("--json", *options, **settings)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        objects = [json.loads(line) for line in result.stdout.splitlines()]
        for one in objects:
            account = one["account"]
            if account:
                self.assertTrue(account["balanced"], one)
                self.assertEqual(account["attempted"], sum(account[member] for member in SUM), one)
        return objects

    def one(self, *options, **more):
        objects = self.recover(*options, **more)
        self.assertEqual(len(objects), 1, objects)
        return objects[0]

    def recover_list(self, *wanted):
        result = self.run_it("--list", "--json", *wanted)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def left(self):
        """The names of the sessions that exist."""
        return sorted(path.name for path in self.sessions.iterdir()) if self.sessions.exists() else []

    def check_spans(self, spans, finished, unfinished, service="doomed"):
        for name, count, marked in (("finished", finished, False), ("open", unfinished, True)):
            of_name = [span for span in spans.values() if span.name == name and span.service == service]
            self.assertEqual(sorted(span.attributes["number"] for span in of_name), list(range(count)))
            self.assertEqual({span.attributes.get("nanospan.unfinished", False) for span in of_name} - {marked}, set())
            self.assertEqual([span for span in of_name if span.end <= span.start], [])
