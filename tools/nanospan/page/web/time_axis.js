// SPDX-License-Identifier: Apache-2.0
//
// The time scale of a waterfall: which part of a trace is shown, where an instant lies in it, and its ticks.
//
// Times are nanoseconds since the trace's start. As Numbers they are exact below 2^53 ns, which is 104 days; later
// instants are rounded to the next even number, and to 2 µs at the very end of what 64 bits hold. `resolution` says so.

const SECOND = 1e9, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR, YEAR = 365 * DAY;

// The distances between ticks, from 1 ns to 500 years.
const TICK_STEPS = [
    ...[1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8].flatMap((decade) => [decade, 2 * decade, 5 * decade]),
    ...[1, 2, 5, 10, 20, 30].map((n) => n * SECOND),
    ...[1, 2, 5, 10, 20, 30].map((n) => n * MINUTE),
    ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
    ...[1, 2, 5, 10, 20, 50, 100].map((n) => n * DAY),
    ...[1, 2, 5, 10, 20, 50, 100, 200, 500].map((n) => n * YEAR),
];

// Below, unit, name.
const DECIMAL_UNITS = [[1e3, 1, "ns"], [1e6, 1e3, "\u00b5s"], [SECOND, 1e6, "ms"], [MINUTE, SECOND, "s"]];
const LARGE_UNITS = [[YEAR, "y"], [DAY, "d"], [HOUR, "h"], [MINUTE, "min"]];

// The decimals behind the point, in groups of three: 678901 of 12.345678901 s.
function groupedFraction(rest, unit, step) {
    const all = String(unit).length - 1;
    const shown = all - Math.min(all, String(step).length - 1);
    const digits = String(rest).padStart(all, "0").slice(0, shown);
    return shown === 0 ? "" : `.${digits.replace(/(\d{3})(?=\d)/g, "$1\u202f")}`;
}

// An instant as an offset from the trace's start, with the digits that tell ticks apart that lie `step` from one
// another: 12.345 678 ms; 3 h 20 min. `largest` is the last instant of the scale, so that all ticks have one unit.
function offsetText(time, step, largest) {
    if (time < 0)
        return `\u2212${offsetText(-time, step, largest)}`;
    for (const [below, unit, name] of DECIMAL_UNITS)
        if (largest < below) {
            const count = Math.floor(time / unit);
            return `${count}${groupedFraction(time - count * unit, unit, step)} ${name}`;
        }
    const parts = [];
    let rest = time;
    for (const [unit, name] of LARGE_UNITS) {
        const count = Math.floor(rest / unit);
        rest -= count * unit;
        if (count > 0 || (parts.length > 0 && step < unit * 10))
            parts.push(`${count} ${name}`);
        if (step >= unit && step % unit === 0 && rest === 0)
            break;
    }
    if (step < MINUTE || rest > 0) {
        const seconds = Math.floor(rest / SECOND);
        const fraction = groupedFraction(rest - seconds * SECOND, SECOND, Math.min(step, SECOND));
        parts.push(`${seconds}${fraction} s`);
    }
    return parts.length > 0 ? parts.join(" ") : "0";
}

// An instant to the nanosecond.
function exactOffset(time) {
    return offsetText(time, 1, Math.abs(time));
}

class TimeAxis {
    constructor(whole) {
        this.whole = Math.max(1, whole);
        // The distance between neighbouring Numbers at the end of the trace.
        this.resolution = 1;
        while (this.whole >= this.resolution * 2 ** 53)
            this.resolution *= 2;
        this.width = 1; // pixels
        this.showAll();
    }

    // With a hundredth on both sides, so that what begins or ends with the trace is seen to do so.
    showAll() {
        this.from = -this.whole / 100;
        this.to = this.whole + this.whole / 100;
    }

    get length() {
        return this.to - this.from;
    }

    get showsAll() {
        return this.from <= 0 && this.to >= this.whole;
    }

    // The shortest time that can fill the scale.
    get least() {
        return Math.min(this.whole, 10 * this.resolution);
    }

    // Pixels from the left edge. The difference comes first, since it is exact.
    x(time) {
        return (time - this.from) * (this.width / this.length);
    }

    time(x) {
        return this.from + x * (this.length / this.width);
    }

    // The nearest whole nanosecond within the trace.
    instant(x) {
        return Math.min(this.whole, Math.max(0, Math.round(this.time(x))));
    }

    show(from, to) {
        const most = this.whole * 1.02;
        let length = Math.min(most, Math.max(this.least, to - from));
        let start = (from + to) / 2 - length / 2;
        const margin = Math.min(length, this.whole) / 50;
        if (length === most)
            start = -this.whole / 100;
        start = Math.min(this.whole + margin - length, Math.max(-margin, start));
        if (length >= this.whole)
            start = Math.min(0, Math.max(this.whole - length, start));
        this.from = start;
        this.to = start + length;
    }

    // Zooms so that the instant under x stays there. A factor below 1 zooms in.
    zoom(factor, x) {
        const share = x / this.width;
        const length = Math.min(this.whole * 1.02, Math.max(this.least, this.length * factor));
        const from = this.time(x) - share * length;
        this.show(from, from + length);
    }

    pan(pixels) {
        const by = pixels * (this.length / this.width);
        this.show(this.from + by, this.to + by);
    }

    // Ticks with labels, as close as the labels allow, and small ticks between them.
    ticks(measure) {
        const scale = this.width / this.length;
        const largest = Math.max(1, Math.min(this.to, this.whole));
        // Labels of one unit grow with the time; those of several (1 h 40 min, 2 h) do not, so some are measured.
        const fits = (step) => Array.from({length: largest < MINUTE ? 1 : 7}, (_, i) => largest - largest % step - i * step)
            .every((time) => step * scale >= measure(offsetText(Math.max(0, time), step, largest)) + 18);
        let at = TICK_STEPS.findIndex((step) => step >= this.length / 200 && step >= this.resolution && fits(step));
        if (at < 0)
            at = TICK_STEPS.length - 1;
        // A narrow scale with long labels: rather one that is cut than none.
        while (at > 0 && TICK_STEPS[at] > this.length)
            at--;
        const step = TICK_STEPS[at];
        const small = TICK_STEPS.find((s) => s * scale >= 6 && s >= this.resolution && step % s === 0) ?? step;
        const labelled = [], between = [];
        const first = Math.max(0, Math.ceil(this.from / small));
        const last = Math.floor(Math.min(this.to, this.whole) / small);
        for (let i = first; i <= last; i++) {
            const time = i * small;
            if (time % step === 0)
                labelled.push({time, label: offsetText(time, step, largest)});
            else
                between.push(time);
        }
        return {step, labelled, between};
    }
}
