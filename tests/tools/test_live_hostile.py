# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 600 COST 30
# Sanitizers: none, because a browser does the work
"""Names that try to become markup or scripts, in the live page of `nanospan sink --web` in a real browser: they stay text."""
import json
import unittest

from hostile_names import NAMES, RUN, Unhurt, hostile_traces, visible
from live_sink import Live
from page_browser import BrowserTest
from trace_maker import otlp

try:
    from selenium.webdriver.common.keys import Keys
except ImportError:
    Keys = None


class LiveNames(Unhurt, BrowserTest):
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


if __name__ == "__main__":
    unittest.main()
