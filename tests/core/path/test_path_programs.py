#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
"""Random programs with paths export what the same programs with ordinary calls export, by every exporter: the same
spans, field by field, but for ids, which agree in what they lead to. And the accounts agree.

The programs are made by generate_programs.py when the tests are built. With NSP_PATH_SEED set to one seed, or to several
with commas between them, this test makes others and builds them first."""
import json
import os
import re
import subprocess
import tempfile
import threading
import unittest
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import otlp_json_form
from expected import spans_of
from otlp_decoder import decode_protobuf, definitions

SOURCE, BUILD = Path(os.environ["NSP_SOURCE_DIR"]), Path(os.environ["NSP_BUILD_DIR"])
PROGRAMS = BUILD / "tests/path_programs"
MADE = BUILD / "tests/path_programs_made.c"
SEEDS = [seed for seed in os.environ.get("NSP_PATH_SEED", "").split(",") if seed]


def phase_id(path_id, number):
    """The span id of a path's phase, as bytes in hex."""
    mask = 2**64 - 1
    value = (int.from_bytes(bytes.fromhex(path_id), "little") + number * 0x9e3779b97f4a7c15) & mask
    value = ((value ^ value >> 30) * 0xbf58476d1ce4e5b9) & mask
    value = ((value ^ value >> 27) * 0x94d049bb133111eb) & mask
    value ^= value >> 31
    return (value or 1).to_bytes(8, "little").hex()


class Receiver:
    """An OTLP/HTTP receiver that keeps the bodies, in the order in which they came."""

    def __init__(self):
        bodies = self.bodies = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def run(folder, **environment):
    """Runs the programs. Returns (the account, standard output)."""
    account = Path(folder, "account.json")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTLP_", "NSP_", "TRACE_"))}
    kept.update(environment, NSP_SHM_DIR=str(folder))
    result = subprocess.run([PROGRAMS, account], env=kept, capture_output=True, text=True, timeout=200, check=False)
    if result.returncode != 0:
        raise AssertionError(f"path_programs: {result.returncode}: {result.stderr}")
    return json.loads(account.read_text()), result.stdout


def spans_of_json(lines):
    return [span for line in lines for _, _, spans in otlp_json_form.groups_of(otlp_json_form.parse(line)) for span in spans]


def spans_of_console(text):
    """The spans of the exporter console: a line for each, and lines below it, of which the ids are taken out."""
    found = []
    for line in text.splitlines():
        if line.startswith(" ") and found:
            found[-1]["below"].append(line)
            continue
        clock, name = line.split(" ")[:2]
        ids = dict(re.findall(r" (trace|span|parent)=([0-9a-f]+)", line))
        found.append({"traceId": ids["trace"], "spanId": ids["span"], "parentSpanId": ids.get("parent", ""), "name": name,
                      "clock": clock, "line": re.sub(r" (trace|span|parent)=[0-9a-f]+", "", line), "below": []})
    return found


def two_forms(spans):
    """Those in front of the marker, and those behind it."""
    marks = [i for i, span in enumerate(spans) if span["name"] == "marker"]
    assert len(marks) == 1, f"{len(marks)} markers"
    return spans[:marks[0]], spans[marks[0] + 1:]


def trees(spans):
    """Every span with all that is below it, as text without ids of this process."""
    below, own, known = {}, {}, set()
    for span in spans:
        key = (span["traceId"], span["spanId"])
        assert key not in known, f"{key} came twice"
        known.add(key)
        parent = (span["traceId"], span["parentSpanId"])
        below.setdefault(parent, []).append(span)

    def form(span):
        children = sorted(form(child) for child in below.get((span["traceId"], span["spanId"]), []))
        shown = {key: value for key, value in span.items() if key not in ("traceId", "spanId", "parentSpanId")}
        return json.dumps({"span": shown, "below": children}, sort_keys=True)

    tops = []
    for span in spans:
        if (span["traceId"], span["parentSpanId"]) not in known:
            # Of another process, whose ids the programs have made up; or there is none.
            outside = [span["traceId"], span["parentSpanId"]] if span["parentSpanId"] else []
            tops.append(json.dumps([outside, form(span)]))
    return Counter(tops)


class Programs(unittest.TestCase):
    maxDiff = 4000

    def assert_same(self, spans):
        paths, ordinary = two_forms(spans)
        self.assertEqual(len(paths), len(ordinary))
        self.assertGreater(len(paths), 100)
        ours, theirs = trees(paths), trees(ordinary)
        for more, less, what in ((ours, theirs, "only paths made"), (theirs, ours, "only spans made")):
            for tree in (more - less):
                nearest = max((less - more) or [""], key=lambda other: len(os.path.commonprefix([tree, other])))
                at = len(os.path.commonprefix([tree, nearest]))
                self.fail(f"{what}: ...{tree[max(0, at - 300):at + 200]}\n\nnearest: ...{nearest[max(0, at - 300):at + 200]}")
        return paths

    def assert_phase_ids(self, spans):
        """The ids of phases follow from that of their path. A path's declared phases are called phase.DECLARATION.NUMBER."""
        found = 0
        known = {(span["traceId"], span["spanId"]) for span in spans}
        for span in spans:
            name = re.fullmatch(r"phase\.\d+\.(\d+)", span["name"])
            if name and (span["traceId"], span["parentSpanId"]) in known:
                self.assertEqual(span["spanId"], phase_id(span["parentSpanId"], int(name[1]) + 1), span["name"])
                found += 1
        self.assertGreater(found, 50)

    def assert_account(self, account, exported):
        paths, spans = account["paths"], account["spans"]
        self.assertEqual(paths.pop("misused"), spans.pop("misused") + account["misused"])
        self.assertEqual(paths.pop("values_cut"), spans.pop("values_cut") + account["values_cut"])
        self.assertEqual(paths, spans)
        self.assertEqual(paths["exported"], exported)
        self.assertEqual(paths["attempted"], exported)
        for name in ("open", "dropped", "discarded", "in_rings", "in_batches", "leaked"):
            self.assertEqual(paths[name], 0, name)

    def check(self, account, spans):
        paths = self.assert_same(spans)
        self.assert_account(account, len(paths))
        return paths

    def every_exporter(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "spans.jsonl")
            account, _ = run(folder, OTEL_TRACES_EXPORTER="file", NSP_FILE=str(file))
            paths = self.check(account, spans_of_json(file.read_text().splitlines()))
            self.assert_phase_ids(paths)
            account, printed = run(folder, OTEL_TRACES_EXPORTER="console")
            self.check(account, spans_of_console(printed))
            for protocol in ("http/protobuf", "http/json"):
                receiver = Receiver()
                try:
                    account, _ = run(folder, OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
                finally:
                    receiver.close()
                if protocol == "http/json":
                    self.check(account, spans_of_json(body.decode() for body in receiver.bodies))
                    continue
                for traces in definitions().values():
                    spans = [span for body in receiver.bodies for span in spans_of(decode_protobuf(traces, body))]
                    self.check(json.loads(json.dumps(account)), spans)
            # Small batches: a path's spans are in one of them, whole. And two exporters at once.
            file.unlink()
            account, printed = run(folder, OTEL_TRACES_EXPORTER="file,console", NSP_FILE=str(file), OTEL_BSP_MAX_EXPORT_BATCH_SIZE="80")
            lines = file.read_text().splitlines()
            self.check(json.loads(json.dumps(account)), spans_of_json(lines))
            self.check(account, spans_of_console(printed))
            self.assertGreater(len(lines), 10)
            for line in lines:
                spans = spans_of_json([line])
                self.assertLessEqual(len(spans), 80)
            return account["seed"]

    def test_paths_are_what_spans_are(self):
        if not SEEDS:
            self.every_exporter()
        try:
            for seed in SEEDS:
                with self.subTest(seed=seed):
                    subprocess.run(["python3", SOURCE / "tests/core/path/generate_programs.py", MADE, seed], check=True)
                    subprocess.run(["cmake", "--build", BUILD, "--target", "path_programs"], check=True, capture_output=True)
                    self.assertEqual(self.every_exporter(), int(seed))
        finally:
            if SEEDS:
                subprocess.run(["python3", SOURCE / "tests/core/path/generate_programs.py", MADE, "1"], check=True)

    def test_unsampled_paths_are_counted_as_spans(self):
        with tempfile.TemporaryDirectory() as folder:
            account, _ = run(folder, OTEL_TRACES_EXPORTER="none", OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0")
            self.assertEqual(account["misused"], 0)
            self.assertEqual(account["paths"], account["spans"])
            self.assertGreaterEqual(account["paths"]["roots_unsampled"], 24)
            self.assertEqual(account["paths"]["attempted"], 0)


if __name__ == "__main__":
    unittest.main()
