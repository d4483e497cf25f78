# SPDX-License-Identifier: Apache-2.0
"""Formats numbers and names for readers."""

import math
import re

# Endings of the names of figures, longest first, and their units.
UNITS = (
    ("per_s_millions", "million/s"),
    ("per_s_megabytes", "MB/s"),
    ("_per_us", "per µs"),
    ("_millions", "million"),
    ("_bytes", "bytes"),
    ("_count", ""),
    ("_percent", "%"),
    ("_megabytes", "MB"),
    ("_ppm", "ppm"),
    ("_ns", "ns"),
    ("_us", "µs"),
    ("_ms", "ms"),
    ("_per_s", "per s"),
    ("_kib", "KiB"),
    ("_mib", "MiB"),
    ("_s", "s"),
)


def unit(figure):
    """The unit that the name of a figure ends with; "" for a ratio or a count."""
    return next((sign for ending, sign in UNITS if figure.endswith(ending)), "")


def number(value):
    """At most four significant digits below 1000, thousands in groups; a dash for an unknown value."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    size = abs(value)
    if size >= 1000 or value == int(value):
        text = f"{value:,.0f}"
    else:
        text = f"{value:.{1 if size >= 100 else 2 if size >= 10 else 3}f}"
    return text.replace(",", "\u202f").replace("-", "−")


def tick(value):
    """A number on an axis, without needless digits."""
    value = float(f"{value:.6g}")
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if sign == 'k' else size):g}{sign}".replace("-", "−")
    return (f"{value:,.0f}".replace(",", "\u202f") if value == int(value) else f"{value:g}").replace("-", "−")


def interval(figure):
    """ "low to high", or "" if there is no interval."""
    if not figure or figure.get("low") is None or figure.get("high") is None:
        return ""
    return f"{number(figure['low'])} to {number(figure['high'])}"


def count_of(count, one, many=None):
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def listed(words, most=6):
    """Joins words as "a, b and c"; words beyond the limit are only counted."""
    words = list(words)
    if len(words) > most:
        words = words[:most] + [f"{len(words) - most} more"]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1] if words else ""


def duration(seconds):
    if seconds < 90:
        return count_of(round(seconds), "second")
    return count_of(round(seconds / 60), "minute")


def percentile(x):
    """The percentile p for x = 1 / (1 - p): 99.9 % for 1000."""
    digits = max(0, round(math.log10(x)) - 2) if x >= 10 else 0
    return f"{100 - 100 / x:.{digits}f} %"


def identifier(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def value(result, figure):
    return (result["figures"].get(figure) or {}).get("value")
