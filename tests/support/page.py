# SPDX-License-Identifier: Apache-2.0
"""A section of a page that a reader can type along: its commands are run in a shell, and each line that it shows must be
printed, with other numbers."""
import contextlib
import os
import re
import shlex
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from engine_process import PATIENCE, environment, wait_until
from peers import missing
from ports import closed_port

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[2]))
BIN = Path(os.environ.get("NSP_BUILD_DIR", SOURCE / "build")) / "bin"
BARS = "▁▂▃▄▅▆▇█"
COMMAND = re.compile(r"(\./|export |[A-Z_]+=|kill |ls |cat |wait )")
NUMBER = r"(?:[0-9][0-9.,]*[a-zA-Z%]*|-)"  # "-" stands where a table has no number, and what follows one is its unit
UNITS = ("ns", "µs", "ms", "s", "min")
# An agent that dies in the middle of a request makes the next one send it again, and say so.
IN_DOUBT = r"(, [0-9,]+ of them in doubt and sent again)?"


def blocks(page, heading):
    """The indented blocks of the section, each as (is it of commands?, its lines). What is fenced (a trace of one run) is none."""
    text = (SOURCE / page).read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?:^## |\Z)", text, re.M | re.S)[1]
    section = re.sub(r"^```.*?^```\n", "", section, flags=re.M | re.S)
    for block in re.findall(r"(?:^    .*\n)+", section, re.M):
        lines = [line.strip() for line in block.splitlines() if not re.match(r" *(\./run build|cd )", line)]
        if lines:
            yield bool(COMMAND.match(lines[0])), lines


def form(line, exact=()):
    """A pattern for lines of this form, whatever their numbers, units and folder are, except for the words in `exact` that are
    no times."""
    words = []
    shown = line.rstrip(BARS + " ").split()
    for word, following in zip(shown, [*shown[1:], ""]):
        if word.strip(",;:()") in exact and following.strip(",;:()") not in UNITS:
            words.append(re.escape(word))
        elif word in UNITS:
            words.append("(?:" + "|".join(UNITS) + ")")
        elif word.startswith(("/dev/shm", "received.jsonl")):
            words.append(r"\S+")
        elif re.fullmatch(r"[KMG]?i?B\W?", word):
            words.append(r"[KMG]?i?B" + re.escape(word.partition("B")[2]))
        elif re.fullmatch(r"[\w-]+\.[0-9]+\.[0-9a-f]{8}\W?", word):  # a session
            words.append(re.escape(word.partition(".")[0]) + r"\.[0-9]+\.[0-9a-f]{8}" + re.escape(word.rpartition(".")[2][8:]))
        else:
            parts = re.split(r"(?<![a-zA-Z])([0-9][0-9.,]*[0-9][a-zA-Z%]*|[0-9][a-zA-Z%]*|^-(?=,?$))", word)
            words.append("".join(NUMBER if i % 2 else re.escape(part) for i, part in enumerate(parts)))
    return " ".join(words).replace(r"by this agent;", rf"by this agent{IN_DOUBT};")


def end_session(shell):
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(int(entry.name)) == shell.pid:
                os.kill(int(entry.name), signal.SIGKILL)
    shell.wait(PATIENCE)


class PageTest(unittest.TestCase):
    def setUp(self):
        for program in ("nanospan", "engine", "feed"):
            if not (BIN / program).exists():
                missing(f"there is no {BIN / program}")
        folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.addCleanup(folder.cleanup)
        self.work = Path(folder.name)
        self.log = self.work / "log"
        self.port = closed_port()

    def adapted(self, line):
        """The command with places of this test's own, so that it may run beside others."""
        for before, after in (("./nanospan sink", f"./nanospan sink --listen 127.0.0.1:{self.port}"),
                              ("received.jsonl", str(self.work / "received.jsonl")), (":4318", f":{self.port}"),
                              ("./engine", f"./engine --listen unix:{self.work}/orders"),
                              ("./feed", f"./feed --connect unix:{self.work}/orders"),
                              ("../../examples", shlex.quote(str(SOURCE / "examples"))), ("$(pidof engine)", "$(jobs -p %3)")):
            line = line.replace(before, after, 1)
        return line

    def said(self):
        return " ".join(self.log.read_text(encoding="utf-8", errors="replace").split())

    def play(self, page, heading, exact=(), settings=None):
        """Returns how many lines the section shows."""
        shown, at = 0, 0
        with open(self.log, "wb") as log:
            shell = subprocess.Popen(["bash", "-m"], stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, cwd=BIN,
                                     start_new_session=True, env=environment(self.work, **settings or {}))
        self.addCleanup(end_session, shell)
        for is_command, lines in blocks(page, heading):
            if is_command:
                shell.stdin.write("".join(f"{self.adapted(line)}\n" for line in lines))
                shell.stdin.flush()
                continue
            for line in lines:
                pattern = re.compile(form(line, exact))
                try:
                    wait_until(lambda: pattern.search(self.said(), at), f"'{line}' ({pattern.pattern})")
                except AssertionError as error:
                    raise AssertionError(f"{error} in {self.log.read_text(errors='replace')}") from None
                at = pattern.search(self.said(), at).end()
                shown += 1
        shell.stdin.close()
        self.assertEqual(shell.wait(PATIENCE), 0, self.said())
        return shown
