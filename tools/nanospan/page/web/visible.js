// SPDX-License-Identifier: Apache-2.0
//
// Text from traces, as `nanospan view` shows it: characters that would be invisible, end the line or turn its direction
// round are written out. The page puts text into the document as text only, so this is about readers, not about markup.

// Control characters, line and paragraph separators, and what turns the direction of writing round. trace_notes.c has
// the same list.
const UNRULY = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

function visible(text) {
    return text.replace(UNRULY, (character) => {
        if (character === "\n") return "\\n";
        if (character === "\t") return "\\t";
        const code = character.charCodeAt(0).toString(16);
        return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
    });
}

// A text for a place of limited size: visible, and cut after so many characters.
function label(text, most = 160) {
    if (text.length <= most)
        return visible(text);
    const end = /[\ud800-\udbff]/.test(text[most - 1]) ? most - 1 : most;
    return `${visible(text.slice(0, end))}\u2026`;
}

// A string value in quotes if it would be misread without them.
function quoted(text) {
    return text === "" || /[ "=,[\]{}]/.test(text) ? `"${visible(text)}"` : visible(text);
}
