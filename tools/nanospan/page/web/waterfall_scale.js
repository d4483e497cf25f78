// SPDX-License-Identifier: Apache-2.0
//
// Draws what surrounds the rows of a waterfall: the strip with the whole trace, the time scale, the ruler, the time under
// the pointer, and the bar that shows which rows are to be seen.

class WaterfallScale {
    constructor(waterfall, painter) {
        this.w = waterfall;
        this.p = painter;
        this.strip = null;
    }

    // The strip is drawn once and kept until the trace, the size or the theme changes.
    forgetStrip() {
        this.strip = null;
    }

    stripX(time) {
        const {layout, rows} = this.w;
        return layout.bars + 4 + time / Math.max(1, rows.whole) * (layout.barsWidth - 8);
    }

    stripTime(x) {
        const {layout, rows} = this.w;
        return (x - layout.bars - 4) / (layout.barsWidth - 8) * Math.max(1, rows.whole);
    }

    // The spans in the order of the tree, in as many lines as there is room for. Where several fall onto one pixel, it has
    // the colour of failed ones if there are any, and otherwise of the service that has most of them. What each span
    // covers is noted by its two ends, so that a trace of a million spans takes no longer than it must.
    makeStrip() {
        const {w, p} = this;
        const {layout, pack, rows} = w;
        const across = Math.round(layout.barsWidth * p.ratio), down = Math.round(layout.overview * p.ratio);
        const strip = make("canvas", {width: across, height: down});
        const context = strip.getContext("2d");
        const {order} = rows.tree;
        const inset = Math.round(4 * p.ratio), usable = down - 2 * inset;
        const lines = Math.min(order.length, usable), pitch = Math.min(2 * inset, usable / lines);
        const x = (time) => Math.min(across - 1, Math.max(0, Math.round((this.stripX(time) - layout.bars) * p.ratio)));
        const ends = [], inks = [], numbers = new Map();
        const number = (ink) => {
            if (!numbers.has(ink)) {
                numbers.set(ink, inks.push(ink) - 1);
                ends.push(new Int32Array(lines * (across + 1)));
            }
            return numbers.get(ink);
        };
        number(colour("error"));
        const ofResource = new Map();
        for (let i = 0; i < order.length; i++) {
            const row = order[i], resource = pack.span.resource[row];
            if (!ofResource.has(resource))
                ofResource.set(resource, number(serviceColour(pack.service(row), "-edge")));
            const noted = ends[pack.span.status[row] === 2 ? 0 : ofResource.get(resource)];
            const line = Math.floor(i / order.length * lines) * (across + 1);
            const left = x(pack.span.start[row]);
            noted[line + left]++;
            noted[line + Math.max(left + 1, x(pack.span.start[row] + pack.span.duration[row]))]--;
        }
        const height = Math.max(1, Math.min(inset, Math.floor(pitch)));
        for (let line = 0; line < lines; line++) {
            const ofLine = ends.map((noted) => noted.subarray(line * (across + 1), (line + 1) * (across + 1)));
            drawStripLine(context, ofLine, inks, inset + Math.floor(line * pitch), height);
        }
        return strip;
    }

    overview() {
        const {w, p} = this;
        const {layout, axis} = w;
        p.rectangle(colour("paper"), 0, 0, w.width, layout.overview);
        this.strip ??= this.makeStrip();
        p.context.drawImage(this.strip, p.snap(layout.bars), 0, this.strip.width / p.ratio, this.strip.height / p.ratio);
        const from = Math.max(layout.bars, this.stripX(axis.from));
        const to = Math.min(layout.bars + layout.barsWidth, this.stripX(axis.to));
        p.context.globalAlpha = 0.72;
        p.rectangle(colour("paper"), layout.bars, 0, from - layout.bars, layout.overview);
        p.rectangle(colour("paper"), to, 0, layout.bars + layout.barsWidth - to, layout.overview);
        p.context.globalAlpha = 1;
        const width = Math.max(3, to - from);
        const edge = colour("accent");
        p.horizontal(edge, 0, from, from + width, 2);
        p.horizontal(edge, layout.overview - 2 * p.hair, from, from + width, 2);
        for (const x of [from, from + width - 2 * p.hair])
            p.vertical(edge, x, 0, layout.overview, 2);
        if (!layout.stacked)
            p.text(colour("ink-soft"), w.totalText, layout.inset, layout.overview / 2, layout.bars - 2 * layout.inset);
    }

    ticks() {
        const {context} = this.p;
        return this.w.axis.ticks((text) => context.measureText(text).width);
    }

    axis(ticks) {
        const {w, p} = this;
        const {layout, axis} = w;
        const bottom = layout.head, middle = layout.overview + layout.axis / 2 - 2;
        p.rectangle(colour("raised"), 0, layout.overview, w.width, layout.axis);
        p.horizontal(colour("line"), bottom - p.hair, 0, w.width);
        p.horizontal(colour("line"), layout.overview, 0, w.width);
        if (!layout.stacked) {
            p.text(colour("ink-soft"), "span", layout.inset + 20, middle, layout.names);
            p.text(colour("ink-soft"), "duration", layout.durationRight, middle, 90, "right");
            p.text(colour("ink-soft"), "self", layout.selfRight, middle, 90, "right");
        }
        p.insideBars(() => {
            for (const time of ticks.between)
                p.vertical(colour("ink-faint"), layout.bars + axis.x(time), bottom - 4, bottom);
            let free = layout.bars + 2;
            for (const {time, label: text} of ticks.labelled) {
                const x = layout.bars + axis.x(time);
                p.vertical(colour("ink-soft"), x, bottom - 9, bottom);
                const half = p.context.measureText(text).width / 2;
                const from = Math.min(layout.bars + layout.barsWidth - 2 * half - 2, Math.max(layout.bars + 2, x - half));
                if (from >= free)
                    free = p.text(colour("ink"), text, from, middle, layout.barsWidth) + 3;
            }
        });
        if (w.range !== null) {
            const from = layout.bars + axis.x(Math.min(w.range.from, w.range.to));
            const to = layout.bars + axis.x(Math.max(w.range.from, w.range.to));
            this.shade("accent", from, to, layout.overview, w.height);
            this.tag(`${exactOffset(Math.abs(w.range.to - w.range.from))}`, (from + to) / 2, layout.head + 12, "accent");
        }
    }

    shade(name, from, to, top, bottom) {
        const {p} = this;
        p.insideBars(() => {
            p.context.globalAlpha = 0.14;
            p.rectangle(colour(name), from, top, to - from, bottom - top);
            p.context.globalAlpha = 1;
            for (const x of [from, to])
                p.vertical(colour(name), x, top, bottom, Math.max(1, Math.round(p.ratio)));
        });
    }

    // A text in a box, within the bars.
    tag(text, x, y, name) {
        const {p} = this;
        const {layout} = this.w;
        const width = p.context.measureText(text).width + 12;
        const left = Math.max(layout.bars, Math.min(layout.bars + layout.barsWidth - width, x - width / 2));
        p.rectangle(colour(name), left, y - 10, width, 20);
        p.text(colour("accent-ink"), text, left + 6, y, width);
    }

    ruler() {
        const {w} = this;
        if (w.ruler === null)
            return;
        const {layout, axis} = w;
        const [from, to] = [w.ruler.from, w.ruler.to].sort((a, b) => a - b);
        this.shade("critical", layout.bars + axis.x(from), layout.bars + axis.x(to), layout.head, w.height);
        const middle = layout.bars + axis.x((Math.max(from, axis.from) + Math.min(to, axis.to)) / 2);
        this.tag(rulerText(w), middle, layout.head + 12, "critical");
    }

    // A line under the pointer, with its time to the nanosecond.
    pointer() {
        const {w, p} = this;
        const {layout, axis} = w;
        const right = layout.bars + layout.barsWidth;
        if (w.pointer === null || w.range !== null || w.pointer.x < layout.bars || w.pointer.x > right)
            return;
        const isStrip = w.pointer.y < layout.overview;
        const time = isStrip ? Math.round(this.stripTime(w.pointer.x)) : axis.instant(w.pointer.x - layout.bars);
        const x = isStrip ? w.pointer.x : layout.bars + axis.x(time);
        p.vertical(colour("ink-soft"), x, isStrip ? 0 : layout.overview, isStrip ? layout.overview : w.height);
        const text = exactOffset(Math.min(w.rows.whole, Math.max(0, time)));
        this.tag(text, x, layout.overview + layout.axis / 2 - 1, "accent");
    }

    // Where the rows that are to be seen lie among all of them.
    scrollBar() {
        const {w, p} = this;
        const thumb = w.scrollThumb();
        if (thumb === null)
            return;
        p.rectangle(colour("paper"), thumb.x, w.layout.head, w.width - thumb.x, w.height - w.layout.head);
        p.rectangle(colour("ink-faint"), thumb.x + 2, thumb.top, 6, thumb.height);
    }
}

// Draws runs of pixels of one colour. The first colour comes before all others.
function drawStripLine(context, ends, inks, top, height) {
    const depths = new Int32Array(inks.length);
    let ink = -1, from = 0;
    for (let x = 0; x < ends[0].length; x++) {
        let most = -1;
        for (let i = 0; i < inks.length; i++) {
            depths[i] += ends[i][x];
            if (depths[i] > 0 && (most < 0 || most > 0 && depths[i] > depths[most]))
                most = i;
        }
        if (most === ink)
            continue;
        if (ink >= 0) {
            context.fillStyle = inks[ink];
            context.fillRect(from, top, x - from, height);
        }
        ink = most;
        from = x;
    }
}
