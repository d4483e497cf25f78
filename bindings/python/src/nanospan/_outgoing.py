# SPDX-License-Identifier: Apache-2.0
"""What a request to another service takes along."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from nanospan import _plain
from nanospan._library import ffi, lib, trouble
from nanospan._propagation import NOTHING, Context, fields_of, replace
from nanospan._span import Span, SpanContext, context_to_c
from nanospan._tracer import current_scope


def _fields(context: Context | Span | SpanContext | None) -> list[tuple[str, str]]:
    scope = current_scope()
    carried = NOTHING if scope is None or scope.context is None else scope.context
    if isinstance(context, Context):
        carried, context = context, context.span
    elif context is None and scope is not None:
        context = scope.span
    if isinstance(context, Span) and not context.has_context():
        context = None
    if lib is None:
        named = carried if context is None else context
        span_context = named if isinstance(named, SpanContext) else named.get_span_context()
        return _plain.fields_of(span_context, carried.carried.baggage if carried.carried else {})
    if isinstance(context, SpanContext):
        c = context_to_c(context)
    elif context is not None:
        c = ffi.addressof(context._c, "context")
    else:
        c = carried.c_context()
    return fields_of(c, carried.c_baggage())


def inject(headers: MutableMapping[str, Any], context: Context | Span | SpanContext | None = None) -> None:
    """Writes a span's context, None: the current one's, and the current baggage into a request's fields. Without a
    span, because tracing is turned off, what came in is sent on."""
    try:
        fields = _fields(context)
        if fields:
            replace(headers, fields)
    except Exception:
        trouble("a context")


def headers(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The fields for a request that is made in the current span, after those of `more`:
    `client.get(url, headers=nanospan.headers())`, with httpx, requests or aiohttp."""
    fields = dict(more or {})
    inject(fields)
    return fields
