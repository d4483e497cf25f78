# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 600 COST 30
# Sanitizers: none, because a browser does the work
"""The keys of a page of traces in a real browser, and what its address keeps."""
import re
import unittest
from pathlib import Path

from page_browser import PlatformPage, trace_ids

try:
    from selenium.webdriver.common.keys import Keys
except ImportError:
    Keys = None


class KeysOfThePage(PlatformPage):
    """Those of the table in docs/traces-page.md."""

    def focused(self):
        return self.run_in_page("const {id, className, dataset} = document.activeElement; return id || className || dataset.place || ''")

    def test_everywhere(self):
        self.browser.keys("/")
        self.assertEqual(self.focused(), "filter-where")
        self.browser.keys("nld", Keys.ESCAPE)  # letters are text there
        self.assertEqual(self.browser.find("#filter-where").get_attribute("value"), "nld")
        self.wait(lambda: dict(self.fragment()).get("where") == "nld", "the text is a filter")
        self.browser.keys("x")
        self.expect()
        self.browser.keys("l")
        self.assertEqual(self.focused(), "0")
        self.browser.keys("d")
        self.assertEqual(self.focused(), "distribution-canvas")
        self.browser.keys("w")
        self.assertEqual(self.focused(), "waterfall-canvas")
        self.browser.keys("n", "n", "p", "n")
        self.assertEqual(self.chosen(), self.ids[2])
        self.browser.keys("2")
        self.wait(lambda: self.browser.find("#comparison").is_displayed() and not self.browser.find("#trace").is_displayed(), "comparison")
        self.browser.keys("1")
        self.wait(lambda: self.browser.find("#trace").is_displayed() and not self.browser.find("#comparison").is_displayed(), "trace")
        self.browser.keys("e")
        self.assertEqual(self.chosen(), self.expect("--errors")[0])
        self.browser.keys("e")
        self.expect()
        self.browser.keys("?")
        self.wait(lambda: self.run_in_page("return document.querySelector('#keys').open"), "the keys")
        self.browser.keys("e", Keys.ESCAPE)
        self.wait(lambda: not self.run_in_page("return document.querySelector('#keys').open"), "closed")
        self.expect()  # a key that is pressed above the keys does nothing below

    def test_each_key_of_the_docs_is_listed(self):
        docs = (Path(__file__).parents[2] / "docs/traces-page.md").read_text(encoding="utf-8")
        section = docs.partition("\n## Keys\n")[2].partition("\n## ")[0]
        keys = {key for line in re.findall(r"^\| (`.*?) \|", section, re.M) for key in re.findall("`(.*?)`", line)}
        self.assertGreaterEqual(len(keys), 12)
        listed = self.run_in_page("return [...document.querySelectorAll('#keys kbd')].map((key) => key.textContent)")
        listed = {part for text in listed for part in re.split(", | or .*", text)}
        self.assertEqual(keys - listed, set())

    def test_list(self):
        self.browser.keys("l", Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
        self.assertEqual((self.focused(), self.chosen()), ("1", self.ids[1]))
        self.browser.keys(Keys.PAGE_DOWN)
        self.assertEqual((self.focused(), self.chosen()), ("21", self.ids[21]))
        self.browser.keys(Keys.END)  # of what is shown; beyond it more is shown
        self.assertEqual(self.focused(), "199")
        self.browser.keys(Keys.ARROW_DOWN)
        self.assertEqual((self.focused(), self.chosen()), ("200", self.ids[200]))
        self.browser.keys(Keys.PAGE_UP)
        self.assertEqual(self.focused(), "180")
        self.assertTrue(self.run_in_page("""
            const row = document.activeElement.getBoundingClientRect(), list = document.querySelector("#list .scroll").getBoundingClientRect();
            return row.top >= list.top && row.bottom <= list.bottom;"""), "the chosen trace can be seen")
        self.browser.keys(Keys.HOME, Keys.ENTER)
        self.assertEqual((self.focused(), self.chosen()), ("waterfall-canvas", self.ids[0]))

    def test_durations(self):
        self.browser.keys("d", Keys.END, Keys.ENTER)
        canvas = self.browser.find("#distribution-canvas")
        self.wait(lambda: re.search(": [0-9]+ traces?$", canvas.get_attribute("aria-valuetext")), "a bar is said")
        count = re.search(": ([0-9]+) trace", canvas.get_attribute("aria-valuetext"))[1]
        self.wait_text("#filter-count", f"{count} of {self.COUNT} traces")
        self.browser.actions().key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT).key_up(Keys.SHIFT).perform()
        more = re.search(": ([0-9]+) trace", canvas.get_attribute("aria-valuetext"))[1]
        self.assertGreater(int(more), int(count))
        self.browser.keys(Keys.ENTER)
        self.wait_text("#filter-count", f"{more} of {self.COUNT} traces")
        self.browser.keys(Keys.ESCAPE)
        self.wait_text("#filter-count", f"{len(trace_ids('--root=order', *self.files))} of {self.COUNT} traces")

    def test_tabs_and_skip_link(self):
        self.run_in_page("document.querySelector('#tab-trace').focus()")
        self.browser.keys(Keys.ARROW_RIGHT)
        self.assertEqual(self.focused(), "tab-comparison")
        self.assertTrue(self.browser.find("#comparison").is_displayed())
        self.open()
        self.browser.keys(Keys.TAB, Keys.ENTER)
        self.assertEqual(self.focused(), "0")

    def test_reload_shows_the_same(self):
        self.fill("#filter-where", '"symbol=two words"')
        self.expect("--where=symbol=two words")
        self.fill("#filter-service", "r?sk")
        self.expect("--where=symbol=two words", "--service=r?sk")
        self.click("th button[data-sort=start]")
        self.browser.keys("l", Keys.ARROW_DOWN, Keys.ENTER, Keys.ARROW_DOWN, "2")
        chosen, listed = self.chosen(), self.listed(self.ids)
        span = self.text(".details-name")
        self.wait(lambda: dict(self.fragment()).get("tab") == "comparison", "the address")
        self.assertNotEqual(chosen, self.ids[0])
        self.browser.driver.refresh()
        self.wait_ready()
        self.assertEqual((self.chosen(), self.listed(self.ids), self.text(".details-name")), (chosen, listed, span))
        self.assertEqual(self.browser.find("#filter-where").get_attribute("value"), '"symbol=two words"')
        self.assertTrue(self.browser.find("#comparison").is_displayed())

    def test_an_address_that_means_nothing(self):
        """Addresses are written by hand, and by others."""
        self.open("#trace=zzz&span=1&sort=__proto__&kept=nothing&source=99&tab=x&compare-kind=toString&compare-at=-1&min=%00&where=%F0")
        self.assertTrue(self.browser.find("#filter-problem").is_displayed())
        self.browser.keys("2", "x")
        self.expect()
        self.wait(lambda: "slowest 1 %" in self.text("#comparison-headline"), "the default comparison")


if __name__ == "__main__":
    unittest.main()
