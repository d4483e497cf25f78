# SPDX-License-Identifier: Apache-2.0
# Sanitizers: none, because bash runs it, and the command only prints its help
"""Bash's completion for the command nanospan."""
import os
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from engine_process import doomed
from peers import need
from sink_process import command

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[2]))
SCRIPT = SOURCE / "tools" / "nanospan" / "completion" / "nanospan.sh"
# Readline's part: it splits the line at blanks and at "=", and completes what is before the cursor.
DRIVER = r"""
. "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_nanospan "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"
"""
PATIENCE = 60


def offered(*words, folder=None, **variables):
    """What is offered for the last of these words, behind `nanospan`."""
    done = subprocess.run(["bash", "--norc", "-c", DRIVER, "driver", str(SCRIPT), command(), *words], capture_output=True, text=True,
                          cwd=folder, env=os.environ | variables, timeout=PATIENCE)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.splitlines()


def help_of(*words):
    return subprocess.run([command(), *words, "--help"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout


SUBCOMMANDS = re.findall(r"^  (\w+) +\S", help_of(), re.M)


class Words(unittest.TestCase):
    def test_subcommands(self):
        self.assertEqual(offered(""), SUBCOMMANDS + ["help", "--help", "--version"])
        self.assertEqual(offered("s"), ["sink", "snapshot"])
        self.assertEqual(offered("help", ""), SUBCOMMANDS)
        self.assertEqual(offered("help", "s"), ["sink", "snapshot"])
        self.assertEqual(offered("no_such", "-"), [])

    def test_every_option(self):
        """Those of --usage, which argp writes in another form."""
        for name in SUBCOMMANDS:
            usage = subprocess.run([command(), name, "--usage"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
            expected = {long + ("=" if value else "") for long, value in re.findall(r"\[(--[a-z-]+)(=\S+)?\]", usage)}
            self.assertIn("--help", expected)
            self.assertEqual(set(offered(name, "-")), expected, name)
        self.assertEqual(offered("view", "--perf"), ["--perfetto="])
        self.assertEqual(offered("view", "--errors", "--perf"), ["--perfetto="])
        self.assertEqual(offered("agent", "--on"), ["--once"])

    def test_choices(self):
        """Each word that is offered as a value is taken, and the text of its option names it."""
        for name in SUBCOMMANDS:
            text = help_of(name)
            for option in re.findall(r"^ .*(--[a-z-]+)=(?:WHEN|WHAT|POLICY|ORDER|COLUMN) ", text, re.M):
                about = re.search(rf"{option}=(.*?)^ +(?:-\S, +)?--", text, re.M | re.S)[1]
                words = offered(name, option, "=")
                self.assertGreater(len(words), 1, f"{name} {option}")
                for word in words:
                    self.assertRegex(about, rf"\b{word}\b")
                    arguments = ["here"] if name in ("tune", "snapshot") else []
                    done = subprocess.run([command(), name, f"{option}={word}", *arguments, "--help"], capture_output=True, text=True,
                                          timeout=PATIENCE)
                    self.assertEqual(done.returncode, 0, done.stderr)
                wrong = subprocess.run([command(), name, f"{option}=no-such-word", "--help"], capture_output=True, timeout=PATIENCE)
                self.assertEqual(wrong.returncode, 2)
                self.assertEqual(offered(name, option, words[0][:3]), [words[0]])
                self.assertEqual(offered(name, option, "=", words[0][:3]), [words[0]])
        self.assertEqual(offered("top", "-s", "sp"), ["spans"])

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a file.jsonl", "$(echo evil).jsonl", "folder/inner.jsonl"):
                path = Path(folder, name)
                path.parent.mkdir(exist_ok=True)
                path.touch()
            everything = ["$(echo evil).jsonl", "a file.jsonl", "folder"]
            for words in (["view", ""], ["view", "--html", "="], ["view", "--compare", ""], ["sink", "-o", ""]):
                self.assertEqual(sorted(offered(*words, folder=folder)), everything, words)
            self.assertEqual(offered("view", "folder/", folder=folder), ["folder/inner.jsonl"])
            self.assertEqual(offered("top", "--shm-dir", "=", folder=folder), ["folder"])
            self.assertEqual(offered("view", "--limit", "", folder=folder), [])
            self.assertEqual(offered("view", "--errors", "=", folder=folder), [])
            self.assertEqual(offered("sink", "", folder=folder), [])

    def test_sessions(self):
        with tempfile.TemporaryDirectory() as shm:
            sessions = Path(shm, f"nanospan-{os.geteuid()}")
            self.assertEqual(offered("tune", "", NSP_SHM_DIR=shm), [])
            for name in ("execution.4711.a1b2c3", "v1_2-engine.815.ffff", "$(evil).9.x", "no session"):
                Path(sessions, name).mkdir(parents=True)
            found = ["4711", "815", "execution", "v1_2-engine"]
            for words in (["tune", ""], ["snapshot", ""], ["recover", ""], ["recover", "--list", ""]):
                self.assertEqual(sorted(offered(*words, NSP_SHM_DIR=shm)), found, words)
            for words in (["--shm-dir", "=", shm], ["--shm-dir", shm]):
                self.assertEqual(offered("tune", *words, "ex", NSP_SHM_DIR="/nowhere"), ["execution"])
            self.assertEqual(offered("tune", "execution", "order", "=", NSP_SHM_DIR=shm), [])

    def test_none(self):
        with tempfile.TemporaryDirectory() as shm:
            for options in ("failglob", "nullglob"):
                self.assertEqual(offered("recover", "", NSP_SHM_DIR=shm, BASHOPTS=options), [])

    def test_a_real_engine(self):
        with tempfile.TemporaryDirectory() as shm:
            engine = doomed(shm, service="execution-1")
            self.addCleanup(engine.kill)
            self.assertEqual(offered("recover", "", NSP_SHM_DIR=shm), ["execution-1", str(engine.pid)])

    def test_processes(self):
        pid = str(os.getpid())
        self.assertIn(pid, offered("doctor", "--pid", "="))
        self.assertIn(pid, offered("doctor", "--pid", pid[:-1]))
        self.assertNotIn("1" if os.geteuid() else "none", offered("doctor", "--pid", ""))


class Terminal(unittest.TestCase):
    """In a real shell: what stands in the line after a tabulator."""

    def setUp(self):
        need(shutil.which("bash"), "there is no bash")
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        Path(self.folder.name, "some spans.jsonl").touch()
        child, self.terminal = pty.fork()
        if child == 0:
            os.chdir(self.folder.name)
            environment = {"PATH": f"{Path(command()).parent}:{os.environ['PATH']}", "PS1": "ready>", "TERM": "dumb", "HOME": self.folder.name,
                           "HISTFILE": "/dev/null", "INPUTRC": "/dev/null", "LC_ALL": "C"}
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
        self.child = child
        self.said = ""
        self.addCleanup(self.end)
        self.wait_for("ready>")
        os.write(self.terminal, f". '{SCRIPT}'; complete -p nanospan\n".encode())
        self.wait_for("complete -F _nanospan nanospan\r\nready>")

    def end(self):
        os.close(self.terminal)  # hangs up
        os.waitpid(self.child, 0)

    def wait_for(self, text):
        """Reads until the text has come, behind what was waited for before."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.said:
            if not select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                self.fail(f"{text!r} did not come, but {self.said!r}")
            self.said += os.read(self.terminal, 4096).decode(errors="replace")
        self.said = self.said.partition(text)[2]

    def test_tabulator(self):
        os.write(self.terminal, b"nanospan sn\t")
        self.wait_for("nanospan snapshot ")
        os.write(self.terminal, b"\x15nanospan view --perf\t")
        self.wait_for("nanospan view --perfetto=")
        os.write(self.terminal, b"so\t")
        self.wait_for("some\\ spans.jsonl ")
        os.write(self.terminal, b"--color=nev\t")
        self.wait_for("--color=never ")


if __name__ == "__main__":
    unittest.main()
