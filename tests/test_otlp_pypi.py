# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
"""What the encoders write, decoded by OTLP's own message definitions (PyPI's opentelemetry-proto), against the models.

Runs test_otlp_encoder and test_otlp_json with --write, which leave batches and, beside each, its model as JSON
(tests/support/span_generator.h describes it).
"""
import base64
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    from google.protobuf import json_format
    from opentelemetry.proto.trace.v1 import trace_pb2
except ImportError as error:
    print(f"skipped: {error}; pip install -r tests/requirements.txt")
    sys.exit(77)

FIELD_OF_TYPE = {"str": "string_value", "bool": "bool_value", "i64": "int_value", "f64": "double_value",
                 "bytes": "bytes_value"}


def expect(what, expected, actual):
    if expected != actual:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def f64_model(value):
    return "nan" if math.isnan(value) else struct.pack(">d", value).hex()


def expect_value(what, kind, model, value):
    if kind in ("strs", "bools", "i64s", "f64s"):
        expect(what, "array_value", value.WhichOneof("value"))
        expect(what + " length", len(model), len(value.array_value.values))
        for index, element in enumerate(value.array_value.values):
            expect_value(f"{what}[{index}]", kind[:-1], model[index], element)
        return
    field = FIELD_OF_TYPE[kind]
    expect(what, field, value.WhichOneof("value"))
    actual = getattr(value, field)
    if kind == "i64":
        actual = str(actual)
    elif kind == "f64":
        actual = f64_model(actual)
    elif kind == "bytes":
        actual = actual.hex()
    expect(what, model, actual)


def expect_attributes(what, model, attributes):
    expect(what + " attributes", len(model), len(attributes))
    for (key, kind, value, *_), attribute in zip(model, attributes):
        expect(what + " key", key, attribute.key)
        expect_value(f"{what} {key!r}", kind, value, attribute.value)


def expect_span(what, model, span):
    expect(what + " traceId", model["traceId"], span.trace_id.hex())
    expect(what + " spanId", model["spanId"], span.span_id.hex())
    expect(what + " parentSpanId", model["parentSpanId"], span.parent_span_id.hex())
    expect(what + " traceState", model["traceState"], span.trace_state)
    expect(what + " name", model["name"], span.name)
    expect(what + " kind", model["kind"], span.kind)
    expect(what + " start", model["start"], str(span.start_time_unix_nano))
    expect(what + " end", model["end"], str(span.end_time_unix_nano))
    expect(what + " flags", model["flags"], span.flags)
    expect_attributes(what, model["attributes"], span.attributes)
    expect(what + " droppedAttributes", model["droppedAttributes"], span.dropped_attributes_count)
    expect(what + " droppedEvents", model["droppedEvents"], span.dropped_events_count)
    expect(what + " droppedLinks", model["droppedLinks"], span.dropped_links_count)
    expect(what + " status", model["status"], {"code": span.status.code, "message": span.status.message})
    expect(what + " events", len(model["events"]), len(span.events))
    for index, (expected, event) in enumerate(zip(model["events"], span.events)):
        inner = f"{what} event {index}"
        expect(inner + " time", expected["time"], str(event.time_unix_nano))
        expect(inner + " name", expected["name"], event.name)
        expect(inner + " dropped", expected["dropped"], event.dropped_attributes_count)
        expect_attributes(inner, expected["attributes"], event.attributes)
    expect(what + " links", len(model["links"]), len(span.links))
    for index, (expected, link) in enumerate(zip(model["links"], span.links)):
        inner = f"{what} link {index}"
        expect(inner + " traceId", expected["traceId"], link.trace_id.hex())
        expect(inner + " spanId", expected["spanId"], link.span_id.hex())
        expect(inner + " traceState", expected["traceState"], link.trace_state)
        expect(inner + " flags", expected["flags"], link.flags)
        expect(inner + " dropped", expected["dropped"], link.dropped_attributes_count)
        expect_attributes(inner, expected["attributes"], link.attributes)


def expect_batch(what, model, data):
    expect(what + " resource_spans", 1, len(data.resource_spans))
    resource_spans = data.resource_spans[0]
    expect_attributes(what + " resource", model["resource"], resource_spans.resource.attributes)
    expect(what + " scope_spans", 1, len(resource_spans.scope_spans))
    scope_spans = resource_spans.scope_spans[0]
    expect(what + " scope", "nanospan", scope_spans.scope.name)
    expect(what + " spans", len(model["spans"]), len(scope_spans.spans))
    for index, span in enumerate(scope_spans.spans):
        expect_span(f"{what} span {index}", model["spans"][index], span)
    return len(scope_spans.spans)


def unknown_fields(message):
    """Bytes of the message that its definition does not know: a wrong field number ends up here."""
    return len(message.SerializeToString()) - len(cleared(message).SerializeToString())


def cleared(message):
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    return copy


def ids_to_base64(node):
    """protobuf's JSON has bytes in base64 everywhere; OTLP's has trace and span ids in hex."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("traceId", "spanId", "parentSpanId"):
                node[key] = base64.b64encode(bytes.fromhex(value)).decode()
            else:
                ids_to_base64(value)
    elif isinstance(node, list):
        for value in node:
            ids_to_base64(value)


def model_of(path):
    return json.loads(path.read_text(encoding="utf-8"))


def main():
    programs = Path(os.environ["NSP_BUILD_DIR"]) / "tests"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for program in ("test_otlp_encoder", "test_otlp_json"):
            subprocess.run([programs / program, "--write", folder], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=90)

        spans = 0
        batches = sorted(folder.glob("batch-*.pb"))
        for path in batches:
            data = trace_pb2.TracesData()
            data.ParseFromString(path.read_bytes())
            expect(path.name + " unknown bytes", 0, unknown_fields(data))
            spans += expect_batch(path.name, model_of(path.with_suffix(".model.json")), data)
        print(f"protobuf: {len(batches)} batches, {spans} spans")
        if spans < 1000:
            raise AssertionError("too few spans in protobuf")

        spans = 0
        lines = (folder / "lines.jsonl").read_text(encoding="utf-8").split("\n")
        expect("what follows the last newline", "", lines.pop())
        for index, line in enumerate(lines):
            tree = json.loads(line)
            ids_to_base64(tree)
            data = json_format.Parse(json.dumps(tree), trace_pb2.TracesData())
            spans += expect_batch(f"line {index}", model_of(folder / f"line-{index:03}.model.json"), data)
        print(f"JSON: {len(lines)} lines, {spans} spans")
        if spans < 900:
            raise AssertionError("too few spans in JSON")
    return 0


if __name__ == "__main__":
    sys.exit(main())
