// SPDX-License-Identifier: Apache-2.0
//
// Draws the rows of a waterfall: those that are to be seen and no others, so it makes no difference how many spans a
// trace has. Lengths are CSS pixels; what has to be crisp is moved onto device pixels.

class WaterfallPainter {
    constructor(waterfall) {
        this.w = waterfall;
        this.fitted = new Map();
        this.forgetTheme();
    }

    forgetTheme() {
        this.normal = font(12);
        this.strong = font(12, 600);
        this.patterns = null;
        this.fitted.clear();
    }

    begin(context, ratio) {
        this.context = context;
        if (this.ratio !== ratio)
            this.forgetTheme();
        this.ratio = ratio;
        this.hair = 1 / ratio;
        this.patterns ??= {preempted: this.hatching("preempted"), waited: this.hatching("waited")};
        context.textBaseline = "middle";
        context.textAlign = "left";
        context.font = this.normal;
    }

    // Onto the nearest boundary of device pixels.
    snap(length) {
        return Math.round(length * this.ratio) / this.ratio;
    }

    rectangle(fill, x, y, width, height) {
        this.context.fillStyle = fill;
        const left = this.snap(x), top = this.snap(y);
        this.context.fillRect(left, top, this.snap(x + width) - left, this.snap(y + height) - top);
    }

    // Lines are filled rectangles of whole device pixels, since strokes would lie across two.
    vertical(fill, x, from, to, pixels = 1) {
        this.context.fillStyle = fill;
        const top = this.snap(from);
        this.context.fillRect(this.snap(x), top, pixels * this.hair, this.snap(to) - top);
    }

    horizontal(fill, y, from, to, pixels = 1) {
        this.context.fillStyle = fill;
        const left = this.snap(from);
        this.context.fillRect(left, this.snap(y), this.snap(to) - left, pixels * this.hair);
    }

    // Returns where the text ends. Names repeat, so how they are cut is kept.
    text(fill, text, x, y, width, align = "left") {
        const {context} = this;
        if (width < 8 || text === "")
            return x;
        const key = `${Math.floor(width)} ${context.font === this.normal ? "" : "strong"} ${text}`;
        let known = this.fitted.get(key);
        if (known === undefined) {
            const shown = fitText(context, text, width);
            known = {shown, width: context.measureText(shown).width};
            if (this.fitted.size > 20000)
                this.fitted.clear();
            this.fitted.set(key, known);
        }
        context.fillStyle = fill;
        context.textAlign = align;
        context.fillText(known.shown, x, y);
        context.textAlign = "left";
        return x + known.width;
    }

    // Dense slanted lines where the kernel ran another thread, dots where the thread waited; they differ without colour.
    hatching(name) {
        const unit = Math.max(1, Math.round(this.ratio));
        const size = (name === "preempted" ? 4 : 6) * unit;
        const tile = make("canvas", {width: size, height: size});
        const context = tile.getContext("2d");
        context.fillStyle = colour(name);
        if (name === "preempted") {
            for (let i = 0; i < size; i++)
                for (let thick = 0; thick < 2 * unit; thick++)
                    context.fillRect((i + thick) % size, size - 1 - i, 1, 1);
        } else {
            context.fillRect(0, 0, 2 * unit, 2 * unit);
            context.fillRect(3 * unit, 3 * unit, 2 * unit, 2 * unit);
        }
        const pattern = this.context.createPattern(tile, "repeat");
        pattern.setTransform(new DOMMatrix().scale(1 / this.ratio));
        return pattern;
    }

    rows(ticks) {
        const {w} = this;
        const {layout} = w;
        const {first, last} = w.visibleRows();
        for (let at = first; at < last; at++)
            this.background(at);
        this.insideBars(() => {
            const bottom = Math.min(w.height, w.rowTop(w.rows.shown.length));
            for (const {time} of ticks.labelled)
                this.vertical(colour("line-soft"), layout.bars + w.axis.x(time), layout.head, bottom);
            // Lines from bar to bar lie behind the bars, since the shortest are no wider than a line, and behind names.
            this.context.globalAlpha = layout.stacked ? 0.5 : 1;
            if (w.showsCritical)
                this.criticalTurns(first, last);
            this.context.globalAlpha = 1;
        });
        for (let at = first; at < last; at++)
            this.label(at);
        this.insideBars(() => {
            for (let at = first; at < last; at++)
                this.bar(at);
            if (w.showsCritical)
                this.criticalParts(first, last);
            for (let at = first; at < last; at++)
                this.marks(at);
        });
        if (!layout.stacked)
            this.vertical(colour("line"), layout.bars - 1, layout.head, w.height);
    }

    insideBars(draw) {
        const {context, w} = this;
        context.save();
        context.beginPath();
        context.rect(w.layout.bars, 0, w.layout.barsWidth, w.height);
        context.clip();
        draw();
        context.restore();
    }

    background(at) {
        const {w} = this;
        const row = w.rows.shown[at];
        const y = w.rowTop(at);
        if (row !== HEADING && row === w.selected) {
            this.rectangle(colour("accent-soft"), 0, y, w.width, w.layout.row);
            this.rectangle(colour("accent"), 0, y, 3, w.layout.row);
        } else if (at === w.hovered) {
            this.rectangle(colour("raised"), 0, y, w.width, w.layout.row);
        }
    }

    // Name, kind and service, duration and self time; beside the bar or, where the page is narrow, above it.
    label(at) {
        const {w, context} = this;
        const {layout, rows, pack} = w;
        const row = rows.shown[at];
        const middle = w.rowTop(at) + layout.textMiddle;
        const x = this.guides(at, middle);
        if (row === HEADING) {
            this.text(colour("ink-soft"), w.headingText, x + 12, middle, layout.names - x - 12);
            return;
        }
        if (rows.below(row) > 0)
            this.triangle(x, middle, rows.collapsed.has(row));
        this.rectangle(serviceColour(pack.service(row), "-edge"), x + 13, middle - 7, 3, 14);
        const right = this.numbers(row, middle);
        const failed = pack.span.status[row] === 2;
        const ink = colour(failed ? "error" : "ink");
        let from = x + 20;
        if (failed)
            from = this.text(ink, "\u2717 ", from, middle, right - from);
        if (rows.depth(row) === 0)
            context.font = this.strong;
        from = this.text(ink, label(pack.name(row)), from, middle, right - from);
        context.font = this.normal;
        this.text(colour("ink-faint"), w.behindName(row), from, middle, right - from);
    }

    // Returns where the room for the name ends.
    numbers(row, middle) {
        const {w} = this;
        const {layout, rows, pack} = w;
        const length = pack.span.duration[row], self = rows.self(row);
        if (layout.stacked) {
            const text = formatDuration(length) + (self === length ? "" : ` \u00b7 self ${formatDuration(self)}`);
            const right = w.width - SCROLL_BAR - 4;
            this.text(colour("ink-soft"), text, right, middle, w.width, "right");
            return right - this.context.measureText(text).width - 10;
        }
        this.text(colour("ink"), formatDuration(length), layout.durationRight, middle, 66, "right");
        const selfText = self === length ? "\u00b7" : formatDuration(self);
        this.text(colour("ink-faint"), selfText, layout.selfRight, middle, 64, "right");
        return layout.names - 6;
    }

    // The tree's lines. Returns where the row's own things begin. Levels that are too deep are drawn at the last one.
    guides(at, middle) {
        const {w} = this;
        const {layout, rows} = w;
        const line = colour("ink-faint");
        const top = w.rowTop(at);
        const row = rows.shown[at];
        const shown = Math.min(row === HEADING ? 0 : rows.level(row), layout.deepest);
        for (let level = shown, up = at; level > 0; level--) {
            const x = layout.inset + (level - 1) * layout.indent + 5;
            const goesOn = rows.goesOn[up] !== 0;
            if (up === at) {
                this.vertical(line, x, top, goesOn ? top + layout.row : middle);
                this.horizontal(line, middle, x, x + layout.indent - 4);
            } else if (goesOn) {
                this.vertical(line, x, top, top + layout.row);
            }
            up = rows.above(up);
        }
        return layout.inset + shown * layout.indent;
    }

    polygon(fill, ...points) {
        const {context} = this;
        context.fillStyle = fill;
        context.beginPath();
        for (let i = 0; i < points.length; i += 2)
            context.lineTo(points[i], points[i + 1]);
        context.closePath();
        context.fill();
    }

    triangle(x, middle, collapsed) {
        if (collapsed)
            this.polygon(colour("ink-soft"), x + 3, middle - 4, x + 8.5, middle, x + 3, middle + 4);
        else
            this.polygon(colour("ink-soft"), x + 1, middle - 2.5, x + 10, middle - 2.5, x + 5.5, middle + 3);
    }

    // Where a time lies, in whole device pixels: at least one, however short it is.
    extent(start, length) {
        const {axis, layout} = this.w;
        const from = Math.max(-4, axis.x(start)), to = Math.min(axis.width + 4, axis.x(start + length));
        const left = this.snap(layout.bars + from);
        return {left, width: Math.max(this.hair, this.snap(layout.bars + to) - left)};
    }

    bar(at) {
        const {w} = this;
        const {layout, pack, axis} = w;
        const row = w.rows.shown[at];
        const top = w.rowTop(at) + layout.barTop;
        if (row === HEADING) {
            const {left, width} = this.extent(0, w.rows.whole);
            this.horizontal(colour("ink-faint"), top + layout.bar / 2, left, left + width);
            return;
        }
        const start = pack.span.start[row], length = pack.span.duration[row];
        if (start > axis.to || start + length < axis.from) {
            this.elsewhere(start > axis.to, top + layout.bar / 2);
            return;
        }
        const {left, width} = this.extent(start, length);
        const failed = pack.span.status[row] === 2;
        const edge = failed ? colour("error") : serviceColour(pack.service(row), "-edge");
        this.rectangle(edge, left, top, width, layout.bar);
        if (width > 3 * this.hair) {
            const inside = [left + this.hair, top + this.hair, width - 2 * this.hair, layout.bar - 2 * this.hair];
            this.rectangle(failed ? colour("panel") : serviceColour(pack.service(row)), ...inside);
            if (failed) {
                this.context.globalAlpha = 0.45;
                this.rectangle(edge, ...inside);
                this.context.globalAlpha = 1;
            }
        }
        this.pauses(row, top);
    }

    // A bar that lies outside of what is shown: on which side.
    elsewhere(isRight, middle) {
        const {bars, barsWidth} = this.w.layout;
        const x = isRight ? bars + barsWidth - 4 : bars + 4;
        const back = isRight ? -5 : 5;
        this.polygon(colour("ink-faint"), x, middle, x + back, middle - 4, x + back, middle + 4);
    }

    pauses(row, top) {
        const {axis, layout} = this.w;
        let drawn = -Infinity;
        for (const pause of this.w.notes(row).pauses) {
            if (pause.start + pause.duration < axis.from || pause.start > axis.to)
                continue;
            const {left, width} = this.extent(pause.start, pause.duration);
            if (left + width <= drawn)
                continue; // the one before it covers the same pixel
            drawn = left + width;
            const name = pause.preempted ? "preempted" : "waited";
            this.rectangle(colour("panel"), left, top, width, layout.bar);
            this.rectangle(width < 3 * this.hair ? colour(name) : this.patterns[name], left, top, width, layout.bar);
            this.horizontal(colour(name), top, left, left + width);
            this.horizontal(colour(name), top + layout.bar - this.hair, left, left + width);
        }
    }

    // Calls with each part of the critical path that is to be seen, and the position of its row.
    forCritical(each) {
        const {critical, rows, axis} = this.w;
        for (let i = this.w.firstCritical(); i < critical.length && critical[i].start <= axis.to; i++) {
            const {row, start, end} = critical[i];
            each(row < 0 ? rows.heading : rows.position(row), this.extent(start, end - start));
        }
    }

    get criticalTop() {
        return this.w.layout.barTop + this.w.layout.bar + 1;
    }

    // A line below the bars.
    criticalParts(first, last) {
        const ink = colour("critical");
        const thick = Math.max(2, Math.round(2.5 * this.ratio));
        this.forCritical((at, {left, width}) => {
            if (at >= first && at < last)
                this.horizontal(ink, this.w.rowTop(at) + this.criticalTop, left, left + width, thick);
        });
    }

    // Where the path goes on in another span, a line up or down; one for each column of pixels.
    criticalTurns(first, last) {
        const {w} = this;
        const ink = colour("critical");
        const y = (at) => w.rowTop(at) + this.criticalTop;
        let before = -1, column = -1, high = 0, low = 0;
        const draw = () => {
            if (low > high)
                this.vertical(ink, column, y(high), y(low), Math.max(1, Math.round(this.ratio)));
        };
        this.forCritical((at, {left}) => {
            if (left !== column) {
                draw();
                column = left;
                high = low = at;
            }
            if (before >= 0) {
                high = Math.max(first - 1, Math.min(high, before, at));
                low = Math.min(last, Math.max(low, before, at));
            }
            before = at;
        });
        draw();
    }

    // Events as diamonds on the bar, or lines where they are close to one another; behind it a cross if the span failed,
    // and an arrow if it has links.
    marks(at) {
        const {w} = this;
        const {layout, pack, axis} = w;
        const row = w.rows.shown[at];
        if (row === HEADING)
            return;
        const middle = w.rowTop(at) + layout.barTop + layout.bar / 2;
        let diamond = -Infinity, drawn = -Infinity;
        for (const {time} of w.notes(row).events) {
            const x = this.snap(layout.bars + axis.x(time));
            if (x < layout.bars - 6 || x > w.width + 6 || x === drawn)
                continue;
            drawn = x;
            if (Math.abs(x - diamond) < 11) {
                this.vertical(colour("event"), x, middle - 6, middle + 6);
                continue;
            }
            diamond = x;
            this.diamond(x, middle);
        }
        const start = pack.span.start[row], end = start + pack.span.duration[row];
        if (end < axis.from || start > axis.to)
            return;
        let x = w.badgeX(row);
        if (pack.span.status[row] === 2)
            x = this.badge(colour("error"), "\u2717", x, middle);
        if (w.notes(row).links.length > 0)
            this.badge(colour("link"), "\u2192", x, middle);
    }

    badge(fill, sign, x, middle) {
        const width = this.context.measureText(sign).width;
        this.rectangle(colour("panel"), x - 1, middle - 6, width + 2, 12);
        this.context.fillStyle = fill;
        this.context.fillText(sign, x, middle);
        return x + BADGE;
    }

    diamond(x, middle) {
        this.polygon(colour("panel"), x, middle - 7, x + 6, middle, x, middle + 7, x - 6, middle);
        this.polygon(colour("event"), x, middle - 5.5, x + 4.5, middle, x, middle + 5.5, x - 4.5, middle);
    }
}
