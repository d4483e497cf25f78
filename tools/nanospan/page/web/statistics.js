// SPDX-License-Identifier: Apache-2.0
//
// Numbers about many traces: percentiles for each root name, as in view/summary.c, histograms on a logarithmic scale,
// and the comparison of two sets of traces, phase by phase.

// The quantile by nearest rank. The durations are sorted, the shortest first.
function quantile(durations, share) {
    const rank = Math.ceil(share * durations.length);
    return durations[rank > 0 ? rank - 1 : 0];
}

// The traces (indices, the slowest first, as packs have them) by the names of their roots: [{name, string, traces,
// durations, failed, kept, offCpu}], most traces first. `string` is -1 for traces without a root.
function groupByRoot(pack, traces) {
    const {trace, span} = pack;
    const groups = new Map();
    for (const t of traces) {
        const string = trace.rooted[t] ? span.name[trace.root[t]] : -1;
        let group = groups.get(string);
        if (group === undefined) {
            group = {string, name: string < 0 ? ROOT_NOT_SEEN : pack.string(string), members: [], failed: 0,
                kept: new Array(pack.header.kept.length).fill(0), offCpu: false};
            groups.set(string, group);
        }
        group.members.push(t);
        group.failed += trace.errors[t] > 0 ? 1 : 0;
        group.kept[Math.min(trace.kept[t], group.kept.length - 1)]++;
        group.offCpu ||= trace.preempted[t] > 0 || trace.waited[t] > 0;
    }
    for (const group of groups.values()) {
        group.traces = Uint32Array.from(group.members).reverse();
        group.durations = Float64Array.from(group.traces, (t) => trace.duration[t]);
        delete group.members;
    }
    return [...groups.values()].sort((a, b) => b.traces.length - a.traces.length || a.string - b.string);
}

// How much of the time that these traces took they were off the CPU, in percent.
function offCpuShare(pack, traces) {
    let took = 0, preempted = 0, waited = 0;
    for (const t of traces) {
        took += pack.trace.duration[t];
        preempted += pack.trace.preempted[t];
        waited += pack.trace.waited[t];
    }
    return took > 0 ? {preempted: 100 * preempted / took, waited: 100 * waited / took} : {preempted: 0, waited: 0};
}

// "kept: 40 of order (slow 40)", or "".
function keptLine(pack, group) {
    if (group.kept[0] === group.traces.length)
        return "";
    const words = [];
    for (let why = 1; why < group.kept.length; why++)
        if (group.kept[why])
            words.push(`${pack.header.kept[why]} ${formatCount(group.kept[why])}`);
    return `kept: ${formatCount(group.traces.length - group.kept[0])} of ${label(group.name)} (${words.join(", ")})`;
}

// How much of the tail is explained by what was not the traces' own work, beside all of them; or "".
function offCpuLine(pack, group) {
    if (!group.offCpu)
        return "";
    const count = group.traces.length, tail = Math.ceil(count / 100);
    const slowest = offCpuShare(pack, group.traces.subarray(count - tail)), all = offCpuShare(pack, group.traces);
    return `off the CPU: of the slowest 1 % of ${label(group.name)} (${formatCount(tail)} ${tail === 1 ? "trace" : "traces"}) ` +
        `${toFixedEven(slowest.preempted + slowest.waited, 1)} % of the time, preempted ` +
        `${toFixedEven(slowest.preempted, 1)} %, waited ${toFixedEven(slowest.waited, 1)} %; of all ` +
        `${toFixedEven(all.preempted + all.waited, 1)} %`;
}

// How many durations lie in each of `bins` bins of about equal width on a logarithmic scale: {lowest, highest, counts,
// edges, most}. A bin has what is at least its edge and below the next one; the last one has the longest duration, too.
// Edges are round numbers, as far as their distance allows, since people will read and write them.
function histogram(durations, bins) {
    const logarithm = (value) => Math.log(Math.max(1, value));
    const shortest = durations[0] ?? 1, longest = durations[durations.length - 1] ?? 1;
    const lowest = logarithm(shortest), highest = logarithm(longest);
    const used = highest > lowest ? bins : 1;
    const step = (highest - lowest) / used;
    const digits = Math.min(15, Math.ceil(Math.max(0, -Math.log10(Math.expm1(step || 1)))) + 2);
    const counts = new Uint32Array(used);
    const edges = Float64Array.from({length: used + 1}, (_, i) => (
        i === 0 ? shortest : i === used ? longest : Math.round(Number(Math.exp(lowest + step * i).toPrecision(digits)))));
    let bin = 0, most = 0;
    for (const duration of durations) {
        while (bin + 1 < used && duration >= edges[bin + 1])
            bin++;
        counts[bin]++;
    }
    for (const count of counts)
        most = Math.max(most, count);
    return {lowest, highest, counts, edges, most};
}

// The slowest hundredth, and from the 25th to the 75th percentile what is not in it. The traces are sorted by duration,
// the shortest first.
function slowestAgainstMiddle(traces) {
    const count = traces.length;
    const tail = Math.ceil(count / 100);
    const from = Math.ceil(0.25 * count), to = Math.min(Math.ceil(0.75 * count), count - tail);
    return [traces.subarray(count - tail), traces.subarray(Math.max(0, from - 1), to)];
}

// Means over a set's traces for each phase, which is the sequence of span names from the root.
class Phases {
    constructor(pack) {
        this.pack = pack;
        this.byPlace = new Map(); // parent phase and name to phase
        this.list = []; // {name (string index; -1: the root is not seen), parent, depth}
    }

    phase(parent, name) {
        const place = (parent + 1) * (this.pack.strings + 1) + name + 1;
        let phase = this.byPlace.get(place);
        if (phase === undefined) {
            phase = this.list.length;
            this.list.push({name, parent, depth: parent < 0 ? 0 : this.list[parent].depth + 1});
            this.byPlace.set(place, phase);
        }
        return phase;
    }

    name(phase) {
        const {name} = this.list[phase];
        return name < 0 ? ROOT_NOT_SEEN : this.pack.string(name);
    }

    // The names from the root to the phase.
    names(phase) {
        const names = [];
        for (let at = phase; at >= 0; at = this.list[at].parent)
            names.push(this.name(at));
        return names.reverse();
    }
}

// The sums of one set, filled trace by trace.
class PhaseSums {
    constructor(phases) {
        this.phases = phases;
        this.traces = 0;
        this.duration = 0;
        this.critical = [];
        this.times = [];
        this.offCpu = [];
    }

    add(traceIndex) {
        const {pack} = this.phases;
        const tree = new TraceTree(pack, traceIndex);
        const phaseOf = new Int32Array(tree.count).fill(-1);
        const top = pack.trace.rooted[traceIndex] ? -1 : this.phases.phase(-1, -1);
        if (top >= 0)
            this.count(this.times, top, 1);
        for (const row of tree.order) {
            const i = row - tree.first;
            const above = tree.parent[i] < 0 ? -1 : phaseOf[tree.parent[i] - tree.first];
            // What does not lie below the root has no phase.
            if (top < 0 && (tree.parent[i] < 0 ? row !== pack.trace.root[traceIndex] : above < 0))
                continue;
            phaseOf[i] = this.phases.phase(above < 0 ? top : above, pack.span.name[row]);
            this.count(this.times, phaseOf[i], 1);
        }
        for (const {row, start, end} of tree.critical)
            this.count(this.critical, row === NOT_SEEN ? top : phaseOf[row - tree.first], end - start);
        if (pack.trace.preempted[traceIndex] || pack.trace.waited[traceIndex])
            this.addPauses(tree, phaseOf);
        this.traces++;
        this.duration += pack.trace.duration[traceIndex];
    }

    addPauses(tree, phaseOf) {
        const {pause} = this.phases.pack;
        const [from] = this.phases.pack.rowRange(pause.row, tree.first);
        for (let at = from; at < pause.count && pause.row[at] < tree.first + tree.count; at++)
            if (phaseOf[pause.row[at] - tree.first] >= 0)
                this.count(this.offCpu, phaseOf[pause.row[at] - tree.first], pause.duration[at]);
    }

    count(sums, phase, value) {
        sums[phase] = (sums[phase] ?? 0) + value;
    }

    mean(sums, phase) {
        return this.traces ? (sums[phase] ?? 0) / this.traces : 0;
    }
}

// Compares two sets of traces with the same root name: {phases, first, second, rows, difference}. The differences of the
// rows add up to that of the mean durations. Rows come by the size of their difference. Long work is done in slices, so
// that the page stays alive; `progress(share)` is called between them and ends it by returning false.
async function compareSets(pack, firstTraces, secondTraces, progress) {
    const phases = new Phases(pack);
    const first = new PhaseSums(phases), second = new PhaseSums(phases);
    const total = firstTraces.length + secondTraces.length;
    let sliceEnd = performance.now() + 40;
    for (let done = 0; done < total; done++) {
        if (done < firstTraces.length)
            first.add(firstTraces[done]);
        else
            second.add(secondTraces[done - firstTraces.length]);
        if ((done & 63) === 0 && performance.now() > sliceEnd) {
            await new Promise((resume) => setTimeout(resume));
            if (progress(done / total) === false)
                return null;
            sliceEnd = performance.now() + 40;
        }
    }
    const rows = phases.list.map((_, phase) => {
        const means = [first, second].map((set) => ({critical: set.mean(set.critical, phase),
            times: set.mean(set.times, phase), offCpu: set.mean(set.offCpu, phase)}));
        return {phase, first: means[0], second: means[1], difference: means[0].critical - means[1].critical};
    });
    rows.sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference) || a.phase - b.phase);
    const meanDuration = (set) => (set.traces ? set.duration / set.traces : 0);
    return {phases, first, second, rows, means: [meanDuration(first), meanDuration(second)],
        difference: meanDuration(first) - meanDuration(second)};
}
