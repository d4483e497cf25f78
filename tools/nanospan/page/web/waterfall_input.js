// SPDX-License-Identifier: Apache-2.0
//
// What a user does with a waterfall: by mouse, by touch and by keyboard.

// For the page's list of keys.
const WATERFALL_KEYS = [
    ["\u2191 \u2193", "choose the span above or below"],
    ["Page Up, Page Down, Home, End", "choose a span farther away"],
    ["\u2190 \u2192", "move in time"],
    ["+ \u2212 0", "show less time, more time, the whole trace"],
    ["Enter", "fill the time scale with the chosen span; so does a double click on its bar"],
    ["Space", "collapse or expand the spans below"],
    ["c", "mark the critical path, or do not"],
    ["m", "ruler over the chosen span; \u2190 \u2192 then move its end, with Shift by 1 ns; Escape ends it"],
    ["Ctrl and wheel, wheel over the scale, pinch", "zoom"],
    ["drag on the scale", "show that range of time"],
    ["Shift and drag", "ruler between two points"],
];

const CLICK_SLOP = 4, SNAP_TO_BAR = 6, DOUBLE_TAP = 400;

class WaterfallInput {
    constructor(waterfall) {
        this.w = waterfall;
        this.pointers = new Map();
        this.gesture = null;
        this.tapped = {row: -1, time: -Infinity};
        this.ended = new AbortController();
        const on = (name, act, options = {}) => waterfall.canvas.addEventListener(name, (event) => {
            if (waterfall.rows !== undefined && waterfall.layout !== null)
                act(event);
        }, {signal: this.ended.signal, ...options});
        on("pointerdown", (event) => this.down(event));
        on("pointermove", (event) => this.moved(event));
        on("pointerup", (event) => this.up(event));
        on("pointercancel", (event) => this.up(event, true));
        on("dblclick", (event) => this.zoomAt(this.place(event)));
        on("pointerleave", () => this.leave());
        on("wheel", (event) => this.wheel(event), {passive: false});
        on("keydown", (event) => this.key(event));
    }

    destroy() {
        this.ended.abort();
    }

    place(event) {
        const box = this.w.canvas.getBoundingClientRect();
        return {x: event.clientX - box.left, y: event.clientY - box.top};
    }

    // What is under the pointer.
    hit({x, y}) {
        const {w} = this;
        const {layout, rows} = w;
        if (y < layout.overview)
            return {part: x >= layout.bars ? "strip" : "none", at: -1, row: -1};
        if (y < layout.head)
            return {part: x >= layout.bars ? "axis" : "none", at: -1, row: -1};
        if (w.scrollThumb() !== null && x >= w.scrollThumb().x)
            return {part: "scroll", at: -1, row: -1};
        const at = Math.floor((y - layout.head + w.scroll) / layout.row);
        if (at >= rows.shown.length)
            return {part: "none", at: -1, row: -1};
        const inBars = layout.stacked ? y - w.rowTop(at) >= layout.barTop - 2 : x >= layout.bars;
        return {part: inBars ? "bars" : "names", at, row: rows.shown[at]};
    }

    down(event) {
        if (event.button !== 0)
            return;
        const {w} = this;
        const place = this.place(event);
        w.canvas.setPointerCapture(event.pointerId);
        this.pointers.set(event.pointerId, place);
        if (this.pointers.size === 2) {
            w.range = null;
            this.gesture = {type: "pinch", ...this.fingers()};
            return;
        }
        const {part} = this.hit(place);
        const time = w.axis.instant(place.x - w.layout.bars);
        if (part === "strip")
            this.gesture = this.stripGesture(place);
        else if (part === "scroll")
            this.gesture = {type: "scroll", y: place.y, scroll: w.scroll};
        else if (part === "axis" && !event.shiftKey && !w.measures)
            this.gesture = {type: "range", from: time, x: place.x};
        else if (part !== "none" && part !== "names" && (event.shiftKey || w.measures))
            this.gesture = {type: "ruler", from: this.snapped(place), x: place.x};
        else
            this.gesture = {type: "press", ...place, part};
        this.hideTip();
    }

    // On the strip, the window moves, or one of its edges does; outside of it, it comes to where the pointer is.
    stripGesture(place) {
        const {w} = this;
        const from = w.scale.stripX(w.axis.from), to = w.scale.stripX(w.axis.to);
        const edge = to - from < 16 ? "" : Math.abs(place.x - from) < 6 ? "from" : Math.abs(place.x - to) < 6 ? "to" : "";
        if (edge === "" && (place.x < from - 3 || place.x > to + 3))
            this.centre(place.x);
        return {type: "strip", edge, x: place.x};
    }

    centre(x) {
        const {w} = this;
        const middle = w.scale.stripTime(x);
        w.axis.show(middle - w.axis.length / 2, middle + w.axis.length / 2);
        w.changed();
    }

    fingers() {
        const [a, b] = [...this.pointers.values()];
        return {middle: (a.x + b.x) / 2, distance: Math.max(20, Math.hypot(a.x - b.x, a.y - b.y)), height: (a.y + b.y) / 2};
    }

    moved(event) {
        const {w} = this;
        const place = this.place(event);
        if (event.pointerType !== "touch") {
            w.pointer = place;
            w.changed();
        }
        if (!this.pointers.has(event.pointerId)) {
            this.hover(place);
            return;
        }
        const before = this.pointers.get(event.pointerId);
        this.pointers.set(event.pointerId, place);
        this.drag(place, place.x - before.x, place.y - before.y);
    }

    drag(place, dx, dy) {
        const {w, gesture} = this;
        if (gesture === null)
            return;
        if (gesture.type === "pinch" && this.pointers.size === 2) {
            const now = this.fingers();
            w.pan(gesture.middle - now.middle);
            w.zoom(gesture.distance / now.distance, now.middle - w.layout.bars);
            w.scrollBy(gesture.height - now.height);
            Object.assign(gesture, now);
        } else if (gesture.type === "press" && Math.hypot(place.x - gesture.x, place.y - gesture.y) > CLICK_SLOP) {
            gesture.type = "pan";
            w.canvas.style.cursor = "grabbing";
            this.dragRows(gesture, place.x - gesture.x, place.y - gesture.y);
        } else if (gesture.type === "pan") {
            this.dragRows(gesture, dx, dy);
        } else if (gesture.type === "range") {
            if (w.range !== null || Math.abs(place.x - gesture.x) > CLICK_SLOP)
                w.range = {from: gesture.from, to: w.axis.instant(place.x - w.layout.bars)};
            w.changed();
        } else if (gesture.type === "ruler") {
            w.setRuler(gesture.from, this.snapped(place));
        } else if (gesture.type === "scroll") {
            const {room, height, most} = w.scrollThumb() ?? {room: 1, height: 0, most: 0};
            w.scrollBy(gesture.scroll + (place.y - gesture.y) * most / (room - height) - w.scroll);
        } else if (gesture.type === "strip") {
            this.dragStrip(gesture, place);
        }
    }

    // Over the bars in both directions; names have no place in time.
    dragRows({part}, dx, dy) {
        if (part === "bars" || this.w.layout.stacked)
            this.w.pan(-dx);
        this.w.scrollBy(-dy);
    }

    dragStrip(gesture, place) {
        const {axis, scale} = this.w;
        if (gesture.edge === "") {
            const by = scale.stripTime(place.x) - scale.stripTime(gesture.x);
            axis.show(axis.from + by, axis.to + by);
            gesture.x = place.x;
        } else if (gesture.edge === "from") {
            axis.show(Math.min(scale.stripTime(place.x), axis.to - axis.least), axis.to);
        } else {
            axis.show(axis.from, Math.max(scale.stripTime(place.x), axis.from + axis.least));
        }
        this.w.changed();
    }

    up(event, cancelled = false) {
        const {w, gesture} = this;
        if (!this.pointers.delete(event.pointerId))
            return;
        w.canvas.style.cursor = "";
        if (gesture?.type === "pinch" || gesture === null) {
            this.gesture = null; // the finger that stays does nothing
            return;
        }
        this.gesture = null;
        const range = w.range;
        w.range = null;
        if (!cancelled && range !== null)
            w.axis.show(Math.min(range.from, range.to), Math.max(range.from, range.to));
        else if (!cancelled && gesture.type === "press")
            this.click(this.place(event), event.pointerType === "touch");
        w.changed();
    }

    // A click chooses, on the triangle it folds, and on an arrow it follows the link.
    click(place, isTap) {
        const {w} = this;
        const {part, at, row} = this.hit(place);
        if (row < 0)
            return;
        if (this.onTriangle(place, at, row)) {
            w.toggleRow(row);
            return;
        }
        w.select(row);
        const link = part === "bars" ? this.linkAt(place, row) : null;
        if (link !== null && link.trace >= 0)
            w.onFollow(link.trace, link.spanId);
        else if (isTap)
            this.tap(place, row);
    }

    // Browsers do not always make a double click of two taps.
    tap(place, row) {
        const now = performance.now();
        const again = row === this.tapped.row && now - this.tapped.time < DOUBLE_TAP;
        this.tapped = {row, time: again ? -Infinity : now};
        if (again)
            this.zoomAt(place);
    }

    zoomAt(place) {
        const {at, row} = this.hit(place);
        if (row >= 0 && !this.onTriangle(place, at, row))
            this.w.zoomTo(row);
    }

    onTriangle(place, at, row) {
        const {layout, rows} = this.w;
        const left = layout.inset + Math.min(rows.level(row), layout.deepest) * layout.indent;
        const inName = !layout.stacked || place.y - this.w.rowTop(at) < layout.barTop;
        return inName && rows.below(row) > 0 && place.x >= left - 5 && place.x <= left + 13;
    }

    // The link that an arrow stands for, if it stands for one.
    linkAt(place, row) {
        const {w} = this;
        const {links} = w.notes(row);
        const x = w.badgeX(row) + (w.pack.span.status[row] === 2 ? BADGE : 0);
        return links.length === 1 && place.x >= x - 3 && place.x <= x + BADGE ? links[0] : null;
    }

    // The instant under the pointer, or the begin or end of the bar there if that is very near.
    snapped(place) {
        const {w} = this;
        const {row} = this.hit(place);
        const x = place.x - w.layout.bars;
        if (row >= 0) {
            const start = w.pack.span.start[row], end = start + w.pack.span.duration[row];
            const [near] = [start, end].sort((a, b) => Math.abs(w.axis.x(a) - x) - Math.abs(w.axis.x(b) - x));
            if (Math.abs(w.axis.x(near) - x) <= SNAP_TO_BAR)
                return near;
        }
        return w.axis.instant(x);
    }

    leave() {
        const {w} = this;
        w.pointer = null;
        w.hovered = -1;
        this.hideTip();
        w.changed();
    }

    hideTip() {
        this.w.tip.hidden = true;
    }

    hover(place) {
        const {w} = this;
        const found = this.hit(place);
        w.hovered = found.at;
        const lines = found.row >= 0 ? this.tipLines(place, found) : [];
        w.canvas.style.cursor = {axis: "ew-resize", strip: "grab", scroll: "default", bars: "crosshair"}[found.part] ?? "";
        w.tip.hidden = lines.length === 0;
        if (lines.length === 0)
            return;
        w.tip.replaceChildren(...lines.map((line) => make("div", {}, line)));
        // Beside the pointer and below the row, where there is room.
        const {offsetWidth: width, offsetHeight: height} = w.tip;
        const top = w.rowTop(found.at), below = top + w.layout.row + 4;
        const left = place.x + 14 + width > w.width ? Math.max(0, place.x - 14 - width) : place.x + 14;
        w.tip.style.left = `${Math.round(left)}px`;
        w.tip.style.top = `${Math.round(below + height > w.height ? Math.max(0, top - height - 4) : below)}px`;
    }

    // Events, times off the CPU and links under the pointer, below the span's name.
    tipLines(place, {part, row}) {
        const {w} = this;
        const {pack, axis} = w;
        const lines = [`${label(pack.name(row))}  ${formatDuration(pack.span.duration[row])}`];
        if (part !== "bars")
            return lines;
        const x = place.x - w.layout.bars;
        const {events, pauses, links} = w.notes(row);
        const away = ({time}) => Math.abs(axis.x(time) - x);
        for (const event of events.filter((one) => away(one) <= 6).sort((a, b) => away(a) - away(b)).slice(0, 5))
            lines.push(`\u25c6 ${label(event.name)} ${formatDifference(event.time - pack.span.start[row])}`);
        const time = axis.time(x);
        for (const pause of pauses.filter((p) => time >= p.start && time <= p.start + p.duration).slice(0, 2))
            lines.push(`${pause.preempted ? "preempted" : "waited"} ${formatDuration(pause.duration)}`);
        if (links.length > 0 && x + w.layout.bars >= w.badgeX(row) - 3)
            lines.push(`\u2192 ${links.length === 1 ? `link to trace ${links[0].traceId}` : `${formatCount(links.length)} links`}`);
        return lines;
    }

    wheel(event) {
        const {w} = this;
        const place = this.place(event);
        const {part} = this.hit(place);
        const unit = event.deltaMode === 1 ? 22 : event.deltaMode === 2 ? w.height : 1;
        const dx = event.deltaX * unit, dy = event.deltaY * unit;
        let used = true;
        if (event.ctrlKey || event.metaKey || part === "axis" || part === "strip") {
            const x = part === "strip" ? w.axis.x(w.scale.stripTime(place.x)) : place.x - w.layout.bars;
            // A pinch on a touch pad comes as small steps with Ctrl.
            w.zoom(Math.exp(Math.max(-1.5, Math.min(1.5, dy * (event.ctrlKey && Math.abs(dy) < 40 ? 0.01 : 0.0025)))),
                Math.max(0, Math.min(w.axis.width, x)));
        } else if (event.shiftKey || Math.abs(dx) > Math.abs(dy)) {
            used = w.pan(dx === 0 ? dy : dx);
        } else {
            used = w.scrollBy(dy); // at the first and last row the page scrolls
        }
        if (used)
            event.preventDefault();
        this.hover(place);
    }

    key(event) {
        if (event.ctrlKey || event.metaKey || event.altKey)
            return;
        const {w} = this;
        const page = Math.max(1, Math.floor((w.height - w.layout.head) / w.layout.row) - 1);
        const acts = {
            ArrowUp: () => this.choose(-1),
            ArrowDown: () => this.choose(1),
            PageUp: () => this.choose(-page),
            PageDown: () => this.choose(page),
            Home: () => this.choose(-Infinity),
            End: () => this.choose(Infinity),
            ArrowLeft: () => this.sideways(-1, event.shiftKey),
            ArrowRight: () => this.sideways(1, event.shiftKey),
            "+": () => w.zoom(1 / 1.6),
            "=": () => w.zoom(1 / 1.6),
            "-": () => w.zoom(1.6),
            "0": () => w.resetZoom(),
            Enter: () => w.zoomTo(w.selected),
            " ": () => w.toggleRow(w.selected),
            c: () => w.toggleCritical(),
            m: () => this.ruler(),
        };
        if (w.ruler !== null || w.measures)
            acts.Escape = () => w.toggleMeasuring(false);
        const act = Object.hasOwn(acts, event.key) ? acts[event.key] : undefined;
        if (act === undefined)
            return;
        act();
        event.preventDefault();
        event.stopPropagation();
    }

    // While something is measured, the ruler's end follows the choice: to where the other span starts.
    choose(by) {
        const {w} = this;
        w.move(by);
        if (w.ruler !== null)
            w.setRuler(w.ruler.from, w.pack.span.start[w.selected]);
    }

    sideways(direction, fine) {
        const {w} = this;
        if (w.ruler === null) {
            w.pan(direction * w.axis.width / 10);
            return;
        }
        const by = fine ? 1 : Math.max(1, Math.round(w.axis.length / w.axis.width * 4));
        const to = Math.max(0, Math.min(w.rows.whole, w.ruler.to + direction * by));
        w.setRuler(w.ruler.from, to);
        if (to < w.axis.from || to > w.axis.to)
            w.axis.show(to - w.axis.length / 2, to + w.axis.length / 2);
    }

    // Over the chosen span; once more, and it is gone.
    ruler() {
        const {w} = this;
        if (w.ruler !== null) {
            w.toggleMeasuring(false);
            return;
        }
        const start = w.pack.span.start[w.selected];
        w.toggleMeasuring(true);
        w.setRuler(start, start + w.pack.span.duration[w.selected]);
    }
}
