// SPDX-License-Identifier: Apache-2.0
//
// The tree of one trace's spans, their self times, and the critical path, as in support/span_tree.c and critical_path.c.
// A trace may come from anywhere: parents may be missing, lead round in a circle, or be as deep as there are spans.

const NOT_SEEN = -1; // the row of a part of the critical path that no span of the trace accounts for

class TraceTree {
    // depth, parent and self are by row - first; `order` and `parent` have rows, -1 is none.
    constructor(pack, traceIndex) {
        this.pack = pack;
        this.trace = traceIndex;
        this.first = pack.trace.first[traceIndex];
        this.count = pack.trace.count[traceIndex];
        this.start = pack.span.start.subarray(this.first, this.first + this.count);
        this.duration = pack.span.duration.subarray(this.first, this.first + this.count);
        this.findParents();
        this.cutCircles();
        this.joinChildren();
        this.self = new Float64Array(this.count);
        for (let i = 0; i < this.count; i++)
            this.self[i] = this.selfTime(i);
        this.walk();
        this.path = null;
    }

    findParents() {
        const {pack, first, count} = this;
        this.parent = new Int32Array(count);
        this.orphan = new Uint8Array(count);
        for (let i = 0; i < count; i++) {
            const above = pack.span.parent[first + i] - first;
            const found = above >= 0 && above < count && above !== i;
            this.parent[i] = found ? first + above : -1;
            if (!found && pack.span.parent[first + i] !== NO_INDEX)
                this.orphan[i] = 1;
        }
        if (pack.orphan.count) {
            const [from] = pack.rowRange(pack.orphan.row, first);
            for (let at = from; at < pack.orphan.count && pack.orphan.row[at] < first + count; at++)
                this.orphan[pack.orphan.row[at] - first] = 1;
        }
    }

    // Follows the parents of each span. If they lead back to a span of the same walk, the circle is cut there.
    cutCircles() {
        const seenBy = new Uint32Array(this.count);
        for (let i = 0; i < this.count; i++)
            for (let at = i; at >= 0 && seenBy[at] === 0;) {
                seenBy[at] = i + 1;
                const above = this.parent[at] < 0 ? -1 : this.parent[at] - this.first;
                if (above >= 0 && seenBy[above] === i + 1) {
                    this.parent[at] = -1;
                    this.orphan[at] = 1;
                    break;
                }
                at = above;
            }
    }

    // Rows are sorted by start, so children are too.
    joinChildren() {
        const {count, first} = this;
        this.firstChild = new Int32Array(count).fill(-1);
        this.next = new Int32Array(count).fill(-1);
        const last = new Int32Array(count);
        for (let i = 0; i < count; i++) {
            if (this.parent[i] < 0)
                continue;
            const above = this.parent[i] - first;
            if (this.firstChild[above] < 0)
                this.firstChild[above] = i;
            else
                this.next[last[above]] = i;
            last[above] = i;
        }
    }

    // Children may overlap and outlive their parent. Only the part of the parent that they cover counts, and once.
    selfTime(i) {
        const end = this.start[i] + this.duration[i];
        let coveredTo = this.start[i], covered = 0;
        for (let child = this.firstChild[i]; child >= 0; child = this.next[child]) {
            const from = Math.max(this.start[child], coveredTo);
            const to = Math.min(this.start[child] + this.duration[child], end);
            if (to > from) {
                covered += to - from;
                coveredTo = to;
            }
        }
        return this.duration[i] - covered;
    }

    // Depth first, without recursion; what has lost its parent comes last.
    walk() {
        this.order = new Int32Array(this.count);
        this.depth = new Int32Array(this.count);
        let filled = 0;
        for (let orphans = 0; orphans < 2; orphans++)
            for (let top = 0; top < this.count; top++) {
                if (this.parent[top] >= 0 || this.orphan[top] !== orphans)
                    continue;
                let at = top, deep = 0;
                for (;;) {
                    this.depth[at] = deep;
                    this.order[filled++] = this.first + at;
                    if (this.firstChild[at] >= 0) {
                        at = this.firstChild[at];
                        deep++;
                        continue;
                    }
                    while (at !== top && this.next[at] < 0) {
                        at = this.parent[at] - this.first;
                        deep--;
                    }
                    if (at === top)
                        break;
                    at = this.next[at];
                }
            }
    }

    // Whether the span names a parent that is not here, or that would lead round in a circle.
    isOrphan(row) {
        return this.orphan[row - this.first] !== 0;
    }

    childrenOf(i) {
        const children = [];
        for (let child = this.firstChild[i]; child >= 0; child = this.next[child])
            children.push(child);
        return children;
    }

    // [{row, start, end}], in the order of time, since the trace's start; row NOT_SEEN if no span accounts for it. The
    // lengths add up to the trace's duration.
    get critical() {
        return (this.path ??= this.findCriticalPath());
    }

    findCriticalPath() {
        const {pack, trace, first} = this;
        const found = [];
        const add = (row, start, end) => {
            if (end <= start)
                return;
            const before = found[found.length - 1];
            if (before !== undefined && before.row === row && before.start === end)
                before.start = start;
            else
                found.push({row, start, end});
        };
        const frames = [];
        if (pack.trace.rooted[trace]) {
            const root = pack.trace.root[trace] - first;
            frames.push(new PathFrame(this, first + root, this.childrenOf(root), this.start[root],
                this.start[root] + this.duration[root]));
        } else {
            const tops = [];
            for (let i = 0; i < this.count; i++)
                if (this.parent[i] < 0)
                    tops.push(i);
            frames.push(new PathFrame(this, NOT_SEEN, tops, 0, pack.trace.duration[trace]));
        }
        // From the end to the beginning: the child that ended last is what its parent was waiting for.
        while (frames.length) {
            const frame = frames[frames.length - 1];
            const child = frame.take();
            if (child < 0) {
                add(frame.row, frame.lower, frame.time);
                frames.pop();
                continue;
            }
            const end = Math.min(this.start[child] + this.duration[child], frame.time);
            add(frame.row, end, frame.time);
            const lower = Math.max(this.start[child], frame.lower);
            frame.time = lower;
            frames.push(new PathFrame(this, first + child, this.childrenOf(child), lower, end));
        }
        return found.reverse();
    }
}

// One span on the way: what of [lower, time) is not accounted for yet, and the children that may account for it. Those
// that are still under way at `time` are in a heap, the one that started last on top; the others are sorted, the one
// that ends last at the end.
class PathFrame {
    constructor(tree, row, children, lower, time) {
        this.tree = tree;
        this.row = row;
        this.lower = lower;
        this.time = time;
        this.heap = [];
        this.waiting = children.length < 2 ? children : children.sort((a, b) => this.end(a) - this.end(b) || a - b);
    }

    end(child) {
        return this.tree.start[child] + this.tree.duration[child];
    }

    // The next child on the path, or -1. Rows are sorted by start, so a later place is a later start.
    take() {
        const {tree, heap, waiting} = this;
        if (this.time <= this.lower)
            return -1;
        while (waiting.length && this.end(waiting[waiting.length - 1]) >= this.time)
            heapPush(heap, waiting.pop());
        while (heap.length) {
            const child = heapPop(heap);
            if (tree.start[child] < this.time)
                return child;
        }
        return waiting.length && this.end(waiting[waiting.length - 1]) > this.lower ? waiting.pop() : -1;
    }
}

// A heap with the largest number on top.
function heapPush(heap, value) {
    let at = heap.length;
    heap.push(value);
    for (let above = (at - 1) >> 1; at > 0 && heap[above] < value; above = (at - 1) >> 1) {
        heap[at] = heap[above];
        at = above;
    }
    heap[at] = value;
}

function heapPop(heap) {
    const top = heap[0], value = heap.pop();
    if (heap.length === 0)
        return top;
    let at = 0;
    for (let below = 1; below < heap.length; below = 2 * at + 1) {
        if (below + 1 < heap.length && heap[below + 1] > heap[below])
            below++;
        if (heap[below] <= value)
            break;
        heap[at] = heap[below];
        at = below;
    }
    heap[at] = value;
    return top;
}
