# SPDX-License-Identifier: Apache-2.0
"""Names that try to be more than text in a page, and traces that have them everywhere."""
import re

from trace_maker import span

MARKER = "hacked"  # what a script would set if one of these were executed
RUN = f"window.{MARKER}=1"
NAMES = [
    f"</script><script>{RUN}</script>", f'<img src=x onerror="{RUN}">', f"<svg/onload={RUN}>", f"javascript:{RUN}",
    f'"><iframe srcdoc="<script>parent.{MARKER}=1</script>"></iframe>', f"' autofocus onfocus='{RUN}", f"</title><script>{RUN}</script>",
    f"</textarea></style></template><script>{RUN}</script>", "<style>*{display:none}</style>", "<base href=http://attacker.example/>",
    f"<a href='javascript:{RUN}'>click</a>", "<!--", "-->", "]]>", "&lt;b&gt;&#x41;&amp;", f"${{{RUN}}}",
    f"{{{{constructor.constructor('{RUN}')()}}}}", f"`;{RUN}//", f"\\';{RUN}//", "\\u003cscript\\u003e", "%3Cscript%3E", "@PACK@ @NONCE@ @CSP@ @LIVE@",
    "$& $1 $`", "__proto__", "constructor", "toString", "hasOwnProperty", "\u202eevil\u2066\u2069\u200f", "a\x00b\x07c\x1b[31md\x7f\x9be",
    "line\nbreak\ttab\u2028\u2029", "\ufeffbom\u00ad\u200b", "null", "", " ", "e\u0301\u0302" * 40, "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "*[?]\\", "#trace=0&root=x", "x" * 100_000]
UNRULY = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# Elements of which a page of traces has none, and what an attacker would want of those that it has.
INTRUDERS = ("img, svg, iframe, object, embed, base, textarea, template, a[href]:not(#skip), [onerror], [onload], [onfocus], [onclick], [autofocus], "
             "[srcdoc], body style, body script:not(#pack):not([type=module]), form[action], meta ~ meta[http-equiv=refresh]")


def visible(text):
    """As `nanospan view` and the page show it."""
    def written(found):
        code = ord(found[0])
        return {"\n": "\\n", "\t": "\\t"}.get(found[0]) or (f"\\u{code:04x}" if code > 255 else f"\\x{code:02x}")
    return UNRULY.sub(written, text)


def hostile_traces(names):
    """{number: spans}: a trace for each name, which has it wherever a text can be."""
    traces = {}
    for number, name in enumerate(names, 1):
        at = number * 1_000_000
        pairs = {name: name, f"{name}.list": [name, name]}
        everywhere = {"service": name, "attributes": pairs, "events": [(name, at + 5, pairs)], "links": [(number % len(names) + 1, 1, pairs), (0xabc, 1, pairs)],
                      "failed": name}
        traces[number] = [span(1, name, at, at + 1000 + number, **everywhere), span(2, name, at, at + 500, 1, **everywhere),
                          span(3, f"{name}2", at, at + 400, 2, **everywhere)]
    return traces


class Unhurt:
    """Before a test case in a browser: nothing of what a test has shown was more than text."""

    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.run_in_page(f"""
            const polluted = [];
            for (const key in {{}})
                polluted.push(key);
            return [typeof window.{MARKER}, polluted, [...document.querySelectorAll(arguments[0])].map((one) => one.outerHTML.slice(0, 200)),
                document.querySelector("#main").checkVisibility(), document.scripts.length]""", INTRUDERS),
            ["undefined", [], [], True, 2])
