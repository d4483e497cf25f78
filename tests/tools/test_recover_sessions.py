# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 400
"""`nanospan recover`: which sessions it lists, and which it recovers."""
import os
import pwd
import shutil
import signal
import subprocess
import unittest

import outside_lock
from engine_process import PATIENCE, Engine, environment, wait_until
from recover_process import Recovery
from silent_receiver import silent_receiver
from sink_process import command


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


if __name__ == "__main__":
    unittest.main()
