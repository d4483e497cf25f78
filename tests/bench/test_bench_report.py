# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 120
"""The page that bench/report/report.py makes from a run's JSON: complete, readable without a network, and
consistent with the JSON."""

import html.parser
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("NSP_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
REPORT = SOURCE / "bench/report/report.py"
VOID = {"meta", "link", "br", "wbr", "img", "hr", "input"}


def python():
    """The Python with the packages that the report needs; None if there is none."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([candidate, "-c", "import matplotlib, jinja2"], capture_output=True).returncode == 0:
            return candidate
    return None


def result(group, name, figures, **more):
    return {
        "group": group,
        "name": name,
        "what": f"what {name} <is> & does",
        "valid": True,
        "rounds": 21,
        "invalid_rounds": 7,
        "seconds": 1.0,
        "figures": figures,
        "series": [],
        **more,
    }


def near(value):
    return {"value": value, "low": value * 0.97, "high": value * 1.04}


def run():
    """A run with every kind of result."""
    tail = [[10 ** (i / 10), 40 + i, 38 + i, 43 + i] for i in range(40)]
    return {
        "format": 1,
        "command": "nanospan-bench --only '<some>'",
        "quick": True,
        "interrupted": False,
        "seconds": 12.0,
        "machine": {
            "date": "2026-01-02T03:04:05Z",
            "nanospan": "0.1.0",
            "commit": "abcdef123456-dirty",
            "cpu": "Test & Co",
            "governor": "unknown",
            "a_new_fact": "kept too",
        },
        "groups": [
            {"name": "hot path", "method": "ratio to 2T"},
            {"name": "order path", "method": "added"},
            {"name": "growth", "method": "how it grows"},
            {"name": "peers", "method": "others"},
        ],
        "results": [
            result(
                "hot path",
                "span0",
                {"ratio": near(1.02), "span_ns": near(19.371), "core_alone_percent": {"value": 40.0}},
                accounting={"attempted": 54026, "exported": 54025, "dropped": 1},
            ),
            result(
                "hot path",
                "span3",
                {"ratio": near(1.21), "span_ns": near(23.049), "core_alone_percent": {"value": 70.0}},
                series=[
                    {"plot": "tails", "name": "span3 line", "x": "percentile", "y": "ns", "points": tail},
                    {
                        "plot": "tails",
                        "name": "empty harness",
                        "x": "percentile",
                        "y": "ns",
                        "points": [[x, y / 2] for x, y, *_ in tail],
                    },
                ],
            ),
            result(
                "hot path",
                "disabled",
                {"ratio": near(0.028), "span_ns": near(0.541), "core_alone_percent": {"value": None}},
                withdrawn="core_alone is not known for some reason",
            ),
            result("order path", "order_10", {"added_ns": near(14.5)}),
            result("order path", "order_100", {"added_ns": near(131.25), "ratio": near(1.3)}),
            result(
                "growth",
                "rings",
                {"least_ns": {"value": 3.0}},
                series=[
                    {
                        "plot": "rings",
                        "name": "a pass",
                        "x": "rings",
                        "y": "ns a pass",
                        "points": [[1, 400.0, 390, 410], [64, 2200.0, 2100, 2300], [4096, 140000.0, 1e5, 2e5]],
                    },
                    {"plot": "nothing", "name": "measured nothing", "x": "rings", "y": "ns", "points": [[1, None]]},
                ],
            ),
            result(
                "peers",
                "peer_broken",
                {"span3_ns": {"value": 77.25}},
                valid=False,
                problem="spans were lost in all but 3 of 400 rounds",
            ),
            result("peers", "peer_absent", {}, valid=False, skipped="cargo is not installed"),
        ],
        "budgets": {
            "file": "budgets.txt",
            "items": [
                {
                    "line": 3,
                    "benchmark": "span0",
                    "verdict": "pass",
                    "conditions": [{"figure": "ratio", "sign": "<=", "limit": 1.05, "measured": 1.02}],
                },
                {
                    "line": 4,
                    "benchmark": "span3",
                    "verdict": "fail",
                    "conditions": [{"figure": "ratio", "sign": "<=", "limit": 1.1, "measured": 1.21}],
                },
                {
                    "line": 5,
                    "benchmark": "peer_absent",
                    "verdict": "skip",
                    "why": "cargo is not installed",
                    "conditions": [{"figure": "span3_ns", "sign": "<=", "limit": 900.0, "measured": None}],
                },
            ],
        },
        "compared": {
            "with": "before.json",
            "items": [
                {"benchmark": "span3", "figure": "ratio", "then": 1.3, "now": 1.21, "verdict": "better"},
                {"benchmark": "span0", "figure": "gone_ns", "then": 0.0, "now": 4.0, "verdict": "unknown"},
            ],
        },
    }


class Page(html.parser.HTMLParser):
    """Checks that elements are closed in order, and collects their contents."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.attributes, self.headings, self.words, self.wrong = [], [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.note(tag, attrs)

    def note(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> at line {self.getpos()[0]}")

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.words))


class BenchReport(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.html = cls.make(run())
        cls.page = Page(cls.html)

    @classmethod
    def make(cls, run):
        with tempfile.TemporaryDirectory() as folder:
            source, page = pathlib.Path(folder, "run.json"), pathlib.Path(folder, "page.html")
            source.write_text(json.dumps(run))
            subprocess.run([PYTHON, REPORT, source, page], check=True)
            assert sorted(os.listdir(folder)) == ["page.html", "run.json"]
            return page.read_text(encoding="utf-8")

    def shows(self, *texts):
        for text in texts:
            self.assertIn(text, self.page.text)

    def test_is_html(self):
        self.assertTrue(self.html.lstrip().startswith("<!DOCTYPE html>"))
        self.assertEqual(self.page.wrong, [])
        self.assertEqual(self.page.open, [])
        self.assertEqual(len(self.page.ids), len(set(self.page.ids)), "ids must be unique")
        names = {value for _, name, value in self.page.attributes if name == "href"}
        self.assertEqual([name for name in names if name[1:] not in self.page.ids], [])
        self.assertEqual({*re.findall(r"url\(#([^)]*)\)", self.html)} - {*self.page.ids}, set())

    def test_needs_nothing_else(self):
        self.assertNotRegex(self.html, r"https?:|//[a-z]+\.|@import|<script|<link|\bsrc=|url\((?!#)")
        self.assertTrue(all(value.startswith("#") for _, name, value in self.page.attributes if name == "href"))

    def test_headings_are_in_order(self):
        self.assertEqual(self.page.headings[0], 1)
        self.assertEqual(self.page.headings.count(1), 1)
        self.assertTrue(all(b - a <= 1 for a, b in zip(self.page.headings, self.page.headings[1:])))

    def test_every_result_is_there(self):
        for one in run()["results"]:
            self.shows(one["name"], one["what"], *one["figures"])
        self.shows("19.37", "18.79 to 20.15", "0.541", "131.2", "77.25", "54 026", "54 025")

    def test_says_what_is_wrong(self):
        self.shows(
            "1 of 2 budgets broken",
            "1 budget skipped",
            "1 benchmark gave no valid figures",
            "1 benchmark skipped",
            "not valid: spans were lost in all but 3 of 400 rounds",
            "core_alone is not known for some reason",
            "cargo is not installed",
            "a quick run",
        )

    def test_shares_of_rounds(self):
        # Two of the three benchmarks of the group know it, and both have 21 rounds.
        self.shows("hot path6321" + "55 %")

    def test_machine_and_command(self):
        self.shows(
            "Test & Co",
            "abcdef123456-dirty",
            "a new fact",
            "kept too",
            "unknown here",
            "governor",
            "nanospan-bench --only '<some>'",
            "12 seconds",
        )

    def test_budgets_and_comparison(self):
        self.shows("✓ pass", "✗ fail", "≤ 1.05", "≤ 1.1", "before.json", "−6.9 %", "better", "no interval")

    def test_plots(self):
        labels = [value for tag, name, value in self.page.attributes if tag == "svg" and name == "aria-label"]
        for title in ("hot path, ratio", "tails: ", "What tracing adds: ", "rings: "):
            self.assertEqual(sum(label.startswith(title) for label in labels), 2, f"{title}: a wide and a narrow one")
        self.assertFalse(any("nothing" in label for label in labels))
        self.assertIn("99.9 %", self.page.text)
        self.shows("span3 line", "empty harness", "two clock reads")

    def test_colours_follow_the_scheme(self):
        style = re.search(r"<style>(.*?)</style>", self.html, re.S)[1]
        light, dark = style.split("prefers-color-scheme: dark", 1)
        used, colours = (
            {*re.findall(pattern, text)} - {"mono", "columns"}
            for pattern, text in ((r"var\(--([a-z0-9-]+)\)", self.html), (r"--([a-z0-9-]+): #", light))
        )
        self.assertEqual(used - colours, set())
        self.assertEqual({*re.findall(r"--([a-z0-9-]+): #", dark)}, colours)
        self.assertTrue({"ink", "paper", "grid", "line-1", "line-8"} <= colours)
        for svg in re.findall(r"<svg.*?</svg>", self.html, re.S):
            self.assertNotRegex(svg, r"(?:fill|stroke): ?#[0-9a-f]{3}", "a colour that does not follow the scheme")

    def test_least_there_can_be(self):
        page = Page(
            self.make({"format": 1, "results": [result("zero", "zero_span0", {"allocations_count": {"value": 0.0}})]})
        )
        self.assertEqual(page.wrong, [])
        self.assertIn("No budgets were checked", page.text)
        self.assertNotIn("budgets", page.ids)
        self.assertNotIn("accounting", page.ids)

    def test_odd_lines(self):
        def line(x, *points):
            return {"plot": f"by {x}", "name": f"line of {len(points)}", "x": x, "y": "ns", "points": list(points)}

        series = [line("percentile", [1, 5.0]), line("percentile", [1, 0.0], [2, 0.0], [4, 3.0], [9, None]),
                  line("rings", [4, -2.0], [4, 3.0, 1.0, 4.0]), line("rings", [8, 0.0]), line("rings")]  # fmt: skip
        odd = [result("odd", f"odd{i}", {"some_ns": {"value": None}}, series=series) for i in range(9)]
        page = Page(self.make({"format": 1, "results": odd}))
        self.assertEqual(page.wrong, [])
        self.assertEqual(len(page.ids), len(set(page.ids)))
        self.assertIn("by rings, 2 of", page.text)
        self.assertNotIn("line of 1,", page.text)

    def test_refuses_other_files(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "other.json")
            for text in ("{}", "[1]", "no JSON", '{"format": 2, "results": []}'):
                source.write_text(text)
                done = subprocess.run(
                    [PYTHON, REPORT, source, pathlib.Path(folder, "page.html")], capture_output=True, text=True
                )
                self.assertEqual(done.returncode, 1)
                self.assertIn("other.json", done.stderr)
                self.assertEqual(os.listdir(folder), ["other.json"])


PYTHON = python()
if PYTHON is None:
    print("skipped: a report needs matplotlib and jinja2")
    sys.exit(77)
unittest.main()
