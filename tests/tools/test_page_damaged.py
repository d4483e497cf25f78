# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 600 COST 30
# Sanitizers: none, because a browser does the work
"""Pages of traces that were cut or changed, in a real browser: they say so, and do not fail in between."""
import base64
import json
import random
import struct
import unittest
import zlib

from page_browser import PageTest
from page_data import Page
from trace_maker import platform, write

try:
    from selenium.webdriver.common.keys import Keys
except ImportError:
    Keys = None


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
