# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 400 COST 30
"""`nanospan recover`: real engines are killed, and every span that they began is accounted for."""
import contextlib
import json
import os
import pty
import pwd
import resource
import shutil
import signal
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import outside_lock
from engine_process import PATIENCE, Engine, doomed, environment, lines_of, spans_of, wait_until
from ports import closed_port
from receivers import Receiver, grpc_is_there
from silent_receiver import silent_receiver
from sink_process import Sink, command

SHM = tempfile.TemporaryDirectory(prefix="nanospan-recover-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
SUM = ("engine_exported", "engine_rejected", "engine_unconfirmed", "engine_discarded", "engine_spooled", "dropped", "exported",
       "rejected", "unconfirmed", "skipped", "invalid", "left", "lost_at_crash")
# Of the control file: where its table of sections lies, and the entry of the threads' counters in it (core/shm/sections.h).
SECTION_COUNT_AT, SECTIONS_AT, SLOT_COUNTERS = 32, 40, 11
PUBLISHED_AT, CONSUMED_AT = 128, 256  # in the first thread's slot


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

    def left(self):
        """The names of the sessions that exist."""
        return sorted(path.name for path in self.sessions.iterdir()) if self.sessions.exists() else []

    def check_spans(self, spans, finished, unfinished, service="doomed"):
        for name, count, marked in (("finished", finished, False), ("open", unfinished, True)):
            of_name = [span for span in spans.values() if span.name == name and span.service == service]
            self.assertEqual(sorted(span.attributes["number"] for span in of_name), list(range(count)))
            self.assertEqual({span.attributes.get("nanospan.unfinished", False) for span in of_name} - {marked}, set())
            self.assertEqual([span for span in of_name if span.end <= span.start], [])


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


class Sessions(Recovery):
    def test_list(self):
        dead, living = self.killed(700, 3), self.engine(5, 0, service="alive")
        result = self.run_it("--list")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        rows = [line.split() for line in result.stdout.splitlines()]
        self.assertEqual(rows[0][:4], ["service", "pid", "started", "state"])
        rows = {row[0]: row for row in rows[1:]}
        self.assertEqual((rows["doomed"][1], rows["doomed"][4:8]), (str(dead.pid), ["ago", "dead", "703", "3"]))
        self.assertEqual((rows["alive"][1], rows["alive"][5]), (str(living.pid), "living"))
        objects = {one["service"]: one for one in self.recover_list()}
        self.assertEqual((objects["doomed"]["state"], objects["doomed"]["not_sent"], objects["doomed"]["unfinished"]),
                         ("dead", 703, 3))
        self.assertEqual((objects["alive"]["state"], objects["alive"]["pid"]), ("living", living.pid))
        self.assertEqual([one["service"] for one in self.recover_list("alive")], ["alive"])
        self.assertEqual(len(self.left()), 2)

    def test_list_says_who_drains(self):
        engine = self.engine(500, 0, service="drained", NSP_COLLECTOR="external", NSP_RING_BYTES="262144")
        self.engine(5, 0, service="alone")
        result = self.run_it("--list")
        rows = {line.split()[0]: line for line in result.stdout.splitlines()}
        self.assertIn("  drained by  ", rows["service"])
        self.assertRegex(rows["drained"], r" living +nobody, ring [1-9]\d?% full +500 ")
        self.assertRegex(rows["alone"], r" living +engine +5 ")
        self.assertIn(f"drained (pid {engine.pid}): nobody drains it: start `nanospan agent`", result.stderr)
        objects = {one["service"]: one for one in self.recover_list()}
        self.assertEqual((objects["drained"]["drained_by"], objects["alone"]["drained_by"]), ("nobody", "engine"))
        self.assertTrue(0 < objects["drained"]["ring_fill"] < 1)
        with outside_lock.hold(objects["drained"]["directory"], pid=4711):
            result = self.run_it("--list", "drained")
            self.assertRegex(result.stdout, r" living +agent 4711 +500 ")
            self.assertEqual(result.stderr, "")
            one, = self.recover_list("drained")
            self.assertEqual((one["drained_by"], one["drainer_pid"]), ("agent", 4711))
            engine.kill()
            result = self.run_it("--output", self.file, "--timeout", "100ms", engine.pid)
            self.assertIn("another process is recovering or draining it", result.stderr)
        self.assertEqual(self.one("--output", self.file, engine.pid)["account"]["exported"], 500)

    def recover_list(self, *wanted):
        result = self.run_it("--list", "--json", *wanted)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def test_list_of_none(self):
        result = self.run_it("--list")
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertIn("there are no sessions", result.stderr)

    def test_by_name_pid_and_directory(self):
        first, second = self.killed(10, 0), self.killed(20, 0)
        self.killed(30, 0, service="other")
        self.assertEqual(self.one("--output", self.file, first.pid)["account"]["attempted"], 10)
        directory = next(path for path in self.sessions.iterdir() if f".{second.pid}." in path.name)
        result = self.one("--output", self.file.with_name("second"), directory, f"{directory}/")
        self.assertEqual(result["account"]["attempted"], 20)
        elsewhere = self.one("--output", self.file.with_name("third"), next(self.sessions.iterdir()), NSP_SHM_DIR="none")
        self.assertEqual(elsewhere["service"], "other")
        self.assertEqual(self.left(), [])

    def test_sessions_that_are_not_there(self):
        self.killed(10, 0)
        for wanted, message, code in ((str(2**22 + 1), "no session of this user has the process id", 1),
                                      (f"{self.shm}/nothing", "cannot find", 1), (f"{self.shm}", "is not a session", 1),
                                      ("nobody", "nothing to recover of nobody: no dead session matches; dead are: doomed", 0)):
            with self.subTest(wanted=wanted):
                result = self.run_it("--output", self.file, wanted)
                self.assertEqual((result.returncode, result.stdout), (code, ""), result.stderr)
                self.assertIn(message, result.stderr)
                self.assertFalse(self.file.exists())
        # One that is missing does not keep the others from being recovered.
        self.assertEqual(self.recover("--output", self.file, "doomed", 2**22 + 1, code=1)[0]["account"]["exported"], 10)

    def test_living_engine_is_left_alone(self):
        engine = self.engine(10, 1)
        directory = next(self.sessions.iterdir())
        for wanted in (engine.pid, directory):
            result = self.run_it("--output", self.file, wanted)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn("its engine is running and sends its spans itself", result.stderr)
        for wanted in ([], ["doomed"]):
            result = self.run_it("--output", self.file, *wanted)
            self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)
            self.assertIn("nothing to recover" if not wanted else "its engine is running and sends its spans itself", result.stderr)
        engine.kill()
        self.assertEqual(self.one("--output", self.file, engine.pid)["account"]["exported"], 11)

    def test_living_engine_that_is_drained_from_outside(self):
        """Nobody may drain it, and then nobody sends its spans."""
        engine = self.engine(10, 0, NSP_COLLECTOR="external")
        directory = next(self.sessions.iterdir())
        undrained = "its engine is running, and nobody drains it: start `nanospan agent`, which sends its spans\n"
        drained = "its engine is running, and an agent sends its spans\n"
        for wanted, code in ((engine.pid, 1), ("doomed", 0)):
            result = self.run_it("--output", self.file, wanted)
            self.assertEqual(result.returncode, code, result.stderr)
            self.assertIn(undrained, result.stderr)
            with outside_lock.hold(directory, pid=4711):
                self.assertIn(drained, self.run_it("--output", self.file, wanted).stderr)
        second = self.engine(10, 0, NSP_COLLECTOR="external")
        self.assertIn("2 engines of that name are running, and nobody drains some of them: start `nanospan agent`",
                      self.run_it("--output", self.file, "doomed").stderr)
        for one in (engine, second):
            one.kill()

    def test_list_says_what_to_do_with_those_that_have_ended(self):
        engine = Engine(self.shm, "--spans", 10, "--timeout", 1, service="doomed", program="steady", NSP_COLLECTOR="external")
        self.addCleanup(engine.kill)
        engine.process.send_signal(signal.SIGTERM)
        engine.process.wait(PATIENCE)
        result = self.run_it("--list")
        self.assertRegex(result.stdout, r" ended +- +[1-9]")
        self.assertIn(f"doomed (pid {engine.pid}): has ended and left its session: start `nanospan agent`, or this sends "
                      f"what is in it: nanospan recover {engine.pid}\n", result.stderr)

    def test_other_version(self):
        self.killed(10, 0)
        control = next(self.sessions.iterdir()) / "control"
        with open(control, "r+b") as file:
            file.seek(8)  # behind the magic number
            file.write(struct.pack("<I", 999))
        self.assertEqual(self.recover_list()[0]["state"], "other_version")
        result = self.run_it("--output", self.file)
        self.assertEqual(result.returncode, 1)
        self.assertIn("version", result.stderr)
        self.assertEqual(len(self.left()), 1)
        self.assertFalse(self.file.exists())

    def test_engine_that_died_while_it_started(self):
        engine = self.killed(10, 0)
        with open(next(self.sessions.iterdir()) / "control", "r+b") as file:
            file.write(bytes(8))  # the magic number is written last
        for name in ("threads", "batches"):
            os.truncate(next(self.sessions.iterdir()) / name, 0)
        self.assertEqual(self.recover_list()[0]["state"], "empty")
        result = self.one("--output", self.file, engine.pid)
        self.assertEqual((result["account"]["attempted"], result["removed"]), (0, True))
        self.assertEqual((self.left(), self.file.exists()), ([], False))

    def test_without_its_files(self):
        self.killed(10, 0)
        session = next(self.sessions.iterdir())
        (session / "control").unlink()
        self.assertEqual(self.recover_list()[0]["state"], "unreadable")
        result = self.run_it("--output", self.file)
        self.assertEqual(result.returncode, 1)
        self.assertIn("its control file is missing", result.stderr)
        self.assertEqual((len(self.left()), self.file.exists()), (1, False))
        for name in ("threads", "detached", "batches"):  # where none is left, there are no spans
            (session / name).unlink(missing_ok=True)
        self.assertEqual(self.recover_list()[0]["state"], "empty")
        self.assertTrue(self.one("--output", self.file)["removed"])
        self.assertEqual((self.left(), self.file.exists()), ([], False))

    def test_account_that_does_not_balance(self):
        # The counters of the one thread begin with `attempted`; the table of sections says where they lie.
        for added, capitals in ((-5, "NOT BALANCED: the sum of these is 12, not 7"), (2, "NOT BALANCED: at most 1 can be lost in a crash")):
            self.killed(10, 2)
            session = next(self.sessions.iterdir())
            control = (session / "control").read_bytes()
            count, = struct.unpack_from("<I", control, SECTION_COUNT_AT)
            table = [struct.unpack_from("<IIQQQ", control, SECTIONS_AT + 32 * i) for i in range(count)]
            counters = next(offset for kind, _, offset, _, _ in table if kind == SLOT_COUNTERS)
            with open(session / "threads", "r+b") as file:
                file.seek(counters)
                attempted, = struct.unpack("<Q", file.read(8))
                self.assertEqual(attempted, 12)
                file.seek(counters)
                file.write(struct.pack("<Q", attempted + added))
            result = self.run_it("--output", self.file.with_name(f"text{added}"))
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(capitals, result.stdout)
            self.assertIn("not complete: its memory is damaged, and what it says of its spans contradicts itself", result.stdout)
            result = self.run_it("--json", "--output", self.file.with_name(f"json{added}"))
            account = json.loads(result.stdout)["account"]
            self.assertFalse(account["balanced"], account)
            self.assertEqual((account["attempted"], account["engine_exported"]), (12 + added, 12))
            shutil.rmtree(session)

    def test_damaged_batch(self):
        """Three bytes of a batch's header cost its spans, and the account says so until somebody removes the session."""
        engine = self.engine(1000, 0, NSP_COLLECTOR="thread", OTEL_BSP_SCHEDULE_DELAY="3600000")
        session = next(self.sessions.iterdir())

        def all_are_in_a_batch():
            published, = struct.unpack_from("<Q", (session / "threads").read_bytes(), PUBLISHED_AT)
            consumed, = struct.unpack_from("<Q", (session / "threads").read_bytes(), CONSUMED_AT)
            return published == consumed != 0

        wait_until(all_are_in_a_batch, "the draining of the ring")
        engine.kill()
        with open(session / "batches", "r+b") as file:
            file.seek(34)
            file.write(b"\xa5\x5a\xa5")
        for state in ("dead", "dead", "set_aside"):
            self.assertEqual(self.recover_list()[0]["state"], state)
            result = self.run_it("--output", self.file, engine.pid)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn("1,000    damaged, and left out", result.stdout)
            self.assertIn("balanced: the sum of these is 1,000", result.stdout)
            self.assertIn("its memory is damaged, so 1,000 of its spans could not be recovered; all that can be read is recovered; "
                          "if nobody can repair it, remove its directory", result.stdout)
        self.assertIn("set aside", self.run_it("--output", self.file).stderr)
        self.assertEqual((len(self.left()), self.file.exists()), (1, False))

    def test_overwritten_beginning(self):
        self.killed(10, 2)
        with open(next(self.sessions.iterdir()) / "control", "r+b") as file:
            file.write(bytes(512))
        self.assertEqual(self.recover_list()[0]["state"], "unreadable")
        result = self.run_it("--output", self.file)
        self.assertEqual(result.returncode, 1)
        self.assertIn("its control file is damaged: its beginning is overwritten", result.stderr)
        self.assertEqual(len(self.left()), 1)

    def test_thread_without_shared_memory(self):
        # The ring does not fit below the limit on file sizes, so the thread gets private memory.
        self.killed(10, 0, NSP_RING_BYTES=str(1 << 30), before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 26,) * 2))
        account = self.one("--output", self.file)["account"]
        self.assertEqual((account["threads_private"], account["attempted"]), (1, 0))
        self.killed(10, 0, NSP_RING_BYTES=str(1 << 30), before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 26,) * 2))
        self.assertIn("1 thread had no room in shared memory: what was still in their rings, or open, died with the engine", self.run_it("--output", self.file.with_name("second")).stdout)

    def test_batches_of_threads_without_shared_memory(self):
        """No slot counts their spans, but a batch has them."""
        with silent_receiver() as (where, documents):
            engine = self.engine(400, 0, OTLP_ENDPOINT=where, OTEL_EXPORTER_OTLP_PROTOCOL="http/json", NSP_COLLECTOR="thread",
                                 OTEL_BSP_MAX_EXPORT_BATCH_SIZE="400", OTEL_BSP_SCHEDULE_DELAY="3600000", NSP_RING_BYTES=str(1 << 30),
                                 before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 26,) * 2))
            wait_until(lambda: documents, "the first request")
            engine.kill()
        self.assertEqual(self.recover_list()[0]["not_sent"], 400)
        self.assertIn("400 of its spans were never sent", self.doctor("engine.dead")["text"])
        doomed(self.shm, 1, 0, NSP_KEEP_SESSIONS="1").kill()  # does not make room
        self.assertEqual(self.one("--output", self.file, engine.pid)["account"]["exported"], 400)

    def test_session_without_a_lock(self):
        self.killed(10, 0)
        (next(self.sessions.iterdir()) / "consumer").unlink()
        one = self.recover_list()[0]
        self.assertEqual(one["state"], "unreadable")
        self.assertIn('it has no file "consumer"', one["problem"])

    def test_session_that_was_never_complete(self):
        engine = self.killed(10, 0)
        directory = next(self.sessions.iterdir())
        directory.rename(directory.with_name(f".{directory.name}"))
        one = self.recover_list()[0]
        self.assertEqual((one["service"], one["pid"], one["state"]), ("doomed", engine.pid, "empty"))
        self.assertGreater(one["bytes"], 0)
        result = self.run_it("--output", self.file)
        self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)
        self.assertIn("nothing to recover", result.stderr)
        advice = self.doctor("engine.left_behind")["advice"]
        self.assertTrue(any("1 of them: the engine died while it was starting" in line for line in advice), advice)

    def test_session_that_somebody_else_recovers(self):
        """Between the command's look at the sessions and its work on this one."""
        self.killed(10, 0, service="first")
        self.killed(20, 0, service="second")
        with silent_receiver() as (where, documents):
            process = subprocess.Popen([command(), "recover", "--timeout", "60m", "--endpoint", where], text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       env=environment(self.shm, OTEL_EXPORTER_OTLP_PROTOCOL="http/json"))
            wait_until(lambda: documents, "the first request")
            self.one("--output", self.file, "second")
        output, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0, output + errors)
        self.assertRegex(errors, r"second \(pid \d+\): another process has recovered or removed it in the meantime")
        self.assertNotIn("stays in", output)
        self.assertEqual(self.left(), [])

    def test_service_with_a_slash(self):
        self.killed(10, 0, service="team/engine")
        self.assertEqual(self.one("--output", self.file, "team/engine")["account"]["exported"], 10)

    def test_dropped_spans_have_their_causes(self):
        self.killed(10, 20, NSP_OPEN_SPANS="16")
        self.assertIn("dropped by the engine: 4 too many open on a thread", self.run_it("--output", self.file).stdout)

    def test_set_aside(self):
        engine = self.killed(10, 0)
        (next(self.sessions.iterdir()) / "attempts").write_text("2\n")  # as two crashed recoveries leave it
        self.assertEqual(self.recover_list()[0]["state"], "set_aside")
        for wanted in ([], ["doomed"]):
            result = self.run_it("--output", self.file, *wanted)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f'set aside, because two recoveries of it crashed, were killed, or found it damaged: "nanospan recover {engine.pid}"', result.stderr)
        self.assertEqual(self.one("--output", self.file, engine.pid)["account"]["exported"], 10)

    def test_set_aside_after_two_failures(self):
        engine = self.killed(10, 0)
        os.truncate(next(self.sessions.iterdir()) / "control", 5000)
        for state in ("unreadable", "unreadable", "set_aside"):
            self.assertEqual(self.recover_list()[0]["state"], state)
            result = self.run_it("--output", self.file, "doomed" if state == "set_aside" else engine.pid)
            self.assertEqual(result.returncode, 1)
            self.assertIn("set aside" if state == "set_aside" else "cut short; if nobody can repair it, remove its directory",
                          result.stderr)
        self.assertFalse(self.file.exists())
        self.assertIn("cut short", self.run_it("--output", self.file, engine.pid).stderr)

    def test_cut_files(self):
        """What the other files hold is recovered; list, doctor and recovery say what is missing; then it is set aside."""
        for file, bytes_left, said, account in (
                ("batches", -1, "its batches file is cut short", (12, 0, 0)),
                ("batches", None, "its batches file is missing", (12, 0, 0)),
                ("threads", -1, "its threads file is cut short: 0 of 1 threads are whole", (12, 0, 0)),
                ("threads", 100, "its threads file is cut short: 0 of 1 threads are whole", (0, 0, 1)),
                ("threads", 0, "its threads file is cut short: 0 of 1 threads are whole", (0, 0, 1))):
            engine = self.killed(10, 2)
            session = next(self.sessions.iterdir())
            path, output = session / file, self.file.with_name(f"{file}{bytes_left}")
            if bytes_left is None:
                path.unlink()
            else:
                os.truncate(path, bytes_left % path.stat().st_size)
            self.assertEqual([(one["state"], one["problem"]) for one in self.recover_list()], [("unreadable", said)])
            finding = self.doctor("engine.unreadable")
            self.assertIn(said, finding["text"])
            self.assertTrue(any("recovers what can be read" in line for line in finding["advice"]), finding)
            one = self.one("--output", output, engine.pid, code=1)
            self.assertEqual(tuple(one["account"][member] for member in ("exported", "invalid", "threads_lost")), account)
            self.assertIn(said, one["problem"])
            self.assertFalse(one["removed"])
            self.assertEqual(len(spans_of(lines_of(output))[0]) if account[0] else output.exists(), account[0])
            result = self.run_it("--output", output.with_suffix(".again"), engine.pid)
            self.assertEqual((result.returncode, self.recover_list()[0]["state"]), (1, "set_aside"), result.stderr)
            self.assertIn(said, result.stderr)
            self.assertEqual("the memory of 1 thread cannot be read: nobody knows how many spans were in its ring, or open"
                             in result.stdout, account[2] == 1, result.stdout)
            shutil.rmtree(session)

    @unittest.skipIf(os.geteuid() != 0, "only root could read the sessions of another user")
    def test_session_of_another_user(self):
        self.killed(10, 0)
        user = pwd.getpwnam("nobody")
        theirs = self.shm / f"nanospan-{user.pw_uid}"
        shutil.move(self.sessions, theirs)
        for path in (theirs, *theirs.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)
        directory = next(theirs.iterdir())
        result = self.run_it("--output", self.file, directory)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"sudo -u nobody nanospan recover --output {self.file} {directory}", result.stderr)
        # Without a name, everything is meant; --list shows root's own, and a name may be one of root's engines.
        for code, options, target in ((1, ("--output", self.file), f"--output {self.file}"), (0, ("--list",), "--output FILE"),
                                      (0, ("--output", self.file, "doomed"), f"--output {self.file}")):
            result = self.run_it(*options)
            self.assertEqual((result.returncode, result.stdout), (code, ""))
            self.assertIn(f"sudo -u nobody env NSP_SHM_DIR={self.shm} nanospan recover {target}", result.stderr)
        self.assertTrue(directory.exists())
        # Root's own engine runs, so there is nothing to recover; and an empty folder is nobody's session.
        engine = self.engine(10, 0)
        self.assertEqual(self.run_it("--output", self.file).returncode, 0)
        engine.kill()
        shutil.rmtree(directory)
        shutil.rmtree(self.sessions)
        result = self.run_it("--output", self.file)
        self.assertEqual((result.returncode, theirs.exists()), (0, True))
        self.assertNotIn("belongs to", result.stderr)

    def doctor(self, check):
        result = subprocess.run([command(), "doctor", "--json", "--no-send"], env=environment(self.shm), capture_output=True,
                                text=True, timeout=PATIENCE, check=False)
        return next(one for one in json.loads(result.stdout)["findings"] if one["check"] == check)

    def test_doctor_says_how(self):
        engine = self.killed(10, 0)
        finding = self.doctor("engine.dead")
        self.assertIn(f"pid {engine.pid}", finding["text"])
        words = next(line for line in finding["advice"] if "nanospan recover" in line).split(": ", 1)[1].split()
        self.assertEqual(words[:2], ["nanospan", "recover"])
        words[words.index("--output") + 1] = str(self.file)
        self.assertEqual(self.one(*words[2:])["account"]["exported"], 10)


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
