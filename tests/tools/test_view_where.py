# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
# Sanitizers: address, because nanospan view has one thread
"""`nanospan view --where KEY=VALUE`: the traces that it chooses, in every form in which attributes are written."""
import fnmatch
import json
import os
import random
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from sink_process import command

START = 1_700_000_000_000_000_000


def span(trace, number, attributes=(), parent=None, **more):
    made = {"traceId": f"{trace:032x}", "spanId": f"{number:016x}", "name": f"span{number}", "startTimeUnixNano": str(START),
            "endTimeUnixNano": str(START + 1000 - number), "attributes": list(attributes), **more}
    return {**made, "parentSpanId": f"{parent:016x}"} if parent else made


def has(key, value, kind="stringValue"):
    return {"key": key, "value": {kind: value}}


def line(*spans, resource=(), late=False):
    described = {"resource": {"attributes": list(resource)}}
    scopes = {"scopeSpans": [{"spans": list(spans)}]}
    return {"resourceSpans": [{**scopes, **described} if late else {**described, **scopes}]}


class Where(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name, "spans.jsonl")

    def tearDown(self):
        self.folder.cleanup()

    def write(self, *lines, **how):
        self.file.write_text("".join((text if isinstance(text, str) else json.dumps(text, **how)) + "\n" for text in lines),
                             encoding="utf-8")

    def view(self, *arguments):
        done = subprocess.run([command(), "view", "--limit=0", *arguments, str(self.file)], capture_output=True, timeout=120,
                              check=False, env={**os.environ, "COLUMNS": "100"})
        self.code, self.err = done.returncode, done.stderr.decode()
        return done.stdout.decode()

    def chosen(self, *conditions, more=()):
        """The numbers of the traces that are shown."""
        out = self.view("--no-attributes", *more, *(f"--where={one}" for one in conditions))
        self.assertEqual(self.code, 0, self.err)
        return sorted(int(found, 16) for found in re.findall(r"^  trace ([0-9a-f]{32})", out, re.M))

    def test_values_of_each_type(self):
        """A value matches as it is shown."""
        values = [has("k", "plain"), has("k", "two words"), has("k", ""), has("k", "7", "intValue"), has("k", 7, "intValue"),
                  has("k", 0.5, "doubleValue"), has("k", 0.1000000000000000055, "doubleValue"), has("k", True, "boolValue"),
                  has("k", "AP8=", "bytesValue"), {"key": "k", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "x"}]}}},
                  {"key": "k", "value": {}}, {"key": "k"}, {"value": {"stringValue": "plain"}, "key": "k"}, has("K", "plain"),
                  has("kk", "plain"), has("x", "k"), has("k", "pl\x1bain")]
        self.write(*(line(span(i, 1, [value])) for i, value in enumerate(values, 1)))
        for condition, wanted in (
                ("k=plain", [1, 13]), ("k=two words", [2]), ('k="two words"', [2]), ("k=two*", [2]), ("k=7", [4, 5]), ("k=0.5", [6]),
                ("k=0.1", [7]), ("k=true", [8]), ("k=base64:*", [9]), ("k=\\[1, x\\]", [10]), ("k=?lai[nm]", [1, 13]), ("k=p*n", [1, 13, 17]),
                ("k=pl\\\\x1bain", [17]), ("K=plain", [14]), ("kk=plain", [15]), ("x=k", [16]), ("k=", [3, 11, 12]),
                ("k", [*range(1, 14), 17]), ("k=*", [*range(1, 14), 17])):
            with self.subTest(condition=condition):
                self.assertEqual(self.chosen(condition), wanted)

    def test_where_it_stands(self):
        """In any span of the trace, or in its resource, also after the spans; not in an event or a link, nor as a name."""
        event = {"timeUnixNano": str(START), "name": "k", "attributes": [has("k", "v")]}
        self.write(line(span(1, 1), span(1, 2, [has("k", "v")], 1), span(2, 1)),
                   line(span(3, 1), resource=[has("k", "v")]), line(span(4, 1), resource=[has("k", "v")], late=True),
                   line(span(5, 1, events=[event], links=[{"traceId": "1" * 32, "spanId": "1" * 16, "attributes": [has("k", "v")]}])),
                   line(span(6, 1, name="k", status={"message": "k"})), line(span(7, 1), span(3, 9)), line(span(8, 1, [has("v", "k")])))
        self.assertEqual(self.chosen("k=v"), [1, 3, 4])
        # The bits of one resource do not reach the spans of another one in the same line.
        both = line(span(1, 1), resource=[has("k", "v")])["resourceSpans"] + line(span(2, 1))["resourceSpans"]
        self.write({"resourceSpans": both})
        self.assertEqual(self.chosen("k"), [1])

    def test_several(self):
        """All have to hold, each for any span, together with the other filters."""
        self.write(line(span(1, 1, [has("a", "1")]), span(1, 2, [has("b", "2")], 1)), line(span(2, 1, [has("a", "1")])),
                   line(span(3, 1, [has("a", "2"), has("b", "2")], status={"code": 2}), resource=[has("c", "3")]))
        self.assertEqual(self.chosen("a=1", "b=2"), [1])
        self.assertEqual(self.chosen("a", "b"), [1, 3])
        self.assertEqual(self.chosen("a", "b", "c=3"), [3])
        self.assertEqual(self.chosen("a", more=["--errors"]), [3])
        self.assertEqual(self.chosen(*["a"] * 8), [1, 2, 3])
        out = self.view("--where=a=1", "--summary")
        self.assertIn("2 matching traces; 3 traces, 4 spans", out)

    def test_escapes(self):
        """A key or value that a writer escaped is the same one."""
        self.write(line(span(1, 1, [has("größe", "ü")])), line(span(2, 1, [has("a\"b\\c", "x\"y")])))
        self.assertEqual(self.chosen("größe=ü"), [1])
        self.assertEqual(self.chosen('a"b\\c=x"y'), [2])
        self.write(line(span(1, 1, [has("größe", "ü")])), ensure_ascii=False)
        self.assertEqual(self.chosen("größe=ü"), [1])
        text = json.dumps(line(span(1, 1, [has("order.id", "a/b")]), resource=[has("host", "h")]))
        self.write(text.replace("order.id", "\\u006frder.id").replace("a/b", "a\\/b").replace('"host"', '"\\u0068ost"'))
        self.assertEqual(self.chosen("order.id=a/b", "host=h"), [1])
        # A key is also found as it is shown, if it has what a terminal must not get.
        raw = json.dumps(line(span(1, 1, [has("k@", "v")]))).encode().replace(b"@", b"\xff\xe2\x80\xae")
        self.file.write_bytes(raw + b"\n")
        self.assertEqual(self.chosen("k\\xff\\u202e=v"), [1])
        self.write(line(span(1, 1, [has("order.id", "a/b")])))
        # What is shown of it afterwards is still whole.
        self.assertIn("order.id=a/b", self.view("--where=order.id"))

    def test_marks_are_still_read(self):
        """What else is read from attributes while the file is read does not suffer from it."""
        off = {"timeUnixNano": str(START), "name": "waited", "attributes": [has("nanospan.off_cpu_ns", "500", "intValue")]}
        self.write(line(span(1, 1, [has("q", 'a "b"'), has("nanospan.kept", "slow"), has("k", "v")], events=[off])))
        out = self.view("--where=k=v", "--where=nanospan.kept=slow", "--where=q=a \"b\"")
        self.assertIn("kept: slow", out)
        self.assertIn("waited 500 ns", out)

    def test_bad_lines_and_copies(self):
        bad = json.dumps(line(span(1, 1, [has("k", "v")])))
        self.write(line(span(1, 1)), bad[:-1], line(span(2, 1, [has("k", "v")])), line(span(2, 1, [has("k", "w")])),
                   line(span(3, 1, [5, has("k", "v")])))
        out = self.view("--where=k=v", "--no-attributes")
        self.assertEqual((self.code, re.findall(r"trace 0*(\d+) ", out)), (1, ["2"]))
        self.assertIn("0 matching traces", self.view("--where=k=w"))

    def test_nothing_found(self):
        self.write(line(span(1, 1, [has("a", "1")])), line(span(2, 1, [has("a", "1")]), resource=[has("c", "3")]))
        for arguments, wanted in ((["b"], "no span or resource has an attribute b\n"),
                                  (["a=2"], "the attribute a was seen 2 times, but never with a value that matches '2'\n"),
                                  (["c=[12]"], "the attribute c was seen 1 time, but never with a value that matches '[12]'\n"),
                                  (["b\x1b=1"], "no span or resource has an attribute b\\x1b\n")):
            out = self.view(*(f"--where={one}" for one in arguments))
            self.assertEqual((self.code, out), (0, f"0 matching traces; 2 traces, 2 spans in {self.file}\n"))
            self.assertEqual(self.err, f"nanospan view: {wanted}")
        self.view("--where=a=1", "--errors")
        self.assertEqual(self.err, "")

    def test_no_such_root_or_service(self):
        self.write(line(span(1, 1, name="order")), line(span(2, 1, name="cancel")))
        root = "nanospan view: no trace has a root named 'no*'; --summary shows the names\n"
        service = "nanospan view: no span is of a service named 'none'\n"
        page = f"--html={self.folder.name}/page.html"
        for arguments, wanted in ((["--root=no*"], root), (["--service=none"], service), (["--root=no*", "--service=none"], root + service),
                                  (["--root=no*", "--summary"], root), (["--root=no*", "--compare-slowest"], root),
                                  (["--root=order", "--errors"], ""), (["--service=*", "--errors"], ""), (["--root=order"], "")):
            self.view(*arguments)
            self.assertEqual((self.code, self.err), (0, wanted), arguments)
        self.view("--root=no*", page)
        self.assertEqual(self.code, 0)
        self.assertIn(root, self.err)

    def test_wrong_options(self):
        self.write(line(span(1, 1)))
        for arguments, wanted in ((["--where="], "--where takes KEY=VALUE, or KEY alone for any value, not ''"),
                                  (["--where==x"], "not '=x'"), (["--where=a"] * 9, "--where can be given at most 8 times")):
            self.assertEqual((self.view(*arguments), self.code), ("", 2))
            self.assertIn(wanted, self.err)

    def test_random(self):
        """Against another computation of the same, over many lines, keys and values."""
        chance = random.Random(18)
        keys, lines, attributes = ["a", "ab", "b.c", "ü", 'q"'], [], {}
        for number in range(1, 400):
            spans = []
            for own in range(1, chance.randint(1, 4) + 1):
                trace = chance.randint(1, 150)
                chosen = [(chance.choice(keys), str(chance.randint(1, 30))) for _ in range(chance.randint(0, 3))]
                attributes.setdefault(trace, set()).update(chosen)
                spans.append(span(trace, number * 10 + own, [has(key, value) for key, value in chosen]))
            lines.append(line(*spans))
        self.write(*lines)
        for _ in range(40):
            conditions = [(chance.choice(keys), chance.choice(["1", "1?", "[23]*", "*7", "2[!1-8]"])) for _ in range(chance.randint(1, 3))]
            wanted = [trace for trace, known in attributes.items()
                      if all(any(key == k and fnmatch.fnmatchcase(v, value) for k, v in known) for key, value in conditions)]
            self.assertEqual(self.chosen(*(f"{key}={value}" for key, value in conditions)), sorted(wanted), conditions)


if __name__ == "__main__":
    command()
    unittest.main()
