// SPDX-License-Identifier: Apache-2.0
//
// Text from traces, as `nanospan view` shows it: characters that would be invisible, end the line or turn its direction
// round are written out. The page puts text into the document as text only, so this is about readers, not about markup.

// Control characters, line and paragraph separators, and what turns the direction of writing round. trace_notes.c has
// the same list.
const UNRULY = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

function visible(text) {
    return text.replace(UNRULY, (character) => {
        if (character === '\n') return '\\n';
        if (character === '\t') return '\\t';
        const code = character.charCodeAt(0).toString(16);
        return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`;
    });
}
