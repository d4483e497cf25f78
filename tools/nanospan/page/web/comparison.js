// SPDX-License-Identifier: Apache-2.0
//
// Where the difference between two sets of traces comes from: a bridge from the mean of the one to the mean of the
// other, a step for each phase (canvas), and the same in numbers (a table).

const COMPARISONS = {
    slowest: {title: "slowest 1 % against the middle", first: "slowest 1 %", second: "middle half"},
    time: {title: "before against after a time", first: "after", second: "before"},
    files: {title: "file against file", first: "first file", second: "second file"},
};
const BRIDGE_STEPS = 12, BRIDGE_ROW = 24, COMPARISON_ROWS = 100;

function comparisonDefaults() {
    return {kind: "slowest", at: "", first: "0", second: "1"};
}

class Comparison {
    // onSpec(spec): another comparison was asked for.
    constructor(element, {onSpec}) {
        this.onSpec = onSpec;
        this.running = 0;
        this.result = null;
        this.known = {key: null};
        this.controls = make("form", {id: "comparison-form", class: "controls", "aria-label": "What is compared"});
        this.controls.addEventListener("submit", (event) => event.preventDefault());
        this.stripCanvas = make("canvas", {id: "comparison-strip", class: "strip", role: "img", hidden: true});
        this.strip = new TimeStrip(this.stripCanvas, {onTime: (at) => this.onSpec({...this.spec, at: String(at)})});
        this.headline = make("p", {id: "comparison-headline", class: "headline", role: "status", "aria-live": "polite"});
        this.canvas = make("canvas", {id: "comparison-canvas", class: "bridge", role: "img"});
        this.body = make("tbody");
        this.headRow = make("tr");
        this.table = make("table", {class: "phases", id: "comparison-table", "aria-label": "Phases, the largest difference first"}, make("thead", {}, this.headRow), this.body);
        this.rest = make("p", {class: "quiet", id: "comparison-rest"});
        this.stripAbout = make("p", {class: "quiet", hidden: true}, "Each bar reaches from the median to p99 of the traces that start there; the dot is " +
            "the longest of them. Click to divide there.");
        this.about = make("p", {class: "quiet"}, "A phase is the sequence of span names from the root. Its time is what it takes of the " +
            "critical path, as a mean over all traces of a set, so the differences of the phases add up to the difference " +
            "of the means. The hatched part is time off the CPU.");
        element.replaceChildren(this.controls, this.stripCanvas, this.stripAbout, this.headline, this.canvas, make("div", {class: "scroll"}, this.table),
            this.rest, this.about);
        this.drawing = new Drawing(this.canvas, (context, width, height) => this.draw(context, width, height));
    }

    // `group` of statistics.js, or null; `chosen` is the trace that is shown, or -1.
    show(pack, group, spec, chosen) {
        Object.assign(this, {pack, group, spec, chosen});
        this.makeControls();
        this.compare();
    }

    makeControls() {
        const {pack, spec} = this;
        const kind = make("select", {id: "comparison-kind", "aria-label": "Compare"},
            ...Object.entries(COMPARISONS).filter(([name]) => name !== "files" || pack.header.sources.length > 1)
                .map(([name, {title}]) => make("option", {value: name, ".selected": name === spec.kind}, title)));
        kind.addEventListener("change", () => this.onSpec({...spec, kind: kind.value}));
        const parts = [make("label", {}, "Compare ", kind)];
        if (spec.kind === "files")
            parts.push(...["first", "second"].map((side) => this.fileChoice(side)));
        if (spec.kind === "time")
            parts.push(...this.timeChoice());
        this.stripCanvas.hidden = this.stripAbout.hidden = spec.kind !== "time" || this.group === null;
        if (!this.stripCanvas.hidden)
            this.strip.show(pack, this.group, ...this.timeSpan(), this.splitTime());
        const focused = document.activeElement?.id ?? "";
        this.controls.replaceChildren(...parts);
        if (focused.startsWith("comparison-"))
            document.getElementById(focused)?.focus();
    }

    fileChoice(side) {
        const choice = make("select", {id: `comparison-${side}`}, ...this.pack.header.sources.map((_, i) => (
            make("option", {value: i, ".selected": String(i) === this.spec[side]}, label(this.pack.sourceName(i), 60)))));
        choice.addEventListener("change", () => this.onSpec({...this.spec, [side]: choice.value}));
        return make("label", {}, `${side === "first" ? "" : "against "}`, choice);
    }

    // Unix time, ns, between the earliest and the latest start of the group's traces.
    splitTime() {
        const [from, to] = this.timeSpan();
        const at = /^[0-9]{1,20}$/.test(this.spec.at) ? BigInt(this.spec.at) : from + (to - from) / 2n;
        return at < from ? from : at > to ? to : at;
    }

    timeSpan() {
        let from = Infinity, to = 0;
        for (const t of this.group?.traces ?? []) {
            from = Math.min(from, this.pack.trace.start[t]);
            to = Math.max(to, this.pack.trace.start[t]);
        }
        return Number.isFinite(from) ? [this.pack.base + BigInt(from), this.pack.base + BigInt(to)] : [this.pack.base, this.pack.base];
    }

    timeChoice() {
        const [from, to] = this.timeSpan();
        const at = this.splitTime();
        const steps = 1000n;
        const slider = make("input", {type: "range", id: "comparison-at", min: 0, max: String(steps), "aria-label": "Time",
            ".value": to > from ? String((at - from) * steps / (to - from)) : "0",
            "aria-valuetext": `${formatTime(at)} UTC`});
        slider.addEventListener("change", () => (
            this.onSpec({...this.spec, at: String(from + (to - from) * BigInt(slider.value) / steps)})));
        const shown = make("output", {class: "mono"}, `${formatTime(at).slice(0, 23)} UTC`);
        slider.addEventListener("input", () => (
            shown.textContent = `${formatTime(from + (to - from) * BigInt(slider.value) / steps).slice(0, 23)} UTC`));
        const parts = [slider, shown];
        if (this.chosen >= 0) {
            const button = make("button", {type: "button", id: "comparison-at-chosen"}, "Start of the chosen trace");
            button.addEventListener("click", () => this.onSpec({...this.spec, at: String(this.pack.traceTime(this.chosen))}));
            parts.push(button);
        }
        return parts;
    }

    sets() {
        const {group, pack, spec} = this;
        if (spec.kind === "slowest")
            return slowestAgainstMiddle(group.traces);
        if (spec.kind === "files")
            return [spec.first, spec.second].map((side) => group.traces.filter((t) => pack.trace.source[t] === Number(side)));
        const at = Number(this.splitTime() - pack.base);
        return [group.traces.filter((t) => pack.trace.start[t] >= at), group.traces.filter((t) => pack.trace.start[t] < at)];
    }

    // Compares unless this is what is shown already. A later call ends an earlier one that still runs.
    async compare() {
        const {group, spec} = this;
        const key = group === null ? null : {group, spec: JSON.stringify(spec)};
        if (this.known.key !== null && key !== null && this.known.key.group === key.group && this.known.key.spec === key.spec)
            return;
        const run = ++this.running;
        this.known.key = key;
        const sets = group === null ? [[], []] : this.sets();
        if (sets.some((set) => set.length === 0)) {
            this.nothing(group === null ? "No trace passes the filters." : `One of the sets is empty: ${this.setWords(sets).join(", ")}.`);
            return;
        }
        this.headline.textContent = "Comparing\u2026";
        const result = await compareSets(this.pack, ...sets, (share) => {
            this.headline.textContent = `Comparing: ${Math.round(share * 100)} %`;
            return run === this.running;
        });
        if (result !== null && run === this.running)
            this.showResult(result, sets);
    }

    nothing(text) {
        this.result = null;
        this.headline.textContent = text;
        this.body.replaceChildren();
        this.headRow.replaceChildren();
        this.rest.textContent = "";
        this.canvas.hidden = this.about.hidden = true;
    }

    setWords(sets) {
        const {first, second} = COMPARISONS[this.spec.kind];
        const names = this.spec.kind === "files"
            ? [this.spec.first, this.spec.second].map((i) => label(this.pack.sourceName(Number(i)), 60)) : [first, second];
        return names.map((name, i) => `${name} (${formatCount(sets[i].length)} ${sets[i].length === 1 ? "trace" : "traces"})`);
    }

    showResult(result, sets) {
        this.result = result;
        const words = this.setWords(sets), {means, difference} = result;
        this.headline.replaceChildren(`${label(this.group.name, 60)}: ${words[0]}, mean ${formatDuration(Math.round(means[0]))}, against ` +
            `${words[1]}, mean ${formatDuration(Math.round(means[1]))}: `, make("strong", {class: difference > 0 ? "worse" : "better"},
            formatDifference(difference)));
        this.rows = result.rows.filter((row) => row.difference !== 0 || row.first.critical > 0 || row.first.offCpu > 0 || row.second.offCpu > 0 ||
            row.first.times !== row.second.times);
        this.showTable();
        const steps = this.rows.slice(0, BRIDGE_STEPS).filter((row) => row.difference !== 0);
        const rest = this.rows.slice(steps.length);
        this.steps = steps.map((row) => ({text: this.phaseLabel(row), row, difference: row.difference,
            offCpu: row.first.offCpu - row.second.offCpu}));
        if (rest.some((row) => row.difference !== 0))
            this.steps.push({text: `${formatCount(rest.length)} other phases`, row: null, offCpu: 0,
                difference: rest.reduce((sum, row) => sum + row.difference, 0)});
        this.canvas.hidden = this.about.hidden = false;
        this.canvas.style.height = `${(this.steps.length + 2) * BRIDGE_ROW + 6}px`;
        this.canvas.setAttribute("aria-label", `From ${formatDuration(Math.round(means[1]))} to ${formatDuration(Math.round(means[0]))}: ` +
            this.steps.map(({text, difference: step}) => `${text} ${formatDifference(step)}`).join(", "));
        this.drawing.redraw();
    }

    hasChildren(phase) {
        return this.result.phases.list.some(({parent}) => parent === phase);
    }

    phaseLabel({phase}) {
        const name = label(this.result.phases.name(phase), 60) || "(empty)";
        return this.hasChildren(phase) ? `${name}, own time` : name;
    }

    showTable() {
        const {first, second} = COMPARISONS[this.spec.kind];
        const numbers = [first, second, "difference", "share", "times a trace", "off the CPU"];
        this.headRow.replaceChildren(columnHead("phase"), ...numbers.map((text) => columnHead(text, {class: "number"})));
        const total = this.result.difference;
        const shown = this.rows.slice(0, COMPARISON_ROWS);
        this.body.replaceChildren(...shown.map((row) => {
            const names = this.result.phases.names(row.phase);
            const above = names.length > 8 ? [`\u2026 ${names.length - 4} more`, ...names.slice(-4, -1)] : names.slice(0, -1);
            const sign = Math.round(row.difference) > 0 ? "worse" : Math.round(row.difference) < 0 ? "better" : "quiet";
            return make("tr", {"data-phase": label(names.join(" > "), 400)},
                make("th", {scope: "row"}, make("span", {class: "quiet"}, above.map((name) => `${label(name, 40)} \u203a `).join("")),
                    this.phaseLabel(row)),
                ...[row.first, row.second].map(({critical}) => make("td", {class: "number"}, formatDuration(Math.round(critical)))),
                make("td", {class: `number ${sign}`}, formatDifference(row.difference)),
                make("td", {class: "number"}, total === 0 ? "\u00b7" : formatPercent(row.difference / total)),
                make("td", {class: "number"}, `${shortNumber(row.first.times)} / ${shortNumber(row.second.times)}`),
                make("td", {class: "number"}, row.first.offCpu || row.second.offCpu
                    ? `${formatDuration(Math.round(row.first.offCpu))} / ${formatDuration(Math.round(row.second.offCpu))}` : "\u00b7"));
        }), make("tr", {class: "sum"}, make("th", {scope: "row"}, "all phases"),
            ...this.result.means.map((mean) => make("td", {class: "number"}, formatDuration(Math.round(mean)))),
            make("td", {class: "number"}, formatDifference(total)), make("td", {class: "number"}, total === 0 ? "\u00b7" : "100.0 %"),
            make("td"), make("td")));
        const hidden = this.rows.slice(COMPARISON_ROWS);
        this.rest.textContent = hidden.length === 0 ? "" : `${formatCount(hidden.length)} further phases are not shown; together ` +
            `${formatDifference(hidden.reduce((sum, row) => sum + row.difference, 0))}.`;
    }

    // From the second set's mean (top) to the first one's (bottom), step by step.
    draw(context, width, height) {
        if (this.result === null)
            return;
        const {means} = this.result;
        const places = [means[1]];
        for (const {difference} of this.steps)
            places.push(places[places.length - 1] + difference);
        const lowest = Math.min(...places), highest = Math.max(...places, means[0]);
        // If the means are far larger than what lies between them, the scale does not begin at 0.
        const cut = lowest > 4 * (highest - lowest) ? lowest - (highest - lowest) * 0.25 : 0;
        const names = Math.min(220, width * 0.34), numbers = 84;
        const scale = (value) => names + (width - names - numbers) * (value - cut) / Math.max(1, highest - cut);
        const sets = COMPARISONS[this.spec.kind];
        context.textBaseline = "middle";
        this.drawBar(context, 0, sets.second, names, names, scale(means[1]), "bar", formatDuration(Math.round(means[1])), cut > 0);
        this.steps.forEach(({text, difference, offCpu}, i) => {
            const from = scale(places[i]), to = scale(places[i + 1]);
            const top = (i + 1) * BRIDGE_ROW;
            context.fillStyle = colour("line");
            context.fillRect(Math.round(from), top - 4, 1, 8);
            this.drawBar(context, i + 1, text, names, from, to, difference > 0 ? "worse" : "better", formatDifference(difference), false);
            // As much of the step as the time off the CPU can account for.
            const off = Math.sign(difference) * offCpu > 0 ? Math.min(1, Math.abs(offCpu / difference)) : 0;
            this.drawHatch(context, top + 5, from, from + (to - from) * off);
        });
        context.fillStyle = colour("line");
        context.fillRect(Math.round(scale(places[places.length - 1])), (this.steps.length + 1) * BRIDGE_ROW - 4, 1, 8);
        this.drawBar(context, this.steps.length + 1, sets.first, names, names, scale(means[0]), "bar",
            formatDuration(Math.round(means[0])), cut > 0);
    }

    drawBar(context, line, text, names, from, to, fill, number, cut) {
        const middle = line * BRIDGE_ROW + BRIDGE_ROW / 2 + 2;
        const left = Math.min(from, to), wide = Math.max(1.5, Math.abs(to - from));
        context.fillStyle = colour(fill);
        context.fillRect(left, middle - 7, wide, 14);
        if (cut) {
            context.fillStyle = colour("panel");
            for (let i = 0; i < 2; i++)
                context.fillRect(names + 8 + i * 5, middle - 9, 2, 18);
        }
        context.font = font(12, fill === "bar" ? 600 : 400);
        context.fillStyle = colour("ink");
        context.textAlign = "right";
        context.fillText(fitText(context, text, names - 14), names - 8, middle);
        context.textAlign = "left";
        context.fillStyle = colour(fill === "bar" ? "ink" : fill);
        context.fillText(number, Math.max(left + wide, names) + 6, middle);
    }

    drawHatch(context, top, from, to) {
        const left = Math.min(from, to), right = Math.max(from, to);
        if (right - left < 2)
            return;
        context.save();
        context.beginPath();
        context.rect(left, top + 0, right - left, 14);
        context.clip();
        context.strokeStyle = colour("panel");
        context.lineWidth = 1.5;
        context.beginPath();
        for (let x = left - 14; x < right; x += 6) {
            context.moveTo(x, top + 14);
            context.lineTo(x + 14, top);
        }
        context.stroke();
        context.restore();
    }
}

// 1, 0.95, 12.3
function shortNumber(value) {
    return String(Number(value.toFixed(2)));
}
