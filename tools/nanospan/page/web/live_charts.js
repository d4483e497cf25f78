// SPDX-License-Identifier: Apache-2.0
//
// The moving drawings of the live page: spans a second over the last minute, and a percentile's last minute. What they
// show stands beside them as text.

const LIVE_MINUTE = 60;

// Of the totals at instants, [ms, spans, errors, traces, bytes, requests], what came a second between two of them.
function liveRates(samples) {
    return samples.slice(1).map((one, i) => {
        const before = samples[i], seconds = Math.max(one[0] - before[0], 1) / 1000;
        const [spans, errors, traces, bytes, requests] = [1, 2, 3, 4, 5].map((k) => Math.max(one[k] - before[k], 0) / seconds);
        return {at: one[0], spans, errors, traces, bytes, requests};
    });
}

// The mean over the last seconds.
function rateOfLast(samples, seconds) {
    const last = samples[samples.length - 1];
    if (last === undefined)
        return null;
    const from = samples.findLast((one) => last[0] - one[0] >= seconds * 1000 - 200) ?? samples[0];
    return from === last ? null : liveRates([from, last])[0];
}

// The next round number, so that the scale does not move with each sample.
function roundUp(value) {
    const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
    return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

class RateChart {
    constructor(canvas) {
        this.rates = [];
        this.canvas = canvas;
        this.drawing = new Drawing(canvas, (context, width, height) => this.draw(context, width, height));
    }

    show(samples) {
        this.rates = liveRates(samples);
        const most = Math.round(Math.max(0, ...this.rates.map((one) => one.spans)));
        const text = `Spans a second over the last minute, at most ${formatCount(most)}; failed ones in red`;
        if (this.canvas.getAttribute("aria-label") !== text)
            this.canvas.setAttribute("aria-label", text);
        this.drawing.redraw();
    }

    draw(context, width, height) {
        const {rates} = this;
        const bottom = height - 15, top = 14;
        const most = roundUp(Math.max(1, ...rates.map((one) => one.spans)));
        const step = width / LIVE_MINUTE;
        context.font = font(11);
        context.fillStyle = colour("line");
        context.fillRect(0, bottom, width, 1);
        context.fillStyle = colour("line-soft");
        context.fillRect(0, top, width, 1);
        rates.forEach((one, i) => {
            const x = width - (rates.length - i) * step;
            const bar = (value, name) => {
                const tall = value > 0 ? Math.max(value / most * (bottom - top), 1) : 0;
                context.fillStyle = colour(name);
                context.fillRect(x + 0.5, bottom - tall, Math.max(step - 1, 1), tall);
            };
            bar(one.spans, "bar");
            bar(one.errors, "error");
        });
        context.fillStyle = colour("ink-faint");
        context.textAlign = "left";
        context.fillText(`${formatCount(most)} spans/s`, 2, top - 3);
        context.fillText("60 s ago", 2, height - 3);
        context.textAlign = "right";
        context.fillText("now", width - 2, height - 3);
    }
}

// A line through the last minute's values, on a logarithmic scale; seconds without a value are gaps.
class Sparkline {
    constructor() {
        this.values = [];
        this.canvas = make("canvas", {class: "sparkline", "aria-hidden": "true"});
        this.drawing = new Drawing(this.canvas, (context, width, height) => this.draw(context, width, height));
    }

    add(value) {
        this.values.push(value);
        this.values.splice(0, this.values.length - LIVE_MINUTE);
        this.drawing.redraw();
    }

    draw(context, width, height) {
        const seen = this.values.filter((value) => value > 0);
        if (seen.length === 0)
            return;
        const logarithms = seen.map(Math.log);
        const middle = (Math.max(...logarithms) + Math.min(...logarithms)) / 2;
        // At least a factor of two from bottom to top, so that what hardly moves looks like it.
        const half = Math.max((Math.max(...logarithms) - Math.min(...logarithms)) / 2, Math.LN2 / 2);
        context.strokeStyle = colour("warning");
        context.fillStyle = colour("warning");
        context.lineWidth = 1.5;
        context.beginPath();
        let drawn = false;
        this.values.forEach((value, i) => {
            const x = width - 2 - (this.values.length - 1 - i) * (width - 4) / (LIVE_MINUTE - 1);
            const y = height / 2 - (Math.log(value) - middle) / half * (height / 2 - 2);
            if (value > 0 && drawn)
                context.lineTo(x, y);
            else if (value > 0)
                context.moveTo(x, y);
            drawn = value > 0;
            if (value > 0 && i === this.values.length - 1)
                context.fillRect(x - 1.5, y - 1.5, 3, 3);
        });
        context.stroke();
    }

    destroy() {
        this.drawing.destroy();
    }
}
