# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 900 COST 30
# Sanitizers: address, because nanospan view has one thread
"""`nanospan view --html`: everything that an independent reading finds in the files is in the page, to the bit; what goes in,
what is refused, and that nothing is left behind."""
import json
import os
import random
import re
import resource
import signal
import stat
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from page_data import Page
from sink_process import command

TRACE = "0af7651916cd43dd8448eb211c80319c"
TIMEOUT = 240
KEPT = ["slow", "slowest", "error", "asked", "history", "snapshot", "recovered"]


# ---- what the files hold, read without the command ----

def text_of(value):
    """A string of JSON: half of a surrogate pair is no character."""
    return re.sub("[\ud800-\udfff]", "\ufffd", value)


def visible(value):
    """Control characters, and those that turn the direction of writing round, as `nanospan view` shows them."""
    def escape(match):
        code = ord(match[0])
        return {"\n": "\\n", "\t": "\\t"}.get(match[0], f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
    return re.sub("[\0-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", escape, value)


def shown(value):
    """A value as it is shown within a list."""
    [(form, content)] = value.items() or [("", "")]
    if form == "stringValue":
        quote = '"' if content == "" or re.search(r'[ "=,\[\]{}]', content) else ""
        return quote + visible(text_of(content)) + quote
    if form == "bytesValue":
        return "base64:" + content
    if form == "boolValue":
        return "true" if content else "false"
    if form == "arrayValue":
        return "[" + ", ".join(map(shown, content.get("values", []))) + "]"
    if form == "kvlistValue":
        return "{" + ", ".join(visible(text_of(one["key"])) + "=" + shown(one["value"]) for one in content.get("values", [])) + "}"
    return visible(str(content))


def attribute(one):
    value = one.get("value") or {}
    key, [(form, content)] = text_of(one.get("key", "")), value.items() or [("", None)]
    if form == "stringValue":
        return key, "string", text_of(content)
    if form == "intValue" and re.fullmatch(r"-?\d+", str(content)) and -1 << 63 <= int(content) < 1 << 63:
        return key, "int", int(content)
    if form == "doubleValue":
        return key, "double", float(content)
    if form == "boolValue":
        return key, "bool", content
    return key, "other", "" if content is None else shown(value)


def attributes(holder):
    return [attribute(one) for one in holder.get("attributes") or []]


def digits(given, size):
    return given.lower() if re.fullmatch(f"[0-9a-fA-F]{{{size}}}", given or "") else "0" * size


def pauses_of(events):
    return [{"start": event["time"], "duration": value, "preempted": event["name"] == "preempted"}
            for event in events if event["name"] in ("preempted", "waited")
            for key, kind, value in event["attributes"] if (key, kind) == ("nanospan.off_cpu_ns", "int")]


def kept_word(span):
    """Why it was kept; a word that this release does not know is another reason."""
    words = [value if kind == "string" else "" for key, kind, value in span["attributes"] if key == "nanospan.kept"]
    return "" if not words else words[-1] if words[-1] in KEPT else "otherwise"


def span_of(raw, resource, service):
    start, end = int(raw.get("startTimeUnixNano", 0)), int(raw.get("endTimeUnixNano", 0))
    events = [{"time": int(event.get("timeUnixNano", 0)), "name": text_of(event.get("name", "")), "attributes": attributes(event)}
              for event in raw.get("events", [])]
    return {"id": raw["spanId"].lower(), "parent": digits(raw.get("parentSpanId"), 16), "name": text_of(raw.get("name", "")),
            "start": start, "duration": max(0, end - start), "kind": raw.get("kind", 0),
            "status": raw.get("status", {}).get("code", 0), "message": text_of(raw.get("status", {}).get("message", "")),
            "attributes": attributes(raw), "service": service, "resource": resource, "events": events,
            "links": [{"trace": digits(link.get("traceId"), 32), "span": digits(link.get("spanId"), 16),
                       "attributes": attributes(link)} for link in raw.get("links", [])],
            "pauses": pauses_of(events),
            "dropped": [raw.get(f"dropped{what}Count", 0) for what in ("Attributes", "Events", "Links")]}


class Expected:
    """The traces of files, and what is left out."""

    def __init__(self, *files):
        self.traces, self.repeated, self.malformed, self.without_id = {}, 0, 0, 0
        for file in files:
            for line in Path(file).read_bytes().decode("utf-8", "replace").split("\n"):
                if line.strip():
                    self.read_line(line, str(file))
        for trace in self.traces.values():
            self.finish(trace)

    def read_line(self, line, file):
        try:
            tree = json.loads(line)
        except ValueError:
            self.malformed += 1
            return
        for element in tree["resourceSpans"]:
            resource = attributes(element.get("resource") or {})
            service = [value for key, kind, value in resource if (key, kind) == ("service.name", "string")]
            for scope in element["scopeSpans"]:
                for raw in scope["spans"]:
                    self.add(raw, resource, service[-1] if service else "", file)

    def add(self, raw, resource, service, file):
        if int(digits(raw.get("spanId"), 16), 16) == 0 or int(digits(raw.get("traceId"), 32), 16) == 0:
            self.without_id += 1
            return
        spans = self.traces.setdefault(raw["traceId"].lower(), {"id": raw["traceId"].lower(), "spans": {}})["spans"]
        span = {**span_of(raw, resource, service), "source": file}
        if span["id"] in spans:
            self.repeated += 1
        spans.setdefault(span["id"], span)

    @staticmethod
    def finish(trace):
        spans = sorted(trace["spans"].values(), key=lambda span: (
            span["start"], span["duration"] > 1, -span["duration"], span["id"]))
        roots = sorted((span for span in spans if int(span["parent"], 16) == 0), key=lambda span: -span["duration"])
        root = roots[0] if roots else spans[0]
        end = max(span["start"] + span["duration"] for span in spans)
        kept = [why for why in map(kept_word, [root, *spans] if roots else spans) if why]
        trace.update(
            spans=spans, root=root["id"], rooted=bool(roots), start=spans[0]["start"], source=root["source"],
            duration=root["duration"] if roots else end - spans[0]["start"],
            errors=sum(span["status"] == 2 for span in spans), kept=kept[0] if kept else "",
            **{what: sum(pause["duration"] for span in spans for pause in span["pauses"] if pause["preempted"] == (what == "preempted"))
               for what in ("preempted", "waited")})


def exact(value):
    """Doubles by their bits; all NaNs are one."""
    if isinstance(value, float):
        return "nan" if value != value else struct.pack("<d", value).hex()
    if isinstance(value, dict):
        return {key: exact(one) for key, one in value.items()}
    return [exact(one) for one in value] if isinstance(value, (list, tuple)) else value


# ---- files to read ----

def key(name, **value):
    return {"key": name, "value": value}


def span(number, name="work", start=1000, end=2000, parent=None, trace=TRACE, **more):
    made = {"traceId": trace, "spanId": f"{number:016x}", "name": name, "kind": 1, "startTimeUnixNano": str(start),
            "endTimeUnixNano": str(end)}
    return {**made, **({"parentSpanId": f"{parent:016x}"} if parent is not None else {}), **more}


def line(*spans, resource=(key("service.name", stringValue="engine"),), resource_last=False):
    element = {"resource": {"attributes": list(resource)}, "scopeSpans": [{"spans": list(spans)}]}
    return json.dumps({"resourceSpans": [dict(reversed(element.items())) if resource_last else element]})


NAMES = ["order", "", "a\nb\x1b[2J", "</script><script>alert(1)</script>", "<!--", "\u202eevil", "é" * 40, "\ud800", "@TITLE@@PACK@", "\0"]
VALUES = [
    *({"stringValue": name} for name in NAMES), *({"intValue": str(number)} for number in (0, -1, (1 << 63) - 1, -(1 << 63), 1 << 53)),
    {"intValue": 7}, {"intValue": str(1 << 63)}, *({"doubleValue": number} for number in (0.1, -0.0, 5e-324, 1.7976931348623157e308, 2)),
    {"doubleValue": "NaN"}, {"doubleValue": "Infinity"}, {"doubleValue": "-Infinity"}, {"boolValue": True}, {"boolValue": False},
    {"bytesValue": "AP8="}, {"bytesValue": ""}, {}, {"arrayValue": {}}, {"arrayValue": {"values": []}},
    {"arrayValue": {"values": [{"stringValue": "two words"}, {"intValue": "1"}, {"boolValue": True}, {"stringValue": "\x07"},
                               {"arrayValue": {"values": [{"bytesValue": "AA=="}]}}, {}]}},
    {"kvlistValue": {"values": [key("k", stringValue="v"), key("a\tb", kvlistValue={"values": [key("n", intValue="3")]})]}}]


class RandomFile:
    """Spans of every form, the same for the same seed."""

    def __init__(self, seed, traces=40):
        self.random = random.Random(seed)
        self.ids = [f"{self.random.getrandbits(128):032x}" for _ in range(traces)]
        self.lines = []

    def attributes(self, most=6):
        return [{"key": self.random.choice(["id", "user", *NAMES]), "value": self.random.choice(VALUES)}
                for _ in range(self.random.randrange(most))]

    def moment(self):
        return self.random.choice([0, 1 << 63, (1 << 64) - 1, 1_700_000_000_000_000_000, self.random.getrandbits(63)]) \
            if self.random.random() < 0.2 else 1_700_000_000_000_000_000 + self.random.randrange(1 << 20)

    def event(self):
        if self.random.random() < 0.3:
            return {"name": self.random.choice(["preempted", "waited"]), "timeUnixNano": str(self.moment()),
                    "attributes": [key("nanospan.off_cpu_ns", intValue=str(self.random.randrange(1 << 30)))]}
        return {"name": self.random.choice(NAMES), "timeUnixNano": str(self.moment()), "attributes": self.attributes(4)}

    def link(self):
        return {"traceId": self.random.choice([*self.ids, "ab" * 16, ""]), "spanId": self.random.choice(["CD" * 8, "1" * 16, "x"]),
                "attributes": self.attributes(3)}

    def span(self):
        draw = self.random
        made = span(draw.randrange(1, 12), draw.choice(NAMES), self.moment(), self.moment(),
                    draw.choice([None, 0, *range(1, 14)]), draw.choice(self.ids), kind=draw.randrange(6),
                    status={"code": draw.randrange(3), "message": draw.choice(NAMES)}, attributes=self.attributes())
        if draw.random() < 0.2:
            made["attributes"].append({"key": "nanospan.kept", "value": draw.choice([{"stringValue": draw.choice(KEPT)}, *VALUES])})
        if draw.random() < 0.5:
            made["events"] = [self.event() for _ in range(draw.randrange(4))]
        if draw.random() < 0.3:
            made["links"] = [self.link() for _ in range(draw.randrange(3))]
        if draw.random() < 0.1:
            made.update(droppedAttributesCount=draw.randrange(3), droppedEventsCount=4294967295, droppedLinksCount=1)
        members = list(made.items())
        draw.shuffle(members)
        return dict(members)

    def text(self):
        return "".join(line(*(self.span() for _ in range(self.random.randrange(1, 9))), resource=self.attributes(5) + [
            key("service.name", stringValue=self.random.choice(NAMES))], resource_last=self.random.random() < 0.3) + "\n"
            for _ in range(60))


class ViewPage(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="a page ")
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name)
        self.page = self.path / "page.html"

    def file(self, *lines, name="spans.jsonl"):
        path = self.path / name
        path.write_bytes(b"".join(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text for text in lines))
        return str(path)

    def view(self, *arguments, code=0, **options):
        done = subprocess.run([command(), "view", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=TIMEOUT, check=False, **options)
        self.err = done.stderr.decode()
        self.assertEqual(done.returncode, code, self.err)
        return done.stdout

    def written(self, *arguments, code=0):
        self.assertEqual(self.view("--html", self.page, *arguments, code=code), b"")
        return Page(self.page.read_bytes())

    def check(self, pack, expected):
        """Everything, of all traces."""
        traces = pack.traces()
        order = sorted(expected.traces.values(), key=lambda trace: (-trace["duration"], trace["id"]))
        self.assertEqual([trace["id"] for trace in traces], [trace["id"] for trace in order])
        places = {trace["id"]: place for place, trace in enumerate(traces)}
        for got, wanted in zip(traces, order, strict=True):
            for what in ("root", "rooted", "start", "duration", "errors", "kept", "preempted", "waited", "source"):
                self.assertEqual(got[what], wanted[what], (got["id"], what))
            self.check_tree(got["spans"])
            for one, other in zip(got["spans"], wanted["spans"], strict=True):
                other = {name: value for name, value in other.items() if name != "source"}
                other["links"] = [{**link, "here": places.get(link["trace"])} for link in other["links"]]
                one = {name: value for name, value in one.items() if name != "orphan"}
                one["parent"] = one["parent"] or "0" * 16
                self.assertEqual(exact(one), exact(other))
        left_out = pack.header["left_out"]
        self.assertEqual([left_out["repeated"], left_out["malformed_lines"], left_out["without_id"]],
                         [expected.repeated, expected.malformed, expected.without_id])

    def check_tree(self, spans):
        """Spans whose parent is there are below it, but for one of each cycle; so that every walk upwards ends."""
        known = {one["id"]: one for one in spans}
        for one in spans:
            above, steps = one, 0
            while above["parent"] and not above["orphan"]:
                above, steps = known[above["parent"]], steps + 1
                self.assertLessEqual(steps, len(spans))
            if one["parent"] and one["parent"] not in known:
                self.assertTrue(one["orphan"])
            elif one["parent"] and one["orphan"]:  # the first of a cycle
                below, seen = known[one["parent"]], {one["id"]}
                while below["id"] not in seen:
                    seen.add(below["id"])
                    self.assertIn(below["parent"], known)
                    below = known[below["parent"]]
                self.assertEqual(below["id"], one["id"])

    def test_random_files(self):
        for seed in range(12):
            with self.subTest(seed=seed):
                one, two = RandomFile(seed), RandomFile(seed + 1000)
                two.ids = one.ids[:20] + two.ids[:20]
                files = [self.file(one.text(), name="one.jsonl"), self.file(two.text(), name="two.jsonl")]
                expected = Expected(*files)
                pack = self.written(*files).pack
                self.check(pack, expected)
                self.assertEqual(pack.header["left_out"]["traces_not_chosen"], 0)
                sources = {file: [0, 0] for file in files}
                for trace in expected.traces.values():
                    sources[trace["source"]][1] += 1
                    for one in trace["spans"]:
                        sources[one["source"]][0] += 1
                self.assertEqual(pack.header["sources"], [{"name": file, "spans": spans, "traces": traces}
                                                          for file, (spans, traces) in sources.items()])

    def test_columns(self):
        # By hand, and not by the reading above.
        other = "f" * 32
        file = self.file(
            line(span(2, "match", 1500, 1800, 1, attributes=[key("n", intValue="-2"), key("s", stringValue="x")], events=[
                {"name": "waited", "timeUnixNano": "1400", "attributes": [key("nanospan.off_cpu_ns", intValue="30")]}]),
                 span(1, "order", 1000, 2000, attributes=[key("n", intValue="3"), key("s", stringValue="y")]),
                 span(9, "lost", 600, 601, 77, trace=other, links=[{"traceId": TRACE, "spanId": "1".zfill(16)}])), "\n")
        pack = self.written(file).pack
        column = pack.column
        self.assertEqual(pack.header["base"], "600")
        self.assertEqual([pack.header[name] for name in ("format", "traces", "spans")], [1, 2, 3])
        self.assertEqual(column("trace.start"), [400, 0])
        self.assertEqual(column("trace.duration"), [1000, 1])
        self.assertEqual(column("trace.id_low"), [int(TRACE[16:], 16), (1 << 64) - 1])
        self.assertEqual([column(f"trace.{name}") for name in ("first", "count", "root")], [[0, 2], [2, 1], [0, 2]])
        self.assertEqual(list(column("trace.rooted")), [1, 0])
        self.assertEqual(column("span.id"), [1, 2, 9])
        self.assertEqual(column("span.parent"), [0xffffffff, 0, 0xffffffff])
        self.assertEqual(column("span.start"), [0, 500, 0])
        self.assertEqual([pack.strings[name] for name in column("span.name")], ["order", "match", "lost"])
        self.assertEqual(column("span.shape")[0], column("span.shape")[1])
        self.assertEqual((column("orphan.row"), column("orphan.parent")), ([2], [77]))
        self.assertEqual((column("event.row"), column("event.time")), ([1], [400]))
        self.assertEqual((column("pause.row"), column("pause.start"), column("pause.duration")), ([1], [400], [30]))
        self.assertEqual((column("link.row"), column("link.trace"), column("link.span")), ([2], [0], [1]))
        # Resource, three spans (of which the last has none), the event.
        texts = [pack.strings.index(name) for name in ("engine", "y", "x")]
        self.assertEqual(column("value.low"), [texts[0], 3, texts[1], (1 << 32) - 2, texts[2], 30])
        self.assertEqual(column("value.high"), [0, 0, 0, (1 << 32) - 1, 0, 0])
        self.assertEqual(pack.header["kept"], ["", *KEPT, "otherwise"])

    def test_what_is_left_out(self):
        file = self.file(line(span(1), span(1, "again"), span(0), span(3, trace="0" * 32)), "\n{]\n\n", line(span(2)), "\n")
        page = self.written(file, code=1)
        self.check(page.pack, Expected(file))
        self.assertEqual(page.pack.header["left_out"],
                         {"repeated": 1, "malformed_lines": 1, "without_id": 2, "traces_not_chosen": 0})
        self.assertIn("2: ", self.err)
        self.assertIn("1 malformed line was skipped", self.err)

    def test_malformed_details(self):
        # What cannot be read of one span is said, and costs nothing of the others.
        spans = [span(1, attributes=[key("a", stringValue="b\"")]), span(2, attributes=[key("a", arrayValue=5), key("c", intValue="1")]),
                 span(3, events=7), span(4, attributes=[key("d", stringValue="\"e")])]
        for last in (False, True):
            pack = self.written(self.file(line(*spans, resource_last=last), "\n"), code=1).pack
            self.assertEqual(self.err.count("the rest of that span is not shown"), 2)
            got = pack.traces()[0]["spans"]
            self.assertEqual([one["attributes"] for one in got if one["id"][-1] in "14"],
                             [[("a", "string", "b\"")], [("d", "string", "\"e")]])
            self.assertEqual([one["service"] for one in got], ["engine"] * 4)

    def test_bytes_that_are_no_text(self):
        texts = line(span(1, "name@", attributes=[key("a@", stringValue="@x"), key("l", arrayValue={"values": [
            {"stringValue": "@"}]})]), resource=[key("service.name", stringValue="@")]).encode()
        file = self.file(texts.replace(b"@", b"\x9b31m\xe2\x82\xff"), "\n")
        [one] = self.written(file).pack.traces()[0]["spans"]
        bad = "\ufffd31m\ufffd\ufffd"
        self.assertEqual((one["name"], one["service"]), ("name" + bad, bad))
        self.assertEqual(one["attributes"], [("a" + bad, "string", bad + "x"), ("l", "other", "[\\x9b31m\\xe2\\x82\\xff]")])

    def test_which_traces(self):
        ids = [f"{number:032x}" for number in range(1, 31)]
        lines = [line(span(1, f"root {number % 3}", 10 * number, 10 * number + 1000 - number, trace=trace,
                           attributes=[key("n", intValue=str(number))]), resource=[
                               key("service.name", stringValue="ab"[number % 2])]) + "\n" for number, trace in enumerate(ids)]
        file = self.file(*lines)

        def chosen(*options):
            pack = self.written(*options, file).pack
            self.assertEqual(pack.header["left_out"]["traces_not_chosen"], 30 - pack.header["traces"])
            return [trace["id"] for trace in pack.traces()]

        self.assertEqual(chosen(), ids)  # all of them, and not the ten of a terminal
        self.assertEqual(chosen("--limit", "3"), ids[:3])
        self.assertEqual(chosen("--limit", "0"), ids)
        self.assertEqual(chosen("--root", "*1"), ids[1::3])
        self.assertEqual(chosen("--service", "b", "--limit", "2"), ids[1:4:2])
        self.assertEqual(chosen("--where", "n=29"), ids[29:])
        self.assertEqual(chosen("--min-duration", "991ns"), ids[:10])
        self.assertEqual(chosen("--sort", "start", "--limit", "4"), ids[:4])
        self.assertEqual(chosen("--trace", ids[4]), [ids[4]])
        self.assertEqual(chosen("--errors"), [])
        # A link to a trace that was not chosen leads nowhere.
        file = self.file(line(span(1, trace=ids[0], links=[{"traceId": one, "spanId": "1" * 16} for one in ids[:2]]),
                              span(1, "slow", 0, 9000, trace=ids[1])), "\n")
        [trace] = self.written("--root", "work", file).pack.traces()
        self.assertEqual([link["here"] for link in trace["spans"][0]["links"]], [0, None])

    def test_the_page(self):
        hostile = '</title><script>"&.jsonl'.replace("/", "\u2215")
        file = self.file(line(span(1, "</script><img onerror=x>")), "\n", name=hostile)
        pages = [self.written(file) for _ in range(2)]
        self.assertRegex(self.err, r"page\.html: 1 trace with 1 span, [0-9.]+ KiB; ")
        out = Page(self.view("--html", "-", file))
        self.assertIn("standard output: 1 trace with 1 span", self.err)
        self.assertEqual(out.gzip, pages[0].gzip)
        nonces = set()
        for page in (*pages, out):
            [nonce] = page.nonces
            nonces.add(nonce)
            self.assertRegex(nonce, "^[0-9a-f]{32}$")
            self.assertEqual(page.policy, f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
                             "connect-src data:; img-src data:; base-uri 'none'; form-action 'none'")
            self.assertFalse(page.live)
            self.assertEqual(page.title.count("<") + page.title.count('"'), 0)
            self.assertIn("&lt;\u2215title&gt;&lt;script&gt;&quot;&amp;.jsonl", page.title)
            self.assertNotIn("onerror", page.html)
            self.assertEqual(len(re.findall("<script", page.html)), 2)
            self.assertEqual(len(re.findall("</script", page.html)), 2)
            self.assertEqual(re.findall("@[A-Z]+@", page.html), [])
            self.assertNotIn(" style=", page.html[:page.html.index("<script")])
            self.assertEqual(re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']*""", page.html[:page.html.index("<script")]), [])
            page.html.encode("ascii", "xmlcharrefreplace")
        self.assertEqual(len(nonces), 3)
        self.assertEqual(stat.S_IMODE(self.page.stat().st_mode) & 0o600, 0o600)

    def test_replaces_and_follows(self):
        file = self.file(line(span(1)), "\n")
        real = self.path / "real.html"
        real.write_text("before", encoding="utf-8")
        self.page.symlink_to(real)
        (self.path / "real.html.part").write_text("of a run that was killed" * 100000, encoding="utf-8")
        self.assertEqual(self.written(file).pack.header["spans"], 1)
        self.assertTrue(self.page.is_symlink())
        self.assertEqual(sorted(path.name for path in self.path.iterdir()), ["page.html", "real.html", "spans.jsonl"])

    def refused(self, page, said, *files, code=1, **options):
        before = {path.name: path.read_bytes() for path in self.path.iterdir() if path.is_file()}
        self.assertEqual(self.view("--html", page, *files, code=code, **options), b"")
        self.assertRegex(self.err, said)
        self.assertEqual({path.name: path.read_bytes() for path in self.path.iterdir() if path.is_file()}, before)

    def test_bad_outputs(self):
        file = self.file(line(span(1)), "\n")
        self.refused("/dev/full", "cannot write /dev/full: No space left on device", file)
        self.refused(self.path / "none" / "page.html", "cannot write .*none/page.html.part: No such file", file)
        self.refused(self.path, "cannot write .*: Is a directory", file)
        self.refused(file, "is one of the files that are read", file)
        alias = self.path / "alias.html"
        alias.symlink_to(file)
        self.refused(alias, "is one of the files that are read", file)
        part = self.file(line(span(1)), "\n", name="page.html.part")
        self.refused(self.page, "page.html.part is one of the files that are read", file, part)
        self.refused(self.page, "exclude each other", "--summary", file, code=2)
        self.refused(self.page, "No such file", self.path / "nothing.jsonl")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([command(), "view", "--html", "-", file], stdout=full, stderr=subprocess.PIPE, timeout=TIMEOUT,
                                  check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot write standard output: No space left on device", done.stderr)

    def test_no_room_for_the_page(self):
        def small():  # a disk that is full after 64 KiB
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))

        file = self.file(line(span(1)), "\n")
        self.refused(self.page, "cannot write .*page.html: File too large", file, preexec_fn=small)
        self.page.write_text("kept", encoding="utf-8")
        self.refused(self.page, "cannot write .*page.html: File too large", file, preexec_fn=small)

    def test_signals_leave_nothing_behind(self):
        file = self.file(*(line(*(span(number, trace=f"{trace:032x}") for number in range(1, 1001))) + "\n" for trace in range(1, 81)))
        out = self.path / "out"
        part = self.path / "out.part"
        ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

        def heed():
            for number in ending:
                signal.signal(number, signal.SIG_DFL)

        def stopped_in_the_middle():
            """The process, stopped while it writes; None if it had ended before."""
            process = subprocess.Popen([command(), "view", "--perfetto", out, file], stderr=subprocess.DEVNULL, preexec_fn=heed)
            while process.poll() is None and not part.exists():
                time.sleep(0.001)
            process.send_signal(signal.SIGSTOP)
            if process.poll() is None:
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            if part.exists():
                return process
            process.send_signal(signal.SIGCONT)
            process.wait(TIMEOUT)
            return None

        for number in ending:
            process = None
            for _ in range(20):
                process = process or stopped_in_the_middle()
            self.assertIsNotNone(process, "it was never met while it wrote")
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            self.assertEqual(process.wait(TIMEOUT), -number)
            self.assertFalse(part.exists(), number)

    def test_read_only_folder(self):
        if os.getuid() == 0:
            self.skipTest("root may write everywhere")
        file = self.file(line(span(1)), "\n")
        folder = self.path / "locked"
        folder.mkdir(0o500)
        self.refused(folder / "page.html", "cannot write .*: Permission denied", file)
        self.page.write_text("kept", encoding="utf-8")
        self.page.chmod(0o400)
        self.refused(self.page, "cannot write .*: Permission denied", file)

    def test_bounds(self):
        self.page.write_text("kept", encoding="utf-8")
        most = 2_000_000
        with open(self.path / "spans.jsonl", "w", encoding="utf-8") as out:
            for first in range(0, most + 1, 100_000):
                out.write('{"resourceSpans":[{"scopeSpans":[{"spans":[' + ",".join(
                    f'{{"traceId":"{TRACE}","spanId":"{number + 1:016x}"}}' for number in range(first, min(first + 100_000, most + 1)))
                    + "]}]}]}\n")
        self.assertEqual(self.view("--html", self.page, self.path / "spans.jsonl", code=1), b"")
        self.assertIn("a page holds at most 2,000,000 spans, and these are 2,000,001: choose fewer traces, with --root", self.err)
        many = '"attributes":[' + ",".join(["{}"] * 100_000) + "]"
        with open(self.path / "spans.jsonl", "w", encoding="utf-8") as out:
            for number in range(161):
                out.write(f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{TRACE}","spanId":"{number + 1:016x}",{many}}}]'
                          "}]}]}\n")
        self.assertEqual(self.view("--html", self.page, self.path / "spans.jsonl", code=1), b"")
        self.assertIn("a page holds at most 16,000,000 attributes, events and links, and 256.0 MiB of texts, and these traces have "
                      "more: choose fewer traces", self.err)
        self.assertEqual(self.page.read_text(encoding="utf-8"), "kept")
        self.assertEqual(sorted(path.name for path in self.path.iterdir()), ["page.html", "spans.jsonl"])

    def test_no_traces(self):
        page = self.written(self.file(""))
        self.assertEqual((page.pack.header["traces"], page.pack.header["base"], page.pack.traces()), (0, "0", []))
        self.assertIn("0 traces with 0 spans", self.err)


if __name__ == "__main__":
    unittest.main()
