# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 600 COST 60
# Sanitizers: none, because a browser does the work
"""Names in traces, files and addresses that try to become markup or scripts, in a page of traces in a real browser: they stay text."""
import re
import unittest

from hostile_names import NAMES, RUN, Unhurt, hostile_traces, visible
from page_browser import PageTest
from trace_maker import span, write

try:
    from selenium.webdriver.common.keys import Keys
except ImportError:
    Keys = None


# Texts that were cut are shown as a whole.
ALL = "for (const one of document.querySelectorAll('#details button')) if (/^all [0-9,]+ characters$/.test(one.textContent)) one.click();"


class Names(Unhurt, PageTest):
    # A path cannot have a slash in a name; an element needs none.
    page_name = f"<img src=x onerror='{RUN}'>&amp;\".html"

    @classmethod
    def make(cls, folder):
        files = [folder / f"<img src=x onerror='{RUN}'>&quot;\"$&.jsonl", folder / "<" / "script><script>window.hacked=1<" / "script>.jsonl"]
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


if __name__ == "__main__":
    unittest.main()
