# SPDX-License-Identifier: Apache-2.0
"""Attributes: what values become."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from nanospan._library import ffi, lib, name_of, text_of, trouble

# The largest record of the library has 64 KiB, which cuts what does not fit. This is so that no time is spent on more.
_LONGEST_TEXT = 65536
_MOST_ELEMENTS = 8192
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def encoded(text: str) -> bytes:
    """UTF-8; what has no encoding (lone surrogates) becomes a question mark."""
    return str.__str__(text)[:_LONGEST_TEXT].encode("utf-8", "replace")


def time_of(value: Any) -> int:
    """Nanoseconds since 1970; 0, which is now, for None and for what is no such number."""
    if value is None:
        return 0
    try:
        number = operator.index(value)
        if 0 <= number < 2**63:
            return number
    except Exception:
        pass
    trouble(f"a time that is no number of nanoseconds since 1970, but of type {type(value).__name__},")
    return 0


def _of_array(value: Any) -> Any:
    """The Python value of a scalar or one-dimensional array of NumPy and its like; otherwise the value itself."""
    if hasattr(value, "dtype"):
        dimensions = getattr(value, "ndim", None)
        if dimensions == 0 and hasattr(value, "item"):
            return value.item()
        if dimensions == 1 and hasattr(value, "tolist"):
            return value[:_MOST_ELEMENTS].tolist()
    return value


def _elements(values: Iterable[Any]) -> tuple[int, Any]:
    items = [_of_array(item) for item in islice(values, _MOST_ELEMENTS)]
    kinds = {bool if isinstance(item, bool) else int if isinstance(item, int) else type(item) for item in items}
    if kinds == {bool}:
        return lib.NSP_TYPE_BOOLS, items
    if kinds == {int} and all(_LOWEST <= item <= _HIGHEST for item in items):
        return lib.NSP_TYPE_I64S, [int(item) for item in items]
    if (kinds and all(issubclass(kind, float) for kind in kinds)) or kinds == {int, float}:
        try:
            return lib.NSP_TYPE_F64S, [float(item) for item in items]
        except OverflowError:
            pass
    texts, room = [], _LONGEST_TEXT
    for item in items:
        # Each ends with a zero, so it contains none.
        texts.append(encoded(text_of(item)[:room].replace("\0", "\ufffd")))
        room -= len(texts[-1])
        if room <= 0:
            break
    return lib.NSP_TYPE_STRS, texts


def converted(value: Any) -> tuple[int, Any]:
    """The type that a value has when it is sent, and what is sent."""
    value = _of_array(value)
    if isinstance(value, str):
        return lib.NSP_TYPE_STR, encoded(value)
    if isinstance(value, bool):
        return lib.NSP_TYPE_BOOL, value
    if isinstance(value, int):
        if _LOWEST <= value <= _HIGHEST:
            return lib.NSP_TYPE_I64, int(value)
        return lib.NSP_TYPE_STR, encoded(text_of(int(value)))
    if isinstance(value, float):
        return lib.NSP_TYPE_F64, float(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return lib.NSP_TYPE_BYTES, bytes(value[:_LONGEST_TEXT])
    if isinstance(value, Sequence):
        return _elements(value)
    return lib.NSP_TYPE_STR, encoded(text_of(value))


def _array(kind: int, values: list[Any], keep: list[Any]) -> Any:
    if kind == lib.NSP_TYPE_STRS:
        texts = [ffi.new("char[]", value) for value in values]
        keep.extend(texts)
        return ffi.new("const char *[]", texts)
    element = {lib.NSP_TYPE_BOOLS: "bool[]", lib.NSP_TYPE_I64S: "int64_t[]", lib.NSP_TYPE_F64S: "double[]"}[kind]
    return ffi.new(element, values)


def set_value(span: Any, key: int, value: Any) -> None:
    """Sets an attribute of a span of C, of any type."""
    kind, sent = converted(value)
    if kind == lib.NSP_TYPE_STR:
        lib.nspy_set_strn(span, key, sent, len(sent))
    elif kind == lib.NSP_TYPE_BOOL:
        lib.nspy_set_bool(span, key, sent)
    elif kind == lib.NSP_TYPE_I64:
        lib.nspy_set_i64(span, key, sent)
    elif kind == lib.NSP_TYPE_F64:
        lib.nspy_set_f64(span, key, sent)
    elif kind == lib.NSP_TYPE_BYTES:
        lib.nspy_set_bytes(span, key, sent, len(sent))
    else:
        keep: list[Any] = []
        array = _array(kind, sent, keep)
        set_array = {
            lib.NSP_TYPE_STRS: lib.nspy_set_strs,
            lib.NSP_TYPE_BOOLS: lib.nspy_set_bools,
            lib.NSP_TYPE_I64S: lib.nspy_set_i64s,
            lib.NSP_TYPE_F64S: lib.nspy_set_f64s,
        }[kind]
        set_array(span, key, array, len(sent))


def packed(attributes: Mapping[str, Any] | None, keep: list[Any]) -> tuple[Any, int]:
    """Attributes of an event or a link as an array of nsp_attr, and its length. `keep` gets what the array points to."""
    if not attributes:
        return ffi.NULL, 0
    items = list(attributes.items())
    array = ffi.new("nsp_attr[]", len(items))
    keep.append(array)
    for entry, (key, value) in zip(array, items, strict=True):
        try:
            kind, sent = converted(value)
        except Exception:
            kind, sent = lib.NSP_TYPE_STR, encoded(text_of(value))
        entry.key, entry.type = name_of(key), kind
        entry.count = len(sent) if isinstance(sent, (bytes, list)) else 1
        if kind == lib.NSP_TYPE_BOOL:
            entry.value.boolean = sent
        elif kind == lib.NSP_TYPE_I64:
            entry.value.i64 = sent
        elif kind == lib.NSP_TYPE_F64:
            entry.value.f64 = sent
        else:
            if isinstance(sent, bytes):
                pointed = ffi.new("char[]", sent)
            else:
                pointed = _array(kind, sent, keep)
            keep.append(pointed)
            entry.value.bytes = ffi.cast("const uint8_t *", pointed)
    return array, len(items)
