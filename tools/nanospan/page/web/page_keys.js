// SPDX-License-Identifier: Apache-2.0
//
// The keys that work everywhere on the page, and the list of all keys. Lists and drawings have their own, which come
// first.

const PAGE_KEYS = [
    ["/", "filter by attribute"], ["l", "to the list of traces"], ["w, or Enter in the list", "to the waterfall"],
    ["d", "to the durations"], ["n, p", "next and previous trace of the list"], ["1, 2", "trace, comparison"],
    ["e", "only failed traces, or all"], ["x", "clear the filters"], ["?", "these keys"], ["Escape", "out of a field; close"],
];
const LIST_KEYS = [
    ["\u2191 \u2193", "previous, next trace"], ["Page Up, Page Down", "20 traces further"], ["Home, End", "first, last one shown"],
    ["Enter", "into the waterfall"],
];
const DISTRIBUTION_KEYS = [
    ["\u2190 \u2192", "from bar to bar"], ["Shift and \u2190 \u2192", "several bars"], ["Enter", "filter by them, or no longer"],
    ["Escape", "all durations again"],
];

class PageKeys {
    constructor(app) {
        this.app = app;
        this.dialog = byId("keys");
        const parts = [["Everywhere", PAGE_KEYS], ["List of traces", LIST_KEYS], ["Durations", DISTRIBUTION_KEYS],
            ["Waterfall", typeof WATERFALL_KEYS === "undefined" ? [] : WATERFALL_KEYS]];
        const close = make("button", {type: "button", id: "keys-close"}, "Close");
        close.addEventListener("click", () => this.dialog.close());
        this.dialog.replaceChildren(make("div", {class: "keys-top"}, make("h2", {id: "keys-heading"}, "Keys"), close), make("div", {class: "key-lists"},
            ...parts.filter(([, keys]) => keys.length).map(([title, keys]) => make("section", {}, make("h3", {}, title),
                make("dl", {}, ...keys.flatMap(([key, text]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, text)]))))));
        byId("help").addEventListener("click", () => this.open());
        document.addEventListener("keydown", (event) => this.pressed(event));
    }

    open() {
        if (!this.dialog.open)
            this.dialog.showModal();
    }

    pressed(event) {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || this.dialog.open)
            return;
        const writing = event.target.closest?.("input:not([type=checkbox]):not([type=range]), select, textarea") ?? null;
        if (writing !== null) {
            if (event.key === "Escape") {
                event.preventDefault(); // some browsers would empty the field
                writing.blur();
            }
            return;
        }
        const {app} = this;
        if (event.key === "?") {
            this.open();
        } else if (app.pack !== null && !byId("panes").hidden) {
            const acts = {
                "/": () => app.form.focus(),
                l: () => app.list.focus(),
                w: () => app.focusWaterfall(),
                d: () => app.distribution.canvas.focus(),
                n: () => app.list.step(1),
                p: () => app.list.step(-1),
                1: () => byId("tab-trace").click(),
                2: () => byId("tab-comparison").click(),
                e: () => app.changeFilters({errors: !app.filters.errors}),
                x: () => app.form.clear.click(),
            };
            if (!Object.hasOwn(acts, event.key))
                return;
            acts[event.key]();
        } else {
            return;
        }
        event.preventDefault();
    }
}
