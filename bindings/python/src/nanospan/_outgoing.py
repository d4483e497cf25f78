# SPDX-License-Identifier: Apache-2.0
"""What a request to another service takes along."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from nanospan._library import ffi, lib, trouble
from nanospan._propagation import fields_of, replace
from nanospan._span import Span, SpanContext, context_to_c
from nanospan._tracer import current_scope


def inject(headers: MutableMapping[str, Any], context: Span | SpanContext | None = None) -> None:
    """Writes a span's context, None: the current one's, and the baggage that came in, into a request's fields. Without
    a span, because tracing is turned off, what came in is sent on."""
    if lib is None:
        return
    try:
        scope = current_scope()
        incoming = scope.incoming.c if scope is not None and scope.incoming is not None else None
        c = None
        if isinstance(context, SpanContext):
            c = context_to_c(context)
        else:
            span = context if context is not None else scope.span if scope is not None else None
            if span is not None and span._c is not None:
                c = ffi.addressof(span._c, "context")
            elif incoming is not None:
                c = ffi.addressof(incoming, "context")
        baggage = ffi.NULL if incoming is None else ffi.addressof(incoming, "baggage")
        fields = fields_of(ffi.NULL if c is None else c, baggage)
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


def get_baggage(key: str) -> str | None:
    """The value of a key of the baggage that came with the request that is being handled."""
    scope = current_scope()
    try:
        return None if scope is None or scope.incoming is None else scope.incoming.get_baggage(key)
    except Exception:
        trouble("baggage")
        return None
