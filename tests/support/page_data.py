# SPDX-License-Identifier: Apache-2.0
"""Reads the traces out of a page that `nanospan view --html` has written, or out of a pack that the live page gets. The format
is described in tools/nanospan/page/pack.h. Nothing is assumed that is not checked: every byte of the pack belongs to a column."""
import base64
import json
import re
import struct
import zlib

SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
NONE = 0xffffffff
TYPES = ["string", "int", "double", "bool", "other"]


class Page:
    """The parts of a page: its `pack` is None if it has none, as the live page."""

    def __init__(self, html):
        self.html = html if isinstance(html, str) else html.decode("utf-8")
        packs = re.findall(r'<script id="pack" type="text/plain">([^<]*)</script>', self.html)
        assert len(packs) == 1, f"{len(packs)} packs"
        self.gzip = base64.b64decode(packs[0], validate=True)
        self.pack = Pack(self.gzip) if self.gzip else None
        [self.policy] = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', self.html)
        self.nonces = set(re.findall(r' nonce="([^"]*)"', self.html))
        [self.title] = re.findall(r"<title>(.*?)</title>", self.html, re.S)
        self.live = re.search(r"<body\s+data-live\s*>", self.html) is not None


def gunzip(data):
    """A single gzip member with nothing behind it, which is all that a browser takes."""
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    content = reader.decompress(data)
    assert reader.eof and reader.unused_data == b""
    return content


def signed(value):
    return value - (1 << 64) if value >> 63 else value


class Pack:
    def __init__(self, data):
        content = gunzip(data)
        assert content[:8] == b"nspage\0\1", content[:8]
        [length] = struct.unpack_from("<I", content, 8)
        self.header = json.loads(content[12:12 + length].decode("utf-8"))
        self.columns = {}
        at = 12 + length
        for column in self.header["columns"]:
            size, count = SIZES[column["type"]], column["count"]
            planes = [content[at + i * count:at + (i + 1) * count] for i in range(size)]
            assert column["name"] not in self.columns and all(len(plane) == count for plane in planes), column
            self.columns[column["name"]] = planes[0] if size == 1 else \
                [int.from_bytes(bytes(digits), "little") for digits in zip(*planes)]
            at += size * count
        assert at == len(content), f"{len(content) - at} bytes belong to no column"
        self.strings = self.read_strings()
        self.read_holders()

    def column(self, name):
        return self.columns[name]

    def group(self, prefix):
        """The rows of a table, as dictionaries."""
        names = [name for name in self.columns if name.startswith(prefix + ".")]
        lengths = {len(self.columns[name]) for name in names}
        assert len(lengths) == 1, f"{prefix}: {lengths}"
        short = [name.partition(".")[2] for name in names]
        return [dict(zip(short, row)) for row in zip(*(self.columns[name] for name in names))]

    def read_strings(self):
        ends = self.column("strings.end")
        assert len(ends) == self.header["strings"] and ends == sorted(ends) and ends[0] == 0
        texts = bytes(self.column("strings.bytes"))
        assert ends[-1] == len(texts)
        strings = [texts[start:end].decode("utf-8") for start, end in zip([0, *ends], ends)]
        assert len(set(strings)) == len(strings), "a string is there twice"
        return strings

    def read_holders(self):
        """Gives each holder its attributes: [(key, type, value)]."""
        shapes, items = self.group("shape"), self.group("item")
        values = list(zip(self.column("value.low"), self.column("value.high")))
        self.resources, self.rows = self.group("resource"), self.group("span")
        self.events, self.links = self.group("event"), self.group("link")
        at = 0
        for holder in (*self.resources, *self.rows, *self.events, *self.links):
            shape = shapes[holder["shape"]]
            of_shape = items[shape["first"]:shape["first"] + shape["count"]]
            assert len(of_shape) == shape["count"]
            holder["attributes"] = [
                (self.strings[item["key"]], TYPES[item["type"]], self.value(TYPES[item["type"]], low, high))
                for item, (low, high) in zip(of_shape, values[at:at + shape["count"]], strict=True)]
            at += shape["count"]
        assert at == len(values), "values that belong to nobody"

    def value(self, kind, low, high):
        bits = low | high << 32
        if kind == "int":
            return signed(bits)
        if kind == "double":
            return struct.unpack("<d", struct.pack("<Q", bits))[0]
        assert high == 0, (kind, low, high)
        if kind == "bool":
            assert low in (0, 1)
            return low == 1
        return self.strings[low]

    def of_rows(self, prefix):
        """The lines of a table by their rows, which ascend."""
        lines = self.group(prefix) if prefix not in ("event", "link") else getattr(self, prefix + "s")
        assert [line["row"] for line in lines] == sorted(line["row"] for line in lines)
        by_row = {}
        for line in lines:
            by_row.setdefault(line["row"], []).append(line)
        return by_row

    def traces(self):
        """Everything about each trace and its spans, with absolute times, in the order of the page."""
        tables = {name: self.of_rows(name) for name in ("event", "link", "pause", "orphan", "dropped")}
        traces = self.group("trace")
        assert len(traces) == self.header["traces"] and len(self.rows) == self.header["spans"]
        first = 0
        for trace in traces:
            assert trace["first"] == first and trace["count"] > 0 and first <= trace["root"] < first + trace["count"]
            first += trace["count"]
            trace["id"] = f"{trace['id_high']:016x}{trace['id_low']:016x}"
            trace["start"] += int(self.header["base"])
            trace["kept"] = self.header["kept"][trace["kept"]]
            trace["source"] = self.header["sources"][trace["source"]]["name"]
            trace["spans"] = [self.span(trace, row, tables) for row in range(trace["first"], first)]
            trace["root"] = trace["spans"][trace["root"] - trace["first"]]["id"]
        assert first == len(self.rows)
        return traces

    def span(self, trace, row, tables):
        raw = self.rows[row]
        orphan = tables["orphan"].get(row, [])
        assert len(orphan) <= 1 and not (orphan and raw["parent"] != NONE)
        parent = f"{orphan[0]['parent']:016x}" if orphan else ""
        if raw["parent"] != NONE:
            assert trace["first"] <= raw["parent"] < trace["first"] + trace["count"]
            parent = f"{self.rows[raw['parent']]['id']:016x}"
        resource = self.resources[raw["resource"]]
        dropped = tables["dropped"].get(row, [])
        assert len(dropped) <= 1 and all(one["attributes"] or one["events"] or one["links"] for one in dropped)
        start = trace["start"] + raw["start"]
        def moment(since):  # two's complement, of 64 bits
            return (trace["start"] + since) % (1 << 64)

        return {
            "id": f"{raw['id']:016x}", "parent": parent, "orphan": bool(orphan), "name": self.strings[raw["name"]],
            "start": start, "duration": raw["duration"], "kind": raw["kind"], "status": raw["status"],
            "message": self.strings[raw["message"]], "attributes": raw["attributes"],
            "service": self.strings[resource["service"]], "resource": resource["attributes"],
            "events": [{"time": moment(event["time"]), "name": self.strings[event["name"]],
                        "attributes": event["attributes"]} for event in tables["event"].get(row, [])],
            "links": [{"trace": f"{link['id_high']:016x}{link['id_low']:016x}", "span": f"{link['span']:016x}",
                       "here": None if link["trace"] == NONE else link["trace"], "attributes": link["attributes"]}
                      for link in tables["link"].get(row, [])],
            "pauses": [{"start": moment(pause["start"]), "duration": pause["duration"],
                        "preempted": bool(pause["preempted"])} for pause in tables["pause"].get(row, [])],
            "dropped": [dropped[0][name] for name in ("attributes", "events", "links")] if dropped else [0, 0, 0],
        }
