# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
# Sanitizers: address, because nanospan view has one thread
"""`nanospan view`: the trees that it draws, its filters and orders, and its messages about bad files."""
import json
import os
import pty
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from sink_process import command

START = 1_700_000_000_000_000_000


def span(trace, number, name, start=0, end=1000, parent=None, **more):
    made = {"traceId": f"{trace:032x}", "spanId": f"{number:016x}", "name": name, "kind": 1,
            "startTimeUnixNano": str(START + start), "endTimeUnixNano": str(START + end)}
    if parent:
        made["parentSpanId"] = f"{parent:016x}"
    return {**made, **more}


def line(*spans, service="engine"):
    return json.dumps({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [{"spans": list(spans)}]}]})


FAILED = {"status": {"code": 2, "message": "no balance"}}


class View(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name, "spans.jsonl")

    def tearDown(self):
        self.folder.cleanup()

    def view(self, *arguments, lines=None, file=None, **options):
        if lines is not None:
            self.file.write_text("".join(text + "\n" for text in lines), encoding="utf-8")
        environment = {**os.environ, "COLUMNS": "100", **options.pop("environment", {})}
        done = subprocess.run([command(), "view", *arguments, str(file or self.file)], capture_output=True, timeout=60,
                              check=False, env=environment, **options)
        self.code, self.err = done.returncode, done.stderr.decode()
        return done.stdout.decode()

    def test_no_time(self):
        """A phase that took none, and so has got a nanosecond, stands before the one that began at once."""
        out = self.view("--no-attributes", lines=[line(
            span(1, 1, "order", 0, 8000), span(1, 2, "match", 400, 8000, 1), span(1, 3, "size", 400, 401, 1),
            span(1, 4, "balance", 0, 400, 1))])
        self.assertEqual(re.findall(r"─ (\w+)", out), ["balance", "size", "match"])

    def test_summary_heads_have_blanks(self):
        self.file.write_text(line(span(1, 1, "order", 0, 12), span(2, 2, "order", 0, 33_460_000)) + "\n", encoding="utf-8")
        for columns in range(20, 130):
            out = self.view("--summary", environment={"COLUMNS": str(columns)})
            self.assertNotRegex(out.splitlines()[0], r"ns\d")

    def roots(self, out):
        return re.findall(r"^● (.+?)  ", out, re.M)

    def test_tree(self):
        out = self.view(lines=[
            line(span(1, 1, "order", 0, 8000, kind=2, attributes=[{"key": "id", "value": {"intValue": "7"}}]),
                 span(1, 3, "match", 4000, 8000, 1), span(1, 4, "fill", 5000, 6000, 3)),
            line(span(1, 2, "decode", 0, 4000, 1, **FAILED), service="gateway"),
            line(span(1, 5, "lost", 1000, 2000, 99))])
        self.assertEqual(self.code, 0, self.err)
        lines = out.splitlines()
        self.assertEqual(lines[0], "● order  8.000 µs  engine  5 spans  1 failed")
        self.assertEqual(lines[1], f"  trace {1:032x}  2023-11-14 22:13:20.000000000 UTC")
        cells = [re.split(r"  +", text.strip()) for text in lines[3:]]
        bar = 100 - len(re.match(r".*?µs +\S+(?: ns| µs)?  ", lines[3])[0])
        self.assertEqual(cells[0][:3], ["order server", "8.000 µs", "0 ns"])
        self.assertEqual(lines[4], "│ id=7")
        self.assertEqual(cells[2][:3], ["├─ decode ✗ @gateway", "4.000 µs", "·"])
        self.assertEqual(lines[6], "│    no balance")
        self.assertEqual(cells[4][:3], ["└─ match", "4.000 µs", "3.000 µs"])
        self.assertEqual(cells[5][:3], ["   └─ fill".strip(), "1.000 µs", "·"])
        self.assertTrue(lines[8].startswith("   └─ fill"))
        self.assertEqual(lines[9], "(parent not seen)")
        self.assertEqual(cells[7][:2], ["└─ lost", "1.000 µs"])
        # The time line: the root fills it, decode is its first half, match the second.
        self.assertEqual(lines[3].count("█") in (bar, bar - 1), True, lines[3])
        column = lines[3].index("█")
        self.assertEqual(lines[5].index("█"), column)
        self.assertAlmostEqual(lines[5].count("█"), lines[3].count("█") / 2, delta=1)
        self.assertAlmostEqual(re.search("[█▐]", lines[7]).start(), column + lines[3].count("█") / 2, delta=1)
        self.assertTrue(all(len(text) <= 100 for text in lines), out)

    def test_values_and_notes(self):
        values = [("s", {"stringValue": "plain"}), ("q", {"stringValue": "two words"}), ("e", {"stringValue": ""}),
                  ("d", {"doubleValue": 48.79}), ("n", {"doubleValue": "NaN"}), ("i", {"intValue": 5}), ("b", {"boolValue": False}),
                  ("y", {"bytesValue": "AP8="}), ("a", {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "x"}]}}),
                  ("m", {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}}), ("z", {}),
                  ("evil", {"stringValue": "\x1b[2J\u009b\r\n\u0007é"})]
        out = self.view("--no-attributes", lines=[line(span(
            1, 1, "ro\x1bot", attributes=[{"value": value, "key": key} for key, value in values], droppedEventsCount=2,
            events=[{"timeUnixNano": str(START + 250), "name": "fill", "attributes": [{"key": "n", "value": {"intValue": "3"}}]}],
            links=[{"traceId": "ab" * 16, "spanId": "cd" * 8}]))])
        self.assertNotIn("plain", out)
        out = self.view()
        shown = re.sub(r"\n +", "  ", out)
        self.assertIn('s=plain  q="two words"  e=""  d=48.79  n=NaN  i=5  b=false  y=base64:AP8=  a=[1, x]  m={k=true}  z=  '
                      'evil=\\x1b"[2J'.replace('\\x1b"[2J', '"\\x1b[2J\\x9b\\x0d\\n\\x07é"'), shown)
        self.assertIn("◆ +250 ns fill n=3", out)
        self.assertIn(f"→ trace {'ab' * 16} span {'cd' * 8}", out)
        self.assertIn("2 events dropped", out)
        self.assertNotRegex(out, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")

    def test_bytes_that_are_no_text(self):
        # A terminal with a one-byte character set takes 0x9b as the beginning of a command.
        text = line(span(1, 1, "name@", attributes=[{"key": "a", "value": {"stringValue": "@x"}}])).encode()
        self.file.write_bytes(text.replace(b"@", b"\x9b31m\xe2\x82") + b"\n")
        out = self.view()
        self.assertIn("name\\x9b31m\\xe2\\x82", out)
        self.assertIn("a=\\x9b31m\\xe2\\x82x", out)
        strange = Path(self.folder.name, "a\x1b[31mb.jsonl")
        strange.write_text("{\n", encoding="utf-8")
        out = self.view(file=strange)
        self.assertIn("a\\x1b[31mb.jsonl", out + self.err)
        self.assertNotIn("\x1b", out + self.err)

    def traces(self):
        return [line(span(1, 1, "order.new", 0, 5000), span(1, 2, "decode", 0, 10, 1)),
                line(span(2, 1, "order.cancel", 7000, 9000, **FAILED)),
                line(span(3, 1, "tick", 3000, 12000), span(3, 2, "work", 3000, 4000, 1), service="feed"),
                line(span(3, 3, "match", 3000, 4000, 2)),
                line(span(4, 2, "stray", 1000, 4000, 1))]

    def test_orders(self):
        out = self.view(lines=self.traces())
        self.assertEqual(self.roots(out), ["tick", "order.new", "(root not seen)", "order.cancel"])
        self.assertEqual(self.roots(self.view("--sort", "start")), ["order.new", "(root not seen)", "tick", "order.cancel"])
        self.assertEqual(self.roots(self.view("--limit", "1")), ["tick"])
        self.assertEqual(len(self.roots(self.view("--limit=0"))), 4)

    def test_filters(self):
        self.file.write_text("\n".join(self.traces()), encoding="utf-8")
        self.assertEqual(self.roots(self.view("--service", "feed")), ["tick"])
        self.assertEqual(self.roots(self.view("--service", "engine")), ["tick", "order.new", "(root not seen)", "order.cancel"])
        self.assertEqual(self.roots(self.view("--root", "order.*")), ["order.new", "order.cancel"])
        self.assertEqual(self.roots(self.view("--root", "order")), [])
        self.assertEqual(self.roots(self.view("--min-duration", "5us")), ["tick", "order.new"])
        self.assertEqual(self.roots(self.view("--min-duration", "5.001us")), ["tick"])
        self.assertEqual(self.roots(self.view("--errors")), ["order.cancel"])
        self.assertEqual(self.roots(self.view("--trace", f"{3:032x}")), ["tick"])
        self.assertEqual(self.roots(self.view("--trace", "0" * 20)), ["tick", "order.new", "(root not seen)", "order.cancel"])
        out = self.view("--errors", "--root", "tick")
        self.assertEqual((self.code, out), (0, f"0 matching traces; 4 traces, 7 spans in {self.file}\n"))

    def test_summary(self):
        lines = [line(span(i, 1, "a", 0, i * 1000, **(FAILED if i == 9 else {}))) for i in range(1, 101)]
        out = self.view("--summary", lines=lines + [line(span(500, 1, "b", 0, 7))])
        rows = [re.split(r"  +", text.strip()) for text in out.splitlines()]
        self.assertEqual(rows[0][:7], ["root", "traces", "failed", "p50", "p90", "p99", "max"])
        self.assertEqual(rows[1][:7], ["a", "100", "1", "50.00 µs", "90.00 µs", "99.00 µs", "100.0 µs"])
        self.assertEqual(rows[2][:7], ["b", "1", "·", "7 ns", "7 ns", "7 ns", "7 ns"])
        self.assertTrue(all(len(text) <= 100 for text in out.splitlines()))
        self.assertEqual(self.view("--summary", lines=[]), f"0 traces, 0 spans in {self.file}\n")

    def test_kept_traces(self):
        """Those that were kept at their end say so in the list, and are counted by reason below the summary."""
        def kept(trace, why, name="order", **more):
            return line(span(trace, 1, name, 0, trace * 1000, attributes=[
                {"key": "note", "value": {"stringValue": 'a "quoted" \\ word'}}, {"key": "n", "value": {"intValue": "3"}},
                {"key": "nanospan.kept", "value": {"stringValue": why}}], **more), span(trace, 2, "match", 0, 500, 1))
        reasons = ["slow", "slow", "slowest", "error", "asked", "history", "snapshot", "recovered", "later"]
        lines = [kept(i, why) for i, why in enumerate(reasons, 1)]
        lines += [line(span(20, 1, "order"), span(20, 2, "nanospan.kept", 0, 5, 1)), kept(21, "slow", "tick", parentSpanId="00000000000000ff")]
        # What looks like it, and is not: another key, a value, an event's attribute, a span's name, a child.
        lines += [line(span(22, 1, "odd", attributes=[{"key": "nanospan.left_out", "value": {"intValue": "1"}},
                                                      {"key": "nanospan.keep", "value": {"stringValue": "slow"}},
                                                      {"key": "x", "value": {"stringValue": "nanospan.kept"}}],
                            events=[{"name": "e", "attributes": [{"key": "nanospan.kept", "value": {"stringValue": "slow"}}]}]))]
        out = self.view("--limit", "0", lines=lines)
        self.assertEqual((self.code, self.err), (0, ""))
        heads = re.findall(r"^● (.+?)  .*?(?:  kept: (\w+))?$", out, re.M)
        wanted = [("order", why.replace("later", "otherwise")) for why in reasons]
        self.assertCountEqual(heads, wanted + [("order", ""), ("(root not seen)", "slow"), ("odd", "")])
        out = self.view("--summary").splitlines()
        self.assertIn("kept: 9 of order (slow 2, slowest 1, error 1, asked 1, history 1, snapshot 1, recovered 1, otherwise 1)", out)
        self.assertIn("kept: 1 of (root not seen) (slow 1)", out)
        self.assertEqual(sum("kept: " in text for text in out), 2, out)

    def test_many_links(self):
        """They are one line, which says how many the history lacks; what the program itself has linked stays apart."""
        def linked(trace, links, history=None, **more):
            made = [{"traceId": f"{number:032x}", "spanId": f"{number:016x}"} for number in range(1000, 1000 + links)]
            attributes = [] if history is None else [{"key": "nanospan.history", "value": {"intValue": str(history)}}]
            return line(span(trace, 1, "order", 0, 1000 - trace, links=made, attributes=attributes, **more), span(trace, 2, "match", 0, 500, 1))
        for links, history, wanted, shown in (
                (3, None, [], 3), (4, None, ["4 links; --links shows them"], 0), (3, 3, [], 3),
                (64, 64, ["64 links to traces kept as history; --links shows them"], 0),
                (64, 105, ["64 links to traces kept as history, newest first, and none to 41 older ones; --links shows them"], 0),
                (64, 65, ["64 links to traces kept as history, newest first, and none to 1 older one; --links shows them"], 0),
                (64, 62, ["62 links to traces kept as history; --links shows them"], 2),
                (64, 2, ["62 links; --links shows them"], 2), (9, 4, ["5 links; --links shows them",
                                                                      "4 links to traces kept as history; --links shows them"], 0)):
            with self.subTest(links=links, history=history):
                out = self.view(lines=[linked(1, links, history)])
                said = re.findall(r"^│ → (.*)$", out, re.M)
                self.assertEqual([text for text in said if not text.startswith("trace ")], wanted, out)
                self.assertEqual(sum(text.startswith("trace ") for text in said), shown, out)
                self.assertEqual(len(re.findall(r"^│ → trace ", self.view("--links"), re.M)), links)
        # What is no number says nothing.
        odd = line(span(1, 1, "order", links=[{"traceId": f"{1:032x}"}] * 5, attributes=[{"key": "nanospan.history", "value": {"stringValue": "5x"}}]))
        self.assertIn("→ 5 links; --links shows them", self.view(lines=[odd]))

    def test_time_off_the_cpu(self):
        """Events that say so are marks in the bar, their sum stands above it, and the summary says what they explain."""
        def off(name, at, ns, key="nanospan.off_cpu_ns", value="intValue"):
            return {"timeUnixNano": str(START + at), "name": name, "attributes": [{"key": key, "value": {value: str(ns)}}]}

        def order(trace, ns, *events):
            return line(span(trace, 1, "order", 0, ns, attributes=[{"key": "nanospan.off_cpu_ns", "value": {"intValue": "1"}}]),
                        span(trace, 2, "match", 0, ns, 1, events=list(events)))
        out = self.view(lines=[order(1, 100_000, off("waited", 0, 25_000), off("preempted", 50_000, 25_000))])
        self.assertEqual((self.code, self.err), (0, ""))
        self.assertIn("  off the CPU: ▒ preempted 25.00 µs  ░ waited 25.00 µs\n", out)
        root, child = (next(text for text in out.splitlines() if name in text and "█" in text) for name in ("order", "match"))
        self.assertFalse("░" in root or "▒" in root, root)
        bar = child[child.index("░"):].rstrip()
        self.assertRegex(bar, "^░+█+▒+█+$")
        self.assertAlmostEqual(bar.count("░"), len(bar) // 4, delta=1)
        self.assertAlmostEqual(bar.count("▒"), len(bar) // 4, delta=1)
        # What looks like it, and is not.
        for event in (off("waited", 0, 5, key="ns"), off("slept", 0, 5), {"name": "waited"}, {"name": "nanospan.off_cpu_ns"}):
            out = self.view(lines=[order(1, 100_000, event)])
            self.assertEqual((self.code, self.err), (0, ""))
            self.assertNotIn("off the CPU: ", out)
        # Slivers do not hide the bar, and coloured output has the same marks.
        out = self.view("--color=always", lines=[order(1, 100_000, *(off("waited", i * 1000, 1) for i in range(50)))])
        self.assertIn("\033[33m░ waited 50 ns", out)
        self.assertEqual(out.count("░"), 1)
        # Of 200 orders, the two slowest are off the CPU for half of their time.
        lines = [order(i, 1000) for i in range(1, 199)] + [order(199, 101_000, off("preempted", 0, 60_000)),
                                                           order(200, 101_000, off("waited", 0, 41_000)), line(span(500, 1, "b"))]
        out = self.view("--summary", lines=lines).splitlines()
        self.assertIn("off the CPU: of the slowest 1 % of order (2 traces) 50.0 % of the time, preempted 29.7 %, waited 20.3 %; of all 25.2 %", out)
        self.assertEqual(sum("off the CPU" in text for text in out), 1, out)

    def test_bad_lines(self):
        good = line(span(1, 1, "good"))
        bad = ["nonsense", "[]", '{"resourceSpans": 5}', good[:-1], good + "x", '{"a": "\\q"}', '{"a": "\\u12"}', '{"a" 1}',
               '{"a": }', '{"a": 1 "b": 2}', '{"a": tru}', "[" * 5000, '{"a":' * 5000]
        out = self.view(lines=[good, *bad, "", "  ", line(span(2, 1, "last"))])
        self.assertEqual(self.code, 1)
        self.assertCountEqual(self.roots(out), ["good", "last"])
        for number in range(2, 12):
            self.assertIn(f":{number}: ", self.err)
        self.assertIn(f"{len(bad)} malformed lines were skipped", self.err)
        self.assertNotIn("should come from", self.err)
        self.view(lines=["<html>", "", "</html>"])
        self.assertIn("2 malformed lines were skipped, and there is no other; the file should come from", self.err)
        # A truncated line adds none of its spans.
        whole = line(*(span(1, i, "many") for i in range(1, 50)))
        out = self.view(lines=[whole[:-30], line(span(2, 1, "last"))])
        self.assertIn("1 trace, 1 span in", out)

    def test_what_is_only_looked_at_when_it_is_shown(self):
        odd = line(span(1, 1, "odd", attributes=[5]), span(1, 2, "after", 1, attributes=[{"key": "k", "value": {"stringValue": "v"}}]))
        out = self.view(lines=[line(span(2, 1, "other")), odd])
        self.assertEqual(self.code, 1)
        self.assertCountEqual(self.roots(out), ["odd", "other"])
        self.assertIn("k=v", out)
        self.assertIn(":2: an object was expected; the rest of that span is not shown", self.err)

    def test_every_truncation(self):
        whole = line(span(1, 1, "cut \u00e9 \ud83d\ude00 \\ \"", attributes=[{"key": "k", "value": {"doubleValue": 1.5e-3}}]))
        out = self.view(lines=[whole[:length] for length in range(1, len(whole))])
        self.assertIn(f"{len(whole) - 1} malformed lines were skipped", self.err)
        self.assertIn("0 traces", out)
        self.assertIn("cut é 😀 \\ \"", self.view(lines=[whole]))

    def test_what_other_writers_do(self):
        # Members in another order, upper-case ids, unquoted numbers, nulls, unknown members, lines of other
        # signals.
        text = json.dumps({"future": [1, {"x": None}], "resourceSpans": [{
            "scopeSpans": [{"spans": [{"endTimeUnixNano": START + 3000, "startTimeUnixNano": START, "parentSpanId": "", "name": "first",
                                       "spanId": "00000000000000AB", "traceId": "AB" * 16, "attributes": None, "events": [],
                                       "status": {}, "links": None, "kind": 3}], "scope": None}, {"spans": None}],
            "resource": {"attributes": [{"value": {"stringValue": "late"}, "key": "service.name"}]}}]})
        out = self.view(lines=[text, '{"resourceMetrics": []}', "{}", '{"resourceSpans": null}'])
        self.assertEqual((self.code, self.err), (0, ""))
        self.assertIn("● first  3.000 µs  late  1 span\n", out)
        self.assertIn("trace " + "ab" * 16, out)

    def test_repeated_spans(self):
        out = self.view(lines=[line(span(1, 1, "once")), line(span(1, 1, "once"), span(1, 2, "child", 0, 5, 1))])
        self.assertIn("● once  1.000 µs  engine  2 spans\n", out)
        self.assertIn(f"1 trace, 2 spans in {self.file}; left out: 1 repeated span\n", out)
        out = self.view(lines=[line(span(1, 0, "none"), span(0, 1, "none"), span(1, 1, "some"))])
        self.assertIn(f"1 trace, 1 span in {self.file}; left out: 2 spans without an id\n", out)

    def test_circles_and_depth(self):
        out = self.view(lines=[line(span(1, 1, "a", 0, 10, 2), span(1, 2, "b", 1, 9, 1), span(1, 3, "me", 2, 3, 3))])
        self.assertEqual(self.code, 0)
        self.assertEqual([len(re.findall(rf"─ {name} ", out)) for name in ("a", "b", "me")], [1, 1, 1])
        deep = line(*(span(1, i, f"level{i}", i, 100_000 - i, i - 1) for i in range(1, 20_001)))
        out = self.view("--spans", "0", lines=[deep])
        self.assertEqual((self.code, len(re.findall(r"level\d+", out))), (0, 20_001))
        self.assertIn("… 19,900 more spans; --spans 0 shows all", self.view())

    def test_self_time(self):
        # Children that overlap are counted once, and only as far as the parent goes.
        out = self.view(lines=[line(span(1, 1, "root", 1000, 2000), span(1, 2, "x", 1100, 1500, 1), span(1, 3, "y", 1300, 1600, 1),
                                    span(1, 4, "z", 1900, 5000, 1), span(1, 5, "w", 500, 1050, 1))])
        self.assertRegex(out, r"\nroot +1\.000 µs +350 ns")

    def test_many(self):
        lines = [line(*(span(1 + i, 1 + k, f"s{k}", k, 100 + i, k) for k in range(5))) for i in range(20_000)]
        out = self.view("--limit", "2", lines=lines)
        self.assertIn("2 of the 20,000 traces, 100,000 spans", out)
        self.assertIn(f"trace {20_000:032x}", out)

    def test_files(self):
        self.assertEqual(self.view(file="/nowhere/spans.jsonl"), "")
        self.assertEqual(self.code, 1)
        self.assertIn("nanospan sink --output", self.err)
        self.assertEqual(self.view(file=self.folder.name), "")
        self.assertEqual(self.code, 1)
        self.assertIn("1 trace, 1 span in standard input", self.view(file="-", input=line(span(1, 1, "x")).encode()))
        self.assertIn("● x ", self.view(file="-", input=line(span(1, 1, "x")).encode()))
        with open("/dev/full", "w", encoding="utf-8") as full:
            self.file.write_text(line(span(1, 1, "x")), encoding="utf-8")
            done = subprocess.run([command(), "view", str(self.file)], stdout=full, stderr=subprocess.PIPE, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"cannot write", done.stderr)

    def test_several_files(self):
        """They are read as one: a trace may be spread over them, and what is shown of a span comes from its own file."""
        other, third = (Path(self.folder.name, name) for name in ("other.jsonl", "third.jsonl"))
        named = [{"key": "file", "value": {"stringValue": name}} for name in ("first", "second")]
        other.write_text("\n".join([line(span(9, 1, "alone", 0, 5)), line(span(1, 2, "child", 0, 500, 1, attributes=[named[1]])), "{",
                                    line(span(1, 1, "root", attributes=[named[0]]))]), encoding="utf-8")
        out = self.view(other, lines=["", line(span(1, 1, "root", attributes=[named[0]]), span(1, 3, "last", 900, 1000, 1)), "nonsense"])
        self.assertEqual(self.code, 1)
        self.assertEqual([text.rstrip("█▏▐ ") for text in re.split(r"\n", re.sub(r"  +[0-9.]+ .s .*", "", out))[3:8]],
                         ["root", "│ file=first", "├─ child", "│    file=second", "└─ last"])
        self.assertIn(f"2 traces, 4 spans in {other} and {self.file}; left out: 1 repeated span\n", out)
        # Each fault is where it was found.
        self.assertIn(f"{other}:3: ", self.err)
        self.assertIn(f"{self.file}:3: ", self.err)
        self.assertIn(f"{self.file}: 1 malformed line was skipped", self.err)
        third.write_text(line(span(5, 1, "odd", attributes=[5])) + "\n", encoding="utf-8")
        out = self.view(other, third)
        self.assertIn(f"{third}:1: an object was expected; the rest of that span is not shown", self.err)
        self.assertIn("3 traces, 5 spans in 3 files", out)
        self.assertIn("in standard input and ", self.view("-", input=b""))

        link = Path(self.folder.name, "link.jsonl")
        link.symlink_to(other)
        for arguments, wanted in (((other, other), "is given twice; give it once"), ((other, link), "are the same file; give one of them"),
                                  (("-", "-"), "standard input is given twice"), ((other, "/nowhere/x.jsonl"), "cannot read /nowhere/x.jsonl")):
            self.assertEqual((self.view(*arguments, input=b""), self.code), ("", 1))
            self.assertIn(wanted, self.err)

    def test_colours(self):
        self.file.write_text(line(span(1, 1, "x", **FAILED)), encoding="utf-8")
        self.assertNotIn("\x1b", self.view())
        coloured = self.view("--color", "always")
        self.assertIn("\x1b[1;31m", coloured)
        self.assertEqual(re.sub("\x1b\\[[0-9;]*m", "", coloured), self.view())
        for extra, expected in (({}, True), ({"NO_COLOR": "1"}, False)):
            ours, theirs = pty.openpty()
            with subprocess.Popen([command(), "view", str(self.file)], stdout=theirs, env={**os.environ, **extra}) as process:
                os.close(theirs)
                shown = b""
                try:
                    while chunk := os.read(ours, 4096):
                        shown += chunk
                except OSError:
                    pass
                os.close(ours)
                self.assertEqual(process.wait(), 0)
            self.assertEqual(b"\x1b[" in shown, expected)

    def test_widths(self):
        self.file.write_text(line(span(1, 1, "a name that is much too long for a narrow terminal, by any measure", kind=2),
                                  span(1, 2, "child", 0, 500, 1, attributes=[{"key": f"key{i}", "value": {"intValue": str(i)}}
                                                                             for i in range(40)])), encoding="utf-8")
        for columns in (60, 80, 200):
            out = self.view(environment={"COLUMNS": str(columns)})
            too_long = [text for text in out.splitlines()[2:-1] if len(text) > columns]
            self.assertEqual(too_long, [], columns)
            self.assertIn("key39=39", out)


if __name__ == "__main__":
    command()
    unittest.main()
