# SPDX-License-Identifier: Apache-2.0
# Sanitizers: none, because the command only prints its help
"""The man pages, which tools/manual/manual.py makes from --help."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from peers import need
from sink_process import command

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[2]))
MANUAL = SOURCE / "tools" / "manual" / "manual.py"
PATIENCE = 60


def help_of(*words):
    return subprocess.run([command(), *words, "--help"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout


def words_of(text):
    return re.findall(r"[\w=./:$'*-]+", text)


def make(program, folder):
    return subprocess.run([MANUAL, program, folder], capture_output=True, text=True, timeout=PATIENCE)


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="man pages ")
        cls.addClassCleanup(cls.folder.cleanup)
        done = make(command(), cls.folder.name)
        assert done.returncode == 0 and not done.stderr, done.stderr
        cls.subcommands = re.findall(r"^  (\w+) +\S", help_of(), re.M)

    def page(self, title):
        return Path(self.folder.name, f"{title}.1").read_text(encoding="utf-8")

    def shown(self, title):
        """What `man` shows, in lines as long as they need to be."""
        need(shutil.which("groff"), "groff is not installed")
        done = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-P-c", "-P-b", "-P-o", "-P-u", "-rLL=2000n", "-rHY=0"],
                              input=self.page(title), capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.stderr, "", title)
        return done.stdout

    def test_one_for_each_subcommand(self):
        self.assertEqual({path.name for path in Path(self.folder.name).iterdir()},
                         {"nanospan.1"} | {f"nanospan-{name}.1" for name in self.subcommands})
        self.assertGreater(len(self.subcommands), 5)

    def test_nothing_of_the_help_is_left_out(self):
        for name in [None, *self.subcommands]:
            with self.subTest(name):
                shown = words_of(self.shown(f"nanospan-{name}" if name else "nanospan"))
                text = help_of(name) if name else help_of()
                text = text.replace("Mandatory or optional arguments to long options are also mandatory or optional\n"
                                    "for any corresponding short options.\n", "")
                shown = {word.lower().strip(".:'").replace("'", "") for word in shown}
                left_out = {word for word in words_of(text.replace("`", "").replace("'", "")) if word.lower().strip(".:") not in shown}
                self.assertLessEqual(left_out, {"usage:", "Usage:", "Exit", "codes:", "Example:", "Examples:"})

    def test_sections(self):
        for name in self.subcommands:
            sections = re.findall(r"^\.SH (.*)$", self.page(f"nanospan-{name}"), re.M)
            expected = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]
            text = help_of(name)
            if "Exit codes:" not in text:
                expected.remove("EXIT STATUS")
            if not re.search("^Examples?:", text, re.M):
                expected.remove("EXAMPLES")
            self.assertEqual(sections, expected, name)
        self.assertEqual(re.findall(r"^\.SH (.*)$", self.page("nanospan"), re.M),
                         ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "EXIT STATUS", "SEE ALSO"])
        codes = re.search(r"^\.SH EXIT STATUS\n(.*?)^\.SH", self.page("nanospan-doctor"), re.M | re.S)[1]
        self.assertEqual(re.findall(r"^\\fB(\d)", codes, re.M), ["0", "1", "2", "3"])

    def test_the_same_pages_from_the_same_help(self):
        with tempfile.TemporaryDirectory() as again:
            Path(again, "nanospan-gone.1").touch()
            self.assertEqual(make(command(), again).returncode, 0)
            self.assertEqual({path.name: path.read_bytes() for path in Path(again).iterdir()},
                             {path.name: path.read_bytes() for path in Path(self.folder.name).iterdir()})

    def test_help_that_is_not_understood(self):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder, "nanospan")
            program.write_text("#!/bin/sh\ncase $1 in\n--version) echo nanospan 1.2.3 ;;\n"
                               "--help) printf 'usage: nanospan COMMAND\\nDoes things.\\n\\n  odd   do it\\n\\nMore.\\n' ;;\n"
                               "*) printf 'Usage: nanospan odd\\nDoes it.\\n\\n  -a, --all   All\\n what is this\\n  -b, --both   Both\\n' ;;\n"
                               "esac\n")
            program.chmod(0o755)
            done = make(program, Path(folder, "man"))
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("' what is this'", done.stderr)
            self.assertFalse(Path(folder, "man").exists())


if __name__ == "__main__":
    unittest.main()
