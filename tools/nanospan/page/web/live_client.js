// SPDX-License-Identifier: Apache-2.0
//
// The live page's side of the connection: asks the sink that served the page, with the token of the page's fragment.

const LIVE_EVERY = 1000, LIVE_AGAIN = 3000, LIVE_PATIENCE = 15000; // milliseconds

class WrongToken extends Error {
}

function liveToken() {
    return new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
}

// The answer, if it is a success. The token goes into a header, so it is in no log and no address.
async function askSink(path) {
    const ending = new AbortController();
    const timer = setTimeout(() => ending.abort(), LIVE_PATIENCE);
    try {
        const reply = await fetch(path, {headers: {Authorization: `Bearer ${liveToken()}`}, cache: "no-store", signal: ending.signal,
            credentials: "omit", redirect: "error"});
        if (reply.status === 401)
            throw new WrongToken();
        if (!reply.ok)
            throw new Error(`the sink answers with status ${reply.status}`);
        return {missing: Number(reply.headers.get("Nanospan-Missing-Spans") ?? 0), status: reply.status,
            bytes: new Uint8Array(await reply.arrayBuffer())};
    } finally {
        clearTimeout(timer);
    }
}

// Asks for the figures each second, one request after the other. onState(state), and onChange(condition), which is
// "asking", "live", "paused", "token-missing", "token-wrong" or "lost".
class LiveClient {
    constructor({onState, onChange}) {
        this.onState = onState;
        this.onChange = onChange;
        this.condition = "";
        this.timer = 0;
        this.token = "";
        this.round = 0; // answers to requests of earlier rounds come too late
        addEventListener("hashchange", () => {
            if (liveToken() !== this.token)
                this.begin();
        });
    }

    begin() {
        this.token = liveToken();
        if (this.token === "") {
            this.stop("token-missing");
            return;
        }
        this.stop("asking");
        this.ask();
    }

    pause() {
        this.stop("paused");
    }

    stop(condition) {
        clearTimeout(this.timer);
        this.round++;
        this.change(condition);
    }

    change(condition) {
        if (condition === this.condition)
            return;
        this.condition = condition;
        this.onChange(condition);
    }

    async ask() {
        const round = this.round;
        let wait = LIVE_EVERY, condition = "live", state = null;
        try {
            state = JSON.parse(new TextDecoder().decode((await askSink("/api/state")).bytes));
        } catch (error) {
            condition = error instanceof WrongToken ? "token-wrong" : "lost";
            wait = LIVE_AGAIN;
        }
        if (round !== this.round)
            return;
        if (condition === "token-wrong") {
            this.stop(condition);
            return;
        }
        if (state !== null)
            this.onState(state);
        this.change(condition);
        this.timer = setTimeout(() => this.ask(), wait);
    }

    // The pack of a trace and how many of its spans are not held any more; null if nothing of it is held.
    async trace(id) {
        const {status, bytes, missing} = await askSink(`/api/trace?id=${id}`);
        return status === 204 ? null : {pack: await Pack.from(bytes), missing};
    }
}
