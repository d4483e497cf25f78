# SPDX-License-Identifier: Apache-2.0
"""A page of traces in a browser: opens it, waits until it shows what it is to show, and reads what stands there."""
import os
import random
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from browser import Browser, need_browser
from critical_path import Tree
from page_data import Page
from sink_process import command
from trace_maker import platform, write

# Kept where a script of the page would find it, and looked at after each test.
VIOLATIONS = """
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    addEventListener("error", (event) => window.violations.push(`error: ${event.message}`));
    addEventListener("unhandledrejection", (event) => window.violations.push(`rejection: ${event.reason}`));"""


def view(*arguments, code=0):
    """What `nanospan view` prints."""
    done = subprocess.run([command(), "view", *map(str, arguments)], capture_output=True, timeout=120, check=False,
                          env={**os.environ, "COLUMNS": "200"})
    if done.returncode != code:
        raise AssertionError((arguments, done.returncode, done.stderr.decode()))
    return done.stdout.decode()


def trace_ids(*arguments):
    """The ids of the traces that `nanospan view` shows, in its order."""
    return re.findall(r"^  trace ([0-9a-f]{32})", view("--limit=0", "--spans=1", "--no-attributes", *arguments), re.M)


class BrowserTest(unittest.TestCase):
    """A window for each class. After each test, nothing is in the console, and nothing was refused by the content security policy."""
    size = (1280, 900)
    how = {}  # options of the browser

    @classmethod
    def setUpClass(cls):
        need_browser()
        cls.browser = Browser(*cls.size, **cls.how).__enter__()
        cls.addClassCleanup(cls.browser.__exit__)
        cls.browser.command("Page.addScriptToEvaluateOnNewDocument", source=VIOLATIONS)

    def setUp(self):
        self.browser.resize(*self.size)

    def tearDown(self):
        self.assertEqual(self.browser.run("return window.violations"), [])
        self.assertEqual(self.browser.console(), [])

    def wait(self, condition, what):
        return self.browser.wait(lambda _: condition(), what)

    def run_in_page(self, script, *arguments):
        return self.browser.run(script, *arguments)

    def text(self, selector):
        return self.run_in_page("return document.querySelector(arguments[0]).textContent", selector)

    def table(self, rows):
        """The texts of the cells of each row."""
        return self.run_in_page("return [...document.querySelectorAll(arguments[0])].map((row) => "
                                "[...row.cells].map((cell) => cell.textContent))", rows)

    def wait_text(self, selector, text):
        self.wait(lambda: self.text(selector) == text, f"'{text}' in {selector}")

    def click(self, selector):
        self.browser.run("arguments[0].scrollIntoView({block: 'center'})", self.browser.find(selector))
        self.browser.find(selector).click()

    def fill(self, selector, text):
        found = self.browser.find(selector)
        found.clear()
        found.send_keys(text)

    def choose(self, selector, value):
        """In a list of options."""
        self.run_in_page("const list = document.querySelector(arguments[0]); list.value = arguments[1];"
                         "for (const kind of ['input', 'change']) list.dispatchEvent(new Event(kind, {bubbles: true}))", selector, value)

    def chosen(self):
        """The id of the trace that is shown."""
        return self.browser.find("#trace").get_attribute("data-trace-id")

    def fragment(self):
        return self.run_in_page("return [...new URLSearchParams(location.hash.slice(1))]")


class PageTest(BrowserTest):
    """Makes files and a page of them, and opens it for each test."""
    page_name = "page.html"

    @classmethod
    def make(cls, folder):
        """Writes files into the folder and returns their paths."""
        raise NotImplementedError

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="a page ")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.files = cls.make(cls.folder)
        cls.page = cls.folder / cls.page_name
        view("--html", cls.page, *cls.files)

    def setUp(self):
        super().setUp()
        self.open()

    def open(self, fragment="", page=None):
        self.browser.open("about:blank")  # a page is not loaded again for another fragment alone
        self.browser.open((page or self.page).resolve().as_uri() + fragment)
        self.wait_ready()

    def wait_ready(self):
        self.wait(lambda: self.run_in_page("return document.documentElement.dataset.ready") == "true", "the page is ready")

    def listed(self, ids):
        """The ids of all traces that pass the filters, in the order of the list; `ids` are those of all traces of the page."""
        while self.run_in_page("const more = document.querySelector('#list-more'); more.hidden || more.click(); return !more.hidden"):
            pass
        return [ids[at] for at in self.run_in_page("return [...document.querySelectorAll('#traces tbody tr')].map((row) => "
                                                   "Number(row.dataset.trace))")]


class PlatformPage(PageTest):
    """A page of the traces of a platform, and the same filters in the terminal."""
    COUNT = 260

    @classmethod
    def make(cls, folder):
        cls.traces = platform(random.Random(18), cls.COUNT)
        write(folder / "before.jsonl", cls.traces)
        cls.trees = {number: Tree(spans) for number, spans in cls.traces.items()}
        return [folder / "before.jsonl"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ids = [trace["id"] for trace in Page(cls.page.read_bytes()).pack.traces()]

    def expect(self, *options):
        """The traces that the same filters choose in the terminal, once the page says that it shows as many."""
        ids = trace_ids(*options, *self.files)
        count = f"{len(ids)} of {self.COUNT} traces" if len(ids) < self.COUNT else f"all {self.COUNT} traces"
        self.wait_text("#filter-count", count)
        self.wait(lambda: self.listed(self.ids) == ids, f"the traces of {options}")
        return ids
