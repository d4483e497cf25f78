#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 120
# Sanitizers: none, because it links a program of its own to the library
"""The programs of docs/embedding.md, "Paths" and "C++", compile and print what the page says."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE, BUILD = Path(os.environ["NSP_SOURCE_DIR"]), Path(os.environ["NSP_BUILD_DIR"])
CXX = os.environ.get("CXX", "c++")
LIBRARY = [BUILD / name for name in ("libnanospan.so", "libnanospan-core.so")]


def without_times(text):
    """The lines, without what differs from run to run: times, durations, ids."""
    lines = [re.sub(r" (?:trace|span|parent)=[0-9a-f]+", "", line) for line in text.splitlines() if line.strip()]
    lines = [re.sub(r"^\d\d:\d\d:\d\d\.\d{9} (.+?) [\d.]+[nu]?m?s\b", r"TIME \1 DURATION", line) for line in lines]
    return [re.sub(r"^ +\+[\d.]+[nu]?m?s ", "  AFTER ", line) for line in lines]


class Programs(unittest.TestCase):
    def said_and_printed(self, heading, language, command):
        """What the page says that the program of this section prints, and what it prints."""
        page = (SOURCE / "docs/embedding.md").read_text(encoding="utf-8")
        section = re.search(rf"^## {heading}\n(.*?)^## ", page, re.M | re.S)[1]
        program = re.search(rf"^```{language}\n(.*?)^```", section, re.M | re.S)[1]
        printed = re.search(r"it prints:\n\n((?:    .*\n)+)", section)[1]
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder, "program")
            subprocess.run([*command, "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", built, f"-I{SOURCE / 'core/include'}",
                            "-", "-xnone", "-Wl,--no-as-needed", *LIBRARY, f"-Wl,-rpath,{BUILD}", "-pthread"], input=program,
                           text=True, check=True)
            environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTLP_", "NSP_"))}
            environment.update(OTEL_TRACES_EXPORTER="console", NSP_CPU_NUMBERS="no", NSP_SHM_DIR="none")
            result = subprocess.run([built], env=environment, capture_output=True, text=True, timeout=60, check=True)
        said = without_times("\n".join(line[4:] for line in printed.splitlines()))
        return said, without_times(result.stdout)

    def test_the_program_of_paths(self):
        said, printed = self.said_and_printed("Paths: where the shape is fixed", "c", [os.environ.get("CC", "cc"), "-std=c11", "-xc"])
        self.assertEqual(printed, said)
        self.assertEqual(len(said), 8)
        self.assertEqual(sum("TIME" in line and "DURATION" in line for line in said), 7)

    @unittest.skipUnless(shutil.which(CXX), "there is no C++ compiler")
    def test_the_program_in_cpp(self):
        for standard in ("c++17", "c++20"):
            said, printed = self.said_and_printed(r"C\+\+", "cpp", [CXX, f"-std={standard}", "-xc++"])
            # Each thread's spans are in the order in which they ended; whose come first is left open.
            self.assertEqual(sorted(printed), sorted(said))
            self.assertEqual(printed[:3], said[:3])
            self.assertEqual(len(said), 9)
            self.assertEqual(sum("TIME" in line and "DURATION" in line for line in said), 8)


if __name__ == "__main__":
    if not all(library.exists() for library in LIBRARY):
        print("skipped: there is no shared library in this build")
        sys.exit(77)
    unittest.main()
