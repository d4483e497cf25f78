// SPDX-License-Identifier: Apache-2.0
//
// The root names with their percentiles, and the list of traces. Both are HTML text, which can be searched and read
// aloud; of long lists only a part is in the document, and more on demand.

const LIST_STEP = 200, NAMES_STEP = 40, MOST_KEY_COLUMNS = 4;
const PERCENTILES = [["p50", 0.5], ["p90", 0.9], ["p99", 0.99], ["p99.9", 0.999], ["max", 1]];

function columnHead(text, attributes = {}) {
    return make("th", {scope: "col", ...attributes}, text);
}

// The table of root names. A click on a name calls onRoot(name), a click on the chosen one onRoot(null).
class NamesTable {
    constructor(element, {onRoot}) {
        this.onRoot = onRoot;
        this.body = make("tbody");
        this.table = make("table", {class: "names", "aria-label": "Root names, counts and percentiles of durations"},
            make("thead", {}, make("tr", {}, columnHead("root"), columnHead("traces", {class: "number"}),
                columnHead("failed", {class: "number"}),
                ...PERCENTILES.map(([name]) => columnHead(name, {class: "number"})))),
            this.body);
        this.more = make("button", {type: "button", class: "more", id: "names-more", hidden: true});
        this.more.addEventListener("click", () => this.fill(this.shown + NAMES_STEP));
        this.notes = make("ul", {class: "notes", id: "names-notes", "aria-label": "Kept traces, time off the CPU"});
        element.replaceChildren(make("div", {class: "scroll"}, this.table, this.more, this.notes));
        this.body.addEventListener("click", (event) => {
            const row = event.target.closest("tr");
            if (row !== null && getSelection().isCollapsed)
                this.onRoot(row.getAttribute("aria-current") === "true" ? null : this.groups[row.dataset.group]);
        });
    }

    // `isChosen(group)`: whether the filter for root names lets it through, if there is such a filter.
    show(pack, groups, isChosen) {
        this.pack = pack;
        this.groups = groups;
        this.isChosen = isChosen;
        this.body.replaceChildren();
        this.shown = 0;
        this.fill(Math.max(NAMES_STEP, groups.findIndex(isChosen) + 1));
        const lines = groups.slice(0, NAMES_STEP).flatMap((group) => [keptLine(pack, group), offCpuLine(pack, group)]);
        this.notes.replaceChildren(...lines.filter((line) => line !== "").map((line) => make("li", {}, line)));
        this.notes.hidden = this.notes.childElementCount === 0;
    }

    fill(until) {
        const added = this.groups.slice(this.shown, until).map((group, i) => this.row(group, this.shown + i));
        this.body.append(...added);
        this.shown = Math.min(until, this.groups.length);
        this.more.hidden = this.shown >= this.groups.length;
        this.more.textContent = `Show more of the ${formatCount(this.groups.length)} names`;
    }

    row(group, index) {
        const name = label(group.name, 80);
        return make("tr", {"data-group": index, "data-root": label(group.name), "aria-current": this.isChosen(group) ? "true" : null},
            make("th", {scope: "row"}, make("button", {type: "button", class: "plain", title: label(group.name, 400)},
                group.name === "" ? make("i", {}, "(empty)") : name)),
            make("td", {class: "number"}, formatCount(group.traces.length)),
            make("td", {class: group.failed ? "number failed" : "number quiet"},
                group.failed ? formatCount(group.failed) : "\u00b7"),
            ...PERCENTILES.map(([heading, share]) => make("td", {class: heading === "max" ? "number tail" : "number"},
                formatDuration(quantile(group.durations, share)))));
    }
}

const LIST_SORTS = {
    slowest: {column: "duration", direction: "descending", text: "slowest first"},
    fastest: {column: "duration", direction: "ascending", text: "fastest first"},
    start: {column: "start", direction: "ascending", text: "by start"},
    latest: {column: "start", direction: "descending", text: "latest first"},
    spans: {column: "count", direction: "descending", text: "most spans first"},
    fewest: {column: "count", direction: "ascending", text: "fewest spans first"},
};

function sortTraces(pack, traces, sort) {
    const {column, direction} = LIST_SORTS[sort];
    if (column === "duration")
        return direction === "descending" ? traces : traces.slice().reverse();
    const values = pack.trace[column];
    const sign = direction === "ascending" ? 1 : -1;
    return traces.slice().sort((a, b) => sign * (values[a] - values[b]) || a - b);
}

// The list of traces: a grid whose rows are chosen with the arrow keys. onChoose(trace), then onClick() after
// a click, onOpen() for Enter. If no trace passes, onWiden() leads to those that pass without root and duration.
class TraceList {
    constructor(element, {onChoose, onClick, onOpen, onSort, onWiden}) {
        this.onChoose = onChoose;
        this.onClick = onClick;
        this.onOpen = onOpen;
        this.onSort = onSort;
        this.chosen = -1;
        this.body = make("tbody");
        this.heads = [["duration", "duration", "slowest", "fastest"], ["root", "root"], ["service", "service wide"],
            ["spans", "number", "spans", "fewest"], ["failed", "number"], ["off CPU", "number off-cpu wide"], ["kept", "kept"],
            ["start, UTC", "number", "start", "latest"]].map((head) => this.head(...head));
        this.headRow = make("tr", {}, ...this.heads);
        this.table = make("table", {class: "traces", role: "grid", id: "traces"}, make("thead", {}, this.headRow), this.body);
        this.more = make("button", {type: "button", class: "more", id: "list-more"});
        this.more.addEventListener("click", () => this.fill(this.shown + LIST_STEP));
        this.none = make("p", {class: "none", id: "list-none", hidden: true}, "No trace passes the filters.");
        this.widen = make("button", {type: "button", class: "more", id: "list-widen", hidden: true});
        this.widen.addEventListener("click", onWiden);
        this.scroll = make("div", {class: "scroll"}, this.table, this.none, this.widen, this.more);
        element.replaceChildren(this.scroll);
        this.body.addEventListener("click", (event) => this.clicked(event));
        this.body.addEventListener("keydown", (event) => this.pressed(event));
    }

    head(text, classes, sort, reversed) {
        const made = columnHead(sort === undefined ? text : "", {class: classes});
        if (sort !== undefined) {
            const button = make("button", {type: "button", class: "plain", "data-sort": sort}, text);
            button.addEventListener("click", () => this.onSort(this.sort === sort ? reversed : sort));
            made.append(button);
            made.dataset.column = LIST_SORTS[sort].column;
        }
        return made;
    }

    // `keys` are attributes that get a column each; `valueIn(trace, key)` is what stands there. `wider` is the number of
    // traces that pass without root and duration.
    show(pack, traces, sort, chosen, keys, valueIn, wider) {
        this.pack = pack;
        this.keys = keys.slice(0, MOST_KEY_COLUMNS);
        this.valueIn = valueIn;
        const [duration, root, ...others] = this.heads;
        this.headRow.replaceChildren(duration, root, ...this.keys.map((key) => columnHead(label(key, 40), {class: "key"})), ...others);
        this.sort = sort;
        this.traces = sortTraces(pack, traces, sort);
        this.chosen = chosen;
        this.longest = traces.length ? pack.trace.duration[traces[0]] : 1;
        this.shortest = traces.length ? pack.trace.duration[traces[traces.length - 1]] : 1;
        for (const head of this.heads)
            if (head.dataset.column !== undefined)
                head.setAttribute("aria-sort", head.dataset.column === LIST_SORTS[sort].column
                    ? LIST_SORTS[sort].direction : "none");
        // Columns that would be empty everywhere only take room.
        this.table.classList.toggle("none-kept", !pack.trace.kept.some((kept) => kept > 0));
        this.table.classList.toggle("none-off-cpu", pack.pause.count === 0);
        this.table.setAttribute("aria-rowcount", String(traces.length + 1));
        this.table.setAttribute("aria-label", `${formatCount(traces.length)} traces, ${LIST_SORTS[sort].text}`);
        this.body.replaceChildren();
        this.shown = 0;
        this.scroll.scrollTop = 0;
        this.none.hidden = traces.length > 0;
        this.widen.hidden = traces.length > 0 || wider === 0;
        this.widen.textContent = `Show ${formatCount(wider)} with any root and duration`;
        this.fill(LIST_STEP);
        this.mark();
    }

    fill(until) {
        const added = [];
        const end = Math.min(until, this.traces.length);
        for (let place = this.shown; place < end; place++)
            added.push(this.row(this.traces[place], place));
        this.body.append(...added);
        this.shown = Math.max(this.shown, end);
        this.more.hidden = this.shown >= this.traces.length;
        this.more.textContent = `Show ${LIST_STEP} more (${formatCount(this.shown)} of ${formatCount(this.traces.length)} shown)`;
    }

    row(t, place) {
        const {pack} = this;
        const {trace} = pack;
        const bar = make("span", {class: "bar", "aria-hidden": "true"});
        bar.style.setProperty("--share", this.share(trace.duration[t]).toFixed(4));
        const off = trace.preempted[t] + trace.waited[t];
        const name = pack.rootName(t);
        return make("tr", {"data-trace": t, "data-place": place, "aria-rowindex": place + 2, "aria-selected": "false", tabindex: "-1"},
            make("td", {class: "duration number"}, bar, make("span", {}, formatDuration(trace.duration[t]))),
            make("td", {class: "root", title: label(name, 400)}, name === "" ? "(empty)" : label(name, 80)),
            ...this.keys.map((key) => make("td", {class: "key"}, label(this.valueIn(t, key), 60))),
            make("td", {class: "service wide"}, label(pack.service(trace.root[t]), 60)),
            make("td", {class: "number"}, formatCount(trace.count[t])),
            make("td", {class: trace.errors[t] ? "number failed" : "number quiet"},
                trace.errors[t] ? `\u2715 ${formatCount(trace.errors[t])}` : "\u00b7"),
            make("td", {class: off ? "number off-cpu wide" : "number off-cpu wide quiet"}, off ? formatDuration(off) : "\u00b7"),
            make("td", {class: "kept"}, pack.keptWord(t)),
            make("td", {class: "number quiet", title: `${formatTime(pack.traceTime(t))} UTC`}, formatTime(pack.traceTime(t)).slice(11, 23)));
    }

    // The bar of a duration: logarithmic, from the shortest to the longest of the list.
    share(duration) {
        const from = Math.log(Math.max(1, this.shortest) * 0.8), to = Math.log(Math.max(1, this.longest));
        return to > from ? Math.max(0.02, (Math.log(Math.max(1, duration)) - from) / (to - from)) : 1;
    }

    rowOf(trace) {
        return this.body.querySelector(`tr[data-trace="${trace}"]`);
    }

    // Marks the chosen trace. The only row that Tab reaches is that one, or the first.
    mark() {
        this.body.querySelector("tr[aria-selected=true]")?.setAttribute("aria-selected", "false");
        this.body.querySelector("tr[tabindex='0']")?.setAttribute("tabindex", "-1");
        const row = this.rowOf(this.chosen);
        row?.setAttribute("aria-selected", "true");
        (row ?? this.body.firstElementChild)?.setAttribute("tabindex", "0");
    }

    // Marks it as chosen elsewhere; it need not be in the list.
    choose(trace) {
        this.chosen = trace;
        this.mark();
        const row = this.rowOf(trace);
        if (row === null)
            return;
        // Only the list scrolls to it, not the page.
        const head = this.heads[0].offsetHeight, {scroll} = this;
        if (row.offsetTop - head < scroll.scrollTop)
            scroll.scrollTop = row.offsetTop - head;
        else if (row.offsetTop + row.offsetHeight > scroll.scrollTop + scroll.clientHeight)
            scroll.scrollTop = row.offsetTop + row.offsetHeight - scroll.clientHeight;
    }

    focus() {
        this.body.querySelector("tr[tabindex='0']")?.focus();
    }

    clicked(event) {
        const row = event.target.closest("tr");
        if (row === null || !getSelection().isCollapsed)
            return;
        this.onChoose(Number(row.dataset.trace));
        this.onClick();
    }

    pressed(event) {
        const row = event.target.closest("tr");
        if (row === null || event.ctrlKey || event.metaKey || event.altKey)
            return;
        const place = Number(row.dataset.place);
        const places = {ArrowDown: place + 1, ArrowUp: place - 1, PageDown: place + 20, PageUp: place - 20, Home: 0,
            End: this.shown - 1};
        if (event.key === "Enter" || event.key === " ") {
            this.onChoose(Number(row.dataset.trace));
            if (event.key === "Enter")
                this.onOpen();
        } else if (event.key in places) {
            this.moveTo(places[event.key]);
        } else {
            return;
        }
        event.preventDefault();
    }

    // Chooses the trace at a place of the list, and shows more of the list if it lies beyond what is shown.
    moveTo(place) {
        const at = Math.min(Math.max(0, place), this.traces.length - 1);
        if (at < 0)
            return;
        if (at >= this.shown)
            this.fill(Math.ceil((at + 1) / LIST_STEP) * LIST_STEP);
        this.onChoose(this.traces[at]);
        this.focus();
    }

    // Chooses the next or the previous trace of the list.
    step(by) {
        const row = this.rowOf(this.chosen);
        this.moveTo(row === null ? 0 : Number(row.dataset.place) + by);
    }
}
