# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 400
"""`nanospan recover`: sessions that are damaged, incomplete, of another version, or have failed before."""
import json
import os
import resource
import shutil
import struct
import subprocess
import unittest

from engine_process import PATIENCE, doomed, environment, lines_of, spans_of, wait_until
from recover_process import Recovery
from silent_receiver import silent_receiver
from sink_process import command

# Of the control file: where its table of sections lies, and the entry of the threads' counters in it (core/shm/sections.h).
SECTION_COUNT_AT, SECTIONS_AT, SLOT_COUNTERS = 32, 40, 11
PUBLISHED_AT, CONSUMED_AT = 128, 256  # in the first thread's slot


class Damaged(Recovery):
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


if __name__ == "__main__":
    unittest.main()
