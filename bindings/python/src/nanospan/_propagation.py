# SPDX-License-Identifier: Apache-2.0
"""Contexts and baggage in the header fields of requests, in the formats of OTEL_PROPAGATORS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from nanospan._library import ffi, lib, trouble
from nanospan._span import INVALID_CONTEXT, SpanContext, context_from_c

Fields = Mapping[str, Any] | Iterable[tuple[str | bytes, str | bytes]]

_READ = frozenset(
    (b"traceparent", b"tracestate", b"baggage", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-sampled", b"x-b3-flags")
)

_LONGEST_FIELDS = 16 * 1024  # that nspy_fields has room for


class Incoming:
    """What came with a request: pass it as `context` of a span. While that span is current, its baggage is sent on."""

    __slots__ = ("c",)

    def __init__(self, c: Any = None) -> None:
        self.c = c

    def context(self) -> Any:
        """The structure of C, or its NULL."""
        return ffi.NULL if self.c is None else ffi.addressof(self.c, "context")

    def get_span_context(self) -> SpanContext:
        return INVALID_CONTEXT if self.c is None else context_from_c(self.c.context)

    def get_baggage(self, key: str) -> str | None:
        if self.c is None or not isinstance(key, str):
            return None
        value, length = ffi.new("char[]", lib.NSP_BAGGAGE_MAX + 1), ffi.new("size_t *")
        found = lib.nsp_baggage_get(ffi.addressof(self.c, "baggage"), _encoded(key), value, len(value), length)
        return ffi.unpack(value, length[0]).decode("utf-8", "replace") if found == lib.NSP_OK else None


NOTHING = Incoming()


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def extract(headers: Fields) -> Incoming:
    """Reads a request's fields: a mapping, or pairs of names and values (ASGI's, for example)."""
    if lib is None:
        return NOTHING
    try:
        pairs: Any = headers.items() if hasattr(headers, "items") else headers
        texts: list[bytes] = []
        room = _LONGEST_FIELDS
        for name, value in pairs:
            key = _encoded(name).lower() if isinstance(name, (str, bytes)) else b""
            if key not in _READ:
                continue
            for one in value if isinstance(value, (list, tuple)) else (value,):
                if not isinstance(one, (str, bytes)):
                    continue
                field = b"%b\0%b\0" % (key, _encoded(one))
                # One that is too long, or that contains a zero, is left out, and the others count.
                if len(field) <= room and field.count(b"\0") == 2:
                    texts.append(field)
                    room -= len(field)
        if not texts:
            return NOTHING
        text = b"".join(texts)
        fields = ffi.new("nspy_fields *")
        fields.length = len(text)
        ffi.memmove(fields.text, text, len(text))
        incoming = ffi.new("nsp_incoming *")
        return Incoming(incoming) if lib.nspy_extract(incoming, fields) else NOTHING
    except Exception:
        trouble("what came with a request")
        return NOTHING


def fields_of(context: Any, baggage: Any) -> list[tuple[str, str]]:
    """The fields that carry a context and baggage (structures of C, or NULL)."""
    fields = ffi.new("nspy_fields *")
    lib.nspy_inject(context, baggage, fields)
    texts = ffi.buffer(fields.text, fields.length)[:].split(b"\0")
    return [(name.decode("ascii"), value.decode("latin-1")) for name, value in zip(texts[::2], texts[1::2], strict=False)]


def replace(headers: MutableMapping[str, Any], fields: Iterable[tuple[str, str]]) -> None:
    """Sets fields, in place of those that belong to another span, in any case of letters."""
    ours = {name.decode() for name in _READ if name != b"baggage"}.union(name for name, _ in fields)
    for name in [name for name in headers if isinstance(name, str) and name.lower() in ours]:
        try:
            del headers[name]
        except KeyError:  # there were several, and the first call has removed all
            pass
    for name, value in fields:
        headers[name] = value
