#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a page from the JSON that nanospan-bench --json wrote: report.py RESULTS.json PAGE.html

The page is self-contained: it needs no network and no script. It shows all groups, figures and lines of the
JSON; a section without content is left out."""

import fnmatch
import json
import os
import pathlib
import sys

sys.dont_write_bytecode = True  # leaves the source folder unchanged
try:
    import jinja2
    import markupsafe
    import matplotlib  # noqa: F401, plots.py needs it
except ImportError as missing:
    # Debian's packages belong to Debian's Python, which may not be the first on the PATH.
    if os.path.exists("/usr/bin/python3") and os.path.realpath(sys.executable) != os.path.realpath(
        "/usr/bin/python3"
    ):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
    sys.exit(f"report.py: {missing}; the Debian packages are python3-matplotlib and python3-jinja2")

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import gallery  # noqa: E402
import words  # noqa: E402

HERE = pathlib.Path(__file__).parent

# The key figures at the top of the page: title, benchmark, figure, and a second figure below it. The first
# benchmark that matches is used.
KEYS = (
    ("A user's span with 3 attributes: p99", "user_tail_sustained_3", "p99_ns", "p50_ns", "ns at p50"),
    ("Its p99.9", "user_tail_sustained_3", "p99.9_ns", "p99.99_ns", "ns at p99.99"),
    ("p99.9 on four threads", "user_tail_threads_3", "p99.9_ns", "p99.99_ns", "ns at p99.99"),
    ("The first span after 12 ms", "first_sampled", "after_12ms_ns", "after_100ms_ns", "ns after 100 ms"),
    ("A span with 3 attributes: mean", "span3", "span_ns", "ratio", "× two clock reads"),
    ("An unsampled span: mean", "unsampled3", "span_ns", "ratio", "× two clock reads"),
    ("Tracing disabled: mean", "disabled", "span_ns", "ratio", "× two clock reads"),
    ("Added to an order", "order_100", "added_ns", "ratio", "× the untraced order"),
    ("Drained and encoded by one core", "drain_3", "spans_per_s_millions", None, ""),
    ("Delivered over loopback HTTP", "e2e_3", "spans_per_s_millions", "wire_bytes", "bytes per span"),
)

# The facts about the machine, by subject; facts that are not listed here come last.
FACTS = (
    (
        "Software",
        {
            "date": "date",
            "nanospan": "nanospan",
            "commit": "commit",
            "compiler": "compiler",
            "flags": "built as",
            "assertions": "assertions",
        },
    ),
    (
        "Processor",
        {
            "cpu": "model",
            "cpus": "CPUs",
            "hot_cpu": "measured thread on",
            "collector_cpu": "everything else on",
            "hot_cpu_siblings": "its hyperthreads",
            "caches": "caches",
            "governor": "governor",
            "boost": "boost",
            "smt": "SMT",
            "isolated_cpus": "isolated CPUs",
            "nohz_full_cpus": "tickless CPUs",
            "tsc_flags": "counter",
            "hypervisor": "hypervisor",
            "microcode": "microcode",
            "mitigations": "mitigations",
        },
    ),
    (
        "System",
        {
            "kernel": "kernel",
            "system": "distribution",
            "kernel_options": "kernel options",
            "clocksource": "clock source",
            "clock": "nanospan's clock",
            "tick_ns": "ns per tick",
            "huge_pages": "huge pages",
            "memory": "memory",
            "cpu_quota": "CPU quota",
        },
    ),
    (
        "Noise",
        {
            "least_2T_ns": "two clock reads at best, ns",
            "least_additions_ns": "ten additions at best, ns",
            "stolen_ms": "stolen by the hypervisor, ms",
            "load_before": "load before",
            "load_after": "load after",
        },
    ),
)

ACCOUNTING = {
    "attempted": "attempted",
    "exported": "exported",
    "dropped": "dropped",
    "discarded": "discarded",
    "rejected": "rejected",
    "unconfirmed": "unconfirmed",
    "spooled": "spooled",
    "open": "open",
    "in_rings": "in rings",
    "in_batches": "in batches",
    "roots_unsampled": "roots unsampled",
    "roots_refused": "roots refused",
    "leaked": "leaked",
    "misused": "misused",
}


def usable(result):
    return result["valid"] and not result.get("skipped")


# ---- the head ----


def verdict(run):
    """The verdict of the run: (kept, broken or none; a line of text; further remarks)."""
    items = run.get("budgets", {}).get("items", [])
    counts = {word: sum(item["verdict"] == word for item in items) for word in ("pass", "fail", "skip")}
    judged = counts["pass"] + counts["fail"]
    rest = []
    if counts["skip"]:
        rest.append(f"{words.count_of(counts['skip'], 'budget')} skipped")
    invalid = sum(not usable(result) and not result.get("skipped") for result in run["results"])
    if invalid:
        rest.append(f"{words.count_of(invalid, 'benchmark')} gave no valid figures")
    skipped = sum(bool(result.get("skipped")) for result in run["results"])
    if skipped:
        rest.append(f"{words.count_of(skipped, 'benchmark')} skipped")
    if run.get("interrupted"):
        rest.append(f"the run was interrupted after {words.count_of(len(run['results']), 'benchmark')}")
    if not judged:
        return "none", "No budgets were checked", rest
    if counts["fail"]:
        return "broken", f"{counts['fail']} of {words.count_of(judged, 'budget')} broken", rest
    return "kept", f"All {judged} budgets kept" if judged > 1 else "The budget is kept", rest


def key_figures(run):
    out = []
    for title, pattern, figure, second, means in KEYS:
        for result in run["results"]:
            if (
                not fnmatch.fnmatch(result["name"], pattern)
                or not usable(result)
                or words.value(result, figure) is None
            ):
                continue
            below = words.value(result, second) if second else None
            out.append(
                {
                    "title": title,
                    "value": words.number(words.value(result, figure)),
                    "unit": words.unit(figure),
                    "interval": words.interval(result["figures"][figure]),
                    "benchmark": result["name"],
                    "below": f"{words.number(below)} {means}" if below is not None else "",
                }
            )
            break
    return out + zeros(run)


def zeros(run):
    """One key figure for all zero_* benchmarks: the sum of everything that they counted on the hot path."""
    found = [result for result in run["results"] if result["name"].startswith("zero_") and usable(result)]
    counts = {}
    for result in found:
        for figure, one in result["figures"].items():
            if figure.endswith("_count") and one["value"] is not None:
                counts[figure] = counts.get(figure, 0) + one["value"]
    if not counts:
        return []
    names = [figure[: -len("_count")].replace("_", " ") for figure in counts]
    return [
        {
            "title": "Counted on the hot path",
            "value": words.number(sum(counts.values())),
            "unit": "",
            "interval": words.listed(names),
            "benchmark": "",
            "below": words.count_of(len(found), "operation"),
        }
    ]


# ---- the machine ----


def facts(run):
    machine, named, out = run.get("machine", {}), set(), []
    for title, keys in FACTS:
        rows = [(label, machine[key]) for key, label in keys.items() if machine.get(key, "unknown") != "unknown"]
        unknown = [label for key, label in keys.items() if machine.get(key) == "unknown"]
        out.append((title, rows + ([("unknown here", ", ".join(unknown))] if unknown else [])))
        named |= keys.keys()
    out.append(("More", [(key.replace("_", " "), text) for key, text in machine.items() if key not in named]))
    return [(title, rows) for title, rows in out if rows]


def noise(run, groups):
    """The rounds that count and those that are left out, by group, and the share in which the core was alone."""
    out = []
    for group in groups:
        used, invalid = (
            sum(result.get(key, 0) for result in group["results"]) for key in ("rounds", "invalid_rounds")
        )
        alone = [
            (result["rounds"], words.value(result, "core_alone_percent"))
            for result in group["results"]
            if words.value(result, "core_alone_percent") is not None
        ]
        counted = sum(rounds for rounds, _ in alone)
        if used + invalid:
            out.append(
                {
                    "group": group["name"],
                    "id": group["id"],
                    "used": words.number(used),
                    "invalid": words.number(invalid),
                    "alone": f"{sum(rounds * share for rounds, share in alone) / counted:.0f} %" if counted else "",
                }
            )
    return out


# ---- groups ----


def table(results):
    """Columns in the order in which figures first appear. A table that would be much wider than long is
    transposed."""
    columns = list(dict.fromkeys(figure for result in results for figure in result["figures"]))
    return {"columns": columns, "rows": results, "turned": len(columns) > 9 and len(results) * 2 < len(columns)}


def groups_of(run):
    methods = {group["name"]: group["method"] for group in run.get("groups", [])}
    out = []
    for name in dict.fromkeys(result["group"] for result in run["results"]):
        results = [result for result in run["results"] if result["group"] == name]
        group = {
            "name": name.replace("_", " "),
            "id": "group-" + words.identifier(name),
            "method": methods.get(name, ""),
            "results": results,
        }
        group["plots"] = gallery.of_group(group, [result for result in results if usable(result)])
        group["table"] = table(results)
        out.append(group)
    return out


# ---- the rest ----


def accounting(run):
    rows = [(result["name"], result["accounting"]) for result in run["results"] if result.get("accounting")]
    shown = [
        key
        for key in dict.fromkeys(key for _, row in rows for key in row)
        if key in ("attempted", "exported", "dropped") or any(row.get(key) for _, row in rows)
    ]
    total = {key: sum(row.get(key, 0) for _, row in rows) for key in shown}
    return {"columns": [(key, ACCOUNTING.get(key, key)) for key in shown], "rows": rows, "total": total} if rows else None


def change(item):
    if not item["then"] or item["now"] is None:
        return "–"
    return f"{(item['now'] / item['then'] - 1) * 100:+.1f} %".replace("-", "−")


def breakable(name):
    """Allows line breaks after the underscores of a long name."""
    escaped = str(markupsafe.escape(name))
    return markupsafe.Markup(escaped.replace("_", "_<wbr>") if len(name) > 12 else escaped)


def render(run):
    groups = groups_of(run)
    state, line, rest = verdict(run)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        breakable=breakable,
        number=words.number,
        interval=words.interval,
        duration=words.duration,
        change=change,
        unit=words.unit,
        tick=words.tick,
    )
    order = {"worse": 0, "better": 1, "none": 2, "unknown": 3}
    compared = run.get("compared")
    if compared:
        compared["items"].sort(key=lambda item: order[item["verdict"]])
    return environment.get_template("page.html").render(
        run=run,
        machine=run.get("machine", {}),
        state=state,
        verdict=line,
        rest=rest,
        keys=key_figures(run),
        facts=facts(run),
        noise=noise(run, groups),
        groups=groups,
        accounting=accounting(run),
        budgets=run.get("budgets"),
        compared=compared,
        style=markupsafe.Markup((HERE / "page.css").read_text()),
    )


def main():
    if len(sys.argv) != 3:
        print("usage: report.py RESULTS.json PAGE.html", file=sys.stderr)
        return 2
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            run = json.load(file)
        if not isinstance(run.get("results"), list) or run.get("format") != 1:
            raise ValueError("this is not a results file of nanospan-bench")
    except (OSError, ValueError, AttributeError) as problem:
        print(f"report.py: {sys.argv[1]}: {problem}", file=sys.stderr)
        return 1
    page = render(run)
    draft = sys.argv[2] + ".draft"
    with open(draft, "w", encoding="utf-8") as file:
        file.write(page)
    os.replace(draft, sys.argv[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
