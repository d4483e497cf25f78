# SPDX-License-Identifier: Apache-2.0
"""A span for each request of an ASGI application, FastAPI's above all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from nanospan._library import available, logger, trouble
from nanospan._lifecycle import rest, warn_if_forgotten
from nanospan._propagation import NOTHING, extract
from nanospan._routes import METHODS, Scope, describe, route_of
from nanospan._span import Span, SpanKind, StatusCode, description_of
from nanospan._tracer import Scope as Current
from nanospan._tracer import begin_span

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


# In the scope of a request that has its span: one of an application that is mounted in another one, for example.
_TRACED = "nanospan.traced"


class TracingMiddleware:
    """Traces the requests of an ASGI application. Websockets pass through as they are; so does the lifespan, at whose
    end what is left is sent, because a server that a signal ends may not reach the exit of its process."""

    def __init__(
        self,
        app: Application,
        *,
        routes: Callable[[], Iterable[Any]] = tuple,
        names: Mapping[str, str] | None = None,
        excluded: Iterable[str] = (),
        flush_timeout: float = 1.0,
    ) -> None:
        self.app = app
        self.routes = routes
        self.names = dict(names or {})
        excluded = [excluded] if isinstance(excluded, str) else list(excluded)
        self.excluded = frozenset(path for path in excluded if not path.endswith("*"))
        self.excluded_prefixes = tuple(path[:-1] for path in excluded if path.endswith("*"))
        self.flush_timeout = flush_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, self._flushing(send))
        elif scope["type"] != "http" or _TRACED in scope or self._is_excluded(scope["path"]):
            await self.app(scope, receive, send)
        else:
            scope[_TRACED] = True
            await self._trace(scope, receive, send)

    def _is_excluded(self, path: str) -> bool:
        return path in self.excluded or path.startswith(self.excluded_prefixes)

    def _flushing(self, send: Send) -> Send:
        async def wrapper(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                try:
                    loop = asyncio.get_running_loop()
                    done = loop.run_in_executor(None, rest, self.flush_timeout)
                except RuntimeError:  # another library's loop, or the application has shut its threads down
                    rest(self.flush_timeout)
                else:
                    await done
            await send(message)

        return wrapper

    def _begin(self, scope: Scope) -> Current:
        warn_if_forgotten()  # not before a request, because the start of the application may start tracing
        route = None
        try:
            route = route_of(self.routes(), scope)
        except Exception:
            trouble("a route")
        method = scope["method"]
        if method not in METHODS:
            method = "HTTP"
        name = method if route is None else f"{method} {route}"
        incoming = extract(scope["headers"])
        # A request that comes without a context begins a trace, wherever the server was started.
        span = begin_span(None, self.names.get(name, name), incoming, SpanKind.SERVER, root=incoming is NOTHING)
        if span.is_recording():
            try:
                describe(span, scope, route)
            except Exception:
                trouble("a request")
        return Current(span, incoming, record=False, status=False, end=False)

    async def _trace(self, scope: Scope, receive: Receive, send: Send) -> None:
        current = self._begin(scope)
        with current as span:
            request = _Request(span, receive, send)
            try:
                await self.app(scope, request.receive, request.send)
            except Exception as exception:
                request.failed(exception)
                raise
            finally:
                request.end()


class _Request:
    """One request: its span ends with the body of its response, before what runs in the background."""

    def __init__(self, span: Span, receive: Receive, send: Send) -> None:
        self.span = span
        self._receive = receive
        self._send = send
        self.status = 0
        self.exception: Exception | None = None
        self.answered: int | None = None
        self.gone = False
        self.ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not (self.ended or self.gone or self.answered is not None):
            self.gone = True  # who asks again is told so again
            self.span.add_event("client disconnected")
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
        await self._send(message)
        if kind == "http.response.body" and not message.get("more_body", False):
            if self.status < 500:
                self.end()
            else:  # the exception that is behind it comes only now
                self.answered = time.time_ns()

    def failed(self, exception: Exception) -> None:
        if self.ended:  # it is none of the response; and its stack, which has this in it, would be kept
            return
        self.status = self.status or 500
        self.exception = exception

    def end(self) -> None:
        if self.ended:
            return
        self.ended = True
        if self.status:
            self.span.set_attribute("http.response.status_code", self.status)
        exception, self.exception = self.exception, None
        if exception is not None:
            self.span.set_attribute("error.type", type(exception).__qualname__)
            self.span.set_status(StatusCode.ERROR, description_of(exception))
            self.span.record_exception(exception, timestamp=self.answered)  # last, since its stack takes what room there is
        elif self.status >= 500:
            self.span.set_attribute("error.type", str(self.status))
            self.span.set_status(StatusCode.ERROR)
        self.span.end(self.answered)


def instrument_fastapi(app: Any, *, names: Mapping[str, str] | None = None, excluded: Iterable[str] = ()) -> None:
    """Traces each request of a FastAPI or Starlette application, named by its method and route ("GET /signals/{id}").
    names: other names for some of them, {"GET /api/signals": "HTTP GET /api/signals"}. excluded: paths without spans
    ("/health", or with a star at the end: "/internal/*"). A second call changes nothing."""
    available()  # without the library, what comes with a request is still sent on
    try:
        _instrument(app, names, excluded)
    except Exception as problem:
        logger.warning("instrument_fastapi: the application is not traced: %s: %s", type(problem).__name__, problem)


def _instrument(app: Any, names: Mapping[str, str] | None, excluded: Iterable[str]) -> None:
    if getattr(app, "_nanospan_instrumented", False):
        return
    if not hasattr(app, "build_middleware_stack"):
        logger.warning("instrument_fastapi: %s is no FastAPI application, so it is not traced", type(app).__name__)
        return
    excluded = [excluded] if isinstance(excluded, str) else list(excluded)

    def traced(stack: Application) -> TracingMiddleware:
        return TracingMiddleware(stack, routes=lambda: app.routes, names=names, excluded=excluded)

    # Around all other middleware, also that which makes responses of exceptions.
    build = app.build_middleware_stack
    now = None if app.middleware_stack is None else traced(app.middleware_stack)
    traced(app)  # so that names and paths that make no sense are found now, and not at the first request
    app.build_middleware_stack = lambda: traced(build())
    app.middleware_stack = now
    app._nanospan_instrumented = True
