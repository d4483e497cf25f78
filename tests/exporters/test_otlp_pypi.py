# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
# Sanitizers: address, because the programs that it runs have one thread
"""The encoders' output, decoded with OTLP's official message definitions (PyPI's opentelemetry-proto) and
compared with the models.

Runs test_otlp_encoder and test_otlp_json with --write, which leave batches and, beside each, its model as JSON
(tests/support/span_generator.h describes it).
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from peers import missing

try:
    import expected
    import otlp_decoder
except ImportError as error:
    missing(f"{error}; pip install -r tests/requirements.txt")


def plain(attributes):
    """A model's attributes in the form of expected.py: key, type and value only, and empty arrays untyped."""
    return [[key, "strs" if value == [] else kind, value] for key, kind, value, *_ in attributes]


def plain_span(model):
    return dict(model, attributes=plain(model["attributes"]),
                events=[dict(event, attributes=plain(event["attributes"])) for event in model["events"]],
                links=[dict(link, attributes=plain(link["attributes"])) for link in model["links"]])


def expect(what, wanted, actual):
    if wanted != actual:
        raise AssertionError(f"{what}: expected {wanted!r}, got {actual!r}")


def expect_batch(what, model, data):
    expect(what + " resource_spans", 1, len(data.resource_spans))
    resource_spans = data.resource_spans[0]
    expect(what + " resource", plain(model["resource"]), expected.attributes_form(resource_spans.resource.attributes))
    expect(what + " scope_spans", 1, len(resource_spans.scope_spans))
    expect(what + " scope", "nanospan", resource_spans.scope_spans[0].scope.name)
    spans = expected.spans_of(data)
    found = []
    expected.compare(what, [plain_span(span) for span in model["spans"]], spans, found)
    if found:
        raise AssertionError(expected.report(found))
    return len(spans)


def model_of(path):
    return json.loads(path.read_text(encoding="utf-8"))


def main():
    traces = otlp_decoder.OWNERS_TRACES
    if traces is None:
        missing("opentelemetry-proto is not there; pip install -r tests/requirements.txt")
    programs = Path(os.environ["NSP_BUILD_DIR"]) / "tests"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for program in ("test_otlp_encoder", "test_otlp_json"):
            subprocess.run([programs / program, "--write", folder], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=90)

        spans = 0
        batches = sorted(folder.glob("batch-*.pb"))
        for path in batches:
            data = otlp_decoder.decode_protobuf(traces, path.read_bytes())
            spans += expect_batch(path.name, model_of(path.with_suffix(".model.json")), data)
        print(f"protobuf: {len(batches)} batches, {spans} spans")
        if spans < 1000:
            raise AssertionError("too few spans in protobuf")

        spans = 0
        lines = (folder / "lines.jsonl").read_text(encoding="utf-8").split("\n")
        expect("what follows the last newline", "", lines.pop())
        for index, line in enumerate(lines):
            data = otlp_decoder.decode_json(traces, line)
            spans += expect_batch(f"line {index}", model_of(folder / f"line-{index:03}.model.json"), data)
        print(f"JSON: {len(lines)} lines, {spans} spans")
        if spans < 900:
            raise AssertionError("too few spans in JSON")
    return 0


if __name__ == "__main__":
    sys.exit(main())
