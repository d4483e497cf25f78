# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 600 COST 60
# Sanitizers: none, because a browser does the work
"""Names in traces, files and addresses that try to become markup or scripts, in a page of traces and in the live page, in a real
browser: they stay text. And packs that are damaged."""
import base64
import json
import random
import re
import struct
import unittest
import zlib

from hostile_names import INTRUDERS, MARKER, NAMES, RUN, hostile_traces, visible
from live_sink import Live
from page_browser import BrowserTest, PageTest
from page_data import Page
from trace_maker import otlp, platform, span, write

try:
    from selenium.webdriver.common.keys import Keys
except ImportError:
    Keys = None


# Texts that were cut are shown as a whole.
ALL = "for (const one of document.querySelectorAll('#details button')) if (/^all [0-9,]+ characters$/.test(one.textContent)) one.click();"


class Unhurt:
    """Nothing of what a test has shown was more than text."""

    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.run_in_page(f"""
            const polluted = [];
            for (const key in {{}})
                polluted.push(key);
            return [typeof window.{MARKER}, polluted, [...document.querySelectorAll(arguments[0])].map((one) => one.outerHTML.slice(0, 200)),
                document.querySelector("#main").checkVisibility(), document.scripts.length]""", INTRUDERS),
            ["undefined", [], [], True, 2])


class Names(Unhurt, PageTest):
    # A path cannot have a slash in a name; an element needs none.
    page_name = f"<img src=x onerror='{RUN}'>&amp;\".html"

    @classmethod
    def make(cls, folder):
        files = [folder / f"<img src=x onerror='{RUN}'>&quot;\"$&.jsonl", folder / "</"[:1] / "script><script>window.hacked=1<" / "script>.jsonl"]
        files[1].parent.mkdir(parents=True)
        write(files[0], hostile_traces(NAMES))
        write(files[1], {1000: [span(1, "order", 0, 3)], 1001: [span(1, "order", 5, 9)]})
        return files

    def test_each_name_is_shown_as_it_is(self):
        """In the list, the details, the waterfall's words, the filters and the comparison."""
        self.assertEqual(self.text("title"), self.text("#title"))
        self.assertIn(self.files[0].name, self.browser.driver.title)
        for number, name in enumerate(NAMES, 1):
            with self.subTest(name=name[:80]):
                self.run_in_page("location.hash = arguments[0]", f"#trace={number:032x}&span={2:016x}")
                self.wait(lambda: self.chosen() == f"{number:032x}", "the trace")
                self.wait(lambda: self.run_in_page("return document.querySelector('#waterfall-said').textContent.includes('starts at')"), "the span")
                shown = visible(name)
                self.run_in_page(ALL)
                self.assertIn(self.text(".details-name"), (f"✗ {shown}", f"✗ {shown} "))
                self.assertEqual(self.run_in_page("return document.querySelector('.details-message')?.textContent ?? ': '"), f": {shown}")
                self.assertEqual(self.run_in_page("return document.querySelector('.details-attributes th[scope=row]').textContent"), shown)
                self.assertIn(shown[:300], self.run_in_page("return document.querySelector('.details-value').textContent"))
                for selector in (".details-list", "#trace-head", "#details dl"):
                    self.assertIn(shown[:40], self.text(selector))
                self.run_in_page("document.querySelector('.details-resource summary').click()")
                self.browser.run("arguments[0].click()", self.browser.find(".details-value"))
                self.wait(lambda: self.run_in_page("return [...document.querySelectorAll('#traces tbody tr')].some((row) => "
                                                   "row.getAttribute('aria-selected') === 'true')"), "its trace passes the filter by its value")

    def test_all_of_them_at_once(self):
        """The list and the names with all that they hold, then each trace by its key."""
        self.run_in_page("document.querySelector('#names-more').click()")
        roots = self.run_in_page("return [...document.querySelectorAll('table.names tbody button')].map((one) => one.title)")
        for name in NAMES:
            self.assertIn(visible(name)[:160], [root[:160] for root in roots])
        self.browser.keys("l", *[Keys.ARROW_DOWN] * len(NAMES))
        self.browser.keys("2")
        for name in NAMES[:12]:
            row = next(row for row in self.browser.find_all("table.names tbody tr") if row.get_attribute("data-root") == visible(name))
            self.browser.run("arguments[0].querySelector('button').click()", row)
            self.wait(lambda: "aria-current" in self.browser.run("return arguments[0].outerHTML",
                                                                 self.browser.find("table.names")), "it is chosen")
            self.browser.keys("x")
        for kind in ("time", "files"):
            self.choose("#comparison-kind", kind)

    def test_addresses(self):
        """Whoever sends an address decides what it says."""
        for name in NAMES[:-1]:
            fields = "&".join(f"{field}={_escaped(name)}" for field in ("root", "service", "min", "max", "where", "kept", "source", "sort", "trace",
                                                                         "span", "tab", "compare-kind", "compare-at", "compare-first", name or "x"))
            self.run_in_page("location.hash = arguments[0]", f"#{fields}")
            self.wait(lambda: self.run_in_page("return document.querySelector('#filter-root').value") ==
                      re.sub("[\r\n]", "", name), "the field has it")


def _escaped(text):
    return "".join(f"%{byte:02x}" for byte in text.encode())


class LiveNames(Unhurt, BrowserTest):
    """The same, in the live page."""

    def test_live_names(self):
        names = NAMES[:24]
        with Live() as sink:
            for number, spans in hostile_traces(names).items():
                status, _, body = sink.post(json.dumps(otlp({number: spans})).encode(), kind="application/json")
                self.assertEqual(status, 200, body)
            sink.wait_read(3 * len(names))
            self.browser.open(sink.url)
            self.wait(lambda: len(self.browser.find_all("#live-names tbody tr")) == len(names), "all names")
            self.assertEqual(set(self.run_in_page("return [...document.querySelectorAll('#live-names tbody tr')].map((row) => row.dataset.name)")),
                             {visible(name) for name in names})
            for number, name in enumerate(names, 1):
                with self.subTest(name=name):
                    self.fill("#live-ask-id", f"{number:032x}{Keys.ENTER}")
                    self.wait(lambda: self.chosen() == f"{number:032x}", "the trace")
                    self.assertEqual(self.text(".details-name"), f"✗ {visible(name)}")
                    self.assertIn(visible(name)[:40], self.text("#details"))
            for which in ("latest", "latest_failed", "slowest"):
                self.choose("#live-list", which)
                self.assertGreater(len(self.browser.find_all("#live-traces tbody tr")), 3)
            # What is sent as an id goes to the sink only if it is one.
            for text in (f"<img src=x onerror={RUN}>", "../../etc/passwd", "0" * 31, f"javascript:{RUN}"):
                self.fill("#live-ask-id", text + Keys.ENTER)
                self.wait_text("#live-ask-said", "A trace id has 32 hexadecimal digits.")


class Damaged(PageTest):
    """What a browser opens may have been cut, or changed."""

    @classmethod
    def make(cls, folder):
        write(folder / "spans.jsonl", platform(random.Random(4), 30))
        return [folder / "spans.jsonl"]

    def show(self, gzip):
        """Opens the page with another pack; returns the problem that it says, or None if it shows traces."""
        page = Page(self.page.read_bytes())
        html = page.html.replace(base64.b64encode(page.gzip).decode(), gzip if isinstance(gzip, str) else base64.b64encode(gzip).decode())
        damaged = self.folder / "damaged.html"
        damaged.write_text(html, encoding="utf-8")
        self.browser.open("about:blank")
        self.browser.open(damaged)
        self.wait(lambda: self.run_in_page("return document.documentElement.dataset.ready === 'true' || document.querySelector('#problem') !== null"),
                  "the page says something")
        return self.run_in_page("return document.querySelector('#problem')?.textContent")

    def test_damaged_packs_say_so(self):
        gzip = Page(self.page.read_bytes()).gzip
        content = zlib.decompress(gzip, 31)
        changed = bytearray(gzip)
        changed[len(gzip) // 2] ^= 0x55
        head = 12 + struct.unpack_from("<I", content, 8)[0]
        for name, pack in (("empty", ""), ("no base64", "%%%"), ("half of it", gzip[:len(gzip) // 2]), ("half a letter", base64.b64encode(gzip).decode()[:-3]),
                           ("a changed byte", bytes(changed)), ("no gzip", b"hello"), ("another text", _gzip(b"hello")), ("nothing in it", _gzip(b"")),
                           ("another format", _gzip(content.replace(b'"format":1', b'"format":2'))), ("cut", _gzip(content[:-100])),
                           ("no header", _gzip(content[:10])), ("a long header", _gzip(content[:8] + b"\xff\xff\xff\xff" + content[12:])),
                           ("no JSON", _gzip(content[:12] + b"x" + content[13:])), ("many spans", _gzip(_with(content, spans=10**9))),
                           ("no traces", _gzip(_with(content, traces="x"))), ("no columns", _gzip(_with(content, columns=[]))),
                           ("no strings", _gzip(_with(content, strings=1))), ("places", _gzip(content[:head] + b"\xff" * (len(content) - head)))):
            with self.subTest(name=name):
                self.assertRegex(self.show(pack) or "", "^(The traces cannot be shown: |There are no traces in this page)")
        self.assertIsNone(self.show(gzip))

    def test_packs_with_wrong_numbers(self):
        """Whatever the columns say, the page says so or shows it: it does not fail in between, nor hang."""
        content = zlib.decompress(Page(self.page.read_bytes()).gzip, 31)
        head = 12 + struct.unpack_from("<I", content, 8)[0]
        chance = random.Random(9)
        shown = 0
        for _ in range(25):
            changed = bytearray(content)
            for _ in range(chance.choice([1, 3, 30])):
                changed[chance.randrange(head, len(content))] = chance.choice([0, 1, 0x7f, 0xff, chance.randrange(256)])
            if self.show(_gzip(bytes(changed))) is None:
                shown += 1
                self.browser.keys("n", "n", "n", "2", "e", "e", "1", "w", Keys.ARROW_DOWN, Keys.ENTER)
                self.assertEqual(self.run_in_page("return window.violations"), [])
        self.assertGreater(shown, 2)


def _gzip(content):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(content) + packer.flush()


def _with(content, **changes):
    """The pack with other members in its header."""
    length = struct.unpack_from("<I", content, 8)[0]
    header = json.dumps({**json.loads(content[12:12 + length]), **changes}).encode()
    return content[:8] + struct.pack("<I", len(header)) + header + content[12 + length:]


if __name__ == "__main__":
    unittest.main()
