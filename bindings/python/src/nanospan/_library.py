# SPDX-License-Identifier: Apache-2.0
"""The C library, or its absence: everything else asks here."""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger("nanospan")

ffi: Any
lib: Any
try:
    from nanospan._native import ffi, lib  # type: ignore[import-not-found, no-redef]

    absence = ""
except (ImportError, OSError) as problem:  # not built, or a library that it needs is not there
    ffi = lib = None
    absence = str(problem)

_warned = False
_names: dict[str, int] = {}
_LONGEST_NAME = 1023  # of the library, in bytes; longer ones are cut there


def available() -> bool:
    """Is the library there? If it is not, the first call says so, once."""
    global _warned
    if lib is not None:
        return True
    if not _warned:
        _warned = True
        logger.warning("nanospan's library is not available, so nothing is traced: %s", absence)
    return False


def text_of(value: object) -> str:
    """str(value), whatever it is."""
    try:
        return str(value)
    except Exception:
        pass
    try:
        if isinstance(value, int):  # of more digits than Python converts
            return hex(value)
    except Exception:
        pass
    return f"<{type(value).__name__}>"


def name_of(text: str) -> int:
    """The number of a span's name or an attribute's key."""
    if type(text) is not str:
        text = str.__str__(text) if issubclass(type(text), str) else text_of(text)
    found = _names.get(text)
    if found is not None:
        return found
    encoded = text.encode("utf-8", "replace")
    number: int = lib.nsp_intern(encoded, len(encoded))
    # The library's table of names is bounded, and so is this one.
    if number != lib.NSP_NAME_OVERFLOW and len(encoded) <= _LONGEST_NAME:
        _names[text] = number
    return number


def trouble(what: str) -> None:
    """Tracing never raises. What went wrong is for who looks for it."""
    try:
        logger.debug("%s was left out", what, exc_info=True)
    except Exception:  # RecursionError, for example, in whose handling this may be
        pass
