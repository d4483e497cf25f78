// SPDX-License-Identifier: Apache-2.0
//
// The rows of a waterfall: which spans are to be seen, in which order, and how the tree's lines join them. A span is
// named by its row in the pack; -1 stands for the heading above spans whose parent is not here.

const HEADING = -1;

class WaterfallRows {
    constructor(pack, traceIndex, tree) {
        this.pack = pack;
        this.tree = tree;
        this.first = pack.trace.first[traceIndex];
        this.count = pack.trace.count[traceIndex];
        this.rooted = pack.trace.rooted[traceIndex] !== 0;
        this.collapsed = new Set();
        this.measureTree();
        this.gather();
    }

    // Where the spans below each span end in the tree's order, which spans lie below a missing parent, and how long the
    // whole trace is.
    measureTree() {
        const {order} = this.tree;
        this.place = new Uint32Array(this.count);
        this.after = new Uint32Array(this.count);
        this.orphaned = new Uint8Array(this.count);
        this.whole = 0;
        const open = [];
        let orphaned = 0;
        order.forEach((row, at) => {
            const i = row - this.first;
            const deep = this.depth(row);
            while (open.length > deep)
                this.after[open.pop() - this.first] = at;
            open.push(row);
            if (deep === 0)
                orphaned = this.tree.isOrphan(row) ? 1 : 0;
            this.orphaned[i] = orphaned;
            this.place[i] = at;
            this.whole = Math.max(this.whole, this.pack.span.start[row] + this.pack.span.duration[row]);
        });
        for (const row of open)
            this.after[row - this.first] = this.count;
    }

    // Collects the rows that are not below a collapsed one. `at` becomes the position of each span, or of the
    // collapsed span that hides it.
    gather() {
        const {order} = this.tree;
        const shown = new Int32Array(this.count + 1);
        this.at = new Int32Array(this.count);
        this.heading = -1;
        let used = 0;
        for (let i = 0; i < order.length;) {
            const row = order[i];
            if (this.heading < 0 && this.orphaned[row - this.first]) {
                this.heading = used;
                shown[used++] = HEADING;
            }
            const next = this.collapsed.has(row) ? this.after[row - this.first] : i + 1;
            for (let hidden = i; hidden < next; hidden++)
                this.at[order[hidden] - this.first] = used;
            shown[used++] = row;
            i = next;
        }
        this.shown = shown.subarray(0, used);
        this.joinLines();
    }

    // Whether another span with the same parent follows below. From the last row up, `open` has the levels at which one
    // has been seen.
    joinLines() {
        this.goesOn = new Uint8Array(this.shown.length);
        const open = [];
        for (let at = this.shown.length - 1; at >= 0; at--) {
            const row = this.shown[at];
            const level = row === HEADING ? 0 : this.level(row);
            this.goesOn[at] = open[level] ? 1 : 0;
            open.length = Math.min(open.length, level + 1);
            open[level] = true;
        }
    }

    // Spans below a missing parent are indented by one more, since the heading stands above them.
    level(row) {
        return this.depth(row) + this.orphaned[row - this.first];
    }

    depth(row) {
        return this.tree.depth[row - this.first];
    }

    // The row of the span above, or -1.
    parent(row) {
        return this.tree.parent[row - this.first];
    }

    // The position of the row above in the tree, which is the heading for spans whose parent is not here.
    above(at) {
        const parent = this.shown[at] === HEADING ? -1 : this.parent(this.shown[at]);
        return parent < 0 ? this.heading : this.position(parent);
    }

    self(row) {
        return this.tree.self[row - this.first];
    }

    position(row) {
        return this.at[row - this.first];
    }

    // How many spans lie below it in the tree.
    below(row) {
        return this.after[row - this.first] - this.place[row - this.first] - 1;
    }

    toggle(row) {
        if (this.below(row) === 0)
            return;
        if (!this.collapsed.delete(row))
            this.collapsed.add(row);
        this.gather();
    }

    // Opens what hides the span.
    reveal(row) {
        let opened = false;
        for (let up = this.parent(row); up >= 0; up = this.parent(up))
            opened = this.collapsed.delete(up) || opened;
        if (opened)
            this.gather();
    }

    // All spans that have others below them, but for the outermost, which stay open.
    collapseAll() {
        for (const row of this.tree.order)
            if (this.below(row) > 0 && this.depth(row) > 0)
                this.collapsed.add(row);
        this.gather();
    }

    expandAll() {
        this.collapsed.clear();
        this.gather();
    }
}
