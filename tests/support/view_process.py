# SPDX-License-Identifier: Apache-2.0
"""`nanospan view` of traces that a test has made, and what its output says, as numbers."""
import json
import os
import re
import subprocess
import tempfile
import unicodedata
import unittest
from pathlib import Path

from sink_process import command

START = 1_700_000_000_000_000_000
UNITS = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}
CELL = "[+-]?[0-9.]+ (ns|µs|ms|s)|·|[<>]?-?[0-9.]+ %"
BAR = "█▏▎▍▌▋▊▉▐▕─░▒"


def otlp_line(number, spans, service="engine"):
    """One line with a trace of that number, whose spans are those of support/critical_path.py."""
    made = []
    for span in spans:
        made.append({"traceId": f"{number:032x}", "spanId": f"{span['id']:016x}", "name": span["name"],
                     "startTimeUnixNano": str(START + span["start"]), "endTimeUnixNano": str(START + span["end"])})
        if span["parent"]:
            made[-1]["parentSpanId"] = f"{span['parent']:016x}"
        if span.get("off"):
            made[-1]["events"] = [{"timeUnixNano": str(START + span["start"]), "name": "waited", "attributes": [
                {"key": "nanospan.off_cpu_ns", "value": {"intValue": str(span["off"])}}]}]
    return json.dumps({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                                          "scopeSpans": [{"spans": made}]}]}) + "\n"


def nanoseconds(shown):
    """What a duration says that is shown in a table, in a terminal or on a page; a dot is nothing."""
    if shown == "·":
        return 0.0
    number, unit = shown.split(" ")
    return float(number.replace("\u2212", "-")) * UNITS[unit]  # the sign that pages use


def columns(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def phases(rows):
    """The rows of a tree as [(path of names, [cells], bar)]; the names have no two blanks in a row. Notes are left out."""
    found, path = [], []
    for row in rows:
        guides = re.match("((?:│  |   )*(?:[├└]─ )?)", row)[1]
        text = row[len(guides):].rstrip(f" {BAR}")
        name, *cells = re.split("  +", text)
        if not cells or not all(re.fullmatch(CELL, cell) for cell in cells):
            continue
        path = [*path[:len(guides) // 3], name]
        found.append((tuple(path), cells, row[len(guides) + len(text):].strip()))
    return found


def blocks(out):
    """What a comparison says: {root name: (difference, [[traces, mean, p50, p99] of both], rows of phases, notes)}"""
    found = {}
    for block in re.split(r"\n(?=● )", "\n" + out)[1:]:
        lines = block.split("\n\n")[0].split("\n")
        name, change = re.fullmatch(r"● (.*?)  (\S+(?: \S+)?)", lines[0]).groups()
        sides = [re.split("  +", text.strip()) for text in lines[2:4]]
        notes = [text.strip("│ ") for text in lines[5:] if not re.search(rf"({CELL})  +({CELL})", text)]
        found[name] = (change, [side[1:] for side in sides], phases(lines[4:]), notes)
    return found


class ViewTest(unittest.TestCase):
    """Has a folder, and runs the command."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.file, self.other = (Path(self.folder.name, name) for name in ("spans.jsonl", "other.jsonl"))

    def tearDown(self):
        self.folder.cleanup()

    def write(self, path, traces):
        """`traces`: their spans, by their numbers."""
        path.write_text("".join(otlp_line(number, spans) for number, spans in traces.items()), encoding="utf-8")

    def view(self, *arguments, width=140, **options):
        done = subprocess.run([command(), "view", *map(str, arguments)], capture_output=True, timeout=120, check=False,
                              env={**os.environ, "COLUMNS": str(width), **options.pop("environment", {})}, **options)
        self.code, self.err = done.returncode, done.stderr.decode()
        return done.stdout.decode()
