# SPDX-License-Identifier: Apache-2.0
"""OTLP requests, decoded by Google's protobuf library: by the message definitions of OTLP's owners (PyPI's
opentelemetry-proto) if they are installed, otherwise by tests/support/trace.proto, which protoc reads.
Only the former are independent of this project's own list of field numbers; both decode the wire format
independently.
"""
import base64
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import google.protobuf
except ImportError:  # a Python without PyPI's packages: Debian's python3-protobuf does as well
    sys.path.append("/usr/lib/python3/dist-packages")
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

try:
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData as OWNERS_TRACES
except ImportError:
    OWNERS_TRACES = None


def protoc_traces():
    """The class of the message TracesData as trace.proto describes it."""
    source = Path(__file__).with_name("trace.proto")
    with tempfile.TemporaryDirectory() as folder:
        described = Path(folder, "described")
        subprocess.run(["protoc", f"--proto_path={source.parent}", f"--descriptor_set_out={described}", source.name],
                       check=True, timeout=60)
        files = descriptor_pb2.FileDescriptorSet.FromString(described.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    descriptor = pool.FindMessageTypeByName("nanospan.tests.TracesData")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


def definitions():
    """Every available definition, by its name: {name: class of TracesData}."""
    found = {"opentelemetry-proto": OWNERS_TRACES} if OWNERS_TRACES else {}
    try:
        found["trace.proto"] = protoc_traces()
    except OSError:
        if not found:
            raise
    return found


def decode_protobuf(traces, data):
    """A TracesData from the bytes (a request has the same fields). Its definition must know every field."""
    message = traces.FromString(data)
    known = traces()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    unknown = len(message.SerializeToString()) - len(known.SerializeToString())
    if unknown:
        raise ValueError(f"{unknown} bytes are in fields that the definition does not know")
    return message


HEX_MEMBERS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
TEXT_NUMBERS = ("intValue", "startTimeUnixNano", "endTimeUnixNano", "timeUnixNano")


def to_protobuf_json(node):
    """OTLP's JSON has ids in hex, where protobuf's has base64. Rejects what protobuf's parser accepts but
    OTLP does not."""
    if isinstance(node, list):
        return [to_protobuf_json(item) for item in node]
    if not isinstance(node, dict):
        return node
    converted = {}
    for key, value in node.items():
        if not re.fullmatch("[a-z][A-Za-z]*", key):
            raise ValueError(f"{key!r} is not in lowerCamelCase")
        if key in HEX_MEMBERS:
            if not re.fullmatch("[0-9a-f]{%d}" % HEX_MEMBERS[key], value):
                raise ValueError(f"{key} is {value!r}")
            value = base64.b64encode(bytes.fromhex(value)).decode()
        elif key in TEXT_NUMBERS and not (isinstance(value, str) and re.fullmatch("-?[0-9]+", value)):
            raise ValueError(f"{key} is {value!r}, not a decimal text")
        elif key in ("kind", "code") and not isinstance(value, int):
            raise ValueError(f"{key} is {value!r}, not a number")
        converted[key] = to_protobuf_json(value)
    return converted


def unique(pairs):
    node = dict(pairs)
    if len(node) != len(pairs):
        raise ValueError(f"a member is there twice: {[key for key, _ in pairs]}")
    return node


def decode_json(traces, text):
    """A TracesData from one OTLP JSON object."""
    tree = json.loads(text, object_pairs_hook=unique)
    return json_format.Parse(json.dumps(to_protobuf_json(tree)), traces())
