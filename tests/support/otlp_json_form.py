# SPDX-License-Identifier: Apache-2.0
"""Reads OTLP JSON that the Collector's file exporter or Jaeger's query API wrote, into the plain form of
expected.py."""
import base64
import json

from expected import f64_bits


def parse(text):
    """The tree. The integer -0, which some writers use for -0.0, keeps its sign."""
    return json.loads(text, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits))


def scalar(value):
    if not value:
        return "nothing", None
    (member, content), = value.items()
    if member == "stringValue":
        return "str", content
    if member == "boolValue":
        return "bool", content
    if member == "intValue":
        return "i64", str(content)
    if member == "doubleValue":
        return "f64", f64_bits(float(content))
    if member == "bytesValue":
        return "bytes", base64.b64decode(content).hex()
    return member, content


def attribute_form(pair):
    if "arrayValue" not in pair["value"]:
        return [pair["key"], *scalar(pair["value"])]
    elements = [scalar(element) for element in pair["value"]["arrayValue"].get("values", [])]
    kinds = {kind for kind, _ in elements} or {"str"}
    if len(kinds) > 1:
        return [pair["key"], "mixed", elements]
    return [pair["key"], kinds.pop() + "s", [value for _, value in elements]]


def attributes_form(holder):
    return [attribute_form(pair) for pair in holder.get("attributes", [])]


def span_form(span):
    status = span.get("status", {})
    return {
        "traceId": span["traceId"], "spanId": span["spanId"], "parentSpanId": span.get("parentSpanId", ""),
        "traceState": span.get("traceState", ""), "name": span["name"], "kind": span.get("kind", 0),
        "start": span["startTimeUnixNano"], "end": span["endTimeUnixNano"], "flags": span.get("flags", 0),
        "attributes": attributes_form(span), "droppedAttributes": span.get("droppedAttributesCount", 0),
        "events": [{"name": event["name"], "time": event["timeUnixNano"], "attributes": attributes_form(event),
                    "dropped": event.get("droppedAttributesCount", 0)} for event in span.get("events", [])],
        "droppedEvents": span.get("droppedEventsCount", 0),
        "links": [{"traceId": link["traceId"], "spanId": link["spanId"], "traceState": link.get("traceState", ""),
                   "flags": link.get("flags", 0), "attributes": attributes_form(link),
                   "dropped": link.get("droppedAttributesCount", 0)} for link in span.get("links", [])],
        "droppedLinks": span.get("droppedLinksCount", 0),
        "status": {"code": status.get("code", 0), "message": status.get("message", "")},
    }


def groups_of(tree):
    """Returns [({key: value} of the resource, scope's name, [spans])]. Jaeger's answer has its tree under
    `result`."""
    found = []
    for resource_spans in tree.get("result", tree).get("resourceSpans", []):
        resource = {key: value for key, _, value in attributes_form(resource_spans["resource"])}
        found += [(resource, scope_spans.get("scope", {}).get("name", ""), [span_form(span) for span in scope_spans["spans"]])
                  for scope_spans in resource_spans["scopeSpans"]]
    return found
