// SPDX-License-Identifier: Apache-2.0
//
// The chosen span as HTML, with everything that is known of it. Each text from the trace is put in as text.

const DETAILS_KINDS = ["not said", "internal", "server", "client", "producer", "consumer"];
const DETAILS_ROWS = 50, DETAILS_LENGTH = 300;

function showDetails(element, pack, row, tree, {onFollow = () => {}, onFilter = () => {}, onSelect = () => {}, onElsewhere = null} = {}) {
    element.replaceChildren(new SpanDetails(pack, row, tree, {onFollow, onFilter, onSelect, onElsewhere}).build());
}

class SpanDetails {
    constructor(pack, row, tree, calls) {
        Object.assign(this, {pack, row, tree, calls});
        this.trace = pack.traceOf(row);
        this.start = pack.span.start[row];
        this.duration = pack.span.duration[row];
        this.own = pack.attributes("span", row);
        this.links = pack.links(row);
    }

    build() {
        const {pack, row} = this;
        const failed = pack.span.status[row] === 2;
        const name = make("span", {}, this.cut(visible(pack.name(row))));
        const heading = make("h3", {class: failed ? "details-name failed" : "details-name"},
            failed ? "\u2717 " : "", name, ...this.rest(name, visible(pack.name(row))));
        return make("section", {class: "details", "aria-label": "Chosen span"}, heading,
            ...spanNotes(this.own, this.links.length).map((note) => make("p", {class: "details-note"}, note)),
            this.facts(), ...this.pauses(),
            ...this.attributeTable("Attributes", this.own),
            ...this.eventList(), ...this.linkList(), this.resource());
    }

    facts() {
        const {pack, row, tree} = this;
        const facts = [];
        const add = (name, ...what) => facts.push(make("div", {}, make("dt", {}, name), make("dd", {}, ...what)));
        const exactDuration = pack.exact("span.duration", row);
        const start = pack.spanTime(row, this.trace);
        add("Service", this.orNone(pack.service(row)));
        add("Kind", DETAILS_KINDS[pack.span.kind[row]] ?? String(pack.span.kind[row]));
        add("Status", ...this.status());
        add("Duration", formatDuration(this.duration), this.exactly(formatExact(exactDuration), this.duration));
        const self = tree.self[row - tree.first];
        add("Self time", `${formatDuration(self)}${this.shareOf(self, this.duration, "the span")}`);
        this.addShares(add);
        add("Start", make("time", {class: "mono"}, `${formatTime(start)} UTC`));
        add("End", make("time", {class: "mono"}, `${formatTime(start + exactDuration)} UTC`));
        const offset = this.start < Number.MAX_SAFE_INTEGER ? exactOffset(this.start) : formatExact(pack.exact("span.start", row));
        add("Offset", `${offset} after the trace's start`);
        add("Parent", this.parent());
        add("Trace", ...this.identifier(pack.traceId(this.trace), "trace id"));
        add("Span", ...this.identifier(pack.spanId(row), "span id"));
        const {attributes, events, links} = pack.droppedOf(row);
        const dropped = [[attributes, "attribute"], [events, "event"], [links, "link"]].filter(([count]) => count > 0)
            .map(([count, what]) => `${formatCount(count)} ${what}${count === 1 ? "" : "s"}`);
        if (dropped.length > 0)
            add("Dropped", `${dropped.join(", ")}: the recorder had no room for ${attributes + events + links === 1 ? "it" : "them"}`);
        return make("dl", {class: "details-facts"}, ...facts);
    }

    orNone(text) {
        return text === "" ? make("span", {class: "quiet"}, "none") : visible(text);
    }

    exactly(text, duration) {
        return duration < 1000 ? null : make("span", {class: "quiet"}, ` = ${text}`);
    }

    shareOf(part, whole, of) {
        return whole > 0 ? ` (${formatPercent(part / whole)} of ${of})` : "";
    }

    status() {
        const status = this.pack.span.status[this.row];
        const message = this.pack.string(this.pack.span.message[this.row]);
        const word = ["not set", "ok", "failed"][status] ?? String(status);
        return [make("span", {class: status === 2 ? "failed" : ""}, status === 2 ? `\u2717 ${word}` : word),
            message === "" ? null : make("span", {class: "details-message"}, `: ${visible(message)}`)];
    }

    addShares(add) {
        const {pack, tree, row, trace} = this;
        const whole = pack.trace.duration[trace];
        const of = pack.trace.rooted[trace] ? "the root" : "the trace";
        if (row !== pack.trace.root[trace] && whole > 0)
            add("Share", `${formatPercent(this.duration / whole)} of ${of}`);
        const critical = tree.critical.reduce((sum, part) => sum + (part.row === row ? part.end - part.start : 0), 0);
        add("Critical path", critical > 0 ? `${formatDuration(critical)}${this.shareOf(critical, whole, of)}` : "not on it");
    }

    parent() {
        const {pack, tree, row} = this;
        const parent = tree.parent[row - tree.first];
        if (parent >= 0)
            return this.button(label(pack.name(parent)), "Choose this span", () => this.calls.onSelect(parent));
        const missing = pack.missingParent(row);
        if (missing !== "")
            return make("span", {}, make("span", {class: "mono"}, missing), ", which is not here");
        return tree.isOrphan(row) ? "leads round in a circle" : "none: it is a root";
    }

    button(text, title, act) {
        const made = make("button", {type: "button", class: "details-link", title}, text);
        made.addEventListener("click", act);
        return made;
    }

    identifier(id, what) {
        const text = make("span", {class: "mono details-id"}, id);
        const copy = make("button", {type: "button", class: "details-copy", "aria-label": `Copy the ${what}`}, "Copy");
        copy.addEventListener("click", async () => {
            copy.textContent = (await copyText(id, text)) ? "Copied" : "Press Ctrl+C";
        });
        return [text, " ", copy];
    }

    // Sums by what happened; each of them is among the events.
    pauses() {
        const pauses = this.pack.pauses(this.row);
        if (pauses.length === 0)
            return [];
        const rows = [true, false].map((preempted) => [preempted, pauses.filter((pause) => pause.preempted === preempted)])
            .filter(([, some]) => some.length > 0)
            .map(([preempted, some]) => {
                const sum = some.reduce((total, pause) => total + pause.duration, 0);
                const longest = some.reduce((most, pause) => Math.max(most, pause.duration), 0);
                const numbers = [formatCount(some.length), formatDuration(sum), formatDuration(longest),
                    this.duration > 0 ? formatPercent(sum / this.duration) : ""];
                return make("tr", {}, make("th", {scope: "row", class: preempted ? "mark-preempted" : "mark-waited"},
                    preempted ? "\u25a8 preempted" : "\u2591 waited"),
                    ...numbers.map((text) => make("td", {class: "number"}, text)));
            });
        return [make("h4", {}, "Off the CPU"), make("table", {class: "details-table details-pauses", "aria-label": "Off the CPU"},
            make("thead", {}, make("tr", {}, ...["", "times", "sum", "longest", "of the span"].map((text) => (
                make("th", {scope: "col"}, text))))),
            make("tbody", {}, ...rows))];
    }

    attributeTable(title, attributes) {
        if (attributes.length === 0)
            return [];
        const table = make("table", {class: "details-table details-attributes",
            "aria-label": title || "Attributes of the resource"}, make("thead", {},
            make("tr", {}, ...["key", "value", "type"].map((text) => make("th", {scope: "col"}, text)))));
        const body = make("tbody");
        table.append(body);
        // The filter gets the text itself, neither quoted nor a pattern.
        const makeRow = ({key, type, value: plain, text}) => {
            const filter = () => this.calls.onFilter(key, typeof plain === "string" ? plain : text);
            const value = this.button(this.cut(text), `Traces with ${label(key)}=${label(text)}`, filter);
            value.classList.add("details-value");
            return make("tr", {}, make("th", {scope: "row"}, visible(key)),
                make("td", {}, value, ...this.rest(value, text)), make("td", {class: "quiet"}, type));
        };
        return [title === "" ? null : make("h4", {}, title), table, this.fill(body, attributes, makeRow)];
    }

    cut(text) {
        return text.length > DETAILS_LENGTH ? `${text.slice(0, DETAILS_LENGTH)}\u2026` : text;
    }

    // Behind a value that is too long to be shown at once: what shows it.
    rest(value, text) {
        if (text.length <= DETAILS_LENGTH)
            return [];
        const all = this.button(`all ${formatCount(text.length)} characters`, "Show the whole value", () => {
            value.textContent = text;
            all.remove();
        });
        return [" ", all];
    }

    // The first of many, and what shows the others.
    fill(body, items, makeRow) {
        body.append(...items.slice(0, DETAILS_ROWS).map(makeRow));
        if (items.length <= DETAILS_ROWS)
            return null;
        const more = this.button(`${formatCount(items.length - DETAILS_ROWS)} more`, "Show all", () => {
            body.append(...items.slice(DETAILS_ROWS).map(makeRow));
            more.remove();
        });
        return more;
    }

    inline(kind, index) {
        const attributes = this.pack.attributes(kind, index);
        return attributes.flatMap(({key, text}) => [" ", make("span", {class: "details-pair"},
            make("span", {class: "quiet"}, `${visible(key)}=`), this.cut(text))]);
    }

    eventList() {
        const events = this.pack.events(this.row);
        if (events.length === 0)
            return [];
        const list = make("ol", {class: "details-list"});
        const makeItem = (event) => make("li", {}, make("span", {"aria-hidden": "true"}, "\u25c6 "),
            make("span", {class: "details-offset", title: `${exactOffset(event.time)} after the trace's start`},
                formatDifference(event.time - this.start)), " ",
            visible(event.name), ...this.inline("event", event.index));
        return [make("h4", {}, "Events"), list, this.fill(list, events, makeItem)];
    }

    linkList() {
        const {pack, links} = this;
        if (links.length === 0)
            return [];
        const list = make("ul", {class: "details-list"});
        const makeItem = (link) => make("li", {}, make("span", {"aria-hidden": "true"}, "\u2192 "),
            ...this.target(link), ...this.inline("link", link.index));
        return [make("h4", {}, "Links"), list, this.fill(list, links, makeItem)];
    }

    // A trace of this page can be followed; of another one, its ids are what is known, but the live page may fetch it.
    target({trace, traceId, spanId}) {
        const {pack} = this;
        if (trace < 0 && this.calls.onElsewhere)
            return [this.button(traceId, `Ask for trace ${traceId}`, () => this.calls.onElsewhere(traceId, spanId))];
        if (trace < 0)
            return [make("span", {class: "quiet"}, "a trace that is not here: "), make("span", {class: "mono details-id"}, traceId),
                make("span", {class: "quiet"}, " span "), make("span", {class: "mono details-id"}, spanId)];
        const root = label(pack.rootName(trace));
        const kept = pack.trace.kept[trace] === 0 ? "" : `, kept: ${pack.keptWord(trace)}`;
        return [this.button(`${root} ${formatDuration(pack.trace.duration[trace])}`, `Go to trace ${traceId}`,
            () => this.calls.onFollow(trace, spanId)),
            make("span", {class: "quiet"}, `${kept} `), make("span", {class: "mono quiet"}, traceId)];
    }

    resource() {
        const {pack, row} = this;
        const attributes = pack.attributes("resource", pack.span.resource[row]);
        const folded = make("details", {class: "details-resource"},
            make("summary", {}, `Resource: ${formatCount(attributes.length)} attribute${attributes.length === 1 ? "" : "s"}`));
        folded.append(...this.attributeTable("", attributes).filter((part) => part !== null));
        return folded;
    }
}

// True if the text is in the clipboard; otherwise it is selected, so that the user's own key can copy it.
async function copyText(text, shown) {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        getSelection().selectAllChildren(shown);
        return document.execCommand("copy");
    }
}
