// SPDX-License-Identifier: Apache-2.0
//
// The live page: what the sink receives while it receives it, and each trace that it holds. Below the figures, a chosen
// trace is shown as the page of traces shows it.

const LIVE_CONDITIONS = {
    asking: ["", "Asking the sink\u2026"],
    live: ["", "Live"],
    paused: ["warning", "Paused. What arrives meanwhile is not lost: it is here again when you go on."],
    "token-missing": ["problem", "This page needs the token of its sink. Open the address that \u2018nanospan sink --web\u2019 printed when "
        + "it started, with all that follows the #, or read it from the file of --web-url-file."],
    "token-wrong": ["problem", "The sink does not accept this token: it may have been started again, with a new one. Open the address "
        + "that it printed then, with all that follows the #."],
    lost: ["problem", "The sink does not answer: it has ended, or cannot be reached. What it had sent stays here, and the page goes on "
        + "asking."],
};

const LIVE_TILES = [["spans", "spans/s"], ["traces", "traces/s"], ["errors", "errors/s"], ["bytes", "/s"]];

function formatBytes(value) {
    const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let at = 0;
    for (; value >= 1024 && at < units.length - 1; at++)
        value /= 1024;
    return `${at === 0 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

// 12,345 or, below ten, 0.4.
function formatRate(value) {
    return value > 0 && value < 9.95 ? value.toFixed(1) : formatCount(Math.round(value));
}

class LivePage {
    constructor(app) {
        this.app = app;
        this.last = null;
        this.asked = 0;
        this.names = new LiveNames();
        this.traces = new LiveTraces({onChoose: (id) => this.choose(id, true)});
        this.client = new LiveClient({onState: (state) => this.receive(state), onChange: (condition) => this.say(condition)});
        this.build();
        app.onElsewhere = (traceId, spanId) => this.choose(traceId, true, spanId);
        addEventListener("hashchange", () => this.chooseFromFragment());
    }

    begin() {
        this.element.dataset.empty = "true";
        byId("opening").hidden = true;
        byId("totals").setAttribute("aria-live", "off"); // it changes each second
        this.element.hidden = false;
        this.client.begin();
        this.chooseFromFragment();
    }

    build() {
        this.element = byId("live");
        this.status = make("p", {id: "live-status", role: "status"});
        this.left = make("p", {id: "live-left-out", class: "warning", role: "status", hidden: true});
        this.pause = make("button", {type: "button", id: "live-pause", "aria-pressed": "false"}, "Pause");
        this.pause.addEventListener("click", () => this.togglePause());
        this.tiles = new Map(LIVE_TILES.map(([name]) => [name, make("strong", {id: `live-${name}-rate`}, "\u2013")]));
        const chart = make("canvas", {id: "live-chart", role: "img", "aria-label": "Spans a second"});
        this.chart = new RateChart(chart);
        this.totals = make("dl", {id: "live-totals"});
        this.element.replaceChildren(
            make("div", {class: "live-top"}, this.pause, this.status),
            this.left,
            make("div", {class: "live-rates"},
                make("div", {class: "live-tiles", role: "group", "aria-label": "Rates of the last five seconds"}, ...LIVE_TILES.map(([name, unit]) => (
                    make("p", {class: name === "errors" ? "tile errors" : "tile"}, this.tiles.get(name), make("span", {}, unit))))),
                chart, this.totals),
            this.namesPanel(), this.tracesPanel());
    }

    namesPanel() {
        const choice = make("select", {id: "live-span", "aria-label": "Of which time"}, make("option", {value: "recent"}, "the last 10 s"),
            make("option", {value: "all"}, "since the sink began"));
        choice.addEventListener("change", () => {
            this.names.span = choice.value;
            if (this.last !== null)
                this.names.show(this.last, false);
        });
        return make("section", {class: "panel", "aria-labelledby": "live-names-heading"},
            make("div", {class: "panel-top"}, make("h2", {id: "live-names-heading"}, "Root names"), choice), this.names.element);
    }

    tracesPanel() {
        const choice = make("select", {id: "live-list", "aria-label": "Which traces"},
            ...Object.entries(LIVE_LISTS).map(([value, text]) => make("option", {value}, text)));
        choice.addEventListener("change", () => {
            this.traces.list = choice.value;
            if (this.last !== null)
                this.traces.show(this.last);
        });
        this.input = make("input", {id: "live-ask-id", type: "search", placeholder: "trace id", size: 32, maxlength: 64, spellcheck: "false",
            autocomplete: "off", "aria-label": "Trace id, 32 hexadecimal digits"});
        this.answer = make("p", {id: "live-ask-said", role: "status"});
        const form = make("form", {id: "live-ask", role: "search", "aria-label": "A trace by its id"}, this.input, make("button", {}, "Show"));
        form.addEventListener("submit", (event) => {
            event.preventDefault();
            this.choose(this.input.value.trim().toLowerCase(), true);
        });
        return make("section", {class: "panel", "aria-labelledby": "live-traces-heading"},
            make("div", {class: "panel-top"}, make("h2", {id: "live-traces-heading"}, "Traces"), choice, form), this.answer, this.traces.element);
    }

    togglePause() {
        const paused = this.client.condition === "paused";
        if (paused)
            this.client.begin();
        else
            this.client.pause();
    }

    say(condition) {
        const [kind, text] = LIVE_CONDITIONS[condition];
        setText(this.status, text);
        this.status.dataset.condition = condition;
        this.status.className = kind;
        const paused = condition === "paused";
        this.pause.setAttribute("aria-pressed", String(paused));
        setText(this.pause, paused ? "Go on" : "Pause");
        this.pause.disabled = condition.startsWith("token");
    }

    receive(state) {
        this.last = state;
        delete this.element.dataset.empty;
        const rate = rateOfLast(state.samples, 5);
        if (rate !== null)
            for (const [name, element] of this.tiles)
                setText(element, name === "bytes" ? formatBytes(rate.bytes) : formatRate(rate[name]));
        this.tiles.get("errors").parentElement.classList.toggle("failed", rate !== null && rate.errors > 0);
        this.chart.show(state.samples);
        this.names.show(state, true);
        this.traces.show(state);
        this.showTotals(state);
        const {skipped_requests: requests, skipped_spans: spans} = state.queue;
        this.left.hidden = requests === 0;
        setText(this.left, `${formatCount(spans)} spans in ${formatCount(requests)} requests are missing in what follows: more arrived than this page `
            + "could count. They were received and written all the same.");
        document.documentElement.dataset.ready = "true";
    }

    showTotals(state) {
        const {totals, services, held} = state;
        setText(byId("totals"), `${formatCount(totals.spans)} spans received \u00b7 ${formatCount(state.traces)} traces \u00b7 `
            + `${formatCount(state.failed)} failed \u00b7 ${services.slice(0, 5).map((one) => label(one.name, 40) || "(no service name)").join(", ")}`
            + `${services.length > 5 ? ", \u2026" : ""}`);
        const facts = {
            spans: ["spans", formatCount(totals.spans)],
            distinct: ["distinct", `${totals.distinct_is_exact ? "" : "at least "}${formatCount(totals.distinct_span_ids)}`],
            traces: ["traces", formatCount(state.traces)],
            failed: ["failed traces", formatCount(state.failed)],
            errors: ["failed spans", formatCount(totals.errors)],
            requests: ["requests", formatCount(totals.requests)],
            refused: ["refused", formatCount(totals.requests_refused + totals.requests_failed)],
            rejected: ["spans without id", formatCount(totals.spans_rejected)],
            bytes: ["received", formatBytes(totals.bytes)],
            held: ["traces held here", `${formatCount(held.traces)} (${formatBytes(held.window_bytes + held.kept_bytes)})`],
        };
        if (this.totals.childElementCount === 0)
            this.totals.append(...Object.entries(facts).map(([name, [title]]) => make("div", {}, make("dt", {}, title), make("dd", {id: `live-total-${name}`}))));
        for (const [name, [, text]] of Object.entries(facts))
            setText(byId(`live-total-${name}`), text);
    }

    chooseFromFragment() {
        const id = new URLSearchParams(location.hash.slice(1)).get("trace") ?? "";
        if (id !== "" && id !== this.traces.chosen && liveToken() !== "")
            this.choose(id, false);
    }

    // Fetches a trace and shows it. `asked`: the user has asked for it, and did not just open the page.
    async choose(id, asked, span = "") {
        if (!/^[0-9a-f]{32}$/.test(id)) {
            setText(this.answer, "A trace id has 32 hexadecimal digits.");
            return;
        }
        const asking = ++this.asked;
        let found = null;
        try {
            found = await this.client.trace(id);
        } catch (error) {
            if (asking === this.asked)
                setText(this.answer, error instanceof WrongToken ? "The sink does not accept the token." : "The sink does not answer.");
            return;
        }
        if (asking !== this.asked)
            return;
        if (found === null) {
            setText(this.answer, `The sink holds nothing of trace ${id}: it has not come, or newer ones have taken its place.`);
            return;
        }
        setText(this.answer, found.missing > 0 ? `${formatCount(found.missing)} more spans of this trace have come, but are not held any more.` : "");
        this.traces.choose(id);
        this.input.value = id;
        const fragment = new URLSearchParams(location.hash.slice(1));
        fragment.set("trace", id);
        if (span !== "")
            fragment.set("span", span);
        else if (asked)
            fragment.delete("span");
        history[asked && fragment.toString() !== location.hash.slice(1) ? "pushState" : "replaceState"](null, "", `#${fragment}`);
        const totals = byId("totals").textContent;
        this.app.usePack(found.pack);
        byId("totals").textContent = totals;
        if (asked)
            byId("panes").scrollIntoView({behavior: calm.matches ? "auto" : "smooth", block: "nearest"});
    }
}

async function startLive(app) {
    new LivePage(app).begin();
}
