// SPDX-License-Identifier: Apache-2.0
//
// The page: its state, the fragment that keeps it, the keys, and how the parts are wired.
//
// What tests and others may rely on:
//   #totals (text), #opening (until the traces are there), #problem (if they cannot be shown)
//   #filters: #filter-where #filter-root #filter-service #filter-min #filter-max #filter-kept #filter-source
//     #filter-errors #filter-clear; #filter-count (text), #filter-problem (text)
//   #names table.names tr[data-root] (cells: name, traces, failed, p50, p90, p99, p99.9, max), #names-notes, #names-more
//   #distribution-canvas (role slider: aria-label, aria-valuetext), #distribution-said
//   #traces (role grid): tr[data-trace][data-place][aria-selected], th button[data-sort]; #list-more, #list-none
//   #tab-trace, #tab-comparison; #trace (data-trace-id), #trace-head, #waterfall, #details; #comparison: #comparison-kind,
//     #comparison-at, #comparison-strip, #comparison-first, #comparison-second, #comparison-headline, #comparison-canvas (aria-label),
//     #comparison-table tr[data-phase]
//   #theme, #help, #keys (dialog)
//   document.documentElement.dataset.ready is "true" once the page shows what its fragment says, and
//   dataset.opened has the milliseconds from the beginning of navigation until the list and the charts were there

const LONGEST_CONDITION = 500; // characters of a value that becomes a filter; what follows is any text
const FRAGMENT_DELAY = 350; // ms; browsers object to a page that changes its address many times a second

const byId = (id) => document.getElementById(id);

// The bytes of the pack in this page, or null in a page without one (the live page).
function packedBytes() {
    const holder = byId("pack");
    const text = holder?.textContent.trim() ?? "";
    if (text === "")
        return null;
    holder.textContent = ""; // it is not needed twice
    if (typeof Uint8Array.fromBase64 === "function")
        return Uint8Array.fromBase64(text);
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++)
        bytes[i] = binary.charCodeAt(i);
    return bytes;
}

class App {
    constructor() {
        this.pack = null;
        this.onElsewhere = null; // (traceId, spanId) for a link to a trace that is not in the pack
        this.reading = false; // the fragment, which is not written meanwhile
        this.fragmentTimer = 0;
        this.fragmentWritten = -FRAGMENT_DELAY;
        this.fragmentKnown = location.hash; // as it was last read or written
        this.resetState();
        this.names = new NamesTable(byId("names-body"), {onRoot: (group) => this.chooseRoot(group)});
        this.distribution = new Distribution(byId("distribution-body"), {onRange: (min, max) => this.chooseRange(min, max)});
        this.list = new TraceList(byId("list-body"), {
            onChoose: (trace) => this.chooseTrace(trace),
            onClick: () => this.revealTrace(),
            onOpen: () => this.focusWaterfall(),
            onSort: (sort) => this.sortBy(sort),
            onWiden: () => this.changeFilters({root: "", min: "", max: ""}),
        });
        this.comparison = new Comparison(byId("comparison"), {onSpec: (spec) => {
            this.compared = spec;
            this.showComparison();
            this.writeFragment();
        }});
        this.form = new FilterForm(byId("filters"), {onChange: (filters) => this.setFilters(filters)});
        this.waterfall = new Waterfall(byId("waterfall"), {
            onSelect: (row) => this.selectSpan(row),
            onFollow: (trace, span) => this.follow(trace, span),
        });
        this.wireTabs();
        this.keys = new PageKeys(this);
        wireTheme(byId("theme"));
        addEventListener("hashchange", () => this.readFragment());
        addEventListener("pagehide", () => this.settleFragment());
        byId("skip").addEventListener("click", (event) => {
            event.preventDefault();
            this.list.focus();
        });
    }

    resetState() {
        this.filters = noFilters();
        this.sort = "slowest";
        this.trace = -1;
        this.row = -1;
        this.tab = "trace";
        this.compared = comparisonDefaults();
    }

    // Shows a pack. The live page calls this too, with one pack after the other.
    usePack(pack) {
        this.settleFragment();
        this.pack = pack;
        this.engine = new Filters(pack);
        byId("opening").hidden = true;
        for (const id of ["filters", "overview", "panes"])
            byId(id).hidden = false;
        byId("totals").textContent = totalsText(pack);
        this.form.offer(pack, this.engine);
        this.readFragment();
    }

    // What passes the filters, everywhere.
    refresh() {
        const {others, chosen, problems} = this.engine.apply(this.filters);
        this.groups = groupByRoot(this.pack, others);
        const {root} = this.filters;
        const isChosen = root === "" ? () => false : compileRootFilter(root);
        this.group = (root === "" ? this.groups[0] : this.groups.find(isChosen)) ?? null;
        this.names.show(this.pack, this.groups, isChosen);
        byId("distribution-heading").textContent = this.group === null ? "Durations" : `Durations of ${label(this.group.name, 60)}`;
        this.distribution.show(this.group, this.range());
        this.form.say(chosen.length, this.pack.traces, [...problems, ...this.engine.missingKeys(this.filters)]);
        this.list.show(this.pack, chosen, this.sort, this.trace, this.engine.namedKeys(this.filters),
            (trace, key) => this.engine.valueIn(trace, key), others.length);
        if (this.trace < 0 && this.list.traces.length)
            this.showTrace(this.list.traces[0], -1);
        this.list.choose(this.trace);
        this.showComparison();
    }

    range() {
        const [min, max] = [this.filters.min, this.filters.max].map((side) => (side === "" ? NaN : parseDuration(side)));
        return Number.isNaN(min) && Number.isNaN(max) ? null : {min: Number.isNaN(min) ? 0 : min, max: Number.isNaN(max) ? Infinity : max};
    }

    // A trace that does not pass any more gives way to the first one that does.
    setFilters(filters) {
        this.filters = filters;
        this.refresh();
        if (this.list.traces.length && !this.list.traces.includes(this.trace))
            this.showTrace(this.list.traces[0], -1);
        this.list.choose(this.trace);
        this.writeFragment();
    }

    chooseRoot(group) {
        this.changeFilters({root: group === null ? "" : rootFilterOf(group), min: "", max: ""});
    }

    chooseRange(min, max) {
        const [least, below] = [min, max].map((side) => (side === null ? "" : exactDuration(side)));
        this.changeFilters({min: least, max: below, root: this.filters.root || rootFilterOf(this.group)});
    }

    changeFilters(changes) {
        this.form.fill({...this.filters, ...changes});
        this.setFilters({...this.filters, ...changes});
    }

    sortBy(sort) {
        this.sort = sort;
        this.refresh();
        this.writeFragment();
    }

    // Shows a trace, and a span of it (a row, or -1), on the right.
    showTrace(trace, row) {
        this.trace = trace;
        this.row = row;
        showTraceHead(byId("trace-head"), this.pack, trace);
        byId("trace").dataset.traceId = this.pack.traceId(trace);
        this.waterfall.show(this.pack, trace); // which chooses a span, too
        if (row >= 0)
            this.waterfall.select(row);
    }

    chooseTrace(trace) {
        if (trace !== this.trace)
            this.showTrace(trace, -1);
        this.showTab("trace");
        this.list.choose(trace);
        this.writeFragment();
    }

    // Where the panels are below each other, a chosen trace would be out of sight.
    revealTrace() {
        if (matchMedia("(max-width: 1099px)").matches)
            byId("chosen").scrollIntoView({behavior: calm.matches ? "auto" : "smooth", block: "start"});
    }

    selectSpan(row) {
        this.row = row;
        showDetails(byId("details"), this.pack, row, this.waterfall.tree, {
            onFollow: (trace, span) => this.follow(trace, span),
            onFilter: (key, value) => this.filterBy(key, value),
            onSelect: (other) => this.waterfall.select(other),
            onElsewhere: this.onElsewhere,
        });
        this.writeFragment();
    }

    filterBy(key, value) {
        const shown = visible(value);
        const condition = `${visible(key)}=${escapePattern(shown.slice(0, LONGEST_CONDITION))}${shown.length > LONGEST_CONDITION ? "*" : ""}`;
        if (!this.filters.where.includes(condition))
            this.changeFilters({where: [...this.filters.where, condition]});
    }

    // A link was followed. The browser's way back leads to where it was.
    follow(trace, span) {
        if (trace < 0)
            return;
        this.writeFragmentNow();
        this.showTrace(trace, this.pack.rowById(trace, span));
        byId("trace").scrollTop = 0; // the link was among the details, below
        this.revealTrace();
        this.list.choose(trace);
        this.writeFragmentNow(true);
    }

    showComparison() {
        if (this.tab === "comparison")
            this.comparison.show(this.pack, this.group, this.compared, this.trace);
    }

    wireTabs() {
        const tabs = ["trace", "comparison"];
        for (const name of tabs) {
            const tab = byId(`tab-${name}`);
            tab.addEventListener("click", () => {
                this.showTab(name);
                this.writeFragment();
            });
            tab.addEventListener("keydown", (event) => {
                if (event.key !== "ArrowLeft" && event.key !== "ArrowRight")
                    return;
                const other = tabs[1 - tabs.indexOf(name)];
                this.showTab(other);
                this.writeFragment();
                byId(`tab-${other}`).focus();
            });
        }
    }

    showTab(name) {
        if (this.tab === name)
            return;
        this.tab = name;
        for (const other of ["trace", "comparison"]) {
            byId(other).hidden = other !== name;
            byId(`tab-${other}`).setAttribute("aria-selected", String(other === name));
            byId(`tab-${other}`).tabIndex = other === name ? 0 : -1;
        }
        this.showComparison();
    }

    focusWaterfall() {
        this.showTab("trace");
        this.revealTrace();
        byId("waterfall").querySelector("canvas")?.focus({preventScroll: true});
    }

    writeFragment() {
        if (this.reading || this.fragmentTimer !== 0)
            return;
        const wait = this.fragmentWritten + FRAGMENT_DELAY - performance.now();
        if (wait <= 0)
            this.writeFragmentNow();
        else
            this.fragmentTimer = setTimeout(() => this.writeFragmentNow(), wait);
    }

    // The fragment has what differs from the beginning, so it stays short; what others keep there stays there.
    writeFragmentNow(newEntry = false) {
        clearTimeout(this.fragmentTimer);
        this.fragmentTimer = 0;
        // Somebody has changed the address, and the event that says so has yet to come: it is not overwritten.
        if (location.hash !== this.fragmentKnown)
            return;
        this.fragmentWritten = performance.now();
        const {filters, compared} = this, defaults = comparisonDefaults();
        const fields = {root: filters.root, service: filters.service, min: filters.min, max: filters.max,
            errors: filters.errors ? "1" : "", kept: filters.kept, source: filters.source,
            sort: this.sort === "slowest" ? "" : this.sort,
            trace: this.trace >= 0 ? this.pack.traceId(this.trace) : "",
            span: this.row >= 0 && this.row !== this.pack.trace.root[this.trace] ? this.pack.spanId(this.row) : "",
            tab: this.tab === "trace" ? "" : this.tab,
            ...Object.fromEntries(Object.keys(defaults).map((name) => (
                [`compare-${name}`, compared[name] === defaults[name] ? "" : compared[name]])))};
        const fragment = new URLSearchParams(location.hash.slice(1));
        for (const [name, value] of Object.entries(fields))
            if (value === "")
                fragment.delete(name);
            else
                fragment.set(name, value);
        fragment.delete("where");
        for (const condition of filters.where)
            fragment.append("where", condition);
        const text = `#${fragment}`;
        if (text !== (location.hash || "#"))
            history[newEntry ? "pushState" : "replaceState"](null, "", text);
        this.fragmentKnown = location.hash;
    }

    settleFragment() {
        if (this.fragmentTimer !== 0)
            this.writeFragmentNow();
    }

    readFragment() {
        if (this.pack === null)
            return;
        clearTimeout(this.fragmentTimer);
        this.fragmentTimer = 0;
        this.fragmentKnown = location.hash;
        this.reading = true;
        const fragment = new URLSearchParams(location.hash.slice(1));
        const text = (name) => fragment.get(name) ?? "";
        this.resetState();
        this.filters = {root: text("root"), service: text("service"), min: text("min"), max: text("max"),
            errors: text("errors") === "1", where: fragment.getAll("where"),
            kept: [ANY_KEPT, ...this.pack.header.kept].includes(text("kept")) ? text("kept") : "",
            source: /^[0-9]+$/.test(text("source")) && Number(text("source")) < this.pack.header.sources.length ? text("source") : ""};
        this.sort = Object.hasOwn(LIST_SORTS, text("sort")) ? text("sort") : "slowest";
        for (const name of Object.keys(this.compared))
            this.compared[name] = text(`compare-${name}`) || this.compared[name];
        if (!Object.hasOwn(COMPARISONS, this.compared.kind))
            this.compared.kind = comparisonDefaults().kind;
        const trace = this.pack.traceById(text("trace"));
        if (trace >= 0)
            this.showTrace(trace, this.pack.rowById(trace, text("span")));
        this.form.fill(this.filters);
        this.refresh();
        const tab = text("tab") === "comparison" ? "comparison" : "trace";
        this.tab = "";
        this.showTab(tab);
        this.reading = false;
    }
}

function totalsText(pack) {
    const {traces, spans, header} = pack;
    let failed = 0, from = Infinity, to = 0;
    for (let t = 0; t < traces; t++) {
        failed += pack.trace.errors[t] > 0 ? 1 : 0;
        from = Math.min(from, pack.trace.start[t]);
        to = Math.max(to, pack.trace.start[t] + pack.trace.duration[t]);
    }
    const parts = [`${formatCount(traces)} ${traces === 1 ? "trace" : "traces"}`, `${formatCount(spans)} ${spans === 1 ? "span" : "spans"}`,
        `${formatCount(failed)} failed`];
    if (traces)
        parts.push(`${formatTime(pack.base).slice(0, 23)} UTC, over ${formatDuration(to - from)}`);
    const words = {repeated: "repeated spans", malformed_lines: "malformed lines", without_id: "spans without an id",
        traces_not_chosen: "traces that were not chosen"};
    for (const [name, text] of Object.entries(words))
        if (header.left_out?.[name])
            parts.push(`left out: ${formatCount(header.left_out[name])} ${text}`);
    return parts.join(" \u00b7 ");
}

// Light, dark, or what the system says; kept where the browser lets a page keep it.
function wireTheme(button) {
    const themes = ["", "light", "dark"], names = ["Theme: system", "Theme: light", "Theme: dark"];
    let at = 0;
    try {
        at = Math.max(0, themes.indexOf(localStorage.getItem("nanospan-theme") ?? ""));
    } catch {
        // Without storage, each opening begins with the system's theme.
    }
    const apply = () => {
        document.documentElement.dataset.theme = themes[at];
        button.textContent = names[at];
        themeChanged();
    };
    button.addEventListener("click", () => {
        at = (at + 1) % themes.length;
        apply();
        try {
            localStorage.setItem("nanospan-theme", themes[at]);
        } catch {
            // As above.
        }
    });
    apply();
}

function showProblem(text) {
    byId("opening").hidden = true;
    byId("main").prepend(make("p", {id: "problem", class: "problem", role: "alert"}, text));
}

async function main() {
    const app = new App();
    if (document.body.hasAttribute("data-live")) {
        await startLive(app);
        return;
    }
    // The frame is painted before the work begins.
    await new Promise((resume) => requestAnimationFrame(() => setTimeout(resume)));
    const bytes = packedBytes();
    if (bytes === null) {
        showProblem("There are no traces in this page.");
        return;
    }
    app.usePack(await Pack.from(bytes));
    requestAnimationFrame(() => setTimeout(() => {
        document.documentElement.dataset.opened = String(Math.round(performance.now()));
        document.documentElement.dataset.ready = "true";
        setTimeout(() => app.engine.warmUp(), 200);
    }));
}

main().catch((error) => showProblem(`The traces cannot be shown: ${error.message}`));
