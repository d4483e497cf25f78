# SPDX-License-Identifier: Apache-2.0
"""Contexts and baggage in the header fields of requests, in the formats of OTEL_PROPAGATORS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from nanospan import _plain
from nanospan._library import ffi, lib, trouble
from nanospan._span import INVALID_CONTEXT, Span, SpanContext, context_from_c

Fields = Mapping[str, Any] | Iterable[tuple[str | bytes, str | bytes]]

_READ = frozenset(
    (b"traceparent", b"tracestate", b"baggage", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-sampled", b"x-b3-flags")
)

_LONGEST_FIELDS = 16 * 1024  # that nspy_fields has room for


class Context:
    """What came with a request, or what set_baggage has made of it: pass it as `context` of a span, or to attach. While
    it is current, its baggage is sent on. It never changes."""

    __slots__ = ("carried", "span")

    def __init__(self, carried: Any = None, span: Span | None = None) -> None:
        self.carried = carried  # nsp_incoming of C, or _plain.Carried without the library; None: nothing
        self.span = span  # of this process, None: what spans begin below came from another one

    def c_context(self) -> Any:
        """The structure of C, or its NULL."""
        return ffi.NULL if self.carried is None else ffi.addressof(self.carried, "context")

    def c_baggage(self) -> Any:
        return ffi.NULL if self.carried is None else ffi.addressof(self.carried, "baggage")

    def get_span_context(self) -> SpanContext:
        """The identity of the span below which spans would begin; an invalid one if they would begin a trace."""
        if self.span is not None:
            return self.span.get_span_context()
        if self.carried is None:
            return INVALID_CONTEXT
        context: SpanContext = self.carried.context if lib is None else context_from_c(self.carried.context)
        return context


NOTHING = Context()


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _ours(headers: Fields) -> Iterable[tuple[bytes, bytes]]:
    """The fields that are read. One that is too long, or that contains a zero, is left out, and the others count."""
    pairs: Any = headers.items() if hasattr(headers, "items") else headers
    room = _LONGEST_FIELDS
    for name, value in pairs:
        key = _encoded(name).lower() if isinstance(name, (str, bytes)) else b""
        if key not in _READ:
            continue
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if not isinstance(one, (str, bytes)):
                continue
            field = _encoded(one)
            size = len(key) + len(field) + 2
            if size <= room and b"\0" not in field:
                yield key, field
                room -= size


def extract(headers: Fields) -> Context:
    """Reads a request's fields: a mapping, or pairs of names and values (ASGI's, for example)."""
    try:
        fields = list(_ours(headers))
        if not fields:
            return NOTHING
        if lib is None:
            return Context(_plain.read(fields))
        text = b"".join(b"%b\0%b\0" % field for field in fields)
        carrier = ffi.new("nspy_fields *")
        carrier.length = len(text)
        ffi.memmove(carrier.text, text, len(text))
        incoming = ffi.new("nsp_incoming *")
        return Context(incoming) if lib.nspy_extract(incoming, carrier) else NOTHING
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
