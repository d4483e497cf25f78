# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
"""`nanospan agent` among sessions that it cannot drain, or may not: they harm nobody, and are not harmed."""
import os
import pwd
import random
import re
import struct
import subprocess
import unittest
from pathlib import Path

from agent_process import AgentTest
from engine_process import PATIENCE, doomed, environment, wait_until
from sink_process import command

VERSION_AT = 8  # in the file `control` (core/shm/control.h)
ROUNDS = int(os.environ.get("NSP_AGENT_ROUNDS", "12"))


def state_of(folder):
    """Everything below the folder, and when it was changed."""
    paths = sorted(Path(folder).rglob("*"))
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


class Sessions(AgentTest):
    def setUp(self):
        super().setUp()
        self.receiver = self.sink()

    def start(self, *options, **more):
        return self.agent("--endpoint", self.receiver.url, *options, **more)

    def session_of(self, engine):
        found = [path for path in self.sessions.iterdir() if f".{engine.pid}." in path.name]
        self.assertEqual(len(found), 1)
        return found[0]

    def check_neighbour(self, agent, neighbour):
        """The engine that has done nothing wrong is drained to the end."""
        account = self.ended(neighbour)
        agent.wait_for(r"neighbour \(pid \d+\): ended; ")
        self.assertEqual((account["status"], account["dropped"], account["exported"]), (0, 0, account["attempted"]), account)
        self.assertEqual(agent.end(), 0)
        self.assertEqual(self.received(self.receiver, "steady", "neighbour"), list(range(account["attempted"])))

    def neighbour(self):
        return self.steady("--rate", 500, service="neighbour")


class Refused(Sessions):
    def test_other_version(self):
        """It is named once, by what it is, and stays."""
        engine = self.doomed(10, 0, service="other").kill()
        neighbour = self.neighbour()
        session = self.session_of(engine)
        with open(session / "control", "r+b") as control:
            control.seek(VERSION_AT)
            control.write(struct.pack("<I", 99))
        before = state_of(session)
        agent = self.start()
        agent.wait_for(rf"{session.name}: .*layout 99")
        agent.wait_for(r"neighbour \(pid \d+\): draining it")
        # Two more looks at the folder: another engine comes and goes.
        self.ended(self.steady("--spans", 1, service="passing"))
        agent.wait_for("passing .*: ended; ")
        self.assertEqual(len(agent.said("layout 99")), 1, agent.lines)
        self.assertEqual(state_of(session), before)
        self.check_neighbour(agent, neighbour)
        once = self.start("--once")  # something is left, which nobody but another version can send
        self.assertEqual(once.process.wait(PATIENCE), 1, once.lines)
        self.assertEqual(len(once.said("layout 99")), 1, once.lines)

    def test_damaged_and_dead(self):
        """Recovery is tried twice, by a process of its own; then it is set aside, and that is said."""
        engine = self.doomed(10, 0, service="damaged").kill()
        neighbour = self.neighbour()
        session = self.session_of(engine)
        size = (session / "control").stat().st_size
        with open(session / "control", "r+b") as control:
            control.seek(24)  # what follows its head
            control.write(random.Random(1).randbytes(min(size - 24, 4000)))
        agent = self.start()
        agent.wait_for(f"{re.escape(session.name)}: .*set aside")
        self.assertTrue(session.exists())
        self.check_neighbour(agent, neighbour)

    def test_things_that_are_no_sessions(self):
        neighbour = self.neighbour()
        (self.sessions / "folder").mkdir(mode=0o700)
        (self.sessions / "empty.1.abc").mkdir(mode=0o700)
        (self.sessions / "file.2.abc").write_text("no session")
        (self.sessions / "link.3.abc").symlink_to("/")
        os.mkfifo(self.sessions / "pipe.4.abc")
        full = self.sessions / "full.5.abc"
        full.mkdir(mode=0o700)
        for name in ("control", "threads", "detached", "batches", "alive", "consumer"):
            os.mkfifo(full / name)
        agent = self.start()
        agent.wait_for(r"neighbour \(pid \d+\): draining it")
        self.check_neighbour(agent, neighbour)
        for name in ("folder", "file.2.abc", "link.3.abc", "pipe.4.abc"):
            self.assertTrue(os.path.lexists(self.sessions / name), name)

    def test_folder_that_others_may_access(self):
        self.doomed(10, 0)
        self.sessions.chmod(0o755)
        agent = self.start()
        agent.wait_for("may be accessed by other users, so nothing in it is read: use chmod go-rwx")
        self.assertEqual(agent.said("draining it"), [])
        self.sessions.chmod(0o700)
        agent.wait_for("draining it")
        self.assertEqual(len(agent.said("may be accessed")), 1)


class Hostile(Sessions):
    def test_files_that_shrink(self):
        """While they are mapped: the session is given up, alone."""
        neighbour = self.neighbour()
        engines = {name: self.doomed(100, 1, service=f"shrinks-{name}") for name in ("control", "threads", "batches")}
        agent = self.start()
        for name, engine in engines.items():
            agent.wait_for(rf"shrinks-{name} \(pid \d+\): draining it")
            os.truncate(self.session_of(engine) / name, 0)  # the engine sleeps, and does not notice
        for name in ("control", "threads"):  # batches are written when there are spans
            agent.wait_for(rf"shrinks-{name} \(pid \d+\): (?!draining it)")
        for engine in engines.values():
            engine.kill()
        self.check_neighbour(agent, neighbour)

    def test_files_that_change(self):
        """Random bytes appear in sessions that are drained, again and again."""
        neighbour = self.neighbour()
        agent = self.start()
        dice = random.Random(14)
        for number in range(ROUNDS):
            engine = self.doomed(200, 1, service=f"hostile-{number}")
            agent.wait_for(rf"hostile-{number} \(pid \d+\): draining it")
            session = self.session_of(engine)
            for _ in range(40):
                name = dice.choice(("control", "threads", "batches", "detached"))
                size = (session / name).stat().st_size
                with open(session / name, "r+b") as file:
                    # Beginnings hold what leads elsewhere: positions, counts, states.
                    file.seek(dice.randrange(min(size, dice.choice((size, 4096, 65536)))) // 8 * 8)
                    file.write(dice.choice((b"\xff" * 8, b"\0" * 8, dice.randbytes(8), dice.randbytes(512))))
            engine.kill()
        self.check_neighbour(agent, neighbour)

    def test_directory_that_is_removed(self):
        """As systemd-logind does when its user logs out. The engine lives, and is drained to its end."""
        engine = self.steady("--rate", 500)
        agent = self.start()
        agent.wait_for("draining it")
        session = self.session_of(engine)
        for path in session.iterdir():
            path.unlink()
        session.rmdir()
        agent.wait_for("RemoveIPC")
        account = self.ended(engine)
        agent.wait_for("ended; ")
        self.assertEqual((account["status"], account["exported"]), (0, account["attempted"]))
        self.assertEqual(len(agent.said("RemoveIPC")), 1)
        self.assertEqual(agent.end(), 0)


@unittest.skipIf(os.geteuid() != 0, "only root could touch the sessions of others")
class OtherUsers(Sessions):
    def setUp(self):
        super().setUp()
        self.other = pwd.getpwnam("nobody")
        self.shm.parent.chmod(0o755)
        self.shm.chmod(0o777)
        try:
            self.engine = doomed(self.shm, 100, 1, NSP_COLLECTOR="external", before=self.become)
        except PermissionError:
            self.skipTest("other users cannot enter the build directory")
        self.addCleanup(self.engine.kill)
        self.theirs = self.shm / f"nanospan-{self.other.pw_uid}"

    def become(self):
        os.setgroups([])
        os.setgid(self.other.pw_gid)
        os.setuid(self.other.pw_uid)

    def test_root_refuses_them(self):
        """Also when their engine is dead. Root's own are drained."""
        self.engine.kill()
        before = state_of(self.theirs)
        neighbour = self.neighbour()
        agent = self.start()
        agent.wait_for("belongs to the user nobody, and is left alone: .*systemctl start nanospan-agent@nobody, or "
                       rf"sudo -u nobody env NSP_SHM_DIR={self.shm} nanospan agent --endpoint {self.receiver.url}$")
        self.check_neighbour(agent, neighbour)
        self.assertEqual(len(agent.said("nobody, and is left alone")), 1)
        self.assertEqual(state_of(self.theirs), before)

    def test_they_come_later(self):
        aside = self.shm / "aside"
        self.theirs.rename(aside)
        agent = self.start()
        aside.rename(self.theirs)
        agent.wait_for("belongs to the user nobody, and is left alone")

    def test_root_has_none(self):
        result = subprocess.run([command(), "agent", "--endpoint", self.receiver.url], env=environment(self.shm), capture_output=True,
                                text=True, timeout=PATIENCE, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"sudo -u nobody env NSP_SHM_DIR={self.shm} nanospan agent --endpoint {self.receiver.url}\n", result.stderr)
        self.assertIn("start an agent for each of the users above", result.stderr)

    def test_their_own_agent(self):
        try:
            agent = self.start(before=self.become)
        except PermissionError:
            self.skipTest("other users cannot enter the build directory")
        agent.wait_for("draining it")
        self.engine.kill()
        agent.wait_for("recovered: ")
        wait_until(lambda: list(self.theirs.iterdir()) == [], "the removal")
        self.assertEqual(self.received(self.receiver, "finished", "doomed"), list(range(100)))


if __name__ == "__main__":
    unittest.main()
