# SPDX-License-Identifier: Apache-2.0
"""The tracer, and which span is current.

What is current is a context variable, so each task of asyncio has its own, which begins as that of the task that made
it. A thread has none, unless whoever starts it hands its context over: asyncio.to_thread does, and a pool does with
contextvars.copy_context().run.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from nanospan._library import available, ffi, lib, name_of, trouble
from nanospan._lifecycle import resumed
from nanospan._propagation import Incoming
from nanospan._span import (
    INVALID_SPAN,
    Link,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    context_to_c,
    description_of,
    links_to_c,
)

Function = TypeVar("Function", bound=Callable[..., Any])
Parent = Span | SpanContext | Incoming | None

if ffi is not None:
    _new_span = ffi.new_allocator(should_clear_after_alloc=False)  # the library writes all of it
    _NULL = ffi.NULL


class Scope:
    """The time in which a span is current: a context manager, and a decorator of functions."""

    __slots__ = (
        "__weakref__",
        "_begin",
        "_end",
        "_explicit",
        "_record",
        "_status",
        "incoming",
        "left",
        "previous",
        "span",
    )

    incoming: Incoming | None
    previous: Scope | None
    span: Span

    def __init__(
        self, begin: tuple[Any, ...] | Span, explicit: Incoming | None, record: bool, status: bool, end: bool
    ) -> None:
        self._begin = begin
        self._explicit = explicit
        self._record = record
        self._status = status
        self._end = end
        # It ended in another order than it began, as scopes in generators may, or in another context.
        self.left = False

    def __enter__(self) -> Span:
        self.previous = previous = current_scope()
        self.left = False
        self.incoming = self._explicit if self._explicit is not None or previous is None else previous.incoming
        begin = self._begin
        self.span = begin if isinstance(begin, Span) else begin_span(previous, *begin)
        _current.set(self)
        return self.span

    def __exit__(self, kind: object, exception: BaseException | None, trace: object) -> None:
        span = self.span
        if isinstance(exception, Exception):
            if self._record:
                span.record_exception(exception)
            if self._status:
                span.set_status(StatusCode.ERROR, description_of(exception))
        if _current.get() is self:
            _current.set(self.previous)
            # Tasks that began meanwhile still have this scope; they need not keep all those before it.
            self.previous = None
        else:
            self.left = True
        if self._end:
            span.end()

    def _again(self) -> Scope:
        return Scope(self._begin, self._explicit, self._record, self._status, self._end)

    def __call__(self, function: Function) -> Function:
        wrapper: Any
        if inspect.isasyncgenfunction(function):

            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    async for item in function(*args, **kwargs):
                        yield item

        elif inspect.iscoroutinefunction(function):

            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return await function(*args, **kwargs)

        elif inspect.isgeneratorfunction(function):

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return (yield from function(*args, **kwargs))

        else:

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return function(*args, **kwargs)

        traced: Any = functools.wraps(function)(wrapper)
        return traced  # type: ignore[no-any-return]


_current: ContextVar[Scope | None] = ContextVar("nanospan_current", default=None)


def current_scope() -> Scope | None:
    scope = _current.get()
    while scope is not None and scope.left:
        scope = scope.previous
    return scope


def begin_span(
    previous: Scope | None,
    name: str,
    parent: Parent = None,
    kind: int = 0,
    attributes: Mapping[str, Any] | None = None,
    links: Iterable[Link | SpanContext | Span] = (),
    start_time: int | None = None,
    root: bool = False,
) -> Span:
    """Begins a span below `parent`, or else below the current one."""
    if lib is None:
        return INVALID_SPAN
    try:
        above, context = _NULL, _NULL
        if root:
            pass
        elif parent is None:
            if previous is not None and previous.span._c is not None:
                above = previous.span._c
            elif previous is not None and previous.incoming is not None:
                context = previous.incoming.context()
        elif isinstance(parent, Span):
            above = parent._c or _NULL
        elif isinstance(parent, Incoming):
            context = parent.context()
        else:
            context = context_to_c(parent)
        keep: list[Any] = []
        array, count = links_to_c(links, keep) if links else (_NULL, 0)
        out = _new_span("nspy_span *")
        number = name_of(name)
        begun = lib.nspy_begin(out, number, above, context, root, kind, start_time or 0, array, count)
        if not begun and resumed():
            begun = lib.nspy_begin(out, number, above, context, root, kind, start_time or 0, array, count)
        if not begun:
            if above == _NULL:
                return INVALID_SPAN
            out.context = above.context  # it cannot be recorded, and what it calls still belongs to the trace
        span = Span(out)
        if attributes and span._recording:
            span.set_attributes(attributes)
        return span
    except Exception:
        trouble("a span")
        return INVALID_SPAN


class Tracer:
    """Begins spans. All tracers are the same."""

    def start_span(
        self,
        name: str,
        context: Parent = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Iterable[Link | SpanContext | Span] = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """Begins a span that does not become current; whoever begins it ends it. Its parent is `context` (a span, a
        SpanContext, or what extract() returns), or else the current span."""
        if not available():
            return INVALID_SPAN
        return begin_span(current_scope(), name, context, getattr(kind, "value", kind), attributes, links, start_time)

    def start_as_current_span(
        self,
        name: str,
        context: Parent = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Iterable[Link | SpanContext | Span] = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Scope:
        """For `with`: a span that is current in the block and ends with it. An exception that leaves the block becomes
        an event and the status ERROR. As a decorator: the same for each call of a function, a coroutine or a
        generator."""
        available()
        return Scope(
            (name, context, getattr(kind, "value", kind), attributes, links, start_time),
            context if isinstance(context, Incoming) else None,
            record_exception,
            set_status_on_exception,
            end_on_exit,
        )


_tracer = Tracer()


def get_tracer(*names: Any, **more: Any) -> Tracer:
    """The tracer. OpenTelemetry's arguments (a module's name, a version) are accepted, and mean nothing here."""
    return _tracer


def get_current_span() -> Span:
    """The current span, or one on which nothing is recorded."""
    scope = current_scope()
    return INVALID_SPAN if scope is None else scope.span


def use_span(
    span: Span, end_on_exit: bool = False, record_exception: bool = True, set_status_on_exception: bool = True
) -> Scope:
    """For `with`: makes a span of start_span current in the block."""
    return Scope(span, None, record_exception, set_status_on_exception, end_on_exit)
