# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 400
"""`nanospan recover --output`: real engines are killed, and every span that they began is in the file once."""
import os
import pwd
import resource
import subprocess
import tempfile
import unittest
from pathlib import Path

from engine_process import PATIENCE, environment, lines_of, spans_of
from recover_process import SHM, Recovery
from sink_process import command


class IntoFile(Recovery):
    def test_every_span_once(self):
        self.killed(5000, 3)
        account = self.one("--output", self.file)["account"]
        self.assertEqual((account["attempted"], account["exported"], account["finished"], account["unfinished"]),
                         (5003, 5003, 5000, 3))
        spans, twice = spans_of(lines_of(self.file))
        self.assertEqual((len(spans), twice), (5003, 0))
        self.check_spans(spans, 5000, 3)
        self.assertEqual(self.left(), [])

    def test_second_time_there_is_nothing(self):
        self.killed()
        self.one("--output", self.file)
        result = self.run_it("--output", self.file.with_name("second"))
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertIn("nothing to recover", result.stderr)
        self.assertEqual(list(self.file.parent.iterdir()), [self.file])

    def test_several_sessions_and_services(self):
        self.killed(10, 1)
        self.killed(20, 0)
        self.killed(30, 2, service="other")
        self.assertEqual(len(self.recover("--output", self.file, "doomed")), 2)
        spans, twice = spans_of(lines_of(self.file))
        self.assertEqual((len(spans), twice, {span.service for span in spans.values()}), (31, 0, {"doomed"}))
        second = self.file.with_name("second")
        self.assertEqual(self.one("--output", second)["service"], "other")
        self.check_spans(spans_of(lines_of(second))[0], 30, 2, "other")

    def test_keep(self):
        self.killed(100, 1)
        first = self.one("--keep", "--output", self.file)
        self.assertEqual((first["removed"], first["account"]["exported"]), (False, 101))
        self.assertEqual([Path(first["directory"]).name], self.left())
        again = self.one("--keep", "--output", self.file.with_name("second"))
        self.assertEqual((again["account"]["attempted"], again["account"]["exported"]), (101, 0))
        third = self.run_it("--keep", "--output", self.file.with_name("third"))
        self.assertIn(f"nothing was left to write: {self.file.with_name('third')} was not created", third.stderr)
        self.assertIn("101    exported earlier, by the engine, an agent or a recovery", third.stdout)
        self.assertEqual(list(self.file.parent.iterdir()), [self.file])

    def test_traces_that_were_not_decided(self):
        rules = {"TRACE_SAMPLE_RATE": "0", "NSP_OUTLIERS": "*: slower=1000s"}
        self.killed(10, 3, **rules)
        account = self.one("--keep", "--output", self.file)["account"]
        self.assertEqual((account["attempted"], account["exported"], account["speculative"]), (0, 0, 0))
        self.assertFalse(self.file.exists())
        account = self.one("--speculative", "--output", self.file)["account"]
        self.assertEqual((account["attempted"], account["exported"], account["unfinished"], account["speculative"]),
                         (3, 3, 3, 3))
        spans, twice = spans_of(lines_of(self.file))
        self.assertEqual((len(spans), twice), (3, 0))
        self.check_spans(spans, 0, 3)
        kept = {span.attributes["number"]: span.attributes.get("nanospan.kept") for span in spans.values()}
        self.assertEqual(kept, {0: "recovered", 1: None, 2: None})
        self.assertEqual(self.left(), [])

    def test_speculative_is_said(self):
        self.killed(0, 1, TRACE_SAMPLE_RATE="0", NSP_OUTLIERS="*: slower=1000s")
        result = self.run_it("--speculative", "--output", self.file)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"1  of these in traces that were open, and not decided")
        refused = self.run_it("--list", "--speculative")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--list only shows the sessions", refused.stderr)

    def test_what_is_left_out_is_said(self):
        rules = {"TRACE_SAMPLE_RATE": "0", "NSP_OUTLIERS": "*: slower=1000s, history=60s"}
        engine = self.killed(10, 3, **rules)
        held = self.recover_list()[0]
        self.assertEqual((held["not_sent"], held["undecided"]), (0, 3))
        self.assertGreater(held["history_bytes"], 0)
        self.assertRegex(self.run_it("--list").stdout,
                         rf"doomed \(pid {engine.pid}\): it also holds [\d.]+ (KiB|B) of history and 3 spans of traces that were "
                         r"not decided, which `nanospan recover` exports with --speculative, and removes without it\n")
        said = self.run_it("--keep", "--output", self.file)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn("  10 spans lay in history, 3 in traces that were not decided, and were not exported; --speculative exports them\n",
                      said.stdout)
        self.assertIn("nothing was left to write without --speculative", said.stderr)
        account = self.one("--keep", "--output", self.file)["account"]
        self.assertEqual((account["left_out_history"], account["left_out_speculative"]), (10, 3))
        said = self.run_it("--speculative", "--output", self.file)
        self.assertIn("10  finished, in the rings, in history, or in traces that were not decided\n", said.stdout)
        self.assertIn("10  of these in traces that lay in history\n", said.stdout)
        self.assertNotIn("were not exported", said.stdout)
        self.assertEqual((len(spans_of(lines_of(self.file))[0]), self.left()), (13, []))

    def test_file_is_the_users_own(self):
        self.killed(10, 0)
        self.one("--output", self.file, before=lambda: os.umask(0o022))
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)

    def test_existing_file_is_not_replaced(self):
        self.killed()
        self.file.write_text("mine")
        result = self.run_it("--output", self.file)
        self.assertEqual((result.returncode, self.file.read_text(), len(self.left())), (1, "mine", 1))
        self.assertIn("exists and is not replaced", result.stderr)
        self.file.unlink()
        self.assertEqual(self.one("--output", self.file)["account"]["exported"], 1002)

    def test_file_that_cannot_be_written(self):
        self.killed()
        result = self.run_it("--output", self.file.parent / "no" / "file")
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot write", result.stderr)
        self.assertEqual(len(self.left()), 1)
        self.file.with_name("recovered.jsonl.part").symlink_to("/dev/null")
        self.assertEqual(self.run_it("--output", self.file).returncode, 1)
        self.file.with_name("recovered.jsonl.part").unlink()
        self.assertEqual(self.one("--output", self.file)["account"]["exported"], 1002)

    def test_folder_that_cannot_be_read(self):
        """Its entries could not be written to the disk. That is said before anything is done."""
        other = tempfile.TemporaryDirectory(dir=Path(SHM.name).parent)
        self.addCleanup(other.cleanup)
        self.shm = Path(other.name)
        folder = self.shm / "folder"
        folder.mkdir()
        become = None
        if os.geteuid() == 0:  # root may read it
            user = pwd.getpwnam("nobody")
            become = lambda: (os.setgroups([]), os.setgid(user.pw_gid), os.setuid(user.pw_uid))
            for path in (self.shm, folder):
                os.chown(path, user.pw_uid, user.pw_gid)
        try:
            self.killed(10, 0, before=become)
        except PermissionError:
            self.skipTest("other users cannot enter the build directory")
        folder.chmod(0o300)
        result = self.run_it("--output", folder / "file", before=become)
        folder.chmod(0o700)
        self.assertEqual((result.returncode, result.stdout, list(folder.iterdir())), (1, "", []), result.stderr)
        self.assertIn("its folder cannot be opened: Permission denied", result.stderr)
        self.assertEqual(self.one("--output", folder / "file", before=become)["account"]["exported"], 10)

    def test_file_that_is_full_in_the_middle(self):
        """What a session has written until then is taken back; the other session is recovered."""
        self.killed(10, 0, service="a_small_one")
        self.killed(20000, 1, service="large")
        # Long before the timeout, which is longer than the test's patience.
        objects = self.recover("--output", self.file, "--timeout", "60m", code=1, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="100",
                               before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
        small, large = sorted(objects, key=lambda one: one["service"])
        self.assertRegex(large["problem"], "its spans could not be written: .*recovered.jsonl.part would grow beyond")
        self.assertEqual((small["account"]["exported"], small["removed"]), (10, True))
        self.assertEqual((large["account"]["left"], large["account"]["exported"], large["removed"]), (20001, 0, False))
        spans, twice = spans_of(lines_of(self.file))
        self.assertEqual((len(spans), twice, {span.service for span in spans.values()}), (10, 0, {"a_small_one"}))
        self.assertEqual(self.one("--output", self.file.with_name("second"))["account"]["exported"], 20001)

    def test_disk_that_is_full(self):
        self.killed(100, 1)
        one = self.one("--timeout", "60m", code=1, OTEL_TRACES_EXPORTER="file", NSP_FILE="/dev/full")
        self.assertIn("its spans could not be written", one["problem"])
        self.assertIn("No space left on device", one["problem"])
        self.assertEqual((one["account"]["left"], one["account"]["rejected"], one["removed"]), (101, 0, False))
        self.assertEqual(self.one("--output", self.file)["account"]["exported"], 101)

    def test_console_that_nobody_reads(self):
        self.killed(100, 1)
        reading, writing = os.pipe()
        os.close(reading)
        result = subprocess.run([command(), "recover", "--timeout", "60m"], stdout=writing, stderr=subprocess.PIPE, text=True,
                                env=environment(self.shm, OTEL_TRACES_EXPORTER="console"), timeout=PATIENCE, check=False)
        os.close(writing)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("Broken pipe", result.stderr)
        self.assertIn("101 spans are left in shared memory", result.stderr)
        self.assertEqual(self.one("--output", self.file)["account"]["exported"], 101)

    def test_file_that_an_interrupted_run_left(self):
        self.killed(100, 0)
        part = self.file.with_name("recovered.jsonl.part")
        part.write_text("half a li")
        self.one("--output", self.file)
        self.assertEqual(len(spans_of(lines_of(self.file))[0]), 100)
        self.assertFalse(part.exists())

    def test_account_for_people(self):
        engine = self.killed(1234, 1)
        result = self.run_it("--output", self.file)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for line in (f"doomed (pid {engine.pid}), started ", "1,235  spans begun by the engine", f"recovered: exported now, to {self.file}",
                     "balanced: the sum of these is 1,235", "1  unfinished", "the session is removed"):
            self.assertIn(line, result.stdout)


class CommandLine(Recovery):
    def test_wrong_ones(self):
        for options in (("--in-doubt", "maybe"), ("--timeout", "5"), ("--timeout", "0s"), ("--output", ""), ("--nonsense",),
                        ("--endpoint", "http://localhost:4318", "--output", "x"), ("--list", "--keep"), ("",),
                        ("--endpoint", "gopher://x"), ("--output", "-"), ("--output", "x", "--output", "y"),
                        ("--endpoint", "http://a:4318", "--endpoint", "http://b:4318")):
            with self.subTest(options=options):
                result = self.run_it(*options)
                self.assertEqual((result.returncode, result.stdout), (2, ""), result.stderr)
                self.assertTrue(result.stderr.startswith("nanospan recover: "), result.stderr)

    def test_without_a_target(self):
        self.killed(10, 0)
        for settings in ({}, {"OTEL_TRACES_EXPORTER": "none", "OTLP_ENDPOINT": "http://localhost:4318"}):
            result = self.run_it(**settings)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertIn("--endpoint http://HOST:4318", result.stderr)
            self.assertIn("--output FILE", result.stderr)
        self.assertEqual(len(self.left()), 1)

    def test_help(self):
        result = self.run_it("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for option in ("--endpoint", "--output", "--list", "--keep", "--json", "--in-doubt", "--timeout", "SESSION", "ExecStartPre"):
            self.assertIn(option, result.stdout)


if __name__ == "__main__":
    unittest.main()
