# SPDX-License-Identifier: Apache-2.0
"""Draws plots as SVG for a page. Text stays text, and every colour is a variable of the page's style, so that
it follows the reader's light or dark scheme. Each plot is drawn twice, wide and narrow; the page shows the
one that fits."""

import io
import math
import re

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator  # noqa: E402

import words  # noqa: E402

# Colours that stand for variables of the page.
INK, MUTED, GRID, PAPER = "#010203", "#010204", "#010205", "#010206"
LINES = ["#0102%02x" % (0x10 + i) for i in range(8)]
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    **{colour: f"line-{i + 1}" for i, colour in enumerate(LINES)},
}
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
DASHES = ["-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)), "-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2))]
QUIET_DASH = (0, (1.5, 2))
SHAPES = {
    "o": "M11.5 6a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
    "s": "M12 3h6v6h-6z",
    "^": "M15 2.5l4 7h-8z",
    "D": "M15 2l4 4l-4 4l-4-4z",
    "v": "M15 9.5l4-7h-8z",
    "P": "M14 2.5h2v2.5h2.500v2h-2.500v2.500h-2v-2.500h-2.500v-2h2.500z",
    "X": "M12 1.500l3 3l3-3l1.500 1.500l-3 3l3 3l-1.500 1.500l-3-3l-3 3l-1.500-1.500l3-3l-3-3z",
    "*": "M15 1.500l1.300 3l3.200 .3l-2.400 2.100l.7 3.100l-2.800-1.700l-2.800 1.700l.7-3.100l-2.400-2.100l3.200-.3z",
}
WIDE, NARROW = 820, 350

matplotlib.rcParams.update(
    {
        "svg.fonttype": "none",
        "font.family": ["DejaVu Sans"],
        "font.size": 12.5,
        "figure.dpi": 72,
        "text.color": INK,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "axes.edgecolor": MUTED,
        "axes.labelcolor": MUTED,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": 12,
        "ytick.labelsize": 12,
        "axes.grid": True,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "axes.axisbelow": True,
        "lines.linewidth": 1.9,
        "lines.markersize": 5.5,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
    }
)


class Style:
    """The look of the n-th line; it is the same in all plots of a page."""

    def __init__(self, index, quiet=False):
        self.colour = MUTED if quiet else LINES[index % len(LINES)]
        self.marker = "" if quiet else MARKERS[index % len(MARKERS)]
        self.dash = QUIET_DASH if quiet else DASHES[(index // len(LINES) + index) % len(DASHES)]

    @property
    def legend(self):
        """The line and its marker, as parts of an SVG 30 wide and 12 high."""
        colour = f"var(--{VARIABLES[self.colour]})"
        gaps = "" if self.dash == "-" else ' stroke-dasharray="%s"' % " ".join(str(2 * part) for part in self.dash[1])
        return f'<path d="M1 6H29" style="stroke: {colour}" stroke-width="2" fill="none"{gaps}/>' + (
            f'<path d="{SHAPES[self.marker]}" style="fill: {colour}"/>' if self.marker else ""
        )


def is_base(name):
    """Is this a base line, with which the others are compared (an empty harness, no tracing at all)?"""
    return any(word in name.lower() for word in ("empty", "compiled out", "without"))


def styles(names):
    """A style for each name; base lines are drawn unobtrusively."""
    found, index = {}, 0
    for name in names:
        quiet = is_base(name)
        if name not in found:
            found[name] = Style(index, quiet)
            index += not quiet
    return found


def svg(figure, name, label):
    """The figure as SVG for a page: without a fixed size, without global styles, and with ids that are
    unique."""
    matplotlib.rcParams["svg.hashsalt"] = name  # makes the ids of its parts unique
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    pyplot.close(figure)
    text = text.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r'<path id="([^"]*)"', rf'<path id="{name}-\1"', text)
    text = re.sub(r'<clipPath id="([^"]*)"', rf'<clipPath id="{name}-\1"', text)
    text = re.sub(r'(?:xlink:)?href="#([^"]*)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", text)
    text = re.sub(
        r"font: (bold )?(?:\w+ )*?([\d.]+)px [^;\"]*",
        lambda font: f"font-size: {font[2]}px" + ("; font-weight: 600" if font[1] else ""),
        text,
    )
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    size = re.search(r'viewBox="[^"]*"', text)[0]
    text = re.sub(r"<svg[^>]*>", f'<svg {size} role="img" aria-label="{words_for_attribute(label)}">', text, count=1)
    return re.sub(r"\n\s*", "\n", text).strip()


def words_for_attribute(text):
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def both(name, label, height, draw):
    """Draws a plot in both widths. height: one for both, or (wide, narrow). draw is called as draw(axes,
    narrow)."""
    out = {}
    for form, width in (("wide", WIDE), ("narrow", NARROW)):
        tall = height[form == "narrow"] if isinstance(height, tuple) else height
        figure, axes = pyplot.subplots(figsize=(width / 72, tall / 72))
        draw(axes, form == "narrow")
        out[form] = svg(figure, f"{name}-{form}", label)
    return out


def margins(axes, left, right, top, bottom):
    """In pixels."""
    width, height = axes.figure.get_size_inches() * 72
    axes.figure.subplots_adjust(
        left=left / width, right=1 - right / width, top=1 - top / height, bottom=bottom / height
    )


def axis_title(axes, text):
    """Writes the title of the vertical axis above it, horizontally, so that it is easy to read."""
    axes.annotate(
        text,
        (0, 1),
        xytext=(-axes.figure.subplotpars.left * axes.figure.get_size_inches()[0] * 72 + 1, 12),
        xycoords="axes fraction",
        textcoords="offset points",
        color=MUTED,
        fontsize=12,
    )


def logarithmic(axis, low, high):
    """Ticks at 1, 2 and 5 times each power of ten, or at fewer steps if the axis has many powers."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    decades = math.log10(high / low)
    steps = (1, 2, 5) if decades < 2.2 else (1, 3) if decades < 3.2 else (1,)
    ticks = [
        step * 10.0**power
        for power in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
        for step in steps
    ]
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: words.tick(value)))


def wants_logarithm(values, ratio):
    return bool(values) and min(values) > 0 and max(values) / min(values) > ratio


def label_ends(axes, ends, room):
    """Writes the names beside the right ends of the lines, and moves them apart where they would overlap."""
    axes.figure.canvas.draw()
    height = axes.figure.get_size_inches()[1] * 72
    placed = sorted(((axes.transData.transform((x, y))[1], name, colour) for name, x, y, colour in ends))
    at = []
    for y, _, _ in placed:
        at.append(max(y, at[-1] + 15) if at else y)
    excess = at[-1] - (height - 12)
    if excess > 0:
        at = [y - excess for y in at]
        for i in range(len(at) - 2, -1, -1):
            at[i] = min(at[i], at[i + 1] - 15)
    x = axes.transAxes.transform((1, 0))[0] + 10
    for y, (_, name, colour) in zip(at, placed):
        axes.annotate(name, (x, y), xycoords="figure pixels", color=colour, va="center", fontsize=12)


# ---- the kinds ----


def percentiles(name, label, lines, y_title):
    """lines: [(name, [(1 / (1 - p), y), ...])]."""
    look = styles([line for line, _ in lines])
    values = [y for _, points in lines for _, y in points if y is not None]
    last = max(x for _, points in lines for x, _ in points)
    widest = max(len(line) for line, _ in lines)

    def draw(axes, narrow):
        margins(axes, 48, 12 if narrow else min(26 + 7.4 * widest, 260), 30, 44)
        for line, points in lines:
            style = look[line]
            points = [(x, y) for x, y in points if y is not None]
            axes.plot(
                *zip(*points),
                color=style.colour,
                linestyle=style.dash,
                marker=style.marker,
                markevery=max(1, len(points) // 7),
                clip_on=False,
                markeredgewidth=0,
            )
        axes.set_xscale("log")
        axes.set_xlim(1, last)
        decades = int(math.log10(last) + 1e-9)
        ticks = [2] + [10**power for power in range(1, decades + 1, 1 + decades // (6 if narrow else 7))]
        ticks = [tick for tick in ticks if tick <= last]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda x, _: words.percentile(x).replace(" ", "" if narrow else " "))
        )
        if narrow:
            axes.tick_params(axis="x", labelsize=10)
        if wants_logarithm(values, 8):
            low, high = min(values) * 0.8, max(values) * 1.15
            logarithmic(axes.yaxis, low, high)
            axes.set_ylim(low, high)
        else:
            axes.set_ylim(0, max(values) * 1.08)
        axes.set_xlabel("percentile of operations", labelpad=7)
        axis_title(axes, y_title)
        if not narrow:
            label_ends(axes, [(line, *points[-1], look[line].colour) for line, points in lines], widest)

    return both(name, label, (400, 330), draw), look


def scaling(name, label, lines, x_title, y_title):
    """lines: [(name, [(x, y, low, high), ...])], low and high may be None."""
    look = styles([line for line, _ in lines])
    xs = sorted({x for _, points in lines for x, *_ in points})
    values = [value for _, points in lines for _, *ys in points for value in ys if value is not None]
    widest = max(len(line) for line, _ in lines)
    named = len(lines) > 1

    def draw(axes, narrow):
        margins(axes, 56, 14 if narrow or not named else min(26 + 7.4 * widest, 260), 30, 44)
        for line, points in lines:
            style = look[line]
            points = sorted(points, key=lambda point: point[0])
            banded = [point for point in points if point[2] is not None]
            if len(banded) > 1:
                axes.fill_between(
                    [x for x, *_ in banded],
                    [low for _, _, low, _ in banded],
                    [high for *_, high in banded],
                    color=style.colour,
                    alpha=0.18,
                    linewidth=0,
                )
            axes.plot(
                [x for x, *_ in points],
                [y for _, y, *_ in points],
                color=style.colour,
                linestyle=style.dash,
                marker=style.marker if len(points) <= 24 else "",
                markeredgewidth=0,
                clip_on=False,
            )
        if wants_logarithm(xs, 12):
            logarithmic(axes.xaxis, xs[0], xs[-1])
        if len(xs) <= (6 if narrow else 12) and far_apart(axes, xs):
            axes.xaxis.set_major_locator(FixedLocator(xs))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: words.tick(x)))
        if wants_logarithm(values, 25):
            low, high = min(values) * 0.8, max(values) * 1.2
            logarithmic(axes.yaxis, low, high)
            axes.set_ylim(low, high)
        else:
            axes.set_ylim(min(0, min(values)) * 1.08, max(0, max(values)) * 1.1 or 1)
            axes.yaxis.set_major_locator(MaxNLocator(6))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: words.tick(y)))
        axes.set_xlabel(x_title, labelpad=7)
        axis_title(axes, y_title)
        if named and not narrow:
            label_ends(
                axes,
                [(line, *max(points, key=lambda point: point[0])[:2], look[line].colour) for line, points in lines],
                widest,
            )

    return both(name, label, (380, 320), draw), look


def far_apart(axes, xs):
    """Is there room for the text of a tick at each x?"""
    if len(xs) == 1:
        return True
    axes.figure.canvas.draw()
    at = [axes.transData.transform((x, 1))[0] for x in xs]
    return min(b - a for a, b in zip(at, at[1:])) > 30


def dots(name, label, rows, x_title, mark=None, zero=False):
    """rows: [(name, [(figure, value, low, high), ...])]; each is a row of the plot, with a marker for each
    figure. mark: (x, text) of a line to compare with."""
    figures = list(dict.fromkeys(figure for _, points in rows for figure, *_ in points))
    look = styles(figures)
    for style in look.values():
        style.dash = "-"
    values = [value for _, points in rows for _, *three in points for value in three if value is not None]
    log = not zero and wants_logarithm(values, 15)
    widest = max(len(row) for row, _ in rows)
    single = len(figures) == 1

    def draw(axes, narrow):
        # In the narrow form, the names are above their dots.
        margins(axes, 14 if narrow else min(18 + 7.3 * widest, 300), 62 if single else 20, 26 if mark else 8, 44)
        offsets = [0] if single else [(i / (len(figures) - 1) - 0.5) * 0.5 for i in range(len(figures))]
        axes.set_ylim(len(rows) - 0.5, -0.5 - 0.2 * narrow)
        for y, (row, points) in enumerate(rows):
            if narrow:
                axes.annotate(
                    row,
                    (0, y - 0.27),
                    xycoords=("axes fraction", "data"),
                    va="center",
                    fontsize=12,
                    color=INK,
                    bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
                )
            for figure, value, low, high in points:
                style, at = look[figure], y + offsets[figures.index(figure)] * (0.6 if narrow else 1) + 0.18 * narrow
                if low is not None and high is not None:
                    axes.plot(
                        [low, high], [at, at], color=style.colour, linewidth=2.6, alpha=0.45, solid_capstyle="round"
                    )
                axes.plot(
                    [value],
                    [at],
                    color=style.colour,
                    marker=style.marker,
                    markersize=7,
                    markeredgewidth=0,
                    linestyle="none",
                    clip_on=False,
                )
                if single:
                    axes.annotate(
                        words.number(value),
                        (1, at),
                        xytext=(52, 0),
                        xycoords=("axes fraction", "data"),
                        textcoords="offset points",
                        ha="right",
                        va="center",
                        fontsize=12,
                        color=INK,
                    )
        if log:
            low, high = min(values) / 1.25, max(values) * 1.25
            logarithmic(axes.xaxis, low, high)
            axes.set_xlim(low, high)
            if narrow and math.log10(high / low) < 2.2 and math.log10(high / low) > 1.2:
                axes.xaxis.set_major_locator(
                    FixedLocator([10.0**power for power in range(-6, 13) if low <= 10.0**power <= high])
                )
        else:
            low, high = min(0, min(values)), max(0, max(values))
            room = (high - low or 1) * 0.04
            axes.set_xlim(low - (room if low < 0 else 0), high + room)
            axes.xaxis.set_major_locator(MaxNLocator(4 if narrow else 8))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: words.tick(x)))
        axes.set_yticks(range(len(rows)), [] if narrow else [row for row, _ in rows])
        axes.tick_params(axis="y", labelcolor=INK, pad=8)
        axes.grid(axis="y", visible=False)
        for y in range(len(rows) - 1):
            axes.axhline(y + 0.5, color=GRID, linewidth=0.6)
        axes.spines["left"].set_visible(False)
        if zero:
            axes.axvline(0, color=INK, linewidth=1)
        if mark and axes.get_xlim()[0] <= mark[0] <= axes.get_xlim()[1]:
            axes.axvline(mark[0], color=INK, linewidth=1, linestyle=(0, (3, 2)))
            axes.annotate(
                mark[1],
                (mark[0], 1),
                xytext=(0, 6),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                color=INK,
                fontsize=11.5,
            )
        axes.set_xlabel(x_title, labelpad=7)

    tall = len(rows) * (26 if single else 18 + 9 * len(figures))
    taller = len(rows) * (38 if single else 30 + 9 * len(figures))
    return both(name, label, (tall + 62 + 18 * bool(mark), taller + 62 + 18 * bool(mark)), draw), look
