# SPDX-License-Identifier: Apache-2.0
"""The tracer, and which span is current.

What is current is a context variable, so each task of asyncio has its own, which begins as that of the task that made
it. A thread has none, unless whoever starts it hands its context over: asyncio.to_thread does, and a pool does with
contextvars.copy_context().run.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from nanospan._library import available, ffi, lib, name_of, trouble
from nanospan._lifecycle import resumed
from nanospan._propagation import Context
from nanospan._span import (
    INVALID_SPAN,
    NO_LINKS,
    Link,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    context_to_c,
    description_of,
    links_to_c,
)
from nanospan._values import time_of

Function = TypeVar("Function", bound=Callable[..., Any])
Parent = Span | SpanContext | Context | None

_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

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
        "_more",
        "_record",
        "_status",
        "context",
        "left",
        "previous",
        "span",
    )

    context: Context | None  # whose baggage requests take along
    previous: Scope | None
    span: Span

    def __init__(
        self, begin: tuple[Any, ...] | Span, explicit: Context | None, record: bool, status: bool, end: bool
    ) -> None:
        self._begin = begin
        self._explicit = explicit
        self._record = record
        self._status = status
        self._end = end
        self._more: Any = None  # None until it is entered; then a list of those that stand for further uses
        # It ended in another order than it began, as scopes in generators may, or in another context.
        self.left = False

    def __enter__(self) -> Span:
        if self._more is not None:  # tasks may still be below its first use, or this is within it
            again = self._again()
            if self._more == ():
                self._more = []
            self._more.append(again)
            return again.__enter__()
        self._more = ()
        self.previous = previous = current_scope()
        self.context = self._explicit if self._explicit is not None or previous is None else previous.context
        begin = self._begin
        self.span = begin_span(previous, *begin) if isinstance(begin, tuple) else begin
        _current.set(self)
        return self.span

    def __exit__(self, kind: object, exception: BaseException | None, trace: object) -> None:
        if self._more:
            use = self._innermost()
            if use is not self:
                self._more.remove(use)
                use.__exit__(kind, exception, trace)
                return
        if _current.get() is self:
            _current.set(self.previous)
            # Tasks that began meanwhile still have this scope; they need not keep all those before it.
            self.previous = None
        else:
            self._leave(sys._getframe(1))
        try:
            if isinstance(exception, Exception):
                if self._status:
                    self.span.set_status(StatusCode.ERROR, description_of(exception))
                if self._record:
                    self.span.record_exception(exception)  # last, since its stack takes what room there is
        finally:
            if self._end:
                self.span.end()

    def _innermost(self) -> Scope:
        """Of its uses the one that is left: in this context the innermost."""
        scope = _current.get()
        while scope is not None and scope is not self and scope not in self._more:
            scope = scope.previous
        last: Scope = self._more[-1]
        return last if scope is None else scope

    def _leave(self, block: types.FrameType) -> None:
        """It ends while another one is current. The block of a generator leaves that as it is: it began later, outside.
        Any other block had all that is above it within it: in a generator that nobody goes on with, or where the
        recursion was too deep to leave."""
        scope = _current.get()
        while scope is not None and scope is not self:
            scope = scope.previous
        if scope is None or block.f_code.co_flags & _GENERATOR:
            self.left = True
        else:
            _current.set(self.previous)
            self.previous = None

    def _again(self) -> Scope:
        return Scope(self._begin, self._explicit, self._record, self._status, self._end)

    def __call__(self, function: Function) -> Function:
        wrapper: Any
        if inspect.isasyncgenfunction(function):

            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    generator = function(*args, **kwargs)
                    step, given = generator.asend, None
                    while True:
                        try:
                            item = await step(given)
                        except StopAsyncIteration:
                            return
                        try:
                            step, given = generator.asend, (yield item)
                        except GeneratorExit:
                            await generator.aclose()
                            raise
                        except BaseException as problem:
                            step, given = generator.athrow, problem

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


def _unrecorded(previous: Scope | None, parent: Parent) -> Span:
    """What stands for a span below `parent`, or else below the current one, where nothing is traced."""
    if not issubclass(type(parent), (Span, SpanContext, Context)) and previous is not None:
        parent = previous.span if previous.span.has_context() else previous.context
    try:
        context = parent if isinstance(parent, SpanContext) else getattr(parent, "get_span_context", lambda: None)()
        return Span(context=context) if isinstance(context, SpanContext) and context.is_valid else INVALID_SPAN
    except Exception:
        trouble("a parent")
        return INVALID_SPAN


def begin_span(
    previous: Scope | None,
    name: str,
    parent: Parent = None,
    kind: int = SpanKind.INTERNAL,
    attributes: Mapping[str, Any] | None = None,
    links: Iterable[Link | SpanContext | Span] = NO_LINKS,
    start_time: int | None = None,
    root: bool = False,
) -> Span:
    """Begins a span below `parent`, or else below the current one. What makes no sense is left out, and there is still
    a span."""
    if lib is None:
        return INVALID_SPAN if root else _unrecorded(previous, parent)
    try:
        above, context, array, count = _NULL, _NULL, _NULL, 0
        if root:
            pass
        elif parent is not None:
            above, context = _parent(previous, parent)
        elif previous is not None:
            if previous.span._c is not None:
                above = previous.span._c
            elif previous.context is not None:
                context = previous.context.c_context()
        keep: list[Any] = []
        if links is not NO_LINKS:
            array, count = links_to_c(links, keep)
        if type(kind) is not SpanKind:
            kind = _kind(kind)
        start = 0 if start_time is None else time_of(start_time)
        out = _new_span("nspy_span *")
        number = name_of(name)
        begun = lib.nspy_begin(out, number, above, context, root, kind, start, array, count)
        if not begun and resumed():
            begun = lib.nspy_begin(out, number, above, context, root, kind, start, array, count)
        if not begun:
            # It cannot be recorded, and what it calls still belongs to the trace.
            if above != _NULL:
                out.context = above.context
            elif context != _NULL:
                out.context = context[0]
            else:
                return INVALID_SPAN
        span = Span(out)
        if attributes is not None and span._recording:
            span.set_attributes(attributes)
        return span
    except Exception:
        trouble("a span")
        return INVALID_SPAN


def _parent(previous: Scope | None, parent: Any) -> tuple[Any, Any]:
    """The span of C below which a span begins, or else the context of C."""
    try:
        span = parent.span if isinstance(parent, Context) else parent
        if isinstance(span, Span):
            return span._c or _NULL, _NULL
        return _NULL, parent.c_context() if isinstance(parent, Context) else context_to_c(parent)
    except Exception:
        trouble("a parent")
    above = None if previous is None else previous.span._c
    return above or _NULL, _NULL


def _kind(kind: Any) -> SpanKind:
    try:
        return SpanKind(getattr(kind, "value", kind))
    except Exception:
        trouble("a kind")
        return SpanKind.INTERNAL


class Tracer:
    """Begins spans. All tracers are the same."""

    def start_span(
        self,
        name: str,
        context: Parent = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Iterable[Link | SpanContext | Span] = NO_LINKS,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """Begins a span that does not become current; whoever begins it ends it. Its parent is `context` (a span, a
        SpanContext, or what extract() returns), or else the current span."""
        if not available():
            return INVALID_SPAN
        return begin_span(current_scope(), name, context, kind, attributes, links, start_time)

    def start_as_current_span(
        self,
        name: str,
        context: Parent = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Iterable[Link | SpanContext | Span] = NO_LINKS,
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
            (name, context, kind, attributes, links, start_time),
            context if type(context) is Context else None,
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
    known = span if issubclass(type(span), Span) else INVALID_SPAN
    return Scope(known, None, record_exception, set_status_on_exception, end_on_exit)
