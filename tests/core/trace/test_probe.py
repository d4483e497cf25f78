#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The library has its USDT probe, if the header for it was there: readelf shows the note that tracers look for."""
import os
import pathlib
import re
import subprocess
import sys

build = pathlib.Path(os.environ["NSP_BUILD_DIR"])
cache = (build / "CMakeCache.txt").read_text()
library = build / "libnanospan-core.so"
if not library.exists():
    print("skipped: there is no shared library in this build")
    sys.exit(77)
notes = subprocess.run(["readelf", "--notes", "--wide", library], stdout=subprocess.PIPE, text=True, check=True).stdout
probes = re.findall(r"Provider: (\S+)\s+Name: (\S+)\s+Location: \S+.*\s+Arguments: (.*)", notes)
if "NSP_HAVE_SDT:INTERNAL=1" not in cache:
    assert not probes, probes
    print("skipped: built without <sys/sdt.h>")
    sys.exit(77)
assert [probe[:2] for probe in probes] == [("nanospan", "outlier_kept")], notes
arguments = probes[0][2].split()
assert len(arguments) == 2 and all(argument.startswith("8@") for argument in arguments), arguments
print("probe nanospan:outlier_kept", *arguments)
