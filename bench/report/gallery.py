# SPDX-License-Identifier: Apache-2.0
"""Chooses the plots of a group of benchmarks, and writes their captions. A plot is what figure_of()
returns."""

import plots
import words

# The most lines in one plot, besides the lines that the others are compared with.
MOST_LINES = 7


def of_group(group, results):
    """The plots of a group, made from its usable results, in the order in which the page shows them."""
    added = dict(difference_plots(group, results))
    drawn = {}
    for plot, one in plots_of_series(group, results):
        drawn.setdefault(plot, []).append(one)
    grows = any(line["x"] != "percentile" for result in results for line in result.get("series", []))
    out = [] if added or grows else list(overview_plot(group, results))
    for plot in dict.fromkeys([*added, *drawn]):
        out += drawn.get(plot, []) + ([added[plot]] if plot in added else [])
    return out


def plots_of_series(group, results):
    """The plots of the series that the benchmarks recorded."""
    by_plot = {}
    for result in results:
        for line in result.get("series", []):
            points = [point for point in line["points"] if point[0] is not None and point[1] is not None]
            # One sample has no distribution.
            if points and (line["x"] != "percentile" or points[-1][0] >= 2):
                by_plot.setdefault(line["plot"], []).append((result["name"], line, points))
    for plot, lines in by_plot.items():
        names = [line["name"] for _, line, _ in lines]
        named = [
            (line["name"] if names.count(line["name"]) == 1 else f"{name}: {line['name']}", points)
            for name, line, points in lines
        ]
        x_title, y_title = lines[0][1]["x"], lines[0][1]["y"]
        parts = legible(named)
        for i, part in enumerate(parts):
            title = plot if len(parts) == 1 else f"{plot}, {i + 1} of {len(parts)}"
            its_name = f"plot-{group['id']}-{words.identifier(title)}"
            if x_title == "percentile":
                yield plot, percentile_plot(its_name, title, part, y_title)
            else:
                yield plot, scaling_plot(its_name, title, part, x_title, y_title)


def legible(lines):
    """Splits lines into plots of at most seven lines each, plus the base lines, which are in every plot."""
    base = [line for line in lines if plots.is_base(line[0])]
    others = [line for line in lines if not plots.is_base(line[0])]
    count = max(1, -(-len(others) // MOST_LINES))
    size = -(-len(others) // count)
    return [base + others[at : at + size] for at in range(0, len(others), size)] or [base]


def at_percentile(points, x):
    """The value at this percentile or at the next higher one; None if the line ends before it."""
    return next((point[1] for point in points if point[0] >= x * 0.999), None)


def figure_of(name, title, drawn, caption, labelled=False):
    """A plot with its caption. labelled: the wide form has the names beside its lines."""
    forms, look = drawn
    return {
        "id": name,
        "title": title,
        "caption": caption,
        **forms,
        "labelled": labelled,
        "legend": list(look.items()) if len(look) > 1 else [],
    }


def percentile_plot(name, plot, lines, y_title):
    lines = [(line, [(point[0], point[1]) for point in points]) for line, points in lines]
    deepest = max(x for _, points in lines for x, _ in points)
    at = max(x for x in (2, 10, 100, 1000, 10000) if x <= deepest)
    found = sorted(((y, line) for line, y in ((line, at_percentile(points, at)) for line, points in lines) if y))
    said = words.listed([f"{line} {words.number(y)}" for y, line in found], 9)
    caption = (
        f"Operations become rarer to the right; a lower and flatter line is better. At {words.percentile(at)}, "
        f"in {y_title}: {said}."
    )
    return figure_of(name, plot, plots.percentiles(name, f"{plot}: {caption}", lines, y_title), caption, True)


def scaling_plot(name, plot, lines, x_title, y_title):
    lines = [(line, [(point + [None, None])[:4] for point in points]) for line, points in lines]
    xs = [x for _, points in lines for x, *_ in points]
    said = []
    for line, points in lines:
        first, last = (choose(points, key=lambda point: point[0]) for choose in (min, max))
        said.append(f"{line} {words.number(first[1])}" + (f" → {words.number(last[1])}" if last != first else ""))
    banded = any(point[2] is not None for _, points in lines for point in points)
    caption = (
        f"{y_title} against {x_title}, from {words.number(min(xs))} to {words.number(max(xs))}: "
        f"{words.listed(said, 9)}." + (" The bands are 95 % intervals." if banded else "")
    )
    return figure_of(name, plot, plots.scaling(name, f"{plot}: {caption}", lines, x_title, y_title), caption, True)


def points_of(result, figures):
    return [
        (figure, one["value"], one.get("low"), one.get("high"))
        for figure, one in result["figures"].items()
        if figure in figures and one["value"] is not None
    ]


def lines_by_plot(results):
    """{plot: {benchmark: name of its line}} if each benchmark is one line of one plot; otherwise {"": {}}."""
    if any(len(result.get("series", [])) != 1 for result in results):
        return {"": {}}
    out = {}
    for result in results:
        out.setdefault(result["series"][0]["plot"], {})[result["name"]] = result["series"][0]["name"]
    return out


def difference_plots(group, results):
    """Plots of what tracing adds, for groups that have figures named added_*: one for each plot of the
    group."""
    for plot, names in lines_by_plot(results).items():
        those = [result for result in results if not names or result["name"] in names]
        yield from ((plot, drawn) for drawn in difference_plot(group, plot, names, those))


def difference_plot(group, plot, names, results):
    figures = list(
        dict.fromkeys(figure for result in results for figure in result["figures"] if figure.startswith("added_"))
    )
    rows = [(names.get(result["name"], result["name"]), points_of(result, figures)) for result in results]
    rows = [(name, points) for name, points in rows if points]
    if len(rows) < 2:
        return
    name = f"plot-{group['id']}-added" + ("-" + words.identifier(plot) if plot else "")
    title = f"What tracing adds to {plot}" if plot else "What tracing adds"
    sign = words.unit(figures[0])
    apart = [row for row, points in rows if all(low is not None and low > 0 for _, _, low, _ in points)]
    caption = (
        "Right of the line at 0: more than without tracing, in the same rounds. The bars are 95 % intervals; where one "
        "touches 0, the difference may be chance. "
        + (
            f"Beyond chance in all figures: {words.listed(apart)}."
            if apart
            else "None is beyond chance in all figures."
        )
    )
    drawn = plots.dots(name, f"{title}: {caption}", rows, f"added, {sign}" if sign else "added", zero=True)
    yield figure_of(name, title, drawn, caption)


def headline(results):
    """The main figure: the first that most results have with an interval, otherwise the first that most
    have."""
    figures = list(dict.fromkeys(figure for result in results for figure in result["figures"]))
    for wanted in (lambda one: one.get("low") is not None, lambda one: True):
        for figure in figures:
            having = sum(
                figure in result["figures"]
                and result["figures"][figure]["value"] is not None
                and wanted(result["figures"][figure])
                for result in results
            )
            if having >= 3 and having * 2 > len(results):
                return figure
    return None


def beside(results, figure):
    """The figures that can share the main figure's axis: of the same unit, with an interval in most
    results."""
    figures = list(dict.fromkeys(name for result in results for name in result["figures"]))
    if not words.unit(figure):
        return [figure]
    return [
        name
        for name in figures
        if words.unit(name) == words.unit(figure)
        and 2 * sum(result["figures"].get(name, {}).get("low") is not None for result in results) > len(results)
    ][:4] or [figure]


def overview_plot(group, results):
    """All benchmarks of a group in one plot, with their main figure and the figures that can share its
    axis."""
    figure = headline(results)
    if figure is None or figure.startswith("added_"):
        return
    figures = beside(results, figure)
    rows = [
        (result["name"], points_of(result, figures)) for result in results if words.value(result, figure) is not None
    ]
    amounts = [points[0][1] for _, points in rows]
    if max(amounts.count(amount) for amount in amounts) * 2 > len(amounts):
        return  # most values are equal, so a plot would show nothing
    if "peer" in group["name"] or "other" in group["name"]:
        rows.sort(key=lambda row: row[1][0][1])
    name = f"plot-{group['id']}-{words.identifier(figure)}"
    sign = words.unit(figure)
    mark = (1, "two clock reads") if figure == "ratio" and "2T" in group["method"] else None
    low, high = (choose(rows, key=lambda row: row[1][0][1]) for choose in (min, max))
    caption = (
        ("" if len(figures) == 1 else f"By {figure}: ") + f"Lowest: {low[0]} with {words.number(low[1][0][1])}; "
        f"highest: {high[0]} with {words.number(high[1][0][1])}"
        f"{' ' + sign if sign else ''}. "
        + (
            "The bars behind the dots are 95 % intervals."
            if any(points[0][2] is not None for _, points in rows)
            else ""
        )
    )
    yield figure_of(
        name,
        f"{group['name']}: {words.listed(figures)}",
        plots.dots(
            name,
            f"{group['name']}, {figure}. {caption}",
            rows,
            figure if not sign else sign if len(figures) > 1 else f"{figure} ({sign})",
            mark,
        ),
        caption.strip(),
    )
