# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 600 COST 20
# Sanitizers: address, because nanospan view has one thread
"""`nanospan view --perfetto`: the file is decoded with the schema of Perfetto's owners and read as its trace processor
reads it. Every span is there once with its exact times, the slices of each track nest, and a slice lies in another one
only if that is its parent; names, annotations, events, links and parents on other tracks are those of the spans."""
import json
import os
import random
import stat
import subprocess
import tempfile
import unittest
from collections import Counter
from pathlib import Path

import perfetto_trace
from peers import missing
from sink_process import command

if perfetto_trace.schema is None:
    missing("PyPI's perfetto is not installed; pip install -r tests/requirements.txt")

START = 1_700_000_000_000_000_000
LATEST = (1 << 63) - 1
KINDS = ["", "internal", "server", "client", "producer", "consumer"]


def value_of(value):
    form = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}[type(value)]
    return {form: str(value) if form == "intValue" else value}


def attributes_of(values):
    return [{"key": key, "value": value_of(value)} for key, value in values.items()]


def span(trace, number, name="work", start=0, end=1000, parent=0, attributes=None, **more):
    made = {"traceId": f"{trace:032x}", "spanId": f"{number:016x}", "name": name,
            "startTimeUnixNano": str(START + start), "endTimeUnixNano": str(START + end)}
    if parent:
        made["parentSpanId"] = f"{parent:016x}"
    if attributes:
        made["attributes"] = attributes_of(attributes)
    return {**made, **more}


def line(*spans, **resource):
    resource = {"service.name": "engine", **{key.replace("_", "."): value for key, value in resource.items()}}
    return json.dumps({"resourceSpans": [{"resource": {"attributes": attributes_of(resource)},
                                          "scopeSpans": [{"spans": list(spans)}]}]})


def spans_of(*texts):
    """The spans of lines, by their ids, each with its resource's attributes as `resource`."""
    found = {}
    for text in texts:
        for group in json.loads(text)["resourceSpans"]:
            for scope in group["scopeSpans"]:
                for one in scope["spans"]:
                    found.setdefault((one["traceId"], one["spanId"]), {**one, "resource": group["resource"]["attributes"]})
    return found


def shown(time):
    return min(time, LATEST)


def times(one):
    start, end = int(one["startTimeUnixNano"]), int(one["endTimeUnixNano"])
    return shown(start), shown(max(start, end))


class Perfetto(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name, "spans.jsonl")
        self.out = Path(self.folder.name, "spans.pftrace")

    def tearDown(self):
        self.folder.cleanup()

    def run_view(self, *arguments, files=None, out=None):
        done = subprocess.run([command(), "view", "--perfetto", str(self.out if out is None else out), *arguments,
                               *map(str, files or [self.file])], capture_output=True, timeout=120, check=False)
        self.code, self.err = done.returncode, done.stderr.decode()
        return done.stdout

    def view(self, *lines, arguments=()):
        self.file.write_text("".join(text + "\n" for text in lines), encoding="utf-8")
        out = self.run_view(*arguments)
        self.assertEqual((self.code, out), (0, b""), self.err)
        return perfetto_trace.Trace(self.out.read_bytes())

    def by_id(self, trace):
        """The slices by trace and span id, each once."""
        found = {(one.annotations["trace_id"], one.annotations["span_id"]): one for one in trace.slices}
        self.assertEqual(len(found), len(trace.slices))
        return found

    def compare(self, trace, expected):
        """Everything that is said of the spans, and nothing else."""
        found = self.by_id(trace)
        self.assertEqual(set(found), set(expected))
        self.assertEqual(trace.primary_clock, perfetto_trace.REALTIME)
        self.assertTrue(trace.in_order)
        events, arrows = [], []
        for key, one in expected.items():
            made = found[key]
            self.assertEqual((made.name, made.begin, made.end), (one["name"], *times(one)), key)
            self.assertEqual(made.correlation, key[0])
            said = dict(made.annotations)
            self.assertEqual(said.pop("parent_span_id", ""), one.get("parentSpanId", ""))
            self.assertEqual(said.pop("kind", ""), KINDS[one.get("kind", 0)])
            self.assertEqual(said.pop("status", ""), ["", "ok", "error"][one.get("status", {}).get("code", 0)])
            self.assertEqual(said.pop("status_message", ""), one.get("status", {}).get("message", ""))
            self.assertEqual([(link["trace_id"], link["span_id"]) for link in said.pop("links", [])],
                             [(link["traceId"], link["spanId"]) for link in one.get("links", [])])
            for name, exact in (("start_time_unix_nano", int(one["startTimeUnixNano"])),
                                ("end_time_unix_nano", max(int(one["startTimeUnixNano"]), int(one["endTimeUnixNano"])))):
                self.assertEqual(said.pop(name, exact), exact)
            wanted = {entry["key"]: entry["value"] for entry in one.get("attributes", [])}
            self.assertEqual({name: value_of(value) for name, value in said.items() if name not in ("trace_id", "span_id")},
                             wanted, key)
            parent = found.get((key[0], one.get("parentSpanId", "")))
            self.assertTrue(made.inside is None or made.inside is parent, (key, made.inside))
            events += [(event["name"], shown(int(event["timeUnixNano"])), key[1], made.track) for event in one.get("events", [])]
            arrows += [sorted([key, target]) for target in ((link["traceId"], link["spanId"]) for link in one.get("links", []))
                       if target in found and target != key]
        self.assertEqual(sorted((event.name, event.begin, event.annotations["span_id"], event.track)
                                for event in trace.instants), sorted(events))
        self.compare_parents(trace, found, expected, arrows)
        self.check_lanes(trace, found, expected)

    def compare_parents(self, trace, found, expected, arrows):
        """Besides those of links, each span that does not lie in its parent has an arrow from it. Of spans that are their
        own ancestors, one loses its parent; which one is not said."""
        ids = {id(made): key for key, made in found.items()}
        pairs = Counter(tuple(sorted(ids[id(end)] for end in pair)) for pair in trace.arrows())
        arrows, in_circles, circles = Counter(map(tuple, arrows)), Counter(), set()
        for key, one in expected.items():
            parent = (key[0], one.get("parentSpanId"))
            circle = self.circle_of(key, expected)
            if circle:
                circles.add(circle)
            if parent in found and found[key].inside is None:
                (in_circles if circle else arrows)[tuple(sorted([key, parent]))] += 1
        self.assertFalse(arrows - pairs)
        self.assertFalse(pairs - arrows - in_circles)
        self.assertEqual((arrows + in_circles).total() - pairs.total(), len(circles))

    def circle_of(self, key, expected):
        """The spans that are each other's ancestors, with this one among them."""
        seen, at = [], key
        while at in expected and at not in seen:
            seen.append(at)
            at = (key[0], expected[at].get("parentSpanId"))
        return frozenset(seen) if at == key else None

    def check_lanes(self, trace, found, expected):
        """No group of lanes has more of them than spans of it are open at one time."""
        groups = {}
        for key, made in found.items():
            track = made.track
            process = trace.process_of(track)
            resource = {entry["key"]: entry["value"] for entry in expected[key]["resource"]}
            self.assertEqual(process.process_name, resource.get("service.name", {}).get("stringValue") or "unknown_service")
            while trace.tracks[track].process is None and trace.tracks[track].thread is None:
                track = trace.tracks[track].parent
            wanted = {entry["key"]: entry["value"] for entry in expected[key].get("attributes", [])}.get("thread.id", {})
            thread = trace.tracks[track].thread
            self.assertEqual(thread.tid if thread else 0, max(int(wanted.get("intValue", 0)), 0))
            self.assertTrue(thread is None or thread.pid == process.pid)
            groups.setdefault(track, []).append(made)
        for track, members in groups.items():
            lanes = {one.track for one in members}
            marks = sorted([(one.begin, 1) for one in members] +
                           [(max(one.end, one.begin + 1), -1) for one in members])
            most = now = 0
            for _, step in marks:
                now += step
                most = max(most, now)
            self.assertLessEqual(len(lanes), most)

    def test_order(self):
        phases = ["decode", "check_balance", "calculate_size", "match", "submit_to_exchange", "report"]
        lines = [line(*(span(1, 2 + i, name, i * 100, (i + 1) * 100, 1) for i, name in enumerate(phases)),
                      span(1, 1, "order", 0, 600, kind=2,
                           attributes={"order.id": 7, "price": 48.5, "trade.symbol": "ETHUSDT", "filled": True})),
                 line(span(2, 1, "order", 600, 700))]
        trace = self.view(*lines)
        self.compare(trace, spans_of(*lines))
        self.assertEqual(len({one.track for one in trace.slices}), 1)  # one flame below the root
        self.assertEqual([one.name for one in trace.slices if one.inside is not None], phases)
        self.assertEqual(trace.clocks, [(perfetto_trace.REALTIME, START)])
        self.assertRegex(self.err, r"spans.pftrace: 2 traces, 8 spans of 1 process on 1 track, 0 events, 0 flows; [0-9.]+ KiB; "
                                   r"https://ui.perfetto.dev opens it\n$")

    def test_values(self):
        made = span(1, 1, "work", attributes={
            "text": "é\n\x00\u202e", "": "no name", "least": -(1 << 63), "most": (1 << 63) - 1, "half": 0.5, "yes": True, "no": False,
            "trace.id": "not an id"}, status={"code": 2, "message": "no balance"}, kind=5,
            events=[{"name": "fill", "timeUnixNano": str(START + 5), "attributes": attributes_of({"n": 3})}],
            links=[{"traceId": "ab" * 16, "spanId": "cd" * 8, "attributes": attributes_of({"why": "asked"})}])
        trace = self.view(line(made))
        self.compare(trace, spans_of(line(made)))
        self.assertEqual(trace.instants[0].annotations, {"span_id": f"{1:016x}", "n": 3})
        self.assertIs(trace.instants[0].inside, trace.slices[0])
        self.assertEqual(trace.slices[0].annotations["links"], [{"trace_id": "ab" * 16, "span_id": "cd" * 8, "why": "asked"}])
        others = {"bytes": ({"bytesValue": "AP8="}, "base64:AP8="), "empty": ({}, ""),
                  "array": ({"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "x"}]}}, "[1, x]"),
                  "list": ({"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}}, "{k=true}")}
        made = span(1, 1, droppedAttributesCount=1, droppedEventsCount=2, droppedLinksCount=3)
        made["attributes"] = [{"key": key, "value": value} for key, (value, _) in others.items()] + \
            [{"key": "nan", "value": {"doubleValue": "NaN"}}, {"key": "infinite", "value": {"doubleValue": "-Infinity"}}]
        said = self.view(line(made)).slices[0].annotations
        self.assertEqual({key: said[key] for key in others}, {key: as_text for key, (_, as_text) in others.items()})
        self.assertNotEqual(said["nan"], said["nan"])
        self.assertEqual(said["infinite"], float("-inf"))
        self.assertEqual([said[f"dropped_{what}_count"] for what in ("attributes", "events", "links")], [1, 2, 3])

    def test_repeated_keys_and_names_of_ours(self):
        made = span(1, 1)
        made["attributes"] = attributes_of({"trace_id": "mine"}) + attributes_of({"a": 1}) + attributes_of({"a": "two"})
        said = self.view(line(made)).slices[0].annotations
        self.assertEqual(said, [("trace_id", f"{1:032x}"), ("span_id", f"{1:016x}"), ("trace_id", "mine"), ("a", 1), ("a", "two")])

    def test_bytes_that_are_no_text(self):
        text = line(span(1, 1, "na@lone", attributes={"k@": "@v"}, status={"code": 2, "message": "@"}), service_name="s@")
        self.file.write_bytes(text.replace("lone", "\\ud800").encode().replace(b"@", b"\xff\xe2\x82") + b"\n")
        self.run_view()
        self.assertEqual(self.code, 0, self.err)
        trace = perfetto_trace.Trace(self.out.read_bytes())
        self.assertEqual(trace.slices[0].name, "na\ufffd\ufffd\ufffd")
        self.assertEqual(trace.slices[0].annotations["k\ufffd\ufffd"], "\ufffd\ufffdv")
        self.assertEqual(trace.slices[0].annotations["status_message"], "\ufffd\ufffd")
        self.assertEqual(trace.process_of(trace.slices[0].track).process_name, "s\ufffd\ufffd")

    def test_overlapping_spans(self):
        # 2 and 3 overlap; 4 outlives its parent; 5 lies in 3, on the lane of 3; 6 fits below the root again.
        lines = [line(span(1, 1, "root", 0, 100), span(1, 2, "a", 10, 50, 1), span(1, 3, "b", 20, 60, 1),
                      span(1, 4, "late", 90, 120, 1), span(1, 5, "inner", 30, 40, 3), span(1, 6, "c", 60, 80, 1))]
        trace = self.view(*lines)
        self.compare(trace, spans_of(*lines))
        found = {one.name: one for one in trace.slices}
        self.assertEqual([found[name].inside and found[name].inside.name for name in ("a", "b", "late", "inner", "c")],
                         ["root", None, None, "b", "root"])
        tracks = [trace.tracks[found[name].track] for name in ("root", "b", "late")]
        self.assertEqual([track.name for track in tracks], ["engine", "engine lane 2", "engine lane 2"])
        self.assertEqual(trace.tracks[tracks[1].parent].name, "engine")
        self.assertEqual(sorted(sorted(end.name for end in pair) for pair in trace.arrows()), [["b", "root"], ["late", "root"]])

    def test_equal_times(self):
        # All that may begin or end at one instant, in an order of the file that is not that of time.
        lines = [line(span(1, 9, "empty at the end", 100, 100, 1), span(1, 8, "second", 50, 100, 1), span(1, 7, "first", 0, 50, 1),
                      span(1, 6, "empty between", 50, 50, 1), span(1, 5, "empty at the start", 0, 0, 1),
                      span(1, 4, "same", 0, 100, 1), span(1, 3, "same within", 0, 100, 4), span(1, 1, "root", 0, 100)),
                 line(span(2, 1, "next", 100, 100), span(2, 2, "empty in empty", 100, 100, 1), span(2, 3, "deeper", 100, 100, 2))]
        trace = self.view(*lines)
        self.compare(trace, spans_of(*lines))
        found = {one.name: one for one in trace.slices}
        self.assertEqual(found["same within"].inside.name, "same")
        self.assertEqual(found["deeper"].inside.name, "empty in empty")

    def test_absurd_times(self):
        far = (1 << 64) - 1
        lines = [line({**span(1, 1), "startTimeUnixNano": "0", "endTimeUnixNano": str(far)},
                      {**span(1, 2, parent=1), "startTimeUnixNano": str(far - 1), "endTimeUnixNano": str(far),
                       "events": [{"name": "never", "timeUnixNano": str(far)}]},
                      {**span(1, 3, parent=1), "startTimeUnixNano": "5", "endTimeUnixNano": "2"},
                      {**span(1, 4, parent=3), "startTimeUnixNano": str(LATEST), "endTimeUnixNano": str(LATEST + 1)},
                      {**span(1, 5), "startTimeUnixNano": "0", "endTimeUnixNano": "0"})]
        trace = self.view(*lines)
        self.compare(trace, spans_of(*lines))
        found = self.by_id(trace)
        second = found[f"{1:032x}", f"{2:016x}"].annotations
        self.assertEqual([second["start_time_unix_nano"], second["end_time_unix_nano"]], [far - 1, far])
        self.assertNotIn("start_time_unix_nano", found[f"{1:032x}", f"{1:016x}"].annotations)
        self.assertEqual(trace.instants[0].annotations["time_unix_nano"], far)

    def test_parents(self):
        # A parent that is missing, spans that are their own ancestors, a child that begins before its parent.
        lines = [line(span(1, 1, "lost", 0, 10, 99), span(1, 2, "round", 0, 10, 3), span(1, 3, "and round", 0, 10, 2),
                      span(1, 4, "self", 0, 10, 4), span(1, 5, "child first", 0, 10, 6), span(1, 6, "parent later", 5, 20))]
        trace = self.view(*lines)
        self.compare(trace, spans_of(*lines))
        self.assertIn(["child first", "parent later"], [[end.name for end in pair] for pair in trace.arrows()])

    def test_deep(self):
        count = 1200
        lines = [line(*(span(1, i, f"level {i}", i, 10_000 - i, i - 1) for i in range(1, count + 1)))]
        trace = self.view(*lines)
        self.compare(trace, spans_of(*lines))
        self.assertEqual(len({one.track for one in trace.slices}), 3)

    def test_processes_and_threads(self):
        threads = [{"thread.id": 11, "thread.name": "matcher"}, {"thread.id": 12}, {"thread.id": -1}, {"thread.id": 1 << 40}]
        lines = [line(*(span(1, 1 + i, f"t{i}", i * 10, i * 10 + 9, attributes=said) for i, said in enumerate(threads)),
                      span(1, 10, "overlapping", 5, 50, attributes=threads[0]), process_pid=41, service_instance_id="a"),
                 line(span(1, 20, "p", 0, 9, 1, attributes=threads[0]), process_pid=41, service_instance_id="b"),
                 line(span(1, 21, "q", 0, 9), span(1, 22, "r", 0, 9, 21), process_pid=-5),
                 line(span(1, 23, "s", 0, 9, 21), service_name="")]
        trace = self.view(*lines)
        self.compare(trace, spans_of(*lines))
        processes = [track.process for track in trace.tracks.values() if track.process is not None]
        self.assertEqual(len({process.pid for process in processes}), 4)
        self.assertEqual(sorted(process.pid for process in processes if process.pid < 1 << 30), [41])
        self.assertEqual({"service.instance.id=a", "service.instance.id=b"},
                         {label for process in processes for label in process.process_labels if label.startswith("service.instance")})
        found = {one.name: trace.tracks[one.track] for one in trace.slices}
        self.assertEqual([found[name].name for name in ("t0", "t1", "t2", "t3", "overlapping")],
                         ["matcher", "thread 12", "engine", f"thread {1 << 40}", "matcher lane 2"])
        self.assertEqual((found["t0"].thread.tid, found["t0"].thread.thread_name), (11, "matcher"))
        self.assertEqual(sorted(sorted(end.name for end in pair) for pair in trace.arrows()), [["p", "t0"], ["q", "s"]])

    def test_many_files(self):
        files = [Path(self.folder.name, f"part {i}.jsonl") for i in range(3)]
        # The trace is spread over them; its link leads from the last to the first, and each file repeats a span.
        lines = [line(span(1, 1, "root", 0, 100), process_pid=1),
                 line(span(1, 2, "remote", 10, 90, 1), span(1, 1, "again", 0, 5), service_name="risk", process_pid=1),
                 line(span(2, 1, "linked", 200, 300, links=[{"traceId": f"{1:032x}", "spanId": f"{2:016x}"}]),
                      span(1, 2, "again", 0, 5), process_pid=1)]
        for path, text in zip(files, lines):
            path.write_text(text + "\n", encoding="utf-8")
        self.run_view(files=files)
        self.assertEqual(self.code, 0, self.err)
        trace = perfetto_trace.Trace(self.out.read_bytes())
        self.compare(trace, spans_of(*lines))
        self.assertEqual([[end.name for end in pair] for pair in trace.arrows()], [["root", "remote"], ["remote", "linked"]])

    def test_links(self):
        def link(trace, number):
            return {"traceId": f"{trace:032x}", "spanId": f"{number:016x}"}
        lines = [line(span(1, 1, "a", 0, 10), span(2, 1, "b", 20, 30, links=[link(1, 1), link(1, 1), link(2, 1), link(7, 7)]),
                      span(3, 1, "c", 5, 6, links=[link(2, 1), {"traceId": "xyz"}]))]
        trace = self.view(*lines)
        self.assertEqual(sorted([end.name for end in pair] for pair in trace.arrows()), [["a", "b"], ["a", "b"], ["c", "b"]])
        said = {one.name: one.annotations for one in trace.slices}
        self.assertEqual(said["c"]["links"][1], {"trace_id": "0" * 32, "span_id": "0" * 16})
        # A link to what is not chosen is an annotation alone.
        trace = self.view(*lines, arguments=["--trace", f"{2:032x}"])
        self.assertEqual((trace.arrows(), len(trace.slices[0].annotations["links"])), ([], 4))

    def test_filters(self):
        lines = [line(span(i, 1, f"root {i}", i, 1000 * i)) for i in range(1, 21)]
        self.assertEqual(len(self.view(*lines).slices), 20)  # all, unless --limit is given
        self.assertEqual([one.name for one in self.view(*lines, arguments=["--limit", "2"]).slices], ["root 19", "root 20"])
        self.assertEqual([one.name for one in self.view(*lines, arguments=["--limit", "1", "--sort", "start"]).slices], ["root 1"])
        self.assertEqual([one.name for one in self.view(*lines, arguments=["--root", "root [34]"]).slices], ["root 3", "root 4"])
        self.assertEqual(self.view(*lines, arguments=["--root", "none"]).slices, [])
        self.assertIn(": 0 traces, 0 spans of 0 processes on 0 tracks", self.err)

    def test_two_files_as_one(self):
        # Perfetto's files may be joined by `cat`. Tracks and flows of the one are not those of the other.
        self.view(line(span(1, 1, "a"), span(1, 2, "b", 500, 1500, 1)))
        first = perfetto_trace.Trace(self.out.read_bytes())
        second = self.view(line(span(2, 1, "a"), span(2, 2, "b", 500, 1500, 1)))
        self.assertFalse(set(first.tracks) & set(second.tracks))
        self.assertFalse({flow for one in first.slices for flow in one.flows} & {flow for one in second.slices for flow in one.flows})
        again = self.view(line(span(2, 1, "a"), span(2, 2, "b", 500, 1500, 1)))
        self.assertEqual(again.packets, second.packets)

    def test_output(self):
        text = line(span(1, 1))
        self.view(text)
        written = self.out.read_bytes()
        self.assertEqual(self.run_view(out="-"), written)
        self.assertEqual(self.code, 0)
        self.assertIn("standard output: 1 trace, 1 span of", self.err)
        self.out.write_bytes(b"old")
        self.run_view()
        self.assertEqual(self.out.read_bytes(), written)  # it is replaced
        self.assertEqual(sorted(path.name for path in Path(self.folder.name).iterdir()), ["spans.jsonl", "spans.pftrace"])
        self.run_view(out=self.file)
        self.assertEqual(self.code, 1)
        self.assertIn("is one of the files that are read", self.err)
        self.assertEqual(self.file.read_text(encoding="utf-8"), text + "\n")
        self.run_view(out=Path(self.folder.name, "missing", "x"))
        self.assertEqual(self.code, 1)
        self.assertRegex(self.err, "cannot write .*missing/x.part: No such file or directory")
        self.run_view(out="/dev/full")
        self.assertEqual(self.code, 1)
        self.assertIn("cannot write /dev/full: No space left on device", self.err)
        self.run_view(out="")
        self.assertEqual(self.code, 2)
        # Malformed lines are left out, said, and the exit code tells; what could be read is written.
        self.file.write_text("{\n" + text + "\n", encoding="utf-8")
        self.run_view()
        self.assertEqual((self.code, self.out.read_bytes()), (1, written))
        self.assertTrue(stat.S_ISREG(os.stat(self.out).st_mode))

    def random_spans(self, source, traces):
        lines = []
        for trace in range(1, traces + 1):
            made = []
            count = source.randint(1, 14)
            for number in range(1, count + 1):
                start = source.randint(0, 40)
                said = {"thread.id": source.randint(1, 2)} if source.random() < 0.3 else {}
                said["x"] = source.choice([1, -1, 0.5, True, "", "text", "\u202e\"\\"])
                events = [{"name": f"e{i}", "timeUnixNano": str(START + source.randint(0, 50))} for i in range(source.choice([0, 0, 0, 2]))]
                links = [{"traceId": f"{source.randint(1, traces):032x}", "spanId": f"{source.randint(1, 14):016x}"}
                         for _ in range(source.choice([0, 0, 0, 0, 1]))]
                made.append(span(trace, number, source.choice(["a", "b", "", "<script>", "\x1b[2J"]), start,
                                 start + source.choice([0, 0, 1, 2, 5, 10, 20, -3]), source.choice([0, 1, 1, number // 2, source.randint(1, 15)]),
                                 attributes=said, kind=source.randint(0, 5), events=events, links=links))
            if source.random() < 0.3:
                made.append({**source.choice(made), "name": "repeated"})
            source.shuffle(made)
            half = source.randint(0, len(made))
            for part, more in ((made[:half], {}), (made[half:], source.choice([{}, {"process_pid": 7}, {"service_name": "other"}]))):
                if part:
                    lines.append(line(*part, **more))
        # A repeated span is the one that comes first.
        return lines

    def test_random(self):
        seed = int(os.environ.get("NSP_SEED", random.SystemRandom().randrange(1 << 32)))
        source = random.Random(seed)
        for round_ in range(25):
            with self.subTest(seed=seed, round=round_):
                lines = self.random_spans(source, source.randint(1, 12))
                self.compare(self.view(*lines), spans_of(*lines))


if __name__ == "__main__":
    unittest.main()
