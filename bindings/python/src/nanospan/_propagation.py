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
        if self.c is None:
            return None
        value, length = ffi.new("char[]", lib.NSP_BAGGAGE_MAX + 1), ffi.new("size_t *")
        found = lib.nsp_baggage_get(ffi.addressof(self.c, "baggage"), key.encode(), value, len(value), length)
        return ffi.unpack(value, length[0]).decode("utf-8", "replace") if found == lib.NSP_OK else None


NOTHING = Incoming()


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def extract(headers: Fields) -> Incoming:
    """Reads a request's fields: a mapping, or pairs of names and values (ASGI's, for example)."""
    if lib is None:
        return NOTHING
    try:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        text = b""
        for name, value in pairs:
            name = _encoded(name).lower()
            if name in _READ:
                for one in value if isinstance(value, (list, tuple)) else (value,):
                    one = _encoded(one)
                    if b"\0" not in one:
                        text += name + b"\0" + one + b"\0"
        if not text:
            return NOTHING
        fields = ffi.new("nspy_fields *")
        if len(text) > len(fields.text):
            return NOTHING
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


def clear(headers: MutableMapping[str, Any]) -> None:
    """Removes what belongs to another span, in any case of letters."""
    ours = {name.decode() for name in _READ if name != b"baggage"}
    for name in [name for name in headers if name.lower() in ours]:
        del headers[name]
