// SPDX-License-Identifier: Apache-2.0
//
// What a waterfall says in words.

const SPAN_KINDS = ["", "", "server", "client", "producer", "consumer"];

// The service is said only where it differs from the parent's.
function behindName(pack, rows, row) {
    const kind = SPAN_KINDS[pack.span.kind[row]] ?? "";
    const parent = rows.parent(row), service = pack.service(row);
    const says = service !== "" && (parent < 0 || pack.service(parent) !== service);
    const hidden = rows.collapsed.has(row) ? ` (+${formatCount(rows.below(row))})` : "";
    return `${kind === "" ? "" : ` ${kind}`}${says ? ` @${label(service)}` : ""}${hidden}`;
}

// The chosen span.
function describeSpan(waterfall, row) {
    const {pack, rows} = waterfall;
    const parent = rows.parent(row), below = rows.below(row);
    const said = [`${label(pack.name(row))}: ${formatDuration(pack.span.duration[row])}`,
        `starts at ${exactOffset(pack.span.start[row])}`];
    if (parent >= 0)
        said.push(`child of ${label(pack.name(parent))}`);
    else
        said.push(rows.tree.isOrphan(row) ? "its parent is not here" : "root");
    if (pack.span.status[row] === 2)
        said.push("failed");
    const critical = waterfall.criticalTime(row);
    said.push(critical > 0 ? `on the critical path for ${formatDuration(critical)}` : "not on the critical path");
    if (below > 0)
        said.push(`${formatCount(below)} below it, ${rows.collapsed.has(row) ? "collapsed" : "shown"}`);
    said.push(`${formatCount(rows.place[row - rows.first] + 1)} of ${formatCount(rows.count)}`);
    return said.join(", ");
}

// Which part of the trace is shown; "" if all of it is.
function shownTimeText(axis) {
    if (axis.showsAll)
        return "";
    const text = `${formatDuration(Math.round(axis.length))} from ${exactOffset(Math.round(Math.max(0, axis.from)))}`;
    return axis.resolution === 1 ? text : `${text}; times this late are drawn to ${axis.resolution} ns`;
}

// The length of the ruler.
function rulerText({ruler, axis}) {
    const text = formatExact(Math.abs(ruler.to - ruler.from));
    return axis.resolution === 1 ? text : `${text} (\u00b1 ${axis.resolution} ns)`;
}

// What the marks mean; times off the CPU only where there are any, with their sums.
function waterfallLegend(pack, trace) {
    const {preempted, waited} = pack.trace;
    const marks = [["critical", "\u2501 critical path"], ["event", "\u25c6 event"], ["link", "\u2192 link"],
        ["failed", "\u2717 failed"]];
    if (preempted[trace] > 0)
        marks.push(["preempted", `\u25a8 preempted, ${formatDuration(preempted[trace])} in all`]);
    if (waited[trace] > 0)
        marks.push(["waited", `\u2591 waited, ${formatDuration(waited[trace])} in all`]);
    return marks.map(([name, text]) => make("span", {},
        make("span", {class: `mark-${name}`, "aria-hidden": "true"}, text.slice(0, 1)), text.slice(1)));
}
