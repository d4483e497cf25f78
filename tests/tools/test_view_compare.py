# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
# Sanitizers: address, because nanospan view has one thread
"""`nanospan view --compare`, `--compare-slowest` and `--compare-at`: which phases a difference comes from."""
import random
import re
import unittest
from collections import defaultdict

from critical_path import UNSEEN_ROOT, Tree, differences, means, quantile, random_trace, slowest_and_middle
from sink_process import command
from view_process import CELL, ViewTest, blocks, columns, nanoseconds


def span(number, name, start, end, parent=None, **more):
    return {"id": number, "name": name, "start": start, "end": end, "parent": parent, **more}


def moved(spans, by):
    return [{**made, "start": made["start"] + by, "end": made["end"] + by} for made in spans]


def order(scale=1, name="order", start=0, **more):
    """match takes what `scale` says, the rest is always the same."""
    end = 3000 + 1000 * scale
    return moved([span(1, name, 0, end), span(2, "decode", 0, 1000, 1), span(3, "match", 1000, 1000 + 1000 * scale, 1, **more),
                  span(4, "report", 1000 + 1000 * scale, end - 500, 1)], start)


def check_block(test, found, base, other):
    """What is shown of two lists of trees, against another computation."""
    change, sides, rows, _ = found
    for trees, side in ((base, sides[0]), (other, sides[1])):
        durations = [tree.duration for tree in trees]
        test.assertEqual(int(side[0].replace(",", "")), len(trees))
        wanted = (sum(durations) / len(durations), quantile(durations, 0.5), quantile(durations, 0.99))
        for shown, value in zip(side[1:], wanted):
            test.assertAlmostEqual(nanoseconds(shown), value, delta=max(0.51, value / 1900))
    wanted, a, b = differences(base, other), means(base), means(other)
    whole = sum(tree.duration for tree in other) / len(other) - sum(tree.duration for tree in base) / len(base)
    test.assertAlmostEqual(sum(wanted.values()), whole, places=6)
    test.assertAlmostEqual(nanoseconds(change), whole, delta=max(0.51, abs(whole) / 1900))
    test.assertEqual({path for path, _, _ in rows}, set(wanted))
    for path, cells, _ in rows:
        values = (a.get(path, (0,))[0], b.get(path, (0,))[0], wanted[path])
        for shown, value in zip(cells, values):
            test.assertAlmostEqual(nanoseconds(shown), value, delta=max(0.51, abs(value) / 1900), msg=path)
        if cells[3][0] not in "<>·":
            test.assertAlmostEqual(float(cells[3].split(" ")[0]), 100 * wanted[path] / whole, delta=0.0501 + 1e-9, msg=path)
        elif cells[3] == "<0.1 %":
            test.assertLess(abs(wanted[path] / whole), 0.0005)
    # Of siblings, the one comes first below which, or in which, the largest difference is.
    heaviest = defaultdict(float)
    for path, value in wanted.items():
        for end in range(1, len(path) + 1):
            heaviest[path[:end]] = max(heaviest[path[:end]], abs(value))
    for above in wanted:
        siblings = [heaviest[path] for path, _, _ in rows if path[:-1] == above]
        test.assertTrue(all(x >= y - 1e-9 for x, y in zip(siblings, siblings[1:])), above)


class Compare(ViewTest):
    def test_two_files(self):
        self.write(self.file, {i: order(4, off=700) for i in range(1, 11)})
        self.write(self.other, {i: order(1) for i in range(1, 21)})  # with the same ids
        out = self.view("--compare", self.other, self.file, width=80)
        self.assertEqual((self.code, self.err), (0, ""))
        self.assertEqual(out.splitlines()[:2], [f"FILE   {self.file}", f"OTHER  {self.other}"])
        found = blocks(out)
        self.assertEqual(list(found), ["order"])
        change, sides, rows, notes = found["order"]
        self.assertEqual(change, "+3.000 µs")
        self.assertEqual(sides, [["20", "4.000 µs", "4.000 µs", "4.000 µs"], ["10", "7.000 µs", "7.000 µs", "7.000 µs"]])
        self.assertEqual([(path, cells) for path, cells, _ in rows],
                         [(("order",), ["500 ns", "500 ns", "·", "·"]),
                          (("order", "match"), ["1.000 µs", "4.000 µs", "+3.000 µs", "100.0 %"])])
        self.assertRegex(rows[1][2], "^█+$")
        self.assertEqual(notes, ["off the CPU · → 700 ns", "… 2 more phases: ·, ·; --spans 0 shows all"])
        self.assertEqual(out.splitlines()[-2:], [f"10 traces, 40 spans in {self.file}", f"20 traces, 80 spans in {self.other}"])
        found = blocks(self.view("--compare", self.other, "--spans=0", self.file))
        self.assertEqual([path[-1] for path, _, _ in found["order"][2]], ["order", "match", "decode", "report"])
        # The other way round, everything has the other sign.
        change, sides, rows, notes = blocks(self.view("--compare", self.file, self.other))["order"]
        self.assertEqual((change, rows[1][1]), ("-3.000 µs", ["4.000 µs", "1.000 µs", "-3.000 µs", "100.0 %"]))
        self.assertIn("off the CPU 700 ns → ·", notes)

    def test_occurrences(self):
        """How often a phase occurs in a trace is said if it is not as often in both; the phases of either are there."""
        retried = [span(1, "order", 0, 9000), span(2, "send", 0, 1000, 1), span(3, "send", 1000, 2000, 1), span(4, "send", 2000, 9000, 1)]
        self.write(self.file, {1: retried, 2: [span(1, "order", 0, 1000), span(2, "only here", 0, 1000, 1)]})
        self.write(self.other, {1: [span(1, "order", 0, 1000), span(2, "send", 0, 900, 1), span(3, "only there", 900, 1000, 1)]})
        _, _, rows, notes = blocks(self.view("--compare", self.other, self.file))["order"]
        self.assertEqual([path[-1] for path, _, _ in rows], ["order", "send", "only here", "only there"])
        self.assertEqual(notes, ["1.00 → 1.50 a trace", "0.00 → 0.50 a trace", "1.00 → 0.00 a trace"])

    def test_random_files(self):
        """Everything that is shown, against another computation, for traces of all kinds."""
        chance = random.Random(181)
        for _ in range(6):
            made = [{}, {}]
            for side, traces in enumerate(made):
                for number in range(1, chance.randint(5, 60)):
                    traces[number] = random_trace(chance, names="abc", most=10 + 10 * side)
            self.write(self.other, made[0])
            self.write(self.file, made[1])
            out = self.view("--compare", self.other, "--spans=0", "--limit=0", self.file)
            self.assertEqual((self.code, self.err), (0, ""))
            groups = [defaultdict(list), defaultdict(list)]
            for side, traces in enumerate(made):
                for spans in traces.values():
                    tree = Tree(spans)
                    groups[side][tree.name].append(tree)
            both = set(groups[0]) & set(groups[1])
            found = blocks(out)
            self.assertEqual(set(found), both)
            counts = [sum(int(side[0]) for side in found[name][1]) for name in found]
            self.assertEqual(counts, sorted(counts, reverse=True))
            for name in both:
                check_block(self, found[name], groups[0][name], groups[1][name])
            for side, title in ((0, "OTHER"), (1, "FILE")):
                lonely = {name: len(trees) for name, trees in groups[side].items() if name not in both}
                line = re.search(rf"^only in {title}: (.*)$", out, re.M)
                self.assertEqual(dict(re.findall(r"(\S.*?) \((\d+)\)(?:, )?", line[1])) if line else {},
                                 {name: str(count) for name, count in lonely.items()})

    def test_slowest(self):
        """The slowest hundredth, at least one, and from the 25th to the 75th percentile, by each root name."""
        chance = random.Random(5)
        for count in (1, 2, 3, 4, 5, 99, 100, 101, 350):
            traces = {number: random_trace(chance, names="xy", most=8) for number in range(1, count + 1)}
            for spans in traces.values():
                for made in spans:
                    made["parent"] = made["parent"] or 1
                spans[0].update(name="order", parent=None)
            self.write(self.file, traces)
            out = self.view("--compare-slowest", "--spans=0", self.file)
            self.assertEqual((self.code, self.err), (0, ""))
            slowest, middle = slowest_and_middle([(number, Tree(spans)) for number, spans in traces.items()])
            if count == 1:
                self.assertEqual(middle, [])
                self.assertIn("one trace only: order (1)\n", out)
                self.assertEqual(blocks(out), {})
                continue
            check_block(self, blocks(out)["order"], middle, slowest)

    def test_slowest_of_each_name(self):
        traces = {i: order(1 + i / 1000) for i in range(1, 201)}
        traces |= {1000 + i: order(50 if i == 7 else 2, name="tick") for i in range(50)}
        traces |= {2000: [span(1, "lost", 0, 10, 77)], 2001: [span(1, "lost", 0, 30, 77)]}
        self.write(self.file, traces)
        found = blocks(self.view("--compare-slowest", self.file))
        self.assertEqual({name: [side[0] for side in sides] for name, (_, sides, _, _) in found.items()},
                         {"order": ["101", "2"], "tick": ["26", "1"], UNSEEN_ROOT: ["1", "1"]})
        self.assertEqual(found["tick"][0], "+48.00 µs")
        self.assertEqual(found[UNSEEN_ROOT][0], "+20 ns")
        out = self.view("--compare-slowest", "--limit=1", self.file)
        self.assertEqual(list(blocks(out)), ["order"])
        self.assertIn("… 2 more root names; --limit 0 shows all\n", out)

    def test_at_a_time(self):
        second = 1_000_000_000
        traces = {i: order(1, start=i * second) for i in range(0, 10)}
        traces |= {i: order(3, start=i * second) for i in range(10, 16)}
        traces |= {100: order(1, name="early", start=second), 101: order(1, name="late", start=12 * second)}
        traces = {number + 1: spans for number, spans in traces.items()}
        self.write(self.file, traces)
        head = "traces that start at 2023-11-14 22:13:30.000000000 UTC or later against earlier ones\n"
        whole = None
        for time in ("10s", "10000ms", "2023-11-14 22:13:30", "2023-11-14T22:13:30Z", "2023-11-14 22:13:30.000000000 UTC",
                     "2023-11-14 22:13:29.000000001", "2023-11-14 22:13:29.5"):
            out = self.view("--compare-at", time, self.file)
            self.assertEqual((self.code, self.err), (0, ""))
            change, sides, rows, _ = blocks(out)["order"]
            self.assertEqual((change, [side[0] for side in sides]), ("+2.000 µs", ["10", "6"]))
            self.assertEqual(rows[1][:2], (("order", "match"), ["1.000 µs", "3.000 µs", "+2.000 µs", "100.0 %"]))
            self.assertIn("only before: early (1)\nonly after: late (1)\n", out)
            if "29" not in time:
                self.assertTrue(out.startswith(head), out)
                whole = whole or out
                self.assertEqual(out, whole)
        # Filters choose first; then there may be nothing to compare.
        for time, arguments in (("2023-11-14 22:13", []), ("1h", None), ("100m", []), ("10s", ["--root=early"])):
            if arguments is None:
                self.assertEqual((self.view("--compare-at", time, self.file), self.code), ("", 2))
                continue
            out = self.view("--compare-at", time, *arguments, self.file)
            self.assertEqual((self.code, blocks(out)), (0, {}))
            self.assertIn("nothing to compare: no root name is on both sides\n", out)
        self.assertIn("0 matching traces", self.view("--compare-at", "1s", "--root=none", self.file))

    def test_filters(self):
        """They hold for both sides."""
        self.write(self.file, {1: order(2), 2: order(9), 3: order(1, name="tick")})
        self.write(self.other, {1: order(1), 2: order(8), 3: order(1, name="tick")})
        out = self.view("--compare", self.other, "--root=order", "--min-duration=8us", self.file)
        self.assertEqual({name: (change, [side[0] for side in sides]) for name, (change, sides, _, _) in blocks(out).items()},
                         {"order": ("+1.000 µs", ["1", "1"])})
        self.assertIn("1 matching trace; 3 traces", out)
        self.view("--compare", self.other, "--where=nothing=1", self.file)
        self.assertEqual(self.err, "nanospan view: no span or resource has an attribute nothing\n")

    def test_several_files_on_both_sides(self):
        third = self.file.with_name("third.jsonl")
        fourth = self.file.with_name("fourth.jsonl")
        self.write(self.file, {1: order(2)[:2]})
        self.write(third, {1: order(2)[2:]})
        self.write(self.other, {1: order(1)[:3]})
        self.write(fourth, {1: order(1)[3:]})
        out = self.view("--compare", self.other, "--compare", fourth, self.file, third, "--spans=0")
        self.assertEqual((self.code, self.err), (0, ""))
        change, sides, rows, _ = blocks(out)["order"]
        self.assertEqual((change, [side[0] for side in sides], len(rows)), ("+1.000 µs", ["1", "1"], 4))
        self.assertIn(f"FILE   {self.file} and {third}\nOTHER  {self.other} and {fourth}\n", out)

    def test_what_is_wrong(self):
        self.write(self.file, {1: order(1)})
        self.write(self.other, {1: order(1)})
        link = self.file.with_name("link.jsonl")
        link.symlink_to(self.file)
        one = "--compare, --compare-slowest and --compare-at are different comparisons; choose one"
        for arguments, code, wanted in (
                (["--compare", self.other, "--compare-slowest"], 2, one), (["--compare-at=1s", "--compare-slowest"], 2, one),
                (["--compare-slowest", "--summary"], 2, "--summary and a comparison are two outputs; choose one"),
                (["--compare-at=soon"], 2, "--compare-at takes a UTC time such as '2026-03-04 05:06:07.5', or a time after the first "
                                           "trace such as 90s, not 'soon'"),
                *(([f"--compare-at={time}"], 2, "--compare-at takes") for time in (
                    "", "5", "2023-02-29 00:00", "2023-11-14 24:00", "2023-11-14 22:60", "2023-11-14 22:13:30.", "2023-11-14 22:13:30x",
                    "2023-11-14 22:13:30.1234567890", "2023-11-14", "1969-12-31 23:59", "2300-01-01 00:00", "-1s")),
                (["--compare", "/nowhere/x.jsonl"], 1, "cannot read /nowhere/x.jsonl"),
                (["--compare", self.file], 1, f"{self.file} is given twice"), (["--compare", link], 1, "are the same file"),
                (["--compare", self.other, "--compare", self.other], 1, "is given twice")):
            self.assertEqual((self.view(*arguments, self.file), self.code), ("", code), arguments)
            self.assertIn(wanted, self.err)
        # Malformed lines of either are reported.
        self.other.write_text("{\n", encoding="utf-8")
        self.view("--compare", self.other, self.file)
        self.assertEqual(self.code, 1)
        self.assertIn(f"{self.other}:1: ", self.err)
        self.assertIn(f"{self.other}: 1 malformed line was skipped", self.err)

    def test_widths_and_colours(self):
        names = ["注文", "a name that is much too long for a narrow terminal, by any measure", "e\u0301", "x"]
        traces = {}
        for number in range(1, 30):
            spans = [span(1, names[0] * 12, 0, 9000 + number)]
            traces[number] = spans + [span(i, names[i % 4], i * 100, i * 100 + 900 + 7 * number, i - 1 if i % 3 else 1, off=number)
                                      for i in range(2, 40)]
        self.write(self.file, traces)
        for width in (20, 60, 80, 200):
            for arguments in (["--compare-slowest"], ["--compare-slowest", "--spans=0"]):
                out = self.view(*arguments, self.file, width=width).splitlines()
                self.assertGreater(len(out), 10)
                self.assertEqual([text for text in out[2:-1] if columns(text) > max(width, 60)], [], width)
        plain = self.view("--compare-slowest", self.file)
        coloured = self.view("--compare-slowest", "--color=always", self.file, environment={"NO_COLOR": "1"})
        self.assertIn("\x1b[1;31m", coloured)
        self.assertEqual(re.sub("\x1b\\[[0-9;]*m", "", coloured), plain)
        evil = [span(1, "ev\x1b[2Jil", 0, 10), span(2, "\u202e", 0, 5, 1)]
        self.write(self.file, {1: evil, 2: moved(evil, 5)})
        self.assertNotRegex(self.view("--compare-slowest", "--spans=0", self.file), "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")

    def test_deep_and_wide(self):
        """Phases without end: as deep as there are spans, and as many names as there are spans."""
        for traces in ({i: [span(k, "again", k, 90_000 - k, k - 1 or None) for k in range(1, 5000)] for i in (1, 2)},
                       {i: [span(1, "root", 0, 99_999)] + [span(k, f"s{k}-{i}", k, k + 1, 1) for k in range(2, 20_000)] for i in (1, 2)}):
            self.write(self.file, traces)
            out = self.view("--compare-slowest", "--spans=50", self.file)
            self.assertEqual(self.code, 0)
            self.assertRegex(out, r"… [0-9,]+ more phases: ")
            self.assertEqual(len(blocks(out)), 1)


if __name__ == "__main__":
    command()
    unittest.main()
