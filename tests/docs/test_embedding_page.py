#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 120
# Sanitizers: none, because it links a program of its own to the library
"""The program of docs/embedding.md, "Paths", compiles and prints what the page says."""
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE, BUILD = Path(os.environ["NSP_SOURCE_DIR"]), Path(os.environ["NSP_BUILD_DIR"])
LIBRARY = [BUILD / name for name in ("libnanospan.so", "libnanospan-core.so")]


def without_times(text):
    """The lines, without what differs from run to run: times, durations, ids."""
    lines = [re.sub(r" (?:trace|span|parent)=[0-9a-f]+", "", line) for line in text.splitlines() if line.strip()]
    lines = [re.sub(r"^\d\d:\d\d:\d\d\.\d{9} (\S+) [\d.]+[nu]?m?s\b", r"TIME \1 DURATION", line) for line in lines]
    return [re.sub(r"^ +\+[\d.]+[nu]?m?s ", "  AFTER ", line) for line in lines]


class Paths(unittest.TestCase):
    def test_the_program_prints_what_the_page_says(self):
        page = (SOURCE / "docs/embedding.md").read_text(encoding="utf-8")
        section = re.search(r"^## Paths: where the shape is fixed\n(.*?)^## ", page, re.M | re.S)[1]
        program = re.search(r"^```c\n(.*?)^```", section, re.M | re.S)[1]
        printed = re.search(r"it prints:\n\n((?:    .*\n)+)", section)[1]
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder, "program")
            subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", built,
                            f"-I{SOURCE / 'core/include'}", "-xc", "-", "-xnone", "-Wl,--no-as-needed", *LIBRARY, f"-Wl,-rpath,{BUILD}"], input=program,
                           text=True, check=True)
            environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTLP_", "NSP_"))}
            environment.update(OTEL_TRACES_EXPORTER="console", NSP_CPU_NUMBERS="no", NSP_SHM_DIR="none")
            result = subprocess.run([built], env=environment, capture_output=True, text=True, timeout=60, check=True)
        said = without_times("\n".join(line[4:] for line in printed.splitlines()))
        self.assertEqual(without_times(result.stdout), said)
        self.assertEqual(len(said), 8)
        self.assertEqual(sum("TIME" in line and "DURATION" in line for line in said), 7)


if __name__ == "__main__":
    if not all(library.exists() for library in LIBRARY):
        print("skipped: there is no shared library in this build")
        sys.exit(77)
    unittest.main()
