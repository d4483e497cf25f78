// SPDX-License-Identifier: Apache-2.0
//
// How the durations of one root name are distributed: a histogram on a logarithmic scale with the percentiles marked. A
// click on a bar, a drag over several, or the arrow keys and Enter choose the traces with these durations.

const DISTRIBUTION_MARKS = [["p50", 0.5], ["p90", 0.9], ["p99", 0.99], ["p99.9", 0.999], ["max", 1]];
const BAR_WIDTH = 9, AXIS_HEIGHT = 20, MARKS_HEIGHT = 50, SIDE = 10;

class Distribution {
    // onRange(min, max): at least min, below max, in whole nanoseconds; null is no limit.
    constructor(element, {onRange}) {
        this.onRange = onRange;
        this.group = null;
        this.range = null;
        this.at = -1; // the bar that keys have reached
        this.drag = null;
        this.bars = null;
        this.canvas = make("canvas", {id: "distribution-canvas", class: "distribution", tabindex: "0", role: "slider",
            "aria-orientation": "horizontal", "aria-valuemin": "1"});
        this.said = make("p", {id: "distribution-said", class: "quiet"});
        element.replaceChildren(this.canvas, this.said);
        this.drawing = new Drawing(this.canvas, (context, width, height) => this.draw(context, width, height));
        this.canvas.addEventListener("keydown", (event) => this.pressed(event));
        this.canvas.addEventListener("pointerdown", (event) => this.down(event));
        this.canvas.addEventListener("pointermove", (event) => this.moved(event));
        this.canvas.addEventListener("pointerup", (event) => this.up(event));
        this.canvas.addEventListener("pointercancel", () => this.stopDrag());
        this.canvas.addEventListener("pointerleave", () => this.hover(-1));
        this.canvas.addEventListener("blur", () => {
            this.anchor = -1;
            this.drawing.redraw();
        });
        this.hovered = this.anchor = -1;
    }

    // A group of statistics.js, or null; `range` is {min, max} if durations are filtered.
    show(group, range) {
        // After a choice among the same durations, the keys go on from where they are.
        if (this.group === null || group === null || this.group.string !== group.string || this.group.traces.length !== group.traces.length)
            this.at = this.anchor = -1;
        this.group = group;
        this.range = range;
        this.bars = null;
        this.say();
        this.drawing.redraw();
    }

    makeBars(width) {
        const bins = Math.max(8, Math.min(160, Math.floor((width - 2 * SIDE) / BAR_WIDTH)));
        if (this.bars === null || this.binsWanted !== bins) {
            this.bars = this.group === null ? null : histogram(this.group.durations, bins);
            this.binsWanted = bins;
            this.at = Math.min(this.at, (this.bars?.counts.length ?? 0) - 1);
            this.say();
        }
    }

    countOf(first, last) {
        let count = 0;
        for (let i = first; i <= last; i++)
            count += this.bars.counts[i];
        return count;
    }

    describe(first, last) {
        const [from, to] = [this.bars.edges[first], this.bars.edges[last + 1]];
        const count = this.countOf(first, last);
        return `${formatDuration(from)} to ${formatDuration(to)}: ${formatCount(count)} ${count === 1 ? "trace" : "traces"}`;
    }

    say() {
        const {group} = this;
        if (group === null) {
            this.canvas.setAttribute("aria-label", "No durations to show");
            this.said.textContent = "";
            return;
        }
        const marks = DISTRIBUTION_MARKS.map(([name, share]) => `${name} ${formatDuration(quantile(group.durations, share))}`);
        const traces = group.durations.length;
        this.canvas.setAttribute("aria-label", `Durations of ${formatCount(traces)} ${traces === 1 ? "trace" : "traces"} of ` +
            `${label(group.name)}, on a logarithmic scale: ${marks.join(", ")}. Arrow keys go from bar to bar, Enter filters.`);
        if (this.bars === null)
            return;
        const [first, last] = this.pointed();
        this.canvas.setAttribute("aria-valuemax", String(this.bars.counts.length));
        this.canvas.setAttribute("aria-valuenow", String(Math.max(0, first) + 1));
        this.canvas.setAttribute("aria-valuetext", first < 0 ? "no bar chosen" : this.describe(first, last));
        this.said.textContent = first >= 0 ? this.describe(first, last)
            : "Bars grow with the square root of their count, so that rare slow traces show. Click or drag to filter.";
    }

    // The bars that are being chosen, from the first to the last; -1 is none.
    pointed() {
        if (this.drag !== null)
            return [Math.min(this.drag.from, this.drag.to), Math.max(this.drag.from, this.drag.to)];
        if (document.activeElement === this.canvas && this.at >= 0 && this.hovered < 0)
            return this.anchor < 0 ? [this.at, this.at] : [Math.min(this.at, this.anchor), Math.max(this.at, this.anchor)];
        return [this.hovered, this.hovered];
    }

    hover(bar) {
        if (this.hovered === bar)
            return;
        this.hovered = bar;
        this.say();
        this.drawing.redraw();
    }

    barAt(event) {
        if (this.bars === null)
            return -1;
        const bounds = this.canvas.getBoundingClientRect();
        const share = (event.clientX - bounds.left - SIDE) / (bounds.width - 2 * SIDE);
        return Math.min(this.bars.counts.length - 1, Math.max(0, Math.floor(share * this.bars.counts.length)));
    }

    down(event) {
        if (event.button !== 0 || this.bars === null)
            return;
        const bar = this.barAt(event);
        this.drag = {from: bar, to: bar};
        this.canvas.setPointerCapture(event.pointerId);
        this.say();
        this.drawing.redraw();
    }

    moved(event) {
        if (this.drag === null) {
            this.hover(this.barAt(event));
            return;
        }
        this.drag.to = this.barAt(event);
        this.say();
        this.drawing.redraw();
    }

    up() {
        if (this.drag === null)
            return;
        const [first, last] = this.pointed();
        this.stopDrag();
        this.choose(first, last);
    }

    stopDrag() {
        this.drag = null;
        this.drawing.redraw();
    }

    // Filters by these bars, or no longer if they are the filter already.
    choose(first, last) {
        if (this.bars === null || first < 0 || this.countOf(first, last) === 0)
            return;
        const {edges, counts} = this.bars;
        const min = first === 0 ? null : edges[first], max = last + 1 === counts.length ? null : edges[last + 1];
        if (this.range !== null && this.range.min === (min ?? 0) && this.range.max === (max ?? Infinity))
            this.onRange(null, null);
        else
            this.onRange(min, max);
    }

    pressed(event) {
        if (this.bars === null || event.ctrlKey || event.metaKey || event.altKey)
            return;
        const {counts} = this.bars;
        const before = this.at;
        if (event.key === "ArrowLeft" || event.key === "ArrowRight")
            this.at = this.nextBar(event.key === "ArrowLeft" ? -1 : 1);
        else if (event.key === "Home" || event.key === "End")
            this.at = event.key === "Home" ? 0 : counts.length - 1;
        else if (event.key === "Enter" || event.key === " ")
            this.choose(...this.pointed());
        else if (event.key === "Escape" && this.range !== null)
            this.onRange(null, null);
        else
            return;
        this.anchor = !event.shiftKey ? -1 : this.anchor < 0 ? Math.max(0, before) : this.anchor;
        this.hovered = -1;
        event.preventDefault();
        this.say();
        this.drawing.redraw();
    }

    // The next bar that is not empty.
    nextBar(by) {
        const {counts} = this.bars;
        let at = this.at < 0 ? (by > 0 ? -1 : counts.length) : this.at;
        do
            at += by;
        while (at >= 0 && at < counts.length && counts[at] === 0);
        return at < 0 || at >= counts.length ? Math.max(0, this.at) : at;
    }

    place(duration, width) {
        const {lowest, highest} = this.bars;
        const share = highest > lowest ? (Math.log(Math.max(1, duration)) - lowest) / (highest - lowest) : 0.5;
        return SIDE + share * (width - 2 * SIDE);
    }

    draw(context, width, height) {
        this.makeBars(width);
        if (this.bars === null)
            return;
        const bottom = height - AXIS_HEIGHT;
        this.drawAxis(context, width, height);
        this.drawBars(context, width, bottom);
        this.drawMarks(context, width, bottom);
    }

    drawBars(context, width, bottom) {
        const {counts, edges, most} = this.bars;
        const across = (width - 2 * SIDE) / counts.length;
        const room = bottom - MARKS_HEIGHT;
        const [first, last] = this.pointed();
        for (let i = 0; i < counts.length; i++) {
            const left = SIDE + i * across;
            if (first >= 0 && i >= first && i <= last) {
                context.fillStyle = colour("accent-soft");
                context.fillRect(left, MARKS_HEIGHT, across, room);
            }
            if (counts[i] === 0)
                continue;
            const tall = Math.max(2, Math.sqrt(counts[i] / most) * room);
            const inRange = this.range === null || ((edges[i + 1] > this.range.min || i + 1 === counts.length) && edges[i] < this.range.max);
            context.globalAlpha = inRange ? 1 : 0.35;
            context.fillStyle = colour(this.range !== null && inRange ? "bar-chosen" : "bar");
            context.fillRect(left + 0.5, bottom - tall, Math.max(1, across - 1), tall);
            context.globalAlpha = 1;
        }
        context.fillStyle = colour("line");
        context.fillRect(SIDE, bottom, width - 2 * SIDE, 1);
    }

    // Decades and, where there is room, their 2nd and 5th parts.
    drawAxis(context, width, height) {
        const {lowest, highest} = this.bars;
        context.font = font(11);
        context.textBaseline = "middle";
        context.textAlign = "center";
        const decade = (width - 2 * SIDE) * Math.LN10 / Math.max(1e-9, highest - lowest);
        const parts = decade > 190 ? [1, 2, 5] : [1];
        let free = 0;
        for (let power = 0; power < 20; power++)
            for (const part of decade > 1500 ? [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9] : parts) {
                const value = part * 10 ** power;
                if (Math.log(value) < lowest - 1e-9 || Math.log(value) > highest + 1e-9)
                    continue;
                const x = this.place(value, width);
                const text = axisDuration(value);
                const half = context.measureText(text).width / 2;
                context.fillStyle = colour("line");
                context.fillRect(Math.round(x), height - AXIS_HEIGHT, 1, 4);
                const middle = Math.min(Math.max(x, half + 1), width - half - 1);
                if (middle - half < free)
                    continue;
                context.fillStyle = colour("ink-soft");
                context.fillText(text, middle, height - 8);
                free = middle + half + 8;
            }
    }

    // The percentiles: a line each, and above them the texts, in as many lines as they need.
    drawMarks(context, width, bottom) {
        context.font = font(11, 600);
        context.textBaseline = "middle";
        context.textAlign = "left";
        const free = [0, 0, 0]; // where each line of texts has room
        const marks = DISTRIBUTION_MARKS.map(([name, share]) => {
            const duration = quantile(this.group.durations, share);
            const text = `${name} ${formatDuration(duration)}`;
            const x = Math.round(this.place(duration, width)), wide = context.measureText(text).width;
            const left = Math.min(Math.max(2, x - wide / 2), width - wide - 2);
            const line = free.findIndex((from) => left >= from);
            if (line >= 0)
                free[line] = left + wide + 8;
            return {x, text, left, wide, line, fill: share < 0.99 ? "ink-soft" : "warning"};
        });
        for (const {x, line, fill} of marks) {
            context.fillStyle = colour(fill);
            for (let y = line < 0 ? MARKS_HEIGHT : 16 + line * 15; y < bottom; y += 5)
                context.fillRect(x, y, 1, 2);
        }
        for (const {text, left, wide, line, fill} of marks) {
            if (line < 0)
                continue;
            context.fillStyle = colour("panel");
            context.fillRect(left - 2, line * 15 + 1, wide + 4, 14);
            context.fillStyle = colour(fill);
            context.fillText(text, left, 8 + line * 15);
        }
    }
}

// A round duration on an axis: 10 ns, 1 µs, 500 ms, 20 s.
function axisDuration(value) {
    for (const [from, unit] of DURATION_UNITS)
        if (value >= from)
            return `${Number((value / from).toPrecision(3))} ${unit}`;
    return `${value} ns`;
}
