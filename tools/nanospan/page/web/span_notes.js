// SPDX-License-Identifier: Apache-2.0
//
// What nanospan's own attributes mean, in words. docs/outliers.md says more.

const KEPT_BECAUSE = {
    slow: "took at least as long as a rule's bound (slower=)",
    slowest: "was among the slowest of its name (slowest=)",
    error: "had a failed span (errors)",
    asked: "was asked for by the program (nsp_trace_keep)",
    history: "ended on the same thread shortly before a trace that a rule kept, to which it links (history=)",
    snapshot: "had ended shortly before somebody took a snapshot of what all threads had just done",
    recovered: "was being recorded when its engine died, and was found in its session (recover --speculative)",
};

const SPAN_NOTES = {
    "nanospan.kept": ({text}) => `Head sampling had left this trace out. It was kept because it ${KEPT_BECAUSE[text] ??
        `met a condition that this page does not know (${text})`}. So it stands for itself alone and is no random sample.`,
    "nanospan.left_out": ({text}) => `${text === "1" ? "1 span" : `${text} spans`} of this trace ` +
        "could not be kept: the trace outgrew its thread's buffer (NSP_OUTLIER_BYTES), or found no room in the ring.",
    "nanospan.history": ({text}, links) => {
        const missing = /^[0-9]{1,15}$/.test(text) ? Math.max(0, Number(text) - links) : 0;
        return `${text === "1" ? "1 trace" : `${text} traces`} that its thread had ended before ${text === "1" ? "was" : "were"} kept ` +
            `with this one; the links lead there, newest first${missing === 0 ? "" : `, and none to ${formatCount(missing)} older`}.`;
    },
    "nanospan.unfinished": ({text}) => (text === "true" ? "This span was open when its engine died, and ends where it was last seen." : ""),
    "nanospan.cpu.moved": ({text}) => (text === "true" ? "Its thread began on one CPU and ended on another, so its caches were cold." : ""),
};

// The sentences for a span's attributes.
function spanNotes(attributes, links) {
    return attributes.map((attribute) => (Object.hasOwn(SPAN_NOTES, attribute.key)
        ? SPAN_NOTES[attribute.key]({text: label(String(attribute.value))}, links) : ""))
        .filter((note) => note !== "");
}
