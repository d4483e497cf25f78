# SPDX-License-Identifier: Apache-2.0
"""Spans. Their names are those of OpenTelemetry's API, so that code for it runs unchanged."""

from __future__ import annotations

import enum
import re
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nanospan._library import ffi, lib, name_of, text_of, trouble
from nanospan._values import encoded, packed, set_value, time_of

# What is set on a span has to fit into 2 KiB. Where a text is too long for that, the library keeps its beginning; of a
# stack, the end says more.
_LONGEST_MESSAGE = 256  # bytes
_LONGEST_FORMATTED = 100_000
_ITEM = 24  # at most, what each item takes beside its value
_MOST_FRAMES = 40
_MARKS = re.compile(r"[ |]*[~^]+\n?")  # below the lines of a stack


class SpanKind(enum.IntEnum):
    """Which side of a call a span describes. The numbers are those of the C library."""

    INTERNAL = 0
    SERVER = 1
    CLIENT = 2
    PRODUCER = 3
    CONSUMER = 4


class StatusCode(enum.IntEnum):
    """How what a span describes has ended; UNSET: nobody has said so."""

    UNSET = 0
    OK = 1
    ERROR = 2


class Status(NamedTuple):
    """A status with its description, for set_status."""

    status_code: StatusCode = StatusCode.UNSET
    description: str | None = None


class SpanContext(NamedTuple):
    """A span's identity, which travels between processes."""

    trace_id: int
    span_id: int
    is_remote: bool = False
    trace_flags: int = 0
    trace_state: str = ""

    @property
    def is_valid(self) -> bool:
        """Does it name a span? Neither of the ids is zero then."""
        return self.trace_id != 0 and self.span_id != 0

    @property
    def sampled(self) -> bool:
        """Is the trace recorded, as far as whoever made this context knows?"""
        return bool(self.trace_flags & 1)

    def traceparent(self) -> str:
        """The W3C header field, or "" without a valid context."""
        if not self.is_valid:
            return ""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.trace_flags & 3:02x}"


class Link(NamedTuple):
    """A reference to another span."""

    context: SpanContext
    attributes: Mapping[str, Any] | None = None


INVALID_CONTEXT = SpanContext(0, 0)
NO_LINKS: tuple[Link, ...] = ()


def context_from_c(context: Any) -> SpanContext:
    state = ffi.new("char[513]")
    length = lib.nsp_context_format_state(ffi.addressof(context), state, 513)
    return SpanContext(
        int.from_bytes(ffi.buffer(context.trace_id), "big"),
        int.from_bytes(ffi.buffer(context.span_id), "big"),
        bool(context.remote),
        int(context.flags),
        ffi.unpack(state, length).decode("ascii", "replace"),
    )


def context_to_c(context: SpanContext) -> Any:
    """The structure of C, all zero if the context is not valid."""
    out = ffi.new("nsp_context *")
    state = context.trace_state.encode("ascii", "replace") if context.trace_state else ffi.NULL
    lib.nsp_context_parse(out, context.traceparent().encode(), state)
    out.remote = context.is_remote
    return out


class Span:
    """A span, or what stands for one where nothing is recorded. No method raises, and each may be called from any
    thread."""

    __slots__ = ("__weakref__", "_c", "_context", "_recording")

    def __init__(self, c: Any = None, context: SpanContext | None = None) -> None:
        self._c = c
        self._recording = c is not None and c.recording
        self._context = context

    def set_attribute(self, key: str, value: Any) -> None:
        """Sets an attribute. Texts, numbers, booleans, bytes and sequences of them keep their type; other objects
        become their str()."""
        if not self._recording:
            return
        try:
            kind = type(value)
            if kind is str and len(value) < 4096:
                text = value.encode()
                lib.nspy_set_strn(self._c, name_of(key), text, len(text))
            elif kind is float:
                lib.nspy_set_f64(self._c, name_of(key), value)
            elif kind is bool:
                lib.nspy_set_bool(self._c, name_of(key), value)
            elif kind is int:  # one of more than 64 bits raises, and becomes a text
                lib.nspy_set_i64(self._c, name_of(key), value)
            else:
                set_value(self._c, name_of(key), value)
        except Exception:
            self._set_as_text(key, value)

    def _set_as_text(self, key: str, value: Any) -> None:
        try:
            text = encoded(text_of(value))
            lib.nspy_set_strn(self._c, name_of(key), text, len(text))
        except Exception:
            trouble(f"an attribute of type {type(value).__name__}")

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Does set_attribute for each of them."""
        if not self._recording:
            return
        try:
            for key, value in attributes.items():
                self.set_attribute(key, value)
        except Exception:
            trouble("attributes")

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Adds a moment within the span; `timestamp` is in nanoseconds since 1970, None: now."""
        if not self._recording:
            return
        try:
            keep: list[Any] = []
            array, count = packed(attributes, keep)
            lib.nspy_add_event_with(self._c, name_of(name), time_of(timestamp), array, count)
        except Exception:
            trouble("an event")

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Adds a reference to another span. One whose context is not valid is left out."""
        if not self._recording:
            return
        try:
            keep: list[Any] = []
            array, count = packed(attributes, keep)
            lib.nspy_add_link_with(self._c, context_to_c(context), array, count)
        except Exception:
            trouble("a link")

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Adds an event that describes an exception. The status is set_status's."""
        if not self._recording:
            return
        try:
            kind = type(exception)
            module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
            message = text_of(exception)
            described: dict[str, Any] = {
                "exception.type": module + kind.__qualname__,
                "exception.message": _cut(message),
            }
            if escaped:
                described["exception.escaped"] = True
            described.update(attributes or {})
            if "exception.stacktrace" not in described:
                taken = sum(_ITEM + len(encoded(text_of(value))) for value in described.values())
                room = lib.nspy_room(self._c) - 2 * _ITEM - taken  # of the event itself, too
                described["exception.stacktrace"] = _stack(exception, message, room)
            self.add_event("exception", described, timestamp)
        except Exception:
            trouble("an exception")

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """OK is final, and ERROR replaces UNSET. Only ERROR has a description."""
        if not self._recording:
            return
        try:
            code: Any = status
            if not isinstance(status, int):
                code, description = status.status_code, status.description
            text: Any = ffi.NULL
            if description is not None:
                text = encoded(_cut(text_of(description).replace("\0", " ")))
            lib.nspy_set_status(self._c, int(getattr(code, "value", code)), text)
        except Exception:
            trouble("a status")

    def update_name(self, name: str) -> None:
        """Gives the span another name. The sampling decision, made by the first one, stays."""
        if not self._recording:
            return
        try:
            lib.nspy_set_name(self._c, name_of(name))
        except Exception:
            trouble("a name")

    def has_context(self) -> bool:
        """Is it a span of a trace, recorded or not? INVALID_SPAN is none."""
        return self._c is not None or self._context is not None

    def is_recording(self) -> bool:
        """Ask before you compute an expensive attribute."""
        return self._recording and lib.nspy_is_recording(self._c)

    def get_span_context(self) -> SpanContext:
        """The span's identity, which stays when it has ended; INVALID_SPAN has an invalid one."""
        if self._context is None:
            if self._c is None:
                return INVALID_CONTEXT
            self._context = context_from_c(self._c.context)
        return self._context

    def end(self, end_time: int | None = None) -> None:
        """Ends the span; `end_time` is in nanoseconds since 1970, None: now. The second time, nothing happens."""
        self._recording = False
        if self._c is not None:
            lib.nspy_end(self._c, 0 if end_time is None else time_of(end_time))

    def __copy__(self) -> Span:
        """The span itself, which is ended once."""
        return self

    def __deepcopy__(self, memo: Any) -> Span:
        return self

    def __enter__(self) -> Span:
        return self

    def __exit__(self, kind: object, exception: BaseException | None, trace: object) -> None:
        """OpenTelemetry's: ends the span, which was not current."""
        if isinstance(exception, Exception):
            self.set_status(StatusCode.ERROR, description_of(exception))
            self.record_exception(exception)
        self.end()

    def __del__(self) -> None:
        # Nobody can end it any more, and its place is needed.
        if self._c is not None and lib is not None:
            lib.nspy_end(self._c, 0)

    def __repr__(self) -> str:
        context = self.get_span_context()
        return f"<Span {context.trace_id:032x}-{context.span_id:016x}>"


INVALID_SPAN = Span()


def description_of(exception: BaseException) -> str:
    return f"{type(exception).__name__}: {text_of(exception)}"


def _cut(text: str) -> str:
    return encoded(text)[:_LONGEST_MESSAGE].decode("utf-8", "ignore")


def _printed(exception: BaseException, message: str) -> tuple[str, str]:
    """What Python prints of an exception: all but the last part, and that, which is the exception itself."""
    try:
        if len(message) <= _LONGEST_FORMATTED:  # a longer one would hold up the service
            printed = traceback.TracebackException.from_exception(exception, limit=-_MOST_FRAMES)
            text, last = "".join(printed.format()), "".join(printed.format_exception_only())
            return (text.removesuffix(last), last) if text.endswith(last) else (text, "")
    except Exception:  # because of what the application has put into it
        trouble("the whole of a stack")
    return "".join(traceback.format_tb(exception.__traceback__, limit=-_MOST_FRAMES)), ""


def _stack(exception: BaseException, message: str, room: int) -> str:
    """What Python prints of an exception, without the marks below its lines, and without its outermost frames if it would
    not fit: the innermost ones come last, and say where it was raised."""
    frames, last = _printed(exception, message)
    end = _cut(last.rstrip())
    lines = [line for line in frames.splitlines(keepends=True) if not _MARKS.fullmatch(line)]
    room -= len(encoded(end)) + len("...\n")
    first = len(lines)
    while first > 0 and (size := len(encoded(lines[first - 1]))) <= room:
        room -= size
        first -= 1
    cut = first > 0
    while cut and first < len(lines) and lines[first].startswith("    "):  # the source of a frame that is left out
        first += 1
    return ("...\n" if cut else "") + "".join(lines[first:]) + end


def links_to_c(links: Iterable[Link | SpanContext | Span], keep: list[Any]) -> tuple[Any, int]:
    """An array of nsp_link, and its length."""
    try:
        entries = list(links)
    except Exception:
        trouble("links")
        entries = []
    if not entries:
        return ffi.NULL, 0
    array = ffi.new("nsp_link[]", len(entries))
    keep.append(array)
    count = 0
    for link in entries:
        try:
            if isinstance(link, Span):
                link = link.get_span_context()
            attributes = None if isinstance(link, SpanContext) else link.attributes
            context = context_to_c(link if isinstance(link, SpanContext) else link.context)
            pointer, size = packed(attributes, keep)
        except Exception:
            trouble("a link")
            continue
        out = array[count]
        out.context, out.attributes, out.attribute_count = context[0], pointer, size
        count += 1
    return array, count
