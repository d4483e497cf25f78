# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
"""`nanospan recover --output`, killed at each of its steps, and refused by the system: over all files, every span is there once."""
import os
import resource
import signal
import subprocess
import unittest

from engine_process import BUILD, PATIENCE, environment, lines_of, spans_of
from peers import missing
from sink_process import Sink
from recover_process import Recovery

TO_BE_NOTED, NOTED = "recover: file to be noted", "recover: file noted"
TO_BE_SETTLED, SETTLED = "recover: file to be settled", "recover: file settled"
BEFORE_POSITIONS, POSITIONS, BEFORE_COUNTERS = "recover: before positions", "recover: positions written", "recover: before counters"


class Troubled(Recovery):
    def setUp(self):
        super().setUp()
        self.second = self.file.with_name("second.jsonl")

    def two_sessions(self):
        return self.killed(100, 2, service="first"), self.killed(200, 3, service="second")

    def trouble(self, what, visit, testpoint, *options, before=None):
        """Runs the command with tests/programs/troubled_command.c."""
        program = BUILD / "tests" / "troubled_command"
        if not os.access(program, os.X_OK):
            missing(f"there is no {program}")
        result = subprocess.run([program, "recover", "--output", self.file, *map(str, options)], preexec_fn=before,
                                env=environment(self.shm, NSP_TROUBLE=f"{what} {visit} {testpoint}"),
                                capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
        if result.returncode == 77:
            self.skipTest("there are no testpoints")
        self.assertNotEqual(result.returncode, 99, result.stderr)
        return result

    def killed_at(self, testpoint, visit=1, *options):
        result = self.trouble("kill", visit, testpoint, *options)
        self.assertEqual(result.returncode, -signal.SIGKILL, result.stdout + result.stderr)

    def spans(self):
        """Of all files that have their names."""
        return spans_of(line for path in self.file.parent.iterdir() if path.suffix == ".jsonl" for line in lines_of(path))

    def check_all(self, twice=0):
        spans, found_twice = self.spans()
        self.check_spans(spans, 100, 2, "first")
        self.check_spans(spans, 200, 3, "second")
        self.assertEqual((len(spans), found_twice), (305, twice))


class Killed(Troubled):
    def test_before_the_file_has_its_name(self):
        for testpoint in (TO_BE_NOTED, NOTED):
            for visit in (1, 2):
                for same in (False, True):  # with the FILE.part that is left, or another one
                    with self.subTest(testpoint=testpoint, visit=visit, same=same):
                        self.two_sessions()
                        self.killed_at(testpoint, visit)
                        self.assertFalse(self.file.exists())
                        into = self.file if same else self.second
                        exported = [one["account"]["exported"] for one in self.recover("--output", into)]
                        self.assertEqual(sorted(exported), [102, 203])
                        self.check_all()
                        into.unlink()

    def test_before_all_is_settled(self):
        for testpoint in (TO_BE_SETTLED, BEFORE_POSITIONS, POSITIONS, BEFORE_COUNTERS, SETTLED):
            for visit in (1, 2):
                with self.subTest(testpoint=testpoint, visit=visit):
                    self.two_sessions()
                    self.killed_at(testpoint, visit)
                    self.assertTrue(self.file.exists())
                    self.assertEqual(len(self.left()), 3 - visit)
                    for one in self.recover("--output", self.second):
                        account = one["account"]
                        self.assertEqual((account["exported"], account["engine_exported"], one["removed"]), (0, account["attempted"], True))
                    self.assertEqual((self.left(), self.second.exists()), ([], False))
                    self.check_all()
                    self.file.unlink()

    def test_and_again_while_the_next_run_settles(self):
        for testpoint in (BEFORE_POSITIONS, POSITIONS, BEFORE_COUNTERS):
            with self.subTest(testpoint=testpoint):
                self.two_sessions()
                self.killed_at(TO_BE_SETTLED)
                name, self.file = self.file, self.second
                for visit in (1, 2):
                    self.killed_at(testpoint, visit)
                self.file = name
                result = self.run_it("--output", self.second)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn(f"its spans are in {self.file.resolve()}, written by a recovery that was killed", result.stderr)
                self.assertIn(f"nothing was left to write: {self.second} was not created", result.stderr)
                self.check_all()
                self.file.unlink()

    def test_a_receiver_does_not_get_them_either(self):
        self.two_sessions()
        self.killed_at(TO_BE_SETTLED)
        with Sink() as sink:
            for one in self.recover("--keep", "--endpoint", f"http://127.0.0.1:{sink.port}"):
                self.assertEqual((one["account"]["exported"], one["account"]["engine_unconfirmed"]), (0, 0))
        self.check_all()
        self.assertEqual([list(path.glob("written*")) for path in self.sessions.iterdir()], [[], []])

    def test_into_a_folder_behind_a_link(self):
        self.two_sessions()
        link = self.file.parent / "link"
        link.symlink_to(".")
        self.file = link / "recovered.jsonl"
        self.killed_at(TO_BE_SETTLED)
        link.unlink()
        self.file = link.parent / "recovered.jsonl"
        self.recover("--output", self.second)
        self.check_all()


class NotBelieved(Troubled):
    """Spans may then be there twice, and none is missing."""

    def test_a_file_that_is_another_one(self):
        def change(path):
            with open(path, "a", encoding="utf-8") as file:
                file.write("\n")

        def touch(path):
            os.utime(path, ns=(0, 0))

        def replace(path):
            copy = path.with_name("copy")
            copy.write_bytes(path.read_bytes())
            os.utime(copy, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
            copy.rename(path)

        def move(path):
            path.rename(path.with_name("moved.jsonl"))

        def link(path):
            move(path)
            path.symlink_to("moved.jsonl")

        def give(path):
            os.chown(path, 65534, -1)

        for do in (change, touch, replace, move, link, *((give,) if os.geteuid() == 0 else ())):
            with self.subTest(do=do.__name__):
                self.two_sessions()
                self.killed_at(TO_BE_SETTLED)
                do(self.file)
                exported = [one["account"]["exported"] for one in self.recover("--output", self.second)]
                self.assertEqual(sorted(exported), [102, 203])
                self.assertTrue(self.file.exists() or do is move)  # whatever it is, it stays
                for path in self.file.parent.iterdir():
                    path.unlink()

    def test_the_same_part_with_other_spans(self):
        """FILE.part becomes FILE with the same inode, but with the spans of the other session alone."""
        first, second = self.two_sessions()
        self.killed_at(NOTED, 2)
        self.assertEqual(self.one("--output", self.file, first.pid)["account"]["exported"], 102)
        self.assertEqual(self.one("--output", self.second, second.pid)["account"]["exported"], 203)
        self.check_all()

    def test_what_is_no_note(self):
        def written(change):
            return lambda note: note.write_bytes(change(note.read_bytes()))

        def replaced(make):
            return lambda note: (note.rename(note.with_name("true")), make(note), note.with_name("true").unlink())

        for do in (*(written(lambda whole, length=length: whole[:length]) for length in (0, 1, 100, -1)),
                   written(lambda whole: whole + bytes(10000)), written(lambda whole: whole[:-1] + b"x"),
                   written(lambda whole: bytes(8) + whole[8:]), written(lambda whole: whole.replace(b"/", b".", 1)),
                   replaced(os.mkfifo), replaced(lambda note: note.symlink_to("/dev/zero")),
                   lambda note: (note.rename(self.shm / "true"), note.symlink_to(self.shm / "true"))):
            with self.subTest(do=do):
                self.killed(100, 2)
                self.killed_at(TO_BE_SETTLED)
                do(next(self.sessions.iterdir()) / "written")
                self.assertEqual(self.one("--output", self.second)["account"]["exported"], 102)
                for path in self.file.parent.iterdir():
                    path.unlink()


class Refused(Troubled):
    def test_the_file_does_not_reach_the_disk(self):
        self.two_sessions()
        result = self.trouble("fsync", 1, "recover: before it is counted")
        self.assertEqual((result.returncode, list(self.file.parent.iterdir()), len(self.left())), (1, [], 2), result.stderr)
        self.assertIn(f"cannot write {self.file}.part: Input/output error", result.stderr)
        self.recover("--output", self.second)
        self.check_all()

    def test_its_name_does_not_reach_the_disk(self):
        self.two_sessions()
        result = self.trouble("fsync", 2, NOTED)
        self.assertEqual((result.returncode, self.left()), (0, []), result.stderr)
        self.assertIn(f"{self.file} is complete, but its folder cannot be written to the disk: Input/output error", result.stderr)
        self.check_all()

    def test_the_file_cannot_be_shortened(self):
        """What a session has written before it failed cannot be taken back, so nothing of the file counts."""
        self.killed(10, 0, service="small")
        self.killed(20000, 1, service="large")
        result = self.trouble("ftruncate", 1, "recover: before it is counted",
                              before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
        self.assertEqual((result.returncode, list(self.file.parent.iterdir()), len(self.left())), (1, [], 2), result.stderr)
        self.assertIn(f"cannot write {self.file}.part: Input/output error", result.stderr)
        exported = [one["account"]["exported"] for one in self.recover("--output", self.second)]
        self.assertEqual(sorted(exported), [10, 20001])

    def test_there_is_no_room_for_the_note(self):
        """That matters only if the command is killed."""
        self.killed(100, 0, service="first")
        (next(self.sessions.iterdir()) / "written.new").mkdir()
        result = self.run_it("--output", self.file)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("cannot note that its spans are in", result.stderr)
        self.assertEqual(len(spans_of(lines_of(self.file))[0]), 100)


if __name__ == "__main__":
    unittest.main()
