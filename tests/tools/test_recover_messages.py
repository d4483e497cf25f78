# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
"""What `nanospan recover` says: how much is left, which names match nothing, and where its account cannot be written."""
import json
import os
import pwd
import resource
import shlex
import shutil
import signal
import subprocess
import unittest

from engine_process import PATIENCE, environment, lines_of, spans_of, wait_until
from recover_process import Recovery
from silent_receiver import silent_receiver
from sink_process import command


class WhatIsLeft(Recovery):
    def test_sessions_that_were_not_reached(self):
        for number in range(4):
            self.killed(1000, 1, service=f"engine{number}")
        with silent_receiver() as (where, documents):
            process = subprocess.Popen([command(), "recover", "--json", "--endpoint", where], text=True, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE,
                                       env=environment(self.shm, OTEL_EXPORTER_OTLP_PROTOCOL="http/json"))
            wait_until(lambda: documents, "the first request")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 1, errors)
        self.assertIn("4,004 spans are left in shared memory; nothing of them is lost: run the command again", errors)
        self.assertEqual(len(self.left()), 4)

    def test_one_span(self):
        self.killed(1, 0)
        result = self.run_it("--endpoint", "http://127.0.0.1:1", "--timeout", "100ms")
        self.assertIn("1 span is left in shared memory", result.stderr)


class Names(Recovery):
    def test_mistyped_one_among_several(self):
        self.killed(10, 0)
        self.killed(10, 0, service="other")
        for options in (("--list",), ("--output", self.file)):
            result = self.run_it(*options, "doomed", "doomde")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stderr.count("matches"), 1, result.stderr)
            self.assertRegex(result.stderr, "no session matches doomde\n" if options == ("--list",) else
                             "nothing to recover of doomde: no dead session matches; dead are: .*other")
        self.assertEqual(len(spans_of(lines_of(self.file))[0]), 10)

    def test_name_of_a_directory(self):
        self.killed(10, 0)
        self.killed(20, 0)
        name = self.left()[0]
        self.assertTrue(self.one("--output", self.file, name)["directory"].endswith(f"/{name}"))
        self.assertNotIn(name, self.left())

    def test_name_in_the_folder_itself(self):
        self.killed(10, 0)
        result = subprocess.run([command(), "recover", "--output", self.file, self.left()[0]], cwd=self.sessions,
                                env=environment(self.shm / "elsewhere"), capture_output=True, text=True, timeout=PATIENCE,
                                check=False)
        self.assertEqual((result.returncode, len(self.left())), (0, 0), result.stderr)


class Json(Recovery):
    def test_most_that_a_crash_can_have_lost(self):
        self.killed(10, 0)
        self.assertEqual(self.one("--output", self.file)["account"]["lost_at_crash_max"], 1)
        # The ring does not fit below the limit on file sizes, so its thread gets private memory, and takes with it what it ended.
        self.killed(10, 0, NSP_RING_BYTES=str(1 << 30), before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 26,) * 2))
        self.assertIsNone(self.one("--output", self.file.with_name("second"))["account"]["lost_at_crash_max"])


class Unreadable(Recovery):
    def test_list_says_why(self):
        engine = self.killed(10, 0)
        (next(self.sessions.iterdir()) / "consumer").unlink()
        line = self.run_it("--list").stdout.splitlines()[-1]
        self.assertRegex(line, rf'\(pid {engine.pid}\): it is incomplete: it has no file "consumer"')


class Opening(Recovery):
    def test_log_lines_before_anything_is_exported(self):
        self.killed(10, 0)
        next(self.sessions.iterdir()).joinpath("attempts", "in the way").mkdir(parents=True)
        result = self.run_it("--output", self.file)
        self.assertIn("cannot note in the session", result.stderr)
        self.assertEqual([line for line in result.stderr.splitlines() if not line.startswith("nanospan recover: ")], [])


class Order(Recovery):
    def test_oldest_first(self):
        services = "zeta", "beta", "gamma", "alpha"
        for service in services:
            self.killed(10, 0, service=service)
        listed = [json.loads(line)["service"] for line in self.run_it("--list", "--json").stdout.splitlines()]
        self.assertEqual(listed, list(services))
        recovered = [one["service"] for one in self.recover("--output", self.file, "alpha", "beta", "gamma", "zeta")]
        self.assertEqual(recovered, list(services))


class AccountThatCannotBeWritten(Recovery):
    def shell(self, line):
        return subprocess.run(["sh", "-c", line, command(), self.file], env=environment(self.shm), capture_output=True, text=True,
                              timeout=PATIENCE, check=False)

    def test_closed_and_full(self):
        for redirection, why in ((">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")):
            with self.subTest(redirection):
                self.killed(1000, 2)
                self.check(self.shell(f'"$0" recover --output "$1" {redirection}'), why)

    def test_pipe_that_nobody_reads(self):
        self.killed(1000, 2)
        reading, writing = os.pipe()
        os.close(reading)
        result = subprocess.run([command(), "recover", "--output", self.file], stdout=writing, stderr=subprocess.PIPE, text=True,
                                env=environment(self.shm), timeout=PATIENCE, check=False)
        os.close(writing)
        self.check(result, "Broken pipe")

    def check(self, result, why):
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"everything was recovered, but the account cannot be written to standard output: {why}", result.stderr)
        self.assertEqual((len(spans_of(lines_of(self.file))[0]), self.left()), (1002, []))
        self.file.unlink()

    def test_closed_streams_are_not_the_file(self):
        """A message does not end in the file that takes their place."""
        self.killed(1000, 2)
        self.assertEqual(self.shell('"$0" recover --output "$1" doomed nobody <&- >&- 2>&-').returncode, 1)
        self.assertEqual(len(spans_of(lines_of(self.file))[0]), 1002)


class TwoAtOnce(Recovery):
    def start(self, *options, **settings):
        process = subprocess.Popen([command(), "recover", "--timeout", "60m", *map(str, options)], text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE,
                                   env=environment(self.shm, OTEL_EXPORTER_OTLP_PROTOCOL="http/json", **settings))
        self.addCleanup(process.kill)
        return process

    def test_second_waits_for_the_first(self):
        for target in (("--output", self.file), ("--endpoint", "http://127.0.0.1:1")):
            with self.subTest(target=target), silent_receiver() as (where, documents):
                self.killed(10, 0)
                first = self.start("--endpoint", where)
                wait_until(lambda: documents, "the first request")
                second = self.start(*target)
                self.assertIn("another process is recovering or draining it; waiting", second.stderr.readline())
            for process in (first, second):
                output, errors = process.communicate(timeout=PATIENCE)
                self.assertEqual(process.returncode, 0, output + errors)
                self.assertNotIn("stays in", output)
            self.assertIn("another process has recovered or removed it in the meantime", errors)
            self.assertEqual((self.left(), self.file.exists()), ([], False))

    def test_second_goes_on_after_the_first(self):
        """The first is interrupted and leaves everything."""
        with silent_receiver() as (where, documents):
            self.killed(10, 0)
            first = self.start("--endpoint", where)
            wait_until(lambda: documents, "the first request")
            second = self.start(OTEL_TRACES_EXPORTER="file", NSP_FILE=str(self.file))
            self.assertIn("waiting", second.stderr.readline())
            first.send_signal(signal.SIGINT)
            first.communicate(timeout=PATIENCE)
        output, errors = second.communicate(timeout=PATIENCE)
        self.assertEqual((second.returncode, len(spans_of(lines_of(self.file))[0]), self.left()), (0, 10, []), output + errors)

    def test_second_has_no_time(self):
        with silent_receiver() as (where, documents):
            self.killed(10, 0)
            first = self.start("--endpoint", where)
            wait_until(lambda: documents, "the first request")
            result = self.run_it("--output", self.file, "--timeout", "100ms")
            self.assertEqual(result.returncode, 1)
            self.assertIn("another process is still recovering or draining it", result.stderr)
            self.assertNotIn("stays in", result.stdout)
            self.assertNotIn("left in shared memory", result.stderr)
        first.communicate(timeout=PATIENCE)


class FailedWrites(Recovery):
    def test_full_disk_ends_the_run(self):
        for number in range(3):
            self.killed(1000, 0, service=f"engine{number}")
        result = self.run_it("--timeout", "60m", OTEL_TRACES_EXPORTER="file", NSP_FILE="/dev/full")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr.count("its spans could not be written"), 1, result.stderr)
        self.assertEqual(result.stderr.count("it was not tried, because the one before it could not be written"), 2, result.stderr)
        self.assertNotIn("retrying", result.stderr)
        self.assertIn("3,000 spans are left in shared memory; nothing of them is lost: run the command again\n", result.stderr)

    def test_full_file_ends_the_run(self):
        for spans in (10, 20000, 20):
            self.killed(spans, 0)
        result = self.run_it("--output", self.file, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="100",
                             before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
        self.assertEqual((result.returncode, len(spans_of(lines_of(self.file))[0])), (1, 10), result.stderr)
        self.assertIn("20,020 spans are left in shared memory; nothing of them is lost: run the command again, with a new FILE",
                      result.stderr)
        self.assertNotIn("retrying", result.stderr)


class KilledWhileItWaits(Recovery):
    def test_session_is_not_set_aside(self):
        self.killed(10, 1)
        attempts = next(self.sessions.iterdir()) / "attempts"
        with silent_receiver() as (where, documents):
            for _ in range(3):
                before = len(documents)  # which may be more than one from each, if the machine is slow
                process = subprocess.Popen([command(), "recover", "--timeout", "60m", "--endpoint", where],
                                           env=environment(self.shm, OTEL_EXPORTER_OTLP_PROTOCOL="http/json"))
                wait_until(lambda: len(documents) > before and not attempts.exists(), "waiting for the receiver")
                process.kill()
                process.wait(PATIENCE)
        result = self.run_it(OTEL_TRACES_EXPORTER="file", NSP_FILE=str(self.file))
        self.assertEqual((result.returncode, len(spans_of(lines_of(self.file))[0])), (0, 11))
        self.assertRegex(result.stderr, r"an earlier recovery of the session doomed\.\S+ was killed, or ended, before its last "
                                        "request was answered: the spans of that one may arrive twice")


@unittest.skipIf(os.geteuid() != 0, "only root is told of other users")
class OtherUsers(Recovery):
    def test_command_is_safe_to_paste(self):
        user = pwd.getpwnam("nobody")
        self.shm = self.shm / "it's here; echo $HOME"
        self.sessions = self.shm / f"nanospan-{os.geteuid()}"
        self.shm.mkdir()
        self.killed(10, 0)
        theirs = self.shm / f"nanospan-{user.pw_uid}"
        shutil.move(self.sessions, theirs)
        for path in (theirs, *theirs.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)
        directory, target = next(theirs.iterdir()), self.file.with_name("it's; a file")
        for wanted, words in (([], ["env", f"NSP_SHM_DIR={self.shm}", "nanospan", "recover", "--output", str(target)]),
                              ([directory], ["nanospan", "recover", "--output", str(target), str(directory)])):
            hint = self.run_it("--output", target, *wanted).stderr.splitlines()[-1]
            self.assertEqual(shlex.split(hint.split("this recovers it: ")[1]), ["sudo", "-u", "nobody", *words])


if __name__ == "__main__":
    unittest.main()
