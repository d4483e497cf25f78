# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
# Sanitizers: address, because nanospan view has one thread
"""`nanospan view --critical`: the critical path of each trace, and of all of a name with --summary."""
import random
import re
import unittest

from critical_path import NOT_SEEN, Tree, means, random_trace, share_by_span
from sink_process import command
from view_process import ViewTest, columns, nanoseconds, phases


def span(number, name, start, end, parent=None, **more):
    return {"id": number, "name": name, "start": start, "end": end, "parent": parent, **more}


class Critical(ViewTest):
    def shares(self, out):
        """{trace: ({name: ns on the path}, duration of the trace)}"""
        found = {}
        for block in re.split(r"\n\n", out):
            trace = re.search(r"trace ([0-9a-f]{32})", block)
            if trace is None:
                continue
            rows = phases(block.split("\n"))
            duration = re.match(r"● .*?  ([0-9.]+ \S+)  ", block)[1]
            found[int(trace[1], 16)] = ({path[-1]: nanoseconds(cells[1]) for path, cells, _ in rows}, nanoseconds(duration))
        return found

    def one(self, *spans, arguments=(), **options):
        self.write(self.file, {1: spans})
        return self.view("--critical", "--no-attributes", *arguments, self.file, **options)

    def test_tree(self):
        out = self.one(span(1, "order", 0, 8000), span(2, "decode", 0, 3000, 1), span(3, "match", 4000, 7000, 1),
                       span(4, "aside", 4000, 6000, 1), span(5, "fill", 5000, 7000, 3), width=100)
        self.assertEqual((self.code, self.err), (0, ""))
        lines = out.splitlines()
        self.assertEqual(lines[2], "  critical path: decode 37.5 %  order 25.0 %  fill 25.0 %  match 12.5 %")
        cells = {path[-1]: shown for path, shown, _ in phases(lines[4:])}
        self.assertEqual(cells, {"order": ["8.000 µs", "2.000 µs", "25.0 %"], "decode": ["3.000 µs", "3.000 µs", "37.5 %"],
                                 "match": ["3.000 µs", "1.000 µs", "12.5 %"], "aside": ["2.000 µs", "·"],
                                 "fill": ["2.000 µs", "2.000 µs", "25.0 %"]})
        # What is on the path is a bar, and the rest of a span a line.
        drawn = {path[-1]: bar for path, _, bar in phases(lines[4:])}
        self.assertRegex(drawn["order"], "^─+█+─+█+$")
        self.assertRegex(drawn["decode"], "^█+[▏▎▍▌▋▊▉]?$")
        self.assertRegex(drawn["aside"], "^─+$")
        self.assertRegex(drawn["match"], "^█+─+$")
        self.assertEqual(drawn["order"].count("─"), len(drawn["decode"]) + len(drawn["match"]))
        self.assertNotIn("critical", self.view("--no-attributes", self.file))

    def test_cases(self):
        """Each with what it is to give."""
        for name, spans, wanted in (
                ("no child", [span(1, "a", 0, 9)], {"a": 9}),
                ("a child in the middle", [span(1, "a", 0, 9), span(2, "b", 3, 5, 1)], {"a": 7, "b": 2}),
                ("overlap: the one that ends last counts", [span(1, "a", 0, 9), span(2, "b", 1, 6, 1), span(3, "c", 4, 9, 1)],
                 {"a": 1, "b": 3, "c": 5}),
                ("hidden by a longer one", [span(1, "a", 0, 9), span(2, "b", 1, 8, 1), span(3, "c", 2, 7, 1)], {"a": 2, "b": 7, "c": 0}),
                ("outlives its parent", [span(1, "a", 0, 9), span(2, "b", 5, 50, 1)], {"a": 5, "b": 4}),
                ("begins after its parent has ended", [span(1, "a", 0, 9), span(2, "b", 9, 12, 1)], {"a": 9, "b": 0}),
                ("two outlive it: the one that began last", [span(1, "a", 0, 9), span(2, "b", 2, 50, 1), span(3, "c", 6, 40, 1)],
                 {"a": 2, "b": 4, "c": 3}),
                ("begins before its parent", [span(1, "a", 10, 19), span(2, "b", 5, 15, 1), span(3, "c", 2, 15, 2)], {"a": 4, "b": 0, "c": 5}),
                ("ends before its parent begins", [span(1, "a", 10, 19), span(2, "b", 5, 10, 1)], {"a": 9, "b": 0}),
                ("no duration", [span(1, "a", 0, 9), span(2, "b", 4, 4, 1)], {"a": 9, "b": 0}),
                ("the trace has none", [span(1, "a", 4, 4), span(2, "b", 4, 4, 1)], {"a": 0, "b": 0}),
                ("orphans have no part", [span(1, "a", 0, 9), span(2, "b", 1, 5, 77), span(3, "c", 2, 4, 2)], {"a": 9, "b": 0, "c": 0}),
                ("no root", [span(2, "b", 0, 4, 77), span(3, "c", 2, 4, 2), span(4, "d", 6, 9, 78)], {"b": 2, "c": 2, "d": 3}),
                ("another root", [span(1, "a", 0, 9), span(2, "b", 1, 5)], {"a": 9, "b": 0})):
            with self.subTest(name):
                out = self.one(*spans)
                self.assertEqual(self.shares(out)[1][0], wanted, out)
        out = self.one(span(2, "b", 0, 4, 77), span(4, "d", 6, 10, 78))
        self.assertIn("  critical path: b 40.0 %  d 40.0 %  not seen 20.0 %\n", out)
        self.assertIn("  critical path: none, since it took no time\n", self.one(span(1, "a", 4, 4)))

    def test_random(self):
        """Every share as computed otherwise; all of them add up to the trace's duration."""
        chance, traces, cases = random.Random(18), {}, set()
        for number in range(1, 1501):
            spans = random_trace(chance)
            for made in spans:
                made["name"] = f"s{made['id']}"
                made["off"] = 0
            traces[number] = spans
        self.write(self.file, traces)
        found = self.shares(self.view("--critical", "--no-attributes", "--limit=0", "--spans=0", self.file))
        self.assertEqual(len(found), len(traces))
        for number, spans in traces.items():
            tree = Tree(spans)
            wanted = share_by_span(tree)
            shown, duration = found[number]
            self.assertEqual(sum(wanted.values()), tree.duration)
            self.assertLess(tree.duration, 10_000)  # so that all digits are shown
            self.assertEqual(duration, tree.duration)
            self.assertEqual(shown, {made["name"]: wanted[made["id"]] for made in spans}, f"trace {number}: {spans}")
            self.assertEqual(sum(shown.values()) + wanted[NOT_SEEN], duration)
            cases |= {("root", tree.root is not None), ("not seen", wanted[NOT_SEEN] > 0), ("orphans", None in
                      [tree.parent[made["id"]] for made in spans if made["parent"]]), ("zero", tree.duration == 0)}
        self.assertEqual(len(cases), 8, cases)

    def test_deep_and_wide(self):
        """As many levels, and as many children, as there are spans."""
        count = 20_000
        deep = [span(i, f"s{i}", i, 100_000 - i, i - 1 if i > 1 else None) for i in range(1, count + 1)]
        wide = [span(1, "root", 0, 2 * count)] + [span(i, f"s{i}", i, 2 * count - i % 5, 1) for i in range(2, count)]
        self.write(self.file, {1: deep, 2: wide})
        shown = self.shares(self.view("--critical", "--no-attributes", "--limit=0", "--spans=0", self.file))
        self.assertEqual(shown[1][0]["s1"], 2)
        self.assertEqual(shown[1][0][f"s{count}"], 100_000 - 2 * count)
        self.assertEqual(sum(1 for length in shown[2][0].values() if length), count - 5)  # the last ones end earlier

    def test_summary(self):
        chance = random.Random(7)
        traces = {number: random_trace(chance, most=12) for number in range(1, 401)}
        for number, spans in traces.items():
            for made in spans:
                made["parent"] = made["parent"] or 1
            spans[0].update(name="tick" if number % 7 == 0 else "order", parent=None)
        self.write(self.file, traces)
        out = self.view("--summary", "--critical", "--spans=0", self.file)
        self.assertEqual((self.code, self.err), (0, ""))
        trees = {number: Tree(spans) for number, spans in traces.items()}
        for name in ("order", "tick"):
            group = sorted((tree for tree in trees.values() if tree.name == name), key=lambda tree: -tree.duration)
            tail = group[:-(-len(group) // 100)]
            block = re.search(rf"^● {name}  critical path of all {len(group)}, and of the slowest 1 % \({len(tail)}\)\n(.*?)\n\n", out, re.M | re.S)[1]
            rows = phases(block.split("\n"))
            wanted = [means(group), means(tail)]
            self.assertEqual({path for path, _, _ in rows}, set(wanted[0]))
            for set_number, (of, cell) in enumerate(((group, 0), (tail, 2))):
                whole = sum(tree.duration for tree in of) / len(of)
                self.assertAlmostEqual(sum(values[0] for values in wanted[set_number].values()), whole, places=6)
                for path, cells, _ in rows:
                    mean = wanted[set_number].get(path, (0,))[0]
                    self.assertAlmostEqual(nanoseconds(cells[cell]), mean, delta=0.51, msg=path)
                    share = {"·": 0.0, "<0.1 %": 0.025}.get(cells[cell + 1])
                    share = float(cells[cell + 1].split(" ")[0]) if share is None else share
                    self.assertAlmostEqual(share, 100 * mean / whole, delta=0.0501)
        # Small ones are summed up, and the line says so.
        short = self.view("--summary", "--critical", self.file)
        hidden = re.findall(r"^… ([0-9,]+) more phases?: (\S+ \S+), \S+ %; --spans 0 shows all$", short, re.M)
        self.assertEqual(len(hidden), 2, short)
        self.assertEqual(sum(int(count) for count, _ in hidden) + len(phases(short.split("\n"))), len(phases(out.split("\n"))))

    def test_widths_and_colours(self):
        names = ["注文", "a name that is much too long for a narrow terminal, by any measure", "e\u0301", "x"]
        spans = [span(1, names[0] * 12, 0, 9000)]
        spans += [span(i, names[i % 4], i * 100, i * 100 + 900, i - 1 if i % 3 else 1, off=50) for i in range(2, 40)]
        self.write(self.file, {1: spans})
        for width in (20, 60, 75, 76, 80, 200):
            for arguments in (("--critical",), ("--critical", "--summary")):
                out = self.view(*arguments, "--no-attributes", self.file, width=width)
                rows = [text for text in out.splitlines()[:-1] if not text.startswith(("● ", "  trace ", "off the CPU"))]
                if "--summary" in arguments:
                    rows = rows[2:]
                self.assertEqual([text for text in rows if columns(text) > max(width, 60)], [], width)
        plain = self.view("--critical", self.file)
        coloured = self.view("--critical", "--color=always", self.file, environment={"NO_COLOR": "1"})
        self.assertIn("\x1b[2m", coloured)
        self.assertEqual(re.sub("\x1b\\[[0-9;]*m", "", coloured), plain)


if __name__ == "__main__":
    command()
    unittest.main()
