// SPDX-License-Identifier: Apache-2.0
//
// One trace as a waterfall: a row for each span in the order of the tree, and bars on a time scale that reaches down to
// single nanoseconds. This is its state; waterfall_rows.js says which rows there are, waterfall_draw.js and
// waterfall_scale.js draw them, and waterfall_input.js turns what a user does into calls of this.

// CSS pixels.
const SCROLL_BAR = 10, BADGE = 14, HEAD = 61, STACKED_BELOW = 620;
const PAUSE_EVENTS = new Set(["preempted", "waited"]);

class Waterfall {
    constructor(element, {onSelect = () => {}, onFollow = () => {}} = {}) {
        this.element = element;
        this.onSelect = onSelect;
        this.onFollow = onFollow;
        this.showsCritical = true;
        this.measures = false;
        this.build();
        this.painter = new WaterfallPainter(this);
        this.scale = new WaterfallScale(this, this.painter);
        this.drawing = new Drawing(this.canvas, (context, width) => this.draw(context, width));
        this.endTheme = onTheme(() => {
            this.painter.forgetTheme();
            this.scale.forgetStrip();
        });
        this.resized = () => this.fitHeight();
        addEventListener("resize", this.resized);
        this.input = new WaterfallInput(this);
    }

    build() {
        this.canvas = make("canvas", {class: "waterfall-canvas", tabindex: "0", role: "application", "aria-label": "Waterfall: no trace is chosen",
            "aria-roledescription": "waterfall of a trace", "aria-describedby": "waterfall-said"});
        this.tip = make("div", {class: "waterfall-tip", "aria-hidden": "true", hidden: true});
        this.frame = make("div", {class: "waterfall-frame"}, this.canvas, this.tip);
        this.said = make("p", {class: "waterfall-said", id: "waterfall-said", role: "status", "aria-live": "polite"});
        this.tools = make("div", {class: "waterfall-tools", role: "toolbar", "aria-label": "Waterfall"});
        const button = (text, title, act, pressed) => {
            const made = make("button", {type: "button", title, "aria-pressed": pressed}, text);
            made.addEventListener("click", () => act());
            this.tools.append(made);
            return made;
        };
        button("\u2212", "Show more time (-)", () => this.zoom(2)).setAttribute("aria-label", "Show more time");
        button("+", "Show less time (+)", () => this.zoom(0.5)).setAttribute("aria-label", "Show less time");
        button("Whole trace", "Show the whole trace (0)", () => this.resetZoom());
        button("Zoom to span", "Fill the scale with the chosen span (Enter)", () => this.zoomTo(this.selected));
        this.criticalButton = button("Critical path", "Mark the critical path (c)", () => this.toggleCritical(), "true");
        this.rulerButton = button("Ruler", "Measure between two points: drag, or m", () => this.toggleMeasuring(),
            "false");
        button("Collapse", "Hide all but the outermost two levels", () => this.fold((rows) => rows.collapseAll()));
        button("Expand", "Show all spans", () => this.fold((rows) => rows.expandAll()));
        this.shownTime = make("span", {class: "waterfall-shown quiet"});
        this.tools.append(this.shownTime);
        this.legend = make("p", {class: "waterfall-legend quiet"});
        this.element.replaceChildren(this.tools, this.frame, this.said, this.legend);
    }

    show(pack, traceIndex) {
        this.pack = pack;
        this.traceIndex = traceIndex;
        this.tree = new TraceTree(pack, traceIndex);
        this.rows = new WaterfallRows(pack, traceIndex, this.tree);
        this.axis = new TimeAxis(this.rows.whole);
        // From the beginning of the trace to its end. What no span has is drawn at the heading.
        this.critical = this.tree.critical
            .map(({row, start, end}) => ({row: row >= this.rows.first && row !== NO_INDEX ? row : -1, start, end}))
            .sort((a, b) => a.start - b.start || a.end - b.end);
        this.noted = new Map();
        this.ruler = this.range = this.pointer = null;
        this.hovered = this.selected = -1;
        this.scroll = 0;
        this.headingText = this.rows.rooted ? "(parent not seen)" : ROOT_NOT_SEEN;
        const root = pack.trace.root[traceIndex], name = this.rows.rooted ? label(pack.name(root)) : this.headingText;
        const spans = `${formatCount(this.rows.count)} ${this.rows.count === 1 ? "span" : "spans"}`;
        const length = formatDuration(this.rows.whole);
        this.totalText = `${spans}, ${length}`;
        this.canvas.setAttribute("aria-label", `Waterfall of ${name}: ${spans}, ${length}. ` +
            "Arrow keys choose spans and move in time, plus and minus zoom.");
        this.legend.replaceChildren(...waterfallLegend(pack, traceIndex));
        this.layout = null;
        this.scale.forgetStrip();
        this.fitHeight();
        this.select(this.rows.rooted ? root : this.tree.order[0], {quiet: true});
    }

    // Chooses a span and brings it into view.
    select(row, {quiet = false} = {}) {
        if (row < this.rows.first || row >= this.rows.first + this.rows.count)
            return;
        this.rows.reveal(row);
        this.selected = row;
        this.fitHeight();
        this.bringRow(this.rows.position(row));
        if (!quiet)
            this.bringTime(row);
        this.said.textContent = describeSpan(this, row);
        this.changed();
        this.onSelect(row);
    }

    resetZoom() {
        this.axis.showAll();
        this.changed();
    }

    destroy() {
        this.input.destroy();
        this.drawing.destroy();
        this.endTheme();
        removeEventListener("resize", this.resized);
        this.element.replaceChildren();
    }

    changed() {
        this.drawing.redraw();
    }

    draw(context, width) {
        if (this.rows === undefined)
            return;
        this.width = width;
        this.painter.begin(context, context.getTransform().a);
        this.layOut();
        this.scroll = Math.max(0, Math.min(this.scroll, this.mostScroll()));
        const ticks = this.scale.ticks();
        context.fillStyle = colour("panel");
        context.fillRect(0, 0, width + 1, this.height + 1); // the last pixels may be cut
        context.save();
        context.beginPath();
        context.rect(0, this.layout.head, width, this.height - this.layout.head);
        context.clip();
        this.painter.rows(ticks);
        context.restore();
        this.scale.overview();
        this.scale.axis(ticks);
        this.scale.ruler();
        this.scale.pointer();
        this.scale.scrollBar();
        this.sayShown();
    }

    sayShown() {
        const text = shownTimeText(this.axis);
        if (this.shownTime.textContent !== text)
            this.shownTime.textContent = text;
    }

    // On narrow pages a row has two lines, the name above its bar, so that the scale has the whole width.
    layOut() {
        if (this.layout?.width === this.width)
            return;
        const {width} = this;
        this.scale.forgetStrip();
        const rowBefore = this.layout?.row;
        const common = {width, inset: 8, overview: 34, axis: HEAD - 34, head: HEAD};
        if (width < STACKED_BELOW) {
            this.layout = {...common, stacked: true, row: 38, textMiddle: 11, barTop: 21, bar: 10, names: width - 16,
                indent: 11, bars: 8, barsWidth: width - 8 - SCROLL_BAR - 2, deepest: 8, durationRight: 0, selfRight: 0};
        } else {
            const names = Math.min(Math.round(width * 0.34), Math.max(150, this.namesWidth(14)));
            this.layout = {...common, stacked: false, row: 22, textMiddle: 11, barTop: 4, bar: 12, names, indent: 14,
                bars: names + 146, barsWidth: width - names - 146 - SCROLL_BAR - 2,
                deepest: Math.max(4, Math.floor((names - 120) / 14)), durationRight: names + 66, selfRight: names + 137};
        }
        this.axis.width = this.layout.barsWidth;
        this.fitHeight();
        if (rowBefore === undefined)
            this.bringRow(this.rows.position(this.selected));
        else
            this.scroll *= this.layout.row / rowBefore;
    }

    // What the names of the first spans need.
    namesWidth(indent) {
        const {rows, pack} = this;
        let most = 0;
        for (const row of this.tree.order.slice(0, 300)) {
            const text = `${label(pack.name(row))}${this.behindName(row)}\u2717  `;
            most = Math.max(most, rows.level(row) * indent + this.painter.context.measureText(text).width);
        }
        return Math.ceil(most) + 44;
    }

    // As high as the rows are, within bounds; the rest is reached by scrolling.
    fitHeight() {
        if (this.rows === undefined)
            return;
        const stacked = this.layout?.stacked ?? this.element.clientWidth < STACKED_BELOW;
        const needed = HEAD + this.rows.shown.length * (stacked ? 38 : 22) + 4;
        // Where the page is wide, the list of traces and the details are to be seen at the same time.
        const most = Math.max(260, Math.round(innerHeight * (stacked ? 0.62 : 0.42)));
        const height = Math.max(HEAD + 66, Math.min(needed, most));
        this.height = height;
        this.canvas.style.height = `${height}px`;
        // Where all rows are to be seen, a finger that moves up or down scrolls the page.
        this.canvas.style.touchAction = height >= needed ? "pan-y" : "none";
        this.changed();
    }

    rowTop(at) {
        return this.layout.head + at * this.layout.row - this.scroll;
    }

    // Positions from the first that is to be seen to behind the last.
    visibleRows() {
        const {layout} = this;
        return {first: Math.floor(this.scroll / layout.row),
            last: Math.min(this.rows.shown.length, Math.ceil((this.scroll + this.height - layout.head) / layout.row))};
    }

    mostScroll() {
        return Math.max(0, this.rows.shown.length * this.layout.row + 4 - (this.height - this.layout.head));
    }

    scrollThumb() {
        const most = this.mostScroll();
        if (most === 0)
            return null;
        const room = this.height - this.layout.head;
        const height = Math.max(24, room * room / (room + most));
        const top = this.layout.head + (room - height) * this.scroll / most;
        return {x: this.width - SCROLL_BAR, top, height, room, most};
    }

    scrollBy(pixels) {
        const before = this.scroll;
        this.scroll = Math.max(0, Math.min(this.mostScroll(), this.scroll + pixels));
        if (this.scroll !== before)
            this.changed();
        return this.scroll !== before;
    }

    bringRow(at) {
        if (this.layout === null)
            return;
        const {row, head} = this.layout;
        const room = this.height - head - 4;
        if (at * row < this.scroll)
            this.scroll = at * row;
        else if ((at + 1) * row > this.scroll + room)
            this.scroll = (at + 1) * row - room;
    }

    // Moves the scale if no part of the span is to be seen.
    bringTime(row) {
        const {axis} = this;
        const start = this.pack.span.start[row], end = start + this.pack.span.duration[row];
        if (end < axis.from || start > axis.to) {
            const from = start - axis.length / 10;
            axis.show(from, from + axis.length);
        }
    }

    // Around x, or around the chosen span if it is to be seen, or the middle.
    zoom(factor, x = this.anchor()) {
        this.axis.zoom(factor, x);
        this.changed();
    }

    anchor() {
        const start = this.pack.span.start[this.selected], end = start + this.pack.span.duration[this.selected];
        const from = Math.max(0, this.axis.x(start)), to = Math.min(this.axis.width, this.axis.x(end));
        return from <= to && to - from < this.axis.width * 0.9 ? (from + to) / 2 : this.axis.width / 2;
    }

    zoomTo(row) {
        if (row < 0)
            return;
        const start = this.pack.span.start[row], length = Math.max(this.axis.least, this.pack.span.duration[row]);
        this.axis.show(start - length * 0.05, start + length * 1.05);
        this.changed();
    }

    pan(pixels) {
        const before = this.axis.from;
        this.axis.pan(pixels);
        this.changed();
        return this.axis.from !== before;
    }

    toggleCritical() {
        this.showsCritical = !this.showsCritical;
        this.criticalButton.setAttribute("aria-pressed", String(this.showsCritical));
        this.changed();
    }

    toggleMeasuring(on = !this.measures) {
        this.measures = on;
        this.rulerButton.setAttribute("aria-pressed", String(on));
        if (!on && this.ruler !== null) {
            this.ruler = null;
            this.said.textContent = describeSpan(this, this.selected);
        }
        this.changed();
    }

    setRuler(from, to) {
        this.ruler = {from, to};
        const [start, end] = from < to ? [from, to] : [to, from];
        this.said.textContent = `Ruler: ${rulerText(this)}, from ${exactOffset(start)} to ${exactOffset(end)}`;
        this.changed();
    }

    toggleRow(row) {
        this.fold((rows) => rows.toggle(row));
    }

    // After the rows have changed, the chosen span stays where it is on the screen, or what hides it is chosen.
    fold(change) {
        if (this.layout === null)
            return;
        const before = this.rowTop(this.rows.position(this.selected));
        change(this.rows);
        const at = this.rows.position(this.selected);
        this.fitHeight();
        this.scroll = Math.max(0, Math.min(this.mostScroll(), this.scroll + this.rowTop(at) - before));
        if (this.rows.shown[at] !== this.selected)
            this.select(this.rows.shown[at], {quiet: true});
        this.changed();
    }

    // Moves the choice by so many rows; the heading cannot be chosen.
    move(by) {
        const {shown} = this.rows;
        const at = Math.max(0, Math.min(shown.length - 1, this.rows.position(this.selected) + by));
        const row = shown[at] !== HEADING ? shown[at] : shown[at + Math.sign(by)] ?? shown[at + 1] ?? this.selected;
        if (row !== this.selected)
            this.select(row);
    }

    // What lies within a span, read once while it may be drawn often.
    notes(row) {
        let known = this.noted.get(row);
        if (known === undefined) {
            const pauses = this.pack.pauses(row);
            const paused = new Set(pauses.map((pause) => pause.start));
            // What is drawn as a time off the CPU needs no mark as an event.
            const events = this.pack.events(row).filter(({time, name}) => !(paused.has(time) && PAUSE_EVENTS.has(name)));
            known = {events, pauses, links: this.pack.links(row)};
            if (this.noted.size > 5000)
                this.noted.clear();
            this.noted.set(row, known);
        }
        return known;
    }

    // Kind and service behind a name, and how many spans are hidden below it.
    behindName(row) {
        return behindName(this.pack, this.rows, row);
    }

    // The first part of the critical path that does not end before what is shown.
    firstCritical() {
        let low = 0, high = this.critical.length;
        while (low < high) {
            const middle = (low + high) >> 1;
            if (this.critical[middle].end < this.axis.from)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

    criticalTime(row) {
        return this.critical.reduce((sum, part) => sum + (part.row === row ? part.end - part.start : 0), 0);
    }

    badgeX(row) {
        const {layout, axis, pack} = this;
        const end = axis.x(pack.span.start[row] + pack.span.duration[row]);
        return layout.bars + Math.max(2, Math.min(end + 5, layout.barsWidth - 2 * BADGE));
    }
}
