// SPDX-License-Identifier: Apache-2.0
//
// Which traces are chosen: the filters of `nanospan view` and some more, over the columns of a pack.

const ANY_KEPT = "*"; // the choice "kept for any reason"
const MOST_EQUALS = 20; // of a condition are tried as the end of its key

function noFilters() {
    return {root: "", service: "", min: "", max: "", errors: false, kept: "", source: "", where: []};
}

// The patterns of fnmatch: * is any text, ? any character, [ab] one of these, [!ab] another one, \ takes the next one as
// it is. Returns a function that says whether a text matches; its time is bounded by the product of the lengths.
function compilePattern(pattern) {
    const tokens = [];
    const characters = Array.from(pattern);
    let plain = true;
    for (let i = 0; i < characters.length; i++) {
        const character = characters[i];
        if (character === "*") {
            plain = false;
            if (tokens[tokens.length - 1] !== "*")
                tokens.push("*");
        } else if (character === "?") {
            plain = false;
            tokens.push(() => true);
        } else if (character === "[" && bracketEnd(characters, i) > 0) {
            plain = false;
            const end = bracketEnd(characters, i);
            tokens.push(bracket(characters.slice(i + 1, end)));
            i = end;
        } else {
            if (character === "\\" && i + 1 < characters.length)
                i++;
            const wanted = characters[i];
            tokens.push((other) => other === wanted);
            characters[i] = wanted;
        }
    }
    if (plain) {
        const wanted = pattern.replace(/\\(.)/gsu, "$1");
        return (text) => text === wanted;
    }
    return (text) => matchTokens(tokens, text);
}

function bracketEnd(characters, start) {
    let at = start + 1;
    if (characters[at] === "!" || characters[at] === "^")
        at++;
    return characters.indexOf("]", at + 1);
}

function bracket(inside) {
    const not = inside[0] === "!" || inside[0] === "^";
    const members = not ? inside.slice(1) : inside;
    const ranges = [];
    for (let i = 0; i < members.length; i++)
        if (members[i + 1] === "-" && i + 2 < members.length) {
            ranges.push([members[i], members[i + 2]]);
            i += 2;
        } else {
            ranges.push([members[i], members[i]]);
        }
    return (other) => ranges.some(([from, to]) => other >= from && other <= to) !== not;
}

// After a mismatch, only the last * has to be tried again, one character further on.
function matchTokens(tokens, text) {
    const characters = Array.from(text);
    let token = 0, at = 0, star = -1, starAt = 0;
    while (at < characters.length) {
        if (token < tokens.length && tokens[token] === "*") {
            star = token++;
            starAt = at;
        } else if (token < tokens.length && tokens[token](characters[at])) {
            token++;
            at++;
        } else if (star >= 0) {
            token = star + 1;
            at = ++starAt;
        } else {
            return false;
        }
    }
    while (tokens[token] === "*")
        token++;
    return token === tokens.length;
}

// A name as a pattern that matches only itself.
function escapePattern(name) {
    return name.replace(/[*?[\]\\]/g, "\\$&");
}

// The pattern of a name as it is, or as it is shown: fields cannot have every character.
function compileNamePattern(pattern) {
    const test = compilePattern(pattern);
    return (name) => test(name) || test(visible(name));
}

// The filter that chooses the traces of a group of statistics.js. Traces without a root are chosen by what is shown of
// them only, not by patterns.
function rootFilterOf(group) {
    return group.string < 0 ? ROOT_NOT_SEEN : escapePattern(visible(group.name));
}

function compileRootFilter(filter) {
    const matches = compileNamePattern(filter);
    return (group) => (group.string < 0 ? filter === ROOT_NOT_SEEN : matches(group.name));
}

// 'a=1 b="two words"' as a list of conditions: blanks separate them, but not within quotes. \" is a quote as it is; other
// backslashes belong to the patterns.
function splitConditions(text) {
    const conditions = [];
    let current = "", inQuotes = false, any = false;
    for (let i = 0; i < text.length; i++) {
        const character = text[i];
        if (character === "\"") {
            inQuotes = !inQuotes;
            any = true;
        } else if (/\s/.test(character) && !inQuotes) {
            if (any)
                conditions.push(current);
            current = "";
            any = false;
        } else {
            const escaped = character === "\\" && i + 1 < text.length ? text[++i] : "";
            current += escaped === "\"" ? escaped : character + escaped;
            any = true;
        }
    }
    if (any)
        conditions.push(current);
    return conditions.filter((condition) => condition !== "");
}

// The same, written so that it is read back as one.
function quoteCondition(condition) {
    const escaped = condition.replace(/\\[^"]|"/gs, (found) => (found === "\"" ? "\\\"" : found));
    return /\s/.test(condition) ? `"${escaped}"` : escaped;
}

class Filters {
    constructor(pack) {
        this.pack = pack;
        this.keys = null;
        this.places = new Map(); // of keys in shapes
        this.known = new Map(); // masks of conditions that were looked for before
    }

    // Returns {others, chosen, problems}. `chosen` are the traces that pass, as their indices; `others` are those that
    // pass but for root and duration, among which these two choose.
    apply(spec) {
        const problems = [];
        const {trace, traces, span} = this.pack;
        let passed = new Uint8Array(traces).fill(1);
        const need = (test) => {
            for (let t = 0; t < traces; t++)
                if (passed[t] && !test(t))
                    passed[t] = 0;
        };
        if (spec.errors)
            need((t) => trace.errors[t] > 0);
        if (spec.kept === ANY_KEPT) {
            need((t) => trace.kept[t] > 0);
        } else if (spec.kept !== "") {
            const kept = this.pack.header.kept.indexOf(spec.kept);
            need((t) => trace.kept[t] === kept);
        }
        if (spec.source !== "") {
            const source = Number(spec.source);
            need((t) => trace.source[t] === source);
        }
        if (spec.service !== "") {
            const matches = this.matchingResources(spec.service);
            need((t) => {
                for (let row = trace.first[t], end = row + trace.count[t]; row < end; row++)
                    if (matches[span.resource[row]])
                        return true;
                return false;
            });
        }
        for (const condition of spec.where) {
            const mask = this.condition(condition);
            need((t) => mask[t]);
        }
        const others = indicesOf(passed);
        const [shortest, longest] = ["min", "max"].map((side) => {
            const limit = spec[side] === "" ? NaN : parseDuration(spec[side]);
            if (spec[side] !== "" && Number.isNaN(limit))
                problems.push(`"${label(spec[side], 40)}" is no duration; write 50us, 1.5 ms or 2s`);
            return limit;
        });
        const rootMatches = spec.root === "" ? null : this.rootMatcher(spec.root);
        const chosen = others.filter((t) => !(trace.duration[t] < shortest) && !(trace.duration[t] >= longest) &&
            (rootMatches === null || rootMatches(t)));
        return {others, chosen, problems};
    }

    // Whether a trace's root has a name that matches.
    rootMatcher(pattern) {
        const {trace, span} = this.pack;
        const matches = this.stringMatcher(compileNamePattern(pattern));
        const unseen = pattern === ROOT_NOT_SEEN;
        return (t) => (trace.rooted[t] !== 0 ? matches(span.name[trace.root[t]]) : unseen);
    }

    // A test of strings by their index that looks at each string once.
    stringMatcher(test) {
        const known = new Uint8Array(this.pack.strings);
        return (index) => {
            if (known[index] === 0)
                known[index] = test(this.pack.string(index)) ? 2 : 1;
            return known[index] === 2;
        };
    }

    matchingResources(pattern) {
        const test = this.stringMatcher(compileNamePattern(pattern));
        return Uint8Array.from(this.pack.resource.service, (service) => test(service) ? 1 : 0);
    }

    // The index of the string of a key that spans or resources have, or -1.
    keyIndex(key) {
        if (this.keys === null) {
            this.keys = new Map();
            const {shape, item, span, resource} = this.pack;
            const used = new Uint8Array(shape.count.length);
            for (const shapes of [span.shape, resource.shape])
                for (let i = 0; i < shapes.length; i++)
                    used[shapes[i]] = 1;
            for (let i = 0; i < used.length; i++)
                for (let at = 0; used[i] && at < shape.count[i]; at++)
                    this.keys.set(visible(this.pack.string(item.key[shape.first[i] + at])), item.key[shape.first[i] + at]);
        }
        return this.keys.get(key) ?? -1;
    }

    // All keys of attributes, for the list of suggestions.
    allKeys() {
        this.keyIndex("");
        return [...this.keys.keys()].sort();
    }

    // Decodes what the first filter by attribute needs, before somebody waits for it.
    warmUp() {
        for (const name of ["value.low", "value.high", "span.shape"])
            this.pack.column(name);
        return this.pack.valueStart;
    }

    // A sentence for each condition whose key no span or resource has.
    missingKeys(spec) {
        return spec.where.filter((text) => this.keyIndex(this.keyOf(text)) < 0 && !this.isTraceId(text))
            .map((text) => `No span or resource has the attribute ${label(this.keyOf(text), 60) || "\"\""}.`);
    }

    // The key of a condition, as it is shown. Keys may have a "=", too: the shortest one counts that occurs.
    keyOf(text) {
        let end = text.indexOf("=");
        const first = end < 0 ? text : text.slice(0, end);
        for (let tries = 0; end >= 0 && tries < MOST_EQUALS; tries++, end = text.indexOf("=", end + 1))
            if (this.keyIndex(visible(text.slice(0, end))) >= 0)
                return visible(text.slice(0, end));
        return this.keyIndex(visible(text)) >= 0 ? visible(text) : visible(first);
    }

    isTraceId(text) {
        return /^[0-9a-f]{8,32}$/i.test(text);
    }

    // The traces for which "KEY=VALUE", "KEY" or the beginning of a trace's id holds.
    condition(text) {
        let mask = this.known.get(text);
        if (mask === undefined) {
            mask = this.lookFor(text);
            if (this.known.size > 16)
                this.known.clear();
            this.known.set(text, mask);
        }
        return mask;
    }

    lookFor(text) {
        const shown = visible(text), keyText = this.keyOf(text);
        const key = this.keyIndex(keyText);
        const pattern = shown.length > keyText.length ? shown.slice(keyText.length + 1) : null;
        if (key < 0 && this.isTraceId(text))
            return this.tracesWithId(text.toLowerCase());
        const mask = new Uint8Array(this.pack.traces);
        if (key < 0)
            return mask;
        const places = this.shapesWith(key);
        const holds = pattern === null ? () => true : this.valueTest(pattern);
        const {trace, span, resource, shape} = this.pack;
        const starts = this.pack.valueStart;
        const test = (shapes, index, holder) => {
            const place = places[shapes[index]];
            if (place === 0)
                return false;
            const first = shape.first[shapes[index]];
            for (let i = place - 1; i < shape.count[shapes[index]]; i++)
                if (this.pack.item.key[first + i] === key && holds(first + i, starts[holder] + i))
                    return true;
            return false;
        };
        const {shape: resourceShape, count: resources} = resource, spanShape = span.shape;
        const ofResource = Uint8Array.from(resourceShape, (_, i) => test(resourceShape, i, i) ? 1 : 0);
        for (let t = 0; t < this.pack.traces; t++)
            for (let row = trace.first[t], end = row + trace.count[t]; row < end && !mask[t]; row++)
                if (ofResource[span.resource[row]] || (places[spanShape[row]] !== 0 && test(spanShape, row, resources + row)))
                    mask[t] = 1;
        return mask;
    }

    // The keys that conditions name, if spans or resources have them.
    namedKeys(spec) {
        const keys = spec.where.map((text) => this.keyOf(text));
        return [...new Set(keys)].filter((key) => this.keyIndex(key) >= 0);
    }

    // The value of a key in a trace, as it is shown: that of the first span that has it, or of a resource; or "".
    valueIn(t, keyText) {
        const key = this.keyIndex(keyText);
        const {trace, span, resource, item, shape} = this.pack;
        if (!this.places.has(key))
            this.places.set(key, this.shapesWith(key));
        const places = this.places.get(key);
        const end = trace.first[t] + trace.count[t];
        for (const [shapes, before] of [[span.shape, resource.count], [resource.shape, 0]])
            for (let row = trace.first[t]; row < end; row++) {
                const index = before === 0 ? span.resource[row] : row;
                const place = places[shapes[index]];
                if (place > 0 && item.key[shape.first[shapes[index]] + place - 1] === key)
                    return this.pack.valueAt(shape.first[shapes[index]] + place - 1, this.pack.valueStart[before + index] + place - 1).text;
            }
        return "";
    }

    tracesWithId(prefix) {
        return Uint8Array.from({length: this.pack.traces}, (_, t) => this.pack.traceId(t).startsWith(prefix) ? 1 : 0);
    }

    // For each shape, 1 + the place of the key's first occurrence in it; 0 if it does not occur.
    shapesWith(key) {
        const {shape, item} = this.pack;
        return Uint32Array.from(shape.first, (first, i) => {
            for (let at = 0; at < shape.count[i]; at++)
                if (item.key[first + at] === key)
                    return at + 1;
            return 0;
        });
    }

    // A test of values, given their item (which has the type) and their place.
    valueTest(pattern) {
        const {item, value} = this.pack;
        const test = compilePattern(pattern);
        const strings = this.stringMatcher((text) => test(quoted(text)) || test(visible(text)));
        const whole = /^-?[0-9]{1,19}$/.test(pattern) && String(BigInt(pattern)) === pattern
            ? BigInt.asUintN(64, BigInt(pattern)) : null;
        const low = whole === null ? 0 : Number(whole & 0xffffffffn), high = whole === null ? 0 : Number(whole >> 32n);
        const plain = whole !== null || !/[*?[\\]/.test(pattern);
        return (at, place) => {
            switch (item.type[at]) {
            case 0:
            case 4:
                return strings(value.low[place]);
            case 1:
                if (plain)
                    return whole !== null && value.low[place] === low && value.high[place] === high;
                return test(value.high[place] === 0 ? String(value.low[place]) : this.pack.valueAt(at, place).text);
            default:
                return test(this.pack.valueAt(at, place).text);
            }
        };
    }
}

function indicesOf(mask) {
    let count = 0;
    for (let i = 0; i < mask.length; i++)
        count += mask[i];
    const indices = new Uint32Array(count);
    for (let i = 0, at = 0; i < mask.length; i++)
        if (mask[i])
            indices[at++] = i;
    return indices;
}
