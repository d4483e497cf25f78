// SPDX-License-Identifier: Apache-2.0
//
// The tables of the live page. They change each second, so rows and cells stay and only their texts change: what is
// focused, selected or read aloud is not torn away.

function setText(element, text) {
    if (element.textContent !== text)
        element.textContent = text;
}

// A table whose rows have keys. `columns`: {title, class, cell(element, item)} each; `row(element, item)` for what
// concerns the whole row, `gone(element)` for one that is removed.
class KeyedTable {
    constructor({id, label: name, columns, classes = "", row = () => {}, gone = () => {}, none}) {
        this.columns = columns;
        this.rows = new Map();
        this.row = row;
        this.gone = gone;
        this.body = make("tbody");
        this.none = make("p", {class: "none"}, none);
        this.element = make("div", {class: "scroll"}, make("table", {id, class: classes, "aria-label": name},
            make("thead", {}, make("tr", {}, ...columns.map((one) => columnHead(one.title, {class: one.class ?? null})))), this.body), this.none);
    }

    show(items, keyOf) {
        const wanted = new Set(items.map(keyOf));
        for (const [key, element] of this.rows)
            if (!wanted.has(key)) {
                this.gone(element);
                element.remove();
                this.rows.delete(key);
            }
        let at = this.body.firstElementChild;
        for (const item of items) {
            const element = this.rowOf(keyOf(item));
            if (element === at)
                at = at.nextElementSibling;
            else
                this.put(element, at);
            this.row(element, item);
            this.columns.forEach((column, i) => column.cell(element.children[i], item));
        }
        this.none.hidden = items.length > 0;
    }

    rowOf(key) {
        let element = this.rows.get(key);
        if (element === undefined) {
            element = make("tr", {}, ...this.columns.map(({head, class: classes}) => (
                make(head ? "th" : "td", {class: classes ?? null, scope: head ? "row" : null}))));
            this.rows.set(key, element);
        }
        return element;
    }

    // Moving an element takes the focus from it.
    put(element, before) {
        const focused = element.contains(document.activeElement) ? document.activeElement : null;
        this.body.insertBefore(element, before);
        focused?.focus({preventScroll: true});
    }
}

function nameText(name) {
    return name === "" ? "(empty)" : label(name, 80);
}

// Root names with the figures of the last seconds, or of everything (`span`: "recent" or "all").
class LiveNames {
    constructor() {
        this.span = "recent";
        const duration = (field, title, classes = "number") => ({title, class: classes, cell: (cell, item) => {
            const figures = item[this.span];
            cell.dataset.figure = field;
            cell.dataset.ns = String(figures[field]);
            setText(cell, figures.traces > 0 ? formatDuration(figures[field]) : "\u00b7");
        }});
        this.table = new KeyedTable({id: "live-names", label: "Root names: traces, failed ones, and percentiles of durations", classes: "names live-names",
            none: "No trace has come yet.",
            row: (row, item) => {
                row.dataset.name = label(item.name);
                row.dataset.continued = String(item.continued);
            },
            gone: (row) => row.sparkline?.destroy(),
            columns: [
                {title: "root", head: true, cell: (cell, item) => {
                    setText(cell, nameText(item.name) + (item.continued ? " (continued)" : ""));
                    cell.title = item.continued ? `${label(item.name, 400)}: local roots that continue traces of other processes`
                        : label(item.name, 400);
                }},
                {title: "traces", class: "number", cell: (cell, item) => {
                    cell.dataset.figure = "traces";
                    setText(cell, formatCount(item[this.span].traces));
                }},
                {title: "failed", class: "number", cell: (cell, item) => {
                    const {failed} = item[this.span];
                    cell.dataset.figure = "failed";
                    cell.classList.toggle("failed", failed > 0);
                    cell.classList.toggle("quiet", failed === 0);
                    setText(cell, failed > 0 ? formatCount(failed) : "\u00b7");
                }},
                duration("p50", "p50"), duration("p90", "p90"), duration("p99", "p99"), duration("max", "max", "number tail"),
                {title: "p99, last minute", class: "trend", cell: (cell) => {
                    const row = cell.parentElement;
                    row.sparkline ??= new Sparkline();
                    if (cell.firstChild === null)
                        cell.append(row.sparkline.canvas);
                }},
            ]});
        this.element = this.table.element;
    }

    // `isNew`: it is a new state, and not the same one in another way.
    show(state, isNew) {
        this.table.show(state.names, (one) => `${one.continued ? 1 : 0}${one.others ? 1 : 0}${one.name}`);
        if (isNew)
            state.names.forEach((one, i) => this.table.body.children[i].sparkline.add(one.recent.traces > 0 ? one.recent.p99 : 0));
    }
}

const LIVE_LISTS = {slowest: "slowest so far", latest: "latest", latest_failed: "latest failed"};

// Traces to choose from. onChoose(id, name).
class LiveTraces {
    constructor({onChoose}) {
        this.list = "slowest";
        this.chosen = "";
        this.longest = 1;
        this.table = new KeyedTable({id: "live-traces", label: "Traces", classes: "traces live-traces", none: "There is none yet.",
            row: (row, item) => {
                row.dataset.trace = item.trace;
                row.dataset.name = label(item.name);
                row.setAttribute("aria-current", String(item.trace === this.chosen));
            },
            columns: [
                {title: "duration", class: "duration", cell: (cell, item) => {
                    if (cell.firstChild === null)
                        cell.append(make("button", {type: "button", class: "plain"}), make("i", {class: "bar", "aria-hidden": "true"}));
                    setText(cell.firstChild, formatDuration(item.duration));
                    cell.firstChild.setAttribute("aria-label", `${formatDuration(item.duration)} ${nameText(item.name)}: show this trace`);
                    cell.lastChild.style.setProperty("--share", String(item.duration / this.longest));
                }},
                {title: "root", class: "root", cell: (cell, item) => {
                    setText(cell, nameText(item.name));
                    cell.title = label(item.name, 400);
                    cell.classList.toggle("failed", item.failed);
                }},
                {title: "service", class: "service", cell: (cell, item) => setText(cell, label(item.service, 40))},
                {title: "spans", class: "number", cell: (cell, item) => setText(cell, item.spans > 0 ? formatCount(item.spans) : "gone")},
                {title: "start, UTC", class: "number", cell: (cell, item) => setText(cell, formatTime(BigInt(item.start)).slice(11, 23))},
            ]});
        this.element = this.table.element;
        this.table.body.addEventListener("click", (event) => {
            const row = event.target.closest("tr");
            if (row !== null && getSelection().isCollapsed)
                onChoose(row.dataset.trace);
        });
    }

    show(state) {
        const items = this.list === "slowest" ? state.slowest.toSorted((a, b) => b.duration - a.duration).slice(0, 50) : state[this.list];
        this.longest = Math.max(1, ...items.map((one) => one.duration));
        this.table.show(items, (one) => one.trace);
    }

    choose(id) {
        this.chosen = id;
        for (const row of this.table.body.children)
            row.setAttribute("aria-current", String(row.dataset.trace === id));
    }
}
