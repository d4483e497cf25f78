// SPDX-License-Identifier: Apache-2.0
//
// What stands above the waterfall of a trace: its name and duration, who took part, and what is special about it.

function showTraceHead(element, pack, trace) {
    const services = new Set();
    for (let row = pack.trace.first[trace], end = row + pack.trace.count[trace]; row < end && services.size < 9; row++)
        services.add(pack.service(row));
    const {errors, count, preempted, waited, duration, kept, source} = pack.trace;
    const facts = [[...services].slice(0, 8).map((name) => label(name, 40) || "(no service name)").join(", "),
        `${formatCount(count[trace])} ${count[trace] === 1 ? "span" : "spans"}`];
    if (errors[trace])
        facts.push(make("span", {class: "failed"}, `\u2715 ${formatCount(errors[trace])} failed`));
    if (kept[trace])
        facts.push(`kept: ${pack.keptWord(trace)}`);
    for (const [word, off] of [["preempted", preempted[trace]], ["waited", waited[trace]]])
        if (off > 0)
            facts.push(make("span", {class: word}, `${word} ${formatDuration(off)}`));
    if (pack.header.sources.length > 1)
        facts.push(make("span", {title: label(pack.header.sources[source[trace]]?.name ?? "", 400)},
            label(pack.sourceName(source[trace]), 60)));
    element.replaceChildren(
        make("h2", {}, make("span", {class: "name"}, label(pack.rootName(trace), 80) || "(empty)"), " ",
            make("strong", {title: formatExact(pack.exact("trace.duration", trace))}, formatDuration(duration[trace]))),
        make("p", {class: "facts"}, ...facts.flatMap((fact, i) => (i ? [" \u00b7 ", fact] : [fact]))),
        make("p", {class: "quiet"}, make("span", {class: "mono"}, pack.traceId(trace)), ` \u00b7 ${formatTime(pack.traceTime(trace))} UTC`));
}
