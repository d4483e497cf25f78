# SPDX-License-Identifier: Apache-2.0
"""Tracing for Python services, over nanospan's span pipeline in C:

    from nanospan import get_tracer, init_observability, instrument_fastapi

    init_observability(service_name="my-service")
    instrument_fastapi(app)

    with get_tracer().start_as_current_span("process_signal") as span:
        span.set_attribute("symbol", "BTCUSDT")

The names are OpenTelemetry's. No call on a tracer or a span raises, and without the C library nothing is traced.
"""

from nanospan._asgi import TracingMiddleware, instrument_fastapi
from nanospan._lifecycle import flush, init_observability, shutdown
from nanospan._outgoing import headers, inject
from nanospan._propagation import Context, extract
from nanospan._span import INVALID_SPAN, Link, Span, SpanContext, SpanKind, Status, StatusCode
from nanospan._tracer import Tracer, get_current_span, get_tracer, use_span
from nanospan.baggage import get_baggage, remove_baggage, set_baggage
from nanospan.context import attach, detach
from nanospan.version import __version__

__all__ = [
    "INVALID_SPAN",
    "Context",
    "Link",
    "Span",
    "SpanContext",
    "SpanKind",
    "Status",
    "StatusCode",
    "Tracer",
    "TracingMiddleware",
    "__version__",
    "attach",
    "detach",
    "extract",
    "flush",
    "get_baggage",
    "get_current_span",
    "get_tracer",
    "headers",
    "init_observability",
    "inject",
    "instrument_fastapi",
    "remove_baggage",
    "set_baggage",
    "shutdown",
    "use_span",
]
