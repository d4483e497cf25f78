// SPDX-License-Identifier: Apache-2.0
//
// The page's state, its fragment, and what belongs together.

// The bytes of the pack in this page, or null in a page without one (the live page).
function packedBytes() {
    const text = document.getElementById("pack")?.textContent.trim() ?? "";
    if (text === "")
        return null;
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
        this.waterfall = typeof Waterfall === "undefined" ? null : new Waterfall(document.getElementById("waterfall"), {
            onSelect: (row) => this.selectSpan(row),
            onFollow: (trace, span) => this.follow(trace, span),
        });
    }

    usePack(pack) {
        this.pack = pack;
        for (const id of ["overview", "panes"])
            document.getElementById(id).hidden = false;
        document.getElementById("opening").hidden = true;
        document.getElementById("totals").textContent =
            `${formatCount(pack.traces)} traces, ${formatCount(pack.spans)} spans`;
        if (pack.traces)
            this.chooseTrace(0);
    }

    chooseTrace(trace) {
        this.waterfall?.show(this.pack, trace);
    }

    selectSpan() {
    }

    follow(trace, span) {
        this.chooseTrace(trace);
        const row = this.pack.rowById(trace, span);
        if (row >= 0)
            this.waterfall?.select(row);
    }
}

async function main() {
    const app = new App();
    if (document.body.hasAttribute("data-live") && typeof startLive === "function") {
        await startLive(app);
        return;
    }
    const bytes = packedBytes();
    if (bytes !== null)
        app.usePack(await Pack.from(bytes));
}

main();
