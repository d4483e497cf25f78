# SPDX-License-Identifier: Apache-2.0
"""Which plots a group of benchmarks gets, and what is said below them. A plot is what figure_of() makes."""

import plots
import words

# In one plot, besides what they are compared with.
MOST_LINES = 7


def of_group(group, results):
    """The plots of a group, from its usable results, in the order in which they are shown."""
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
    """What the benchmarks drew themselves, by plot."""
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
    """Parts of at most eight lines. What the others are compared with is in each."""
    base = [line for line in lines if plots.is_base(line[0])]
    others = [line for line in lines if not plots.is_base(line[0])]
    count = max(1, -(-len(others) // MOST_LINES))
    size = -(-len(others) // count)
    return [base + others[at : at + size] for at in range(0, len(others), size)] or [base]


def at_percentile(points, x):
    """The value at this percentile or the next one above; None where the line ends before."""
    return next((point[1] for point in points if point[0] >= x * 0.999), None)


def figure_of(name, title, drawn, caption, labelled=False):
    """labelled: the wide form names its lines itself."""
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
        f"To the right, ever rarer operations; the lower and flatter a line, the better. At {words.percentile(at)}, "
        f"{y_title}: {said}."
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
        f"{words.listed(said, 9)}." + (" Bands: 95 % intervals." if banded else "")
    )
    return figure_of(name, plot, plots.scaling(name, f"{plot}: {caption}", lines, x_title, y_title), caption, True)


def points_of(result, figures):
    return [
        (figure, one["value"], one.get("low"), one.get("high"))
        for figure, one in result["figures"].items()
        if figure in figures and one["value"] is not None
    ]


def lines_by_plot(results):
    """{plot: {benchmark: the name of its line}}, where each benchmark is one line of one plot; else {"": {}}."""
    if any(len(result.get("series", [])) != 1 for result in results):
        return {"": {}}
    out = {}
    for result in results:
        out.setdefault(result["series"][0]["plot"], {})[result["name"]] = result["series"][0]["name"]
    return out


def difference_plots(group, results):
    """What tracing adds, where a group measures that: figures called added_. One for each plot that the group draws."""
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
        "Right of the line at 0: more than without it, in the same rounds. Bars: 95 % intervals; one that touches 0 "
        "may be chance. "
        + (
            f"Above chance at all of these: {words.listed(apart)}."
            if apart
            else "None is above chance at all of these."
        )
    )
    drawn = plots.dots(name, f"{title}: {caption}", rows, f"added, {sign}" if sign else "added", zero=True)
    yield figure_of(name, title, drawn, caption)


def headline(results):
    """The figure that says most: the first that most have with an interval, or else the first that most have."""
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
    """The figures that can share the headline's axis: of the same unit, with intervals too, of most."""
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
    """All benchmarks of a group beside each other, by their headline figure and what can stand beside it."""
    figure = headline(results)
    if figure is None or figure.startswith("added_"):
        return
    figures = beside(results, figure)
    rows = [
        (result["name"], points_of(result, figures)) for result in results if words.value(result, figure) is not None
    ]
    amounts = [points[0][1] for _, points in rows]
    if max(amounts.count(amount) for amount in amounts) * 2 > len(amounts):
        return  # nothing to see
    if "peer" in group["name"] or "other" in group["name"]:
        rows.sort(key=lambda row: row[1][0][1])
    name = f"plot-{group['id']}-{words.identifier(figure)}"
    sign = words.unit(figure)
    mark = (1, "two clock reads") if figure == "ratio" and "2T" in group["method"] else None
    low, high = (choose(rows, key=lambda row: row[1][0][1]) for choose in (min, max))
    caption = (
        ("" if len(figures) == 1 else f"By {figure}: ") + f"Least: {low[0]} with {words.number(low[1][0][1])}; "
        f"most: {high[0]} with {words.number(high[1][0][1])}"
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
