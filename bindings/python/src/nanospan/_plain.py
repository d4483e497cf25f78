# SPDX-License-Identifier: Apache-2.0
"""W3C contexts and baggage without the C library: nothing is traced then, but what comes with a request is still sent on
and read, as with OpenTelemetry's API without its SDK."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, unquote

from nanospan._span import INVALID_CONTEXT, SpanContext

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE = re.compile(r"[\x20-\x7e]{1,512}")
_KEY = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*([ \t]*;[\x20\x21\x23-\x2b\x2d-\x5b\x5d-\x7e\t]*)?")
_MOST_BYTES = 8192  # NSP_BAGGAGE_MAX


class Carried(NamedTuple):
    """What came with a request. Values of the baggage are in the form in which they are sent."""

    context: SpanContext = INVALID_CONTEXT
    baggage: Mapping[str, str] = MappingProxyType({})


def _context(traceparents: list[str], state: str) -> SpanContext:
    found = _TRACEPARENT.fullmatch(traceparents[0].strip()) if len(traceparents) == 1 else None
    if found is None or (found[1] == "00" and found[5]):
        return INVALID_CONTEXT
    state = state if _STATE.fullmatch(state) else ""
    context = SpanContext(int(found[2], 16), int(found[3], 16), True, int(found[4], 16) & 3, state)
    return context if context.is_valid else INVALID_CONTEXT


def _fits(baggage: Mapping[str, str]) -> bool:
    return len(format_baggage(baggage)) <= _MOST_BYTES


def read(fields: Iterable[tuple[bytes, bytes]]) -> Carried:
    texts: dict[str, list[str]] = {}
    for field, raw in fields:
        texts.setdefault(field.decode("latin-1"), []).append(raw.decode("latin-1"))
    baggage: dict[str, str] = {}
    text = ",".join(texts.get("baggage", ()))
    for member in text.split(",") if len(text) <= _MOST_BYTES else ():
        key, equals, value = (part.strip(" \t") for part in member.partition("="))
        if equals and _KEY.fullmatch(key) and _VALUE.fullmatch(value):
            baggage[key] = value
    return Carried(_context(texts.get("traceparent", []), ",".join(texts.get("tracestate", ()))), baggage)


def format_baggage(baggage: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in baggage.items())


def decoded(value: str) -> str:
    return unquote(value.partition(";")[0].strip(" \t"), errors="replace")


def with_member(baggage: Mapping[str, str], key: str, value: str) -> Mapping[str, str]:
    """The baggage with another value of a key, at its end; unchanged if that is not allowed."""
    changed = {**without_member(baggage, key), key: quote(value, safe="", errors="replace")}
    return changed if _KEY.fullmatch(key) and _fits(changed) else baggage


def without_member(baggage: Mapping[str, str], key: str) -> Mapping[str, str]:
    return {name: value for name, value in baggage.items() if name != key}


def fields_of(context: SpanContext, baggage: Mapping[str, str]) -> list[tuple[str, str]]:
    """The header fields that carry a context and baggage."""
    fields = [("traceparent", context.traceparent())]
    fields.append(("tracestate", context.trace_state if context.is_valid else ""))
    fields.append(("baggage", format_baggage(baggage)))
    return [(name, value) for name, value in fields if value]
