// SPDX-License-Identifier: Apache-2.0
//
// The filters as a form. They apply while they are written.

const FILTER_DELAY = 200; // ms after the last key
const MOST_SUGGESTIONS = 300;

class FilterForm {
    constructor(element, {onChange}) {
        this.element = element;
        this.onChange = onChange;
        this.timer = 0;
        const input = (name, placeholder, list) => make("input", {id: `filter-${name}`, type: "search", placeholder, autocomplete: "off",
            spellcheck: "false", list: list === undefined ? null : `filter-${name}-list`});
        this.where = input("where", "order.id=1112 \u2026 or a trace id", true);
        this.root = input("root", "any, or *", true);
        this.service = input("service", "any, or *", true);
        this.min = input("min", "50us");
        this.max = input("max", "2ms");
        this.kept = make("select", {id: "filter-kept"});
        this.source = make("select", {id: "filter-source"});
        this.errors = make("input", {id: "filter-errors", type: "checkbox"});
        this.clear = make("button", {id: "filter-clear", type: "button", title: "Clear all filters (x)"}, "Clear");
        this.count = byId("filter-count");
        this.problem = make("p", {id: "filter-problem", class: "failed", role: "status", "aria-live": "polite"});
        this.lists = Object.fromEntries(["where", "root", "service"].map((name) => [name, make("datalist", {id: `filter-${name}-list`})]));
        const field = (text, control, classes = "") => make("label", {class: classes}, make("span", {}, text), control);
        this.sourceField = field("File", this.source);
        this.keptField = field("Kept", this.kept);
        element.append(field("Attribute", this.where, "grows"), field("Root", this.root), field("Service", this.service),
            field("At least", this.min, "short"), field("Below", this.max, "short"), this.keptField, this.sourceField,
            field("Failed", this.errors, "check"), this.clear, this.problem, ...Object.values(this.lists));
        element.addEventListener("submit", (event) => {
            event.preventDefault();
            this.apply();
        });
        element.addEventListener("input", (event) => {
            clearTimeout(this.timer);
            this.timer = setTimeout(() => this.apply(), event.target.type === "search" ? FILTER_DELAY : 0);
        });
        this.clear.addEventListener("click", () => {
            this.fill(noFilters());
            this.apply();
        });
    }

    // What there is to choose from.
    offer(pack, filters) {
        const options = (values) => values.slice(0, MOST_SUGGESTIONS).map((value) => make("option", {".value": value}));
        const short = (values) => values.filter((value) => value !== "" && value.length < 200);
        this.lists.where.replaceChildren(...options(short(filters.allKeys()).map((key) => `${key}=`)));
        const roots = groupByRoot(pack, Uint32Array.from({length: pack.traces}, (_, t) => t));
        this.lists.root.replaceChildren(...options(short(roots.map(rootFilterOf))));
        const services = [...new Set(Array.from(pack.resource.service, (service) => pack.string(service)))];
        this.lists.service.replaceChildren(...options(short(services.sort()).map((name) => escapePattern(visible(name)))));
        const kept = new Set(pack.trace.kept);
        const words = pack.header.kept.filter((word, i) => i > 0 && kept.has(i));
        this.kept.replaceChildren(make("option", {value: ""}, "any or not"), make("option", {value: ANY_KEPT}, "for any reason"),
            ...words.map((word) => make("option", {value: word}, word)));
        this.keptField.hidden = words.length === 0;
        this.source.replaceChildren(make("option", {value: ""}, "all"),
            ...pack.header.sources.map((_, i) => make("option", {value: i}, label(pack.sourceName(i), 60))));
        this.sourceField.hidden = pack.header.sources.length < 2;
    }

    focus() {
        this.where.focus();
        this.where.select();
    }

    fill(filters) {
        for (const name of ["root", "service", "min", "max", "kept", "source"])
            this[name].value = filters[name];
        this.errors.checked = filters.errors;
        this.where.value = filters.where.map(quoteCondition).join(" ");
    }

    apply() {
        clearTimeout(this.timer);
        this.onChange({root: this.root.value, service: this.service.value, min: this.min.value.trim(), max: this.max.value.trim(),
            errors: this.errors.checked, kept: this.kept.value, source: this.source.value, where: splitConditions(this.where.value)});
    }

    say(chosen, traces, problems) {
        const all = `${formatCount(traces)} ${traces === 1 ? "trace" : "traces"}`;
        this.count.textContent = chosen < traces ? `${formatCount(chosen)} of ${all}` : traces > 1 ? `all ${all}` : all;
        this.problem.textContent = problems.join(" ");
        this.problem.hidden = problems.length === 0;
    }
}
