// SPDX-License-Identifier: Apache-2.0
//
// Durations over time, so that one sees where a time to compare at might lie: for each moment a bar from the median to the
// 99th percentile, and a dot for the longest, on a logarithmic scale. A click chooses a time; so does the slider below,
// which keys reach.

const STRIP_STEP = 6, STRIP_LEFT = 62, STRIP_RIGHT = 8, STRIP_BOTTOM = 18, STRIP_TOP = 6;

class TimeStrip {
    // onTime(at): Unix time in nanoseconds.
    constructor(canvas, {onTime}) {
        this.canvas = canvas;
        this.group = null;
        this.drawing = new Drawing(canvas, (context, width, height) => this.draw(context, width, height));
        canvas.addEventListener("click", (event) => {
            const bounds = canvas.getBoundingClientRect();
            const share = (event.clientX - bounds.left - STRIP_LEFT) / (bounds.width - STRIP_LEFT - STRIP_RIGHT);
            if (this.group !== null && share >= 0 && share <= 1)
                onTime(this.from + BigInt(Math.round(Number(this.to - this.from) * share)));
        });
    }

    // The traces of a group between two times, and the time that divides them.
    show(pack, group, from, to, at) {
        if (this.group !== group)
            this.moments = null;
        Object.assign(this, {pack, group, from, to, at});
        this.canvas.setAttribute("aria-label", `Durations of ${label(group.name, 60)} over time, from ${formatTime(from)} to ` +
            `${formatTime(to)} UTC, divided at ${formatTime(at)}`);
        this.drawing.redraw();
    }

    gather(count) {
        const {pack, group} = this;
        const start = Number(this.from - pack.base), length = Math.max(1, Number(this.to - this.from));
        const durations = Array.from({length: count}, () => []);
        // The group's traces are sorted by duration, and so each moment's are.
        for (const t of group.traces) {
            const moment = Math.floor((pack.trace.start[t] - start) / length * count);
            durations[Math.max(0, Math.min(count - 1, moment))].push(pack.trace.duration[t]);
        }
        this.moments = durations.map((sorted) => (sorted.length === 0 ? null
            : {median: quantile(sorted, 0.5), high: quantile(sorted, 0.99), longest: sorted[sorted.length - 1]}));
        this.lowest = Math.log(Math.max(1, Math.min(...this.moments.map((moment) => moment?.median ?? Infinity)))) - 0.2;
        this.highest = Math.log(Math.max(1, ...this.moments.map((moment) => moment?.longest ?? 0))) + 0.2;
    }

    draw(context, width, height) {
        if (this.group === null)
            return;
        const across = width - STRIP_LEFT - STRIP_RIGHT, bottom = height - STRIP_BOTTOM;
        const count = Math.max(10, Math.min(400, Math.floor(across / STRIP_STEP)));
        if (this.moments === null || this.moments.length !== count)
            this.gather(count);
        const place = (duration) => (
            bottom - (bottom - STRIP_TOP) * (Math.log(Math.max(1, duration)) - this.lowest) / (this.highest - this.lowest));
        const share = Number(this.at - this.from) / Math.max(1, Number(this.to - this.from));
        const split = Math.round(STRIP_LEFT + across * share);
        context.fillStyle = colour("accent-soft");
        context.fillRect(split, STRIP_TOP, STRIP_LEFT + across - split, bottom - STRIP_TOP);
        this.drawAxis(context, place, width, height);
        const step = across / count;
        this.moments.forEach((moment, i) => {
            if (moment === null)
                return;
            const left = STRIP_LEFT + i * step;
            context.fillStyle = colour("bar");
            context.fillRect(left + 0.5, place(moment.high), Math.max(1, step - 1), Math.max(2, place(moment.median) - place(moment.high)));
            context.fillStyle = colour("warning");
            context.fillRect(left + step / 2 - 1, place(moment.longest) - 1, 2, 2);
        });
        context.fillStyle = colour("accent");
        context.fillRect(split, STRIP_TOP, 1, bottom - STRIP_TOP);
    }

    drawAxis(context, place, width, height) {
        context.font = font(11);
        context.textBaseline = "middle";
        context.textAlign = "right";
        for (let power = 0; power < 20; power++) {
            const y = Math.round(place(10 ** power));
            if (Math.log(10 ** power) < this.lowest || Math.log(10 ** power) > this.highest)
                continue;
            context.fillStyle = colour("line-soft");
            context.fillRect(STRIP_LEFT, y, width - STRIP_LEFT - STRIP_RIGHT, 1);
            context.fillStyle = colour("ink-soft");
            context.fillText(axisDuration(10 ** power), STRIP_LEFT - 6, y);
        }
        context.fillStyle = colour("ink-soft");
        context.textAlign = "left";
        context.fillText(formatTime(this.from).slice(11, 23), STRIP_LEFT, height - 7);
        context.textAlign = "right";
        context.fillText(`${formatTime(this.to).slice(11, 23)} UTC`, width - STRIP_RIGHT, height - 7);
    }
}
