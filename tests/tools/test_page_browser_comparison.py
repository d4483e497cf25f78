# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 600 COST 30
# Sanitizers: none, because a browser does the work
"""The comparison of a page of traces in a real browser: what it shows is what `nanospan view` shows, and what is computed in another
way."""
import random
import re
import unittest
from collections import defaultdict

from critical_path import UNSEEN_ROOT, Tree, differences, means, slowest_and_middle
from page_browser import PageTest, view
from trace_maker import START, platform, span, write
from view_process import blocks, nanoseconds

try:
    from selenium.webdriver.common.keys import Keys
except ImportError:
    Keys = None

NAMES = ["order", "cancel order", "heartbeat", UNSEEN_ROOT]


class Comparison(PageTest):
    @classmethod
    def make(cls, folder):
        chance = random.Random(81)
        cls.sides = [platform(chance, 150, slower=2, first=1001), platform(chance, 200)]
        cls.traces = {**cls.sides[0], **cls.sides[1]}
        files = [folder / "after.jsonl", folder / "before.jsonl"]
        for file, traces in zip(files, cls.sides):
            write(file, traces)
        return files

    @staticmethod
    def by_name(traces):
        """{root name: [(number, tree)]}"""
        found = defaultdict(list)
        for number, spans in traces.items():
            tree = Tree(spans)
            found[tree.name].append((number, tree))
        return found

    def compare(self, kind, name):
        """Chooses them, and returns the headline once it is there."""
        if self.browser.find("#tab-comparison").get_attribute("aria-selected") == "false":
            self.click("#tab-comparison")
        root = self.browser.find(f"tr[data-root='{name}']")
        if root.get_attribute("aria-current") != "true":
            self.click(f"tr[data-root='{name}'] button")
        self.choose("#comparison-kind", kind)
        self.wait(lambda: self.text("#comparison-headline").startswith(f"{name}: "), f"the comparison of {name}")
        return self.text("#comparison-headline")

    def check(self, name, first, second, terminal):
        """The table, against what the terminal shows and another computation; `first` and `second` are lists of trees."""
        rows = self.table("#comparison-table tr[data-phase]")
        paths = self.run_in_page("return [...document.querySelectorAll('#comparison-table tr[data-phase]')].map((row) => row.dataset.phase)")
        found = {tuple(path.split(" > ")): row for path, row in zip(paths, rows, strict=True)}
        wanted, a, b = differences(second, first), means(first), means(second)
        change, sides, phases, _ = terminal
        shown = {path: cells for path, cells, _ in phases}
        self.assertEqual(set(shown) - set(found), {path for path in wanted if not any(
            side.get(path, (0, 0, 0))[0] or side.get(path, (0, 0, 0))[2] for side in (a, b)) and a.get(path, (0, 0))[1] == b.get(path, (0, 0))[1]})
        whole = sum(wanted.values())
        for path, row in found.items():
            with self.subTest(name=name, path=path):
                values = (a.get(path, (0, 0, 0)), b.get(path, (0, 0, 0)))
                for cell, value, other in zip(row[1:4], (values[0][0], values[1][0], wanted[path]), [*shown[path][1::-1], shown[path][2]]):
                    self.assertAlmostEqual(nanoseconds(cell), value, delta=max(0.51, abs(value) / 1900))
                    self.assertAlmostEqual(nanoseconds(cell), nanoseconds(other), delta=max(0.51, abs(value) / 1900))
                self.assertAlmostEqual(float(row[4].rstrip(" %").replace("\u2212", "-")), 100 * wanted[path] / whole, delta=0.0501)
                self.assertEqual([float(part) for part in row[5].split(" / ")], [round(value[1] + 1e-9, 2) for value in values])
                off = [0, 0] if row[6] == "·" else [nanoseconds(part) for part in row[6].split(" / ")]
                for cell, value in zip(off, values):
                    self.assertAlmostEqual(cell, value[2], delta=max(0.51, value[2] / 1900))
        order = [abs(wanted[path]) for path in found]
        self.assertEqual(order, sorted(order, reverse=True))
        for cell, value in zip(self.table("#comparison-table tr.sum")[0][1:4], (*(
                sum(tree.duration for tree in side) / len(side) for side in (first, second)), whole)):
            self.assertAlmostEqual(nanoseconds(cell), value, delta=max(0.51, abs(value) / 1900))
        self.assertAlmostEqual(nanoseconds(change), whole, delta=max(0.51, abs(whole) / 1900))
        counts = [int(one.replace(",", "")) for one in re.findall(r"\(([0-9,]+) traces?\)", self.text("#comparison-headline"))]
        self.assertEqual(counts, [len(first), len(second)])
        self.assertEqual([int(side[0]) for side in sides], counts[::-1])

    def test_slowest_against_the_middle(self):
        terminal = blocks(view("--compare-slowest", "--spans=0", "--limit=0", *self.files))
        for name, traces in self.by_name(self.traces).items():
            self.compare("slowest", name)
            self.check(name, *slowest_and_middle(traces), terminal[name])

    def test_file_against_file(self):
        terminal = blocks(view("--compare", self.files[1], "--spans=0", "--limit=0", self.files[0]))
        sides = [self.by_name(side) for side in self.sides]
        for name in NAMES:
            headline = self.compare("files", name)
            self.assertRegex(headline, r"after\.jsonl \(.*before\.jsonl \(")
            self.check(name, *([tree for _, tree in side[name]] for side in sides), terminal[name])

    def test_before_against_after(self):
        """The time is the start of a trace, to the nanosecond."""
        number = 1040
        name, start = "order", self.traces[number][0]["start"]
        while self.traces[number][0]["name"] != name:
            number += 1
            start = self.traces[number][0]["start"]
        self.open(f"#trace={number:032x}&tab=comparison&root=order")
        self.compare("time", name)
        self.click("#comparison-at-chosen")
        self.wait(lambda: dict(self.fragment()).get("compare-at") == str(START + start), "the time")
        traces = self.by_name(self.traces)[name]
        sides = [[tree for _, tree in traces if tree.start >= start], [tree for _, tree in traces if tree.start < start]]
        time = self.browser.find("#comparison-at").get_attribute("aria-valuetext")
        self.wait(lambda: f"after ({len(sides[0])} traces)" in self.text("#comparison-headline"), "the comparison")
        self.check(name, *sides, blocks(view("--compare-at", time.removesuffix(" UTC"), "--spans=0", "--limit=0", *self.files))[name])
        # By keys: to the very beginning, where nothing is before.
        self.run_in_page("document.querySelector('#comparison-at').focus()")
        self.browser.keys(Keys.HOME)
        self.wait_text("#comparison-headline", f"One of the sets is empty: after ({len(traces)} traces), before (0 traces).")
        self.assertFalse(self.browser.find("#comparison-canvas").is_displayed())
        self.browser.keys(Keys.ARROW_RIGHT)
        self.wait(lambda: "before (" in self.text("#comparison-headline") and ": order" not in self.text("#comparison-headline"), "another time")
        # By a click into the drawing.
        strip = self.browser.find("#comparison-strip")
        before = dict(self.fragment())["compare-at"]
        self.browser.run("arguments[0].scrollIntoView({block: 'center'})", strip)
        self.browser.actions().move_to_element(strip).click().perform()
        self.wait(lambda: dict(self.fragment())["compare-at"] != before, "the time of the click")

    def test_the_drawing_is_said(self):
        self.compare("slowest", "order")
        canvas = self.browser.find("#comparison-canvas")
        label = canvas.get_attribute("aria-label")
        first = self.table("#comparison-table tr[data-phase]")[0]
        self.assertIn(f"{first[0].rpartition('› ')[2]} {first[3]}", label)
        mean = re.findall("mean ([^,:]*)", self.text("#comparison-headline"))
        self.assertTrue(label.startswith(f"From {mean[1]} to {mean[0]}: "), label)
        self.assertTrue(self.run_in_page("""
            const {width, height} = arguments[0], copy = new OffscreenCanvas(width, height).getContext("2d");
            copy.drawImage(arguments[0], 0, 0);
            return copy.getImageData(0, 0, width, height).data.some((value) => value !== 0);""", canvas), "something is drawn")

    def test_filters_hold_for_both_sets(self):
        self.open("#tab=comparison&where=symbol%3D*USDT&compare-kind=files&root=order")
        def some(side):
            return [tree for tree in (Tree(spans) for spans in side.values()) if tree.name == "order"
                    and any(span.get("attributes", {}).get("symbol", "").endswith("USDT") for span in tree.spans)]
        self.wait(lambda: self.text("#comparison-headline").startswith("order: "), "the comparison")
        terminal = blocks(view("--compare", self.files[1], "--where=symbol=*USDT", "--spans=0", "--limit=0", self.files[0]))
        self.check("order", *map(some, self.sides), terminal["order"])


class NothingToCompare(PageTest):
    @classmethod
    def make(cls, folder):
        write(folder / "one.jsonl", {1: [span(1, "alone", 0, 500)]})
        return [folder / "one.jsonl"]

    def test_one_trace(self):
        self.browser.keys("2")
        self.wait_text("#comparison-headline", "One of the sets is empty: slowest 1 % (1 trace), middle half (0 traces).")
        self.run_in_page("location.hash = '#tab=comparison&min=1s'")
        self.wait_text("#filter-count", "0 of 1 trace")
        self.browser.keys("x")
        self.wait_text("#filter-count", "1 trace")


if __name__ == "__main__":
    unittest.main()
