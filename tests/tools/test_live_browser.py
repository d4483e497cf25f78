# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 600 COST 40
# Sanitizers: none, because a browser does the work
"""The live page of `nanospan sink --web` in a real browser: its figures move and are what was sent, each trace can be looked at, and
it says what is wrong when something is."""
import json
import random
import signal
import unittest

from critical_path import Tree, quantile
from live_sink import Live
from page_browser import BrowserTest
from trace_maker import otlp, platform
from view_process import nanoseconds

try:
    from selenium.webdriver.common.keys import Keys
except ImportError:
    Keys = None


class LivePage(BrowserTest):
    def setUp(self):
        super().setUp()
        self.sink = Live().__enter__()
        self.addCleanup(self.sink.__exit__, None, None, None)
        self.traces, self.sent = {}, 0

    def send(self, traces):
        status, _, body = self.sink.post(json.dumps(otlp(traces)).encode(), kind="application/json")
        self.assertEqual(status, 200, body)
        self.traces |= traces
        self.sent += sum(map(len, traces.values()))

    def open(self, url=None):
        self.browser.open("about:blank")
        self.browser.open(url or self.sink.url)

    def wait_shown(self):
        """Until the page shows all that was sent."""
        self.wait(lambda: (self.browser.find_all("#live-total-spans") and self.text("#live-total-spans") == f"{self.sent:,}"
                           and self.text("#live-total-traces") == f"{self.rooted():,}"), f"{self.sent} spans")

    def rooted(self):
        return sum(Tree(spans).root is not None for spans in self.traces.values())

    def wait_condition(self, condition):
        self.wait(lambda: self.browser.find("#live-status").get_attribute("data-condition") == condition, condition)

    def names(self):
        return {row[0]: row[1:7] for row in self.table("#live-names tbody tr")}

    def check_names(self):
        """Counts are exact, percentiles are right within 1.6 %."""
        self.choose("#live-span", "all")
        by_name = {}
        for spans in self.traces.values():
            tree = Tree(spans)
            if tree.root:
                by_name.setdefault(tree.name, []).append((tree.duration, any("failed" in span for span in spans)))
        found = self.names()
        self.assertEqual(set(found), set(by_name))
        for name, traces in by_name.items():
            durations, failed = [took for took, _ in traces], sum(failed for _, failed in traces)
            self.assertEqual(found[name][:2], [str(len(traces)), str(failed) if failed else "·"])
            for shown, share in zip(found[name][2:], (0.5, 0.9, 0.99)):
                value = quantile(durations, share)
                self.assertAlmostEqual(nanoseconds(shown), value, delta=value * 0.017 + 1)
            self.assertAlmostEqual(nanoseconds(found[name][5]), max(durations), delta=max(durations) / 1999)

    def test_figures_move_and_are_what_was_sent(self):
        chance = random.Random(3)
        self.open()
        self.wait_condition("live")
        self.assertIn("No trace has come yet.", self.text("#live"))
        for first in (1, 101, 201):
            self.send(platform(chance, 100, first=first))
            self.wait_shown()
            self.check_names()
        self.wait(lambda: self.text("#live-spans-rate") not in ("–", "0"), "a rate")
        slowest = sorted(((Tree(spans).duration, f"{number:032x}") for number, spans in self.traces.items() if Tree(spans).name == "order"), reverse=True)
        listed = self.run_in_page("return [...document.querySelectorAll('#live-traces tbody tr')].filter((row) => row.dataset.name === 'order')"
                                  ".map((row) => row.dataset.trace)")
        self.assertEqual(listed, [trace for _, trace in slowest[:5]])
        self.choose("#live-list", "latest_failed")
        self.assertTrue(all("failed" in spans[0] for row in self.browser.find_all("#live-traces tbody tr")
                            for spans in [self.traces[int(row.get_attribute("data-trace"), 16)]]))

    def test_a_trace(self):
        self.send(platform(random.Random(5), 60))
        self.open()
        self.wait_shown()
        row = self.browser.find("#live-traces tbody tr button")
        trace = self.browser.find("#live-traces tbody tr").get_attribute("data-trace")
        self.browser.run("arguments[0].click()", row)
        self.wait(lambda: self.chosen() == trace, "the slowest one")
        spans = self.traces[int(trace, 16)]
        self.assertIn(f"{len(spans)} spans", self.text("#trace-head"))
        self.assertEqual(self.text(".details-name"), spans[0]["name"])
        self.run_in_page("document.querySelector('.waterfall-canvas').focus()")
        self.browser.keys(Keys.ARROW_DOWN)
        self.wait_text(".details-name", "decode")
        # A link leads to a trace that is asked for then, and the way back leads back.
        number = next(number for number, spans in self.traces.items() if spans[0].get("links") and number - 2 in self.traces)
        self.fill("#live-ask-id", f"{number:032x}{Keys.ENTER}")
        self.wait(lambda: self.chosen() == f"{number:032x}", "the trace with this id")
        self.browser.run("arguments[0].click()", self.browser.find("#details .details-list .details-link"))
        self.wait(lambda: self.chosen() == f"{number - 2:032x}", "the linked trace")
        self.browser.driver.back()
        self.wait(lambda: self.chosen() == f"{number:032x}", "the way back")
        self.fill("#live-ask-id", "f" * 32 + Keys.ENTER)
        self.wait(lambda: "holds nothing of trace" in self.text("#live-ask-said"), "an answer")
        # The address with the trace opens there again.
        self.browser.driver.refresh()
        self.wait(lambda: self.chosen() == f"{number:032x}", "the trace of the address")

    def test_pause(self):
        self.send(platform(random.Random(5), 10))
        self.open()
        self.wait_shown()
        self.click("#live-pause")
        self.wait_condition("paused")
        before = self.text("#live-totals")
        self.send(platform(random.Random(6), 10, first=11))
        self.sink.wait_read(self.sent)
        # It would have asked twice in this time; on a slow machine, it would only not be seen that it does.
        self.run_in_page("return new Promise((done) => setTimeout(done, 2500))")
        self.wait_condition("paused")
        self.assertEqual(self.text("#live-totals"), before)
        self.click("#live-pause")
        self.wait_shown()

    def test_tokens(self):
        """Without the right one, nothing is shown, and the page says where it is."""
        self.send(platform(random.Random(5), 10))
        for url, condition in ((self.sink.url.partition("#")[0], "token-missing"),
                               (self.sink.url[:-1] + ("0" if self.sink.url[-1] != "0" else "1"), "token-wrong")):
            self.open(url)
            self.wait_condition(condition)
            self.assertRegex(self.text("#live-status"), "nanospan sink --web|that it printed")
            self.assertEqual(self.table("#live-names tbody tr"), [])
            self.assertFalse(self.browser.find("#panes").is_displayed())
            refused = self.browser.console()  # which the browser writes itself, of each answer that is no success
            self.assertEqual([line for line in refused if "401" not in line], [])
        self.run_in_page("location.hash = arguments[0]", self.sink.url.partition("#")[2])  # put in by hand
        self.wait_shown()

    def test_a_sink_that_ends_and_starts_again(self):
        """What was there stays, and the page says what to do."""
        self.send(platform(random.Random(5), 20))
        self.open()
        self.wait_shown()
        trace = self.browser.find("#live-traces tbody tr").get_attribute("data-trace")
        self.fill("#live-ask-id", trace + Keys.ENTER)
        self.wait(lambda: self.chosen() == trace, "a trace")
        self.sink.stop(signal.SIGTERM)
        self.wait_condition("lost")
        self.assertEqual(self.text("#live-total-spans"), f"{self.sent:,}")
        self.assertEqual(self.chosen(), trace)
        self.assertTrue(self.browser.find("#trace").is_displayed())
        again = Live(address=f"127.0.0.1:{self.sink.web_port}").__enter__()
        self.addCleanup(again.__exit__, None, None, None)
        self.wait_condition("token-wrong")
        self.assertEqual(self.chosen(), trace)
        self.browser.console()  # the browser's own words of requests that failed
        self.run_in_page("location.hash = arguments[0]", again.url.partition("#")[2])
        self.wait_condition("live")
        self.wait_text("#live-total-spans", "0")
        self.browser.console()

    def test_narrow(self):
        self.send(platform(random.Random(5), 40))
        self.browser.resize(390, 844, touch=True)
        self.open()
        self.wait_shown()
        self.fill("#live-ask-id", f"{1:032x}{Keys.ENTER}")
        self.wait(lambda: self.chosen() == f"{1:032x}", "a trace")
        self.assertLessEqual(self.run_in_page("return document.documentElement.scrollWidth"), 390)


if __name__ == "__main__":
    unittest.main()
