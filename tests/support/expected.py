# SPDX-License-Identifier: Apache-2.0
"""Compares spans that a receiver got with what was emitted: every span, id, parent, kind, status,
attribute, event, link and nanosecond. Both sides are brought to one plain form, that of the file that the
program `emit` writes:

    {"traceId", "spanId", "parentSpanId" (hex, "" if there is none), "traceState", "name", "kind", "start", "end"
     (decimal texts, unix ns), "flags", "attributes": [[key, type, value], ...], "droppedAttributes",
     "events": [{"name", "time", "attributes", "dropped"}], "droppedEvents",
     "links": [{"traceId", "spanId", "traceState", "flags", "attributes", "dropped"}], "droppedLinks",
     "status": {"code", "message"}}

Values by type: str text, bool, i64 decimal text, f64 the bits in hex ("nan" for all of those), bytes hex;
strs, bools, i64s, f64s lists of these; nothing for a missing value. An empty array has the type "strs",
because OTLP does not say of which type it has no elements.
"""
import json
import math
import struct

SCALARS = {"string_value": "str", "bool_value": "bool", "int_value": "i64", "double_value": "f64", "bytes_value": "bytes"}


def f64_bits(value):
    return "nan" if math.isnan(value) else struct.pack(">d", value).hex()


def scalar(message):
    field = message.WhichOneof("value")
    kind = SCALARS.get(field, field or "nothing")
    value = getattr(message, field) if field else None
    if kind == "i64":
        value = str(value)
    elif kind == "f64":
        value = f64_bits(value)
    elif kind == "bytes":
        value = value.hex()
    return kind, value


def attribute_form(pair):
    if pair.value.WhichOneof("value") != "array_value":
        return [pair.key, *scalar(pair.value)]
    elements = [scalar(element) for element in pair.value.array_value.values]
    kinds = {kind for kind, _ in elements} or {"str"}
    if len(kinds) > 1:
        return [pair.key, "mixed", elements]
    return [pair.key, kinds.pop() + "s", [value for _, value in elements]]


def attributes_form(pairs):
    return [attribute_form(pair) for pair in pairs]


def span_form(span):
    """The plain form of a protobuf Span, whichever definition it was decoded by."""
    return {
        "traceId": span.trace_id.hex(), "spanId": span.span_id.hex(), "parentSpanId": span.parent_span_id.hex(),
        "traceState": span.trace_state, "name": span.name, "kind": int(span.kind),
        "start": str(span.start_time_unix_nano), "end": str(span.end_time_unix_nano), "flags": span.flags,
        "attributes": attributes_form(span.attributes), "droppedAttributes": span.dropped_attributes_count,
        "events": [{"name": event.name, "time": str(event.time_unix_nano), "attributes": attributes_form(event.attributes),
                    "dropped": event.dropped_attributes_count} for event in span.events],
        "droppedEvents": span.dropped_events_count,
        "links": [{"traceId": link.trace_id.hex(), "spanId": link.span_id.hex(), "traceState": link.trace_state,
                   "flags": link.flags, "attributes": attributes_form(link.attributes),
                   "dropped": link.dropped_attributes_count} for link in span.links],
        "droppedLinks": span.dropped_links_count,
        "status": {"code": int(span.status.code), "message": span.status.message},
    }


def spans_of(traces):
    """The plain forms of all spans in a TracesData or an export request."""
    return [span_form(span) for resource_spans in traces.resource_spans for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans]


def resource_of(traces):
    """The one resource of a TracesData, {key: value}."""
    pairs = [attributes_form(resource_spans.resource.attributes) for resource_spans in traces.resource_spans]
    if len(pairs) != 1:
        raise AssertionError(f"{len(pairs)} resources instead of one")
    return {key: value for key, _, value in pairs[0]}


def load(path):
    """(spans, accounting) of the file that `emit --expect` wrote."""
    with open(path, encoding="utf-8") as file:
        whole = json.load(file)
    return whole["spans"], whole["accounting"]


def describe(span):
    return f"span {span.get('spanId')} {span.get('name')!r}"


def ordered_attributes(holder):
    return dict(holder, attributes=sorted(holder["attributes"], key=lambda attribute: attribute[0]))


def without_order(span):
    span = ordered_attributes(span)
    span["events"] = [ordered_attributes(event) for event in span["events"]]
    span["links"] = [ordered_attributes(link) for link in span["links"]]
    return span


def compare(path, expected, received, out):
    if isinstance(expected, dict) and isinstance(received, dict):
        for key in expected.keys() | received.keys():
            if key not in expected or key not in received:
                out.append(f"{path}.{key}: {'not expected' if key not in expected else 'missing'}")
            else:
                compare(f"{path}.{key}", expected[key], received[key], out)
    elif isinstance(expected, list) and isinstance(received, list):
        if len(expected) != len(received):
            out.append(f"{path}: {len(received)} instead of {len(expected)}: {received!r} instead of {expected!r}")
            return
        for index, (one, other) in enumerate(zip(expected, received)):
            compare(f"{path}[{index}]", one, other, out)
    elif expected != received or isinstance(expected, bool) != isinstance(received, bool):
        out.append(f"{path}: expected {expected!r}, got {received!r}")


def differences(expected, received, ordered=True, ignore=()):
    """The differences between the received and the emitted spans, one readable line each; empty if there
    are none. ordered: attributes must be in the order in which they were set. ignore: members of a span
    that the receiver cannot show."""
    out = []
    by_id = {}
    for span in received:
        key = span["traceId"], span["spanId"]
        if key in by_id:
            out.append(f"{describe(span)}: received twice")
        by_id[key] = span
    for span in expected:
        other = by_id.pop((span["traceId"], span["spanId"]), None)
        if other is None:
            out.append(f"{describe(span)}: not received")
            continue
        if not ordered:
            span, other = without_order(span), without_order(other)
        compare(describe(span), {key: value for key, value in span.items() if key not in ignore},
                {key: value for key, value in other.items() if key not in ignore}, out)
    out += [f"{describe(span)}: was never emitted" for span in by_id.values()]
    return out


def report(found, most=10):
    """The differences as one text for an assertion."""
    more = [f"and {len(found) - most} more"] if len(found) > most else []
    return "\n".join(["the spans differ:"] + found[:most] + more)
