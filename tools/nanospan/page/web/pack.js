// SPDX-License-Identifier: Apache-2.0
//
// Reads a pack of traces, whose format is described in page/pack.h: columns of bytes, of which each is turned into a
// typed array when it is first asked for. A pack may come over a network, so its numbers are checked before they are
// used as places.

const NO_INDEX = 0xffffffff;
const ROOT_NOT_SEEN = "(root not seen)"; // instead of the name of such a root
const PACK_MAGIC = "nspage\0\x01";
const PACK_TYPES = {u8: 1, u16: 2, u32: 4, u64: 8, f64: 8};
const SIGNED_COLUMNS = new Set(["event.time", "pause.start"]);
const VALUE_TYPES = ["string", "int", "double", "bool", "other"];

async function gunzip(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    try {
        return new Uint8Array(await new Response(stream).arrayBuffer());
    } catch {
        throw new Error("the pack of traces is damaged: it cannot be decompressed");
    }
}

class Pack {
    static async from(gzip) {
        return new Pack(await gunzip(gzip));
    }

    constructor(bytes) {
        this.readHeader(bytes);
        this.trace = this.group("trace", this.traces);
        this.span = this.group("span", this.spans);
        this.event = this.group("event", this.columnCount("event.row"));
        this.link = this.group("link", this.columnCount("link.row"));
        this.pause = this.group("pause", this.columnCount("pause.row"));
        this.resource = this.group("resource", this.columnCount("resource.shape"));
        this.orphan = this.group("orphan", this.columnCount("orphan.row"));
        this.dropped = this.group("dropped", this.columnCount("dropped.row"));
        this.shape = this.group("shape", this.columnCount("shape.first"));
        this.item = this.group("item", this.columnCount("item.key"));
        this.value = this.group("value", this.columnCount("value.low"));
        this.decoder = new TextDecoder("utf-8", {ignoreBOM: true}); // that is, it stays where it is
        this.texts = new Array(this.strings);
        this.check();
    }

    readHeader(bytes) {
        const start = PACK_MAGIC.length + 4;
        for (let i = 0; i < PACK_MAGIC.length; i++)
            if (bytes[i] !== PACK_MAGIC.charCodeAt(i))
                throw new Error("this is no pack of traces");
        const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(start - 4, true);
        if (start + length > bytes.length)
            throw new Error("the pack of traces is cut short");
        this.header = JSON.parse(new TextDecoder().decode(bytes.subarray(start, start + length)));
        if (this.header.format !== 1)
            throw new Error(`the pack of traces has format ${this.header.format}, which this page does not know`);
        this.traces = this.header.traces;
        this.spans = this.header.spans;
        this.strings = this.header.strings;
        this.base = BigInt(this.header.base);
        this.columns = new Map();
        let at = start + length;
        for (const {name, type, count} of this.header.columns) {
            const size = PACK_TYPES[type];
            if (size === undefined || !Number.isSafeInteger(count) || count < 0 || at + count * size > bytes.length)
                throw new Error(`the pack of traces is damaged at its column ${name}`);
            this.columns.set(name, {type, count, bytes: bytes.subarray(at, at + count * size), numbers: null});
            at += count * size;
        }
    }

    columnCount(name) {
        const column = this.columns.get(name);
        return column === undefined ? 0 : column.count;
    }

    // An object whose members are the columns PREFIX.*, as typed arrays that are made when they are first used.
    group(prefix, count) {
        const group = {count};
        for (const [name, column] of this.columns) {
            if (!name.startsWith(`${prefix}.`))
                continue;
            if (prefix !== "strings" && column.count !== count)
                throw new Error(`the pack of traces is damaged: ${name} has ${column.count} values, not ${count}`);
            Object.defineProperty(group, name.slice(prefix.length + 1),
                {get: () => (column.numbers ??= joinPlanes(column, SIGNED_COLUMNS.has(name)))});
        }
        return group;
    }

    // What everything else relies on: places lie within what they point into.
    check() {
        const within = (values, bound, what, none = false) => {
            for (let i = 0; i < values.length; i++)
                if (values[i] >= bound && !(none && values[i] === NO_INDEX))
                    throw new Error(`the pack of traces is damaged: ${what}`);
        };
        const {first, count, root} = this.trace;
        for (let t = 0; t < this.traces; t++) {
            const end = first[t] + count[t];
            if (count[t] === 0 || end > this.spans || root[t] < first[t] || root[t] >= end)
                throw new Error(`the pack of traces is damaged: the spans of trace ${t}`);
        }
        within(this.span.name, this.strings, "a name");
        within(this.span.resource, this.resource.count, "a resource");
        within(this.span.parent, this.spans, "a parent", true);
        if (this.resource.count)
            within(this.resource.service, this.strings, "a service");
        // Loops over the attributes of a shape end there, so a damaged count must not make them very long.
        for (let i = 0; i < this.shape.first?.length; i++)
            if (this.shape.first[i] + this.shape.count[i] > this.item.count)
                throw new Error("the pack of traces is damaged: the attributes of a shape");
    }

    // A value of a column of 64 bits, exactly.
    exact(name, index) {
        const {bytes, count} = this.columns.get(name);
        let value = 0n;
        for (let plane = 7; plane >= 0; plane--)
            value = value << 8n | BigInt(bytes[plane * count + index]);
        return SIGNED_COLUMNS.has(name) ? BigInt.asIntN(64, value) : value;
    }

    string(index) {
        if (index >= this.strings)
            return "";
        const known = this.texts[index];
        if (known !== undefined)
            return known;
        const end = this.column("strings.end");
        const bytes = this.columns.get("strings.bytes").bytes;
        return (this.texts[index] = this.decoder.decode(bytes.subarray(index ? end[index - 1] : 0, end[index])));
    }

    column(name) {
        const column = this.columns.get(name);
        return (column.numbers ??= joinPlanes(column, SIGNED_COLUMNS.has(name)));
    }

    hex(name, index) {
        return this.exact(name, index).toString(16).padStart(16, "0");
    }

    traceId(trace) {
        return this.hex("trace.id_high", trace) + this.hex("trace.id_low", trace);
    }

    spanId(row) {
        return this.hex("span.id", row);
    }

    // The index of the trace whose id this is, or -1.
    traceById(id) {
        if (!/^[0-9a-f]{32}$/.test(id))
            return -1;
        const words = [BigInt(`0x${id.slice(0, 16)}`), BigInt(`0x${id.slice(16)}`)];
        const [high, low] = words.map(Number);
        for (let t = 0; t < this.traces; t++)
            if (this.trace.id_low[t] === low && this.trace.id_high[t] === high &&
                this.exact("trace.id_low", t) === words[1] && this.exact("trace.id_high", t) === words[0])
                return t;
        return -1;
    }

    // The row of a trace's span with this id, or -1.
    rowById(trace, id) {
        const end = this.trace.first[trace] + this.trace.count[trace];
        for (let row = this.trace.first[trace]; row < end; row++)
            if (this.spanId(row) === id)
                return row;
        return -1;
    }

    // The trace that a row belongs to.
    traceOf(row) {
        let low = 0, high = this.traces - 1;
        while (low < high) {
            const middle = (low + high + 1) >> 1;
            if (this.trace.first[middle] <= row)
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }

    name(row) {
        return this.string(this.span.name[row]);
    }

    service(row) {
        return this.string(this.resource.service[this.span.resource[row]]);
    }

    // The name of a file: without its folder, unless two files would have the same name then.
    sourceName(index) {
        const short = ({name}) => name.slice(name.lastIndexOf("/") + 1);
        const {sources} = this.header;
        if (sources[index] === undefined)
            return "";
        const name = short(sources[index]);
        return name !== "" && sources.filter((one) => short(one) === name).length === 1 ? name : sources[index].name;
    }

    rootName(trace) {
        return this.trace.rooted[trace] ? this.name(this.trace.root[trace]) : ROOT_NOT_SEEN;
    }

    // Unix time of a trace's start, of a span's start and of an event or pause, in nanoseconds.
    traceTime(trace) {
        return this.base + this.exact("trace.start", trace);
    }

    spanTime(row, trace = this.traceOf(row)) {
        return this.traceTime(trace) + this.exact("span.start", row);
    }

    keptWord(trace) {
        return this.header.kept[this.trace.kept[trace]] ?? "otherwise";
    }

    // Where the values of each holder begin. Holders are the resources, then the spans, the events and the links.
    get valueStart() {
        if (this.starts !== undefined)
            return this.starts;
        const kinds = [this.resource, this.span, this.event, this.link];
        const starts = new Uint32Array(kinds.reduce((sum, kind) => sum + kind.count, 0) + 1);
        let holder = 0, at = 0;
        for (const kind of kinds)
            for (let i = 0; i < kind.count; i++) {
                starts[holder++] = at;
                at += this.shape.count[kind.shape[i]] ?? 0;
            }
        starts[holder] = at;
        return (this.starts = starts);
    }

    holder(kind, index) {
        const before = {resource: 0, span: this.resource.count, event: this.resource.count + this.spans,
            link: this.resource.count + this.spans + this.event.count}[kind];
        return before + index;
    }

    // kind: "resource", "span", "event" or "link". Gives [{key, type, value, text}]; `text` is how the command shows
    // the value, which may be very long; `value` is a string, BigInt, number or boolean.
    attributes(kind, index) {
        const shape = this[kind].shape[index];
        const first = this.shape.first[shape] ?? 0, count = this.shape.count[shape] ?? 0;
        const at = this.valueStart[this.holder(kind, index)];
        const found = [];
        for (let i = 0; i < count && first + i < this.item.count && at + i < this.value.count; i++)
            found.push({key: this.string(this.item.key[first + i]), ...this.valueAt(first + i, at + i)});
        return found;
    }

    valueAt(item, at) {
        const type = VALUE_TYPES[this.item.type[item]] ?? "other";
        const low = this.value.low[at], high = this.value.high[at];
        if (type === "string")
            return {type, value: this.string(low), text: quoted(this.string(low))};
        if (type === "other")
            return {type, value: this.string(low), text: visible(this.string(low))};
        if (type === "bool")
            return {type, value: low !== 0, text: low !== 0 ? "true" : "false"};
        const bits = new DataView(new ArrayBuffer(8));
        bits.setUint32(0, low, true);
        bits.setUint32(4, high, true);
        if (type === "int")
            return {type, value: bits.getBigInt64(0, true), text: String(bits.getBigInt64(0, true))};
        return {type, value: bits.getFloat64(0, true), text: formatDouble(bits.getFloat64(0, true))};
    }

    // The items of a table that is sorted by row.
    rowRange(rows, row) {
        const bound = (value) => {
            let low = 0, high = rows.length;
            while (low < high) {
                const middle = (low + high) >> 1;
                if (rows[middle] < value)
                    low = middle + 1;
                else
                    high = middle;
            }
            return low;
        };
        return [bound(row), bound(row + 1)];
    }

    inRow(group, row, make) {
        if (group.count === 0)
            return [];
        const [from, to] = this.rowRange(group.row, row);
        return Array.from({length: to - from}, (_, i) => make(from + i));
    }

    // [{index, time, name}]: `time` since the trace's start; attributes("event", index).
    events(row) {
        return this.inRow(this.event, row, (index) => (
            {index, time: this.event.time[index], name: this.string(this.event.name[index])}));
    }

    // [{index, traceId, spanId, trace}]: `trace` is its index here, or -1; attributes("link", index).
    links(row) {
        return this.inRow(this.link, row, (index) => ({
            index,
            traceId: this.hex("link.id_high", index) + this.hex("link.id_low", index),
            spanId: this.hex("link.span", index),
            trace: this.link.trace[index] < this.traces ? this.link.trace[index] : -1,
        }));
    }

    // [{index, start, duration, preempted}]: times off the CPU; `start` since the trace's start.
    pauses(row) {
        return this.inRow(this.pause, row, (index) => ({index, start: this.pause.start[index],
            duration: this.pause.duration[index], preempted: this.pause.preempted[index] !== 0}));
    }

    // The id of a parent that is missing here, or "".
    missingParent(row) {
        return this.inRow(this.orphan, row, (index) => this.hex("orphan.parent", index))[0] ?? "";
    }

    // What the recorder left out of a span: {attributes, events, links}.
    droppedOf(row) {
        return this.inRow(this.dropped, row, (index) => ({attributes: this.dropped.attributes[index],
            events: this.dropped.events[index], links: this.dropped.links[index]}))[0] ??
            {attributes: 0, events: 0, links: 0};
    }
}

// Byte planes (all least significant bytes first, then all second bytes, and so on) to numbers. Those of 64 bits become
// doubles, which are exact below 2^53.
function joinPlanes({type, count: n, bytes: p}, signed) {
    if (type === "u8")
        return p;
    if (type === "u16") {
        const joined = new Uint16Array(n);
        for (let i = 0; i < n; i++)
            joined[i] = p[i] | p[n + i] << 8;
        return joined;
    }
    if (type === "u32") {
        const joined = new Uint32Array(n);
        for (let i = 0; i < n; i++)
            joined[i] = p[i] | p[n + i] << 8 | p[2 * n + i] << 16 | p[3 * n + i] << 24;
        return joined;
    }
    const joined = new Float64Array(n);
    const words = new DataView(new ArrayBuffer(8));
    for (let i = 0; i < n; i++) {
        const low = (p[i] | p[n + i] << 8 | p[2 * n + i] << 16 | p[3 * n + i] << 24) >>> 0;
        const high = p[4 * n + i] | p[5 * n + i] << 8 | p[6 * n + i] << 16 | p[7 * n + i] << 24;
        if (type === "f64") {
            words.setUint32(0, low, true);
            words.setInt32(4, high, true);
            joined[i] = words.getFloat64(0, true);
        } else {
            joined[i] = (signed ? high : high >>> 0) * 4294967296 + low;
        }
    }
    return joined;
}
