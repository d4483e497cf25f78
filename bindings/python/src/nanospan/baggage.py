# SPDX-License-Identifier: Apache-2.0
"""Names and values that travel with a request, through all services: OpenTelemetry's module of this name. What is sent to
another service is sent to whoever owns it, so keep secrets out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nanospan import _plain
from nanospan._library import ffi, lib, text_of, trouble
from nanospan._propagation import Context
from nanospan.context import get_current

__all__ = ["clear", "get_all", "get_baggage", "remove_baggage", "set_baggage"]


def _decoded(text: Any, length: int) -> str:
    out = ffi.new("char[]", length + 1)
    raw: bytes = ffi.unpack(out, lib.nsp_baggage_decode(text, length, out, length + 1))
    return raw.decode("utf-8", "replace")


def get_all(context: Context | None = None) -> Mapping[str, str]:
    """All of the baggage: of `context` (what extract() returns, for example), or of what is current."""
    found: dict[str, str] = {}
    try:
        carried = (context or get_current()).carried
        if carried is None:
            pass
        elif lib is None:
            found = {key: _plain.decoded(value) for key, value in carried.baggage.items()}
        else:
            baggage, at, member = ffi.addressof(carried, "baggage"), ffi.new("size_t *"), ffi.new("nsp_baggage_member *")
            while lib.nsp_baggage_next(baggage, at, member):
                key = ffi.unpack(member.key, member.key_length).decode("ascii")
                found[key] = _decoded(member.value, member.value_length)
    except Exception:
        trouble("baggage")
    return MappingProxyType(found)


def get_baggage(name: str, context: Context | None = None) -> str | None:
    """The value of a name of the baggage, or None."""
    try:
        return get_all(context).get(name)
    except Exception:
        trouble("baggage")
        return None


def _changed(context: Context | None, change: Any) -> Context:
    """A context whose baggage `change` has changed."""
    before = get_current() if context is None else context
    try:
        if lib is None:
            carried = before.carried or _plain.Carried()
            return Context(carried._replace(baggage=change(carried.baggage)), before.span)
        incoming = ffi.new("nsp_incoming *")
        if before.carried is not None:
            incoming[0] = before.carried[0]
        change(ffi.addressof(incoming, "baggage"))
        return Context(incoming, before.span)
    except Exception:
        trouble("baggage")
        return before


def set_baggage(name: str, value: object, context: Context | None = None) -> Context:
    """A context with this value too, for context.attach, or as `context` of a span. Values are texts: str(value). What is
    no name (W3C: letters, digits and some signs), or does not fit into 8 KiB with the others, is left out."""
    text = text_of(value)

    def change(baggage: Any) -> Any:
        if lib is None:
            return _plain.with_member(baggage, name, text)
        sent = text.encode("utf-8", "replace")
        if lib.nsp_baggage_set_with(baggage, name.encode(), sent, len(sent), ffi.NULL) != lib.NSP_OK:
            raise ValueError(name)
        return None

    return _changed(context, change)


def remove_baggage(name: str, context: Context | None = None) -> Context:
    """A context without this name."""

    def change(baggage: Any) -> Any:
        return _plain.without_member(baggage, name) if lib is None else lib.nsp_baggage_remove(baggage, name.encode())

    return _changed(context, change)


def clear(context: Context | None = None) -> Context:
    """A context without baggage."""
    return _changed(context, lambda baggage: {} if lib is None else lib.nsp_baggage_parsen(baggage, ffi.NULL, 0))
