# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 600 COST 40
# Sanitizers: none, because a browser does the work
"""A page of traces for everyone, in a real browser: telephones and large screens, light and dark, names for screen readers, no motion,
no network; and as many elements however many traces there are."""
import json
import random
import re
import unittest

from page_browser import PageTest, PlatformPage
from trace_maker import otlp, platform, span, write

try:
    from selenium.webdriver.common.keys import Keys
except ImportError:
    Keys = None

# Each text that can be seen: the colours of the text and of what is behind it, and where it is.
TEXTS = r"""
    const found = new Map();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const behind = (element) => {
        const layers = [];
        for (let at = element; at !== null; at = at.parentElement) {
            layers.push(getComputedStyle(at).backgroundColor);
            if (!/, 0\)$|\/ 0\)$/.test(layers.at(-1)) && !/rgba|\//.test(layers.at(-1)))
                break;
        }
        return layers;
    };
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (walker.currentNode.data.trim() === "" || !element.checkVisibility({checkVisibilityCSS: true, checkOpacity: true}))
            continue;
        const style = getComputedStyle(element);
        found.set(`${style.color} ${behind(element)}`, {color: style.color, behind: behind(element), text: walker.currentNode.data.trim().slice(0, 40),
            where: element.className || element.tagName});
    }
    return [...found.values()];"""


def rgba(text):
    parts = [float(number) for number in re.findall(r"[0-9.]+", text)]
    return [*parts[:3], parts[3] if len(parts) > 3 else 1.0]


def over(upper, lower):
    return [u * upper[3] + low * (1 - upper[3]) for u, low in zip(upper[:3], lower[:3])] + [1.0]


def contrast(text, background):
    """As WCAG defines it."""
    def luminance(colour):
        parts = [value / 255 for value in colour[:3]]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    high, low = sorted((luminance(text), luminance(background)), reverse=True)
    return (high + 0.05) / (low + 0.05)


class Access(PlatformPage):
    COUNT = 120

    def media(self, **features):
        self.browser.command("Emulation.setEmulatedMedia", features=[
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def panels(self):
        """Every state that shows other things."""
        trace = next(f"{number:032x}" for number, spans in self.traces.items() if spans[0].get("links") and "failed" in spans[0])
        for fragment in (f"#trace={trace}&where=order.id", "#tab=comparison", "#tab=comparison&compare-kind=time", "#where=no.such%3D1&min=x"):
            self.open(fragment)
            if "comparison" in fragment:
                self.wait(lambda: "mean" in self.text("#comparison-headline"), "the comparison")
            self.run_in_page("document.querySelector('.details-resource')?.setAttribute('open', '')")
            yield fragment

    def test_texts_stand_out(self):
        """Each text has a contrast of at least 4.5 to what is behind it, in light and dark."""
        papers = {}
        for scheme in ("light", "dark"):
            self.media(prefers_color_scheme=scheme)
            for fragment in self.panels():
                texts = self.run_in_page(TEXTS)
                self.assertGreater(len(texts), 5)
                for one in texts:
                    background = [255.0, 255.0, 255.0, 1.0]
                    for layer in reversed(one["behind"]):
                        background = over(rgba(layer), background)
                    self.assertGreaterEqual(contrast(over(rgba(one["color"]), background), background), 4.5, (scheme, fragment, one))
            papers[scheme] = self.run_in_page("return getComputedStyle(document.documentElement).backgroundColor")
        self.assertGreater(min(rgba(papers["light"])[:3]), 200)
        self.assertLess(max(rgba(papers["dark"])[:3]), 60)

    def test_the_button_chooses_the_theme(self):
        """Whatever the system says; the drawings follow."""
        self.media(prefers_color_scheme="light")
        colour = "return getComputedStyle(document.documentElement).backgroundColor"
        pixel = ("const one = document.querySelector('.waterfall-canvas'), copy = new OffscreenCanvas(one.width, one.height).getContext('2d');"
                 "copy.drawImage(one, 0, 0); return [...copy.getImageData(2, 40, 1, 1).data].slice(0, 3)")
        seen = []
        for _ in range(3):
            self.wait(lambda: (max(self.run_in_page(pixel)) < 100) == (max(rgba(self.run_in_page(colour))[:3]) < 100), "the drawing follows")
            seen.append((self.text("#theme"), rgba(self.run_in_page(colour))[0] > 128))
            self.click("#theme")
        self.assertEqual(seen, [("Theme: system", True), ("Theme: light", True), ("Theme: dark", False)])

    def test_everything_has_a_name_for_screen_readers(self):
        roles = set()
        for fragment in self.panels():
            tree = self.browser.command("Accessibility.getFullAXTree")["nodes"]
            for node in tree:
                role = node.get("role", {}).get("value")
                if node.get("ignored") or role not in ("button", "textbox", "searchbox", "combobox", "checkbox", "slider", "table", "grid", "img", "image",
                                                       "canvas", "Canvas", "application", "tab", "tablist", "tabpanel", "form", "search", "region", "link", "dialog",
                                                       "progressbar", "columnheader", "group"):
                    continue
                roles.add(role)
                if role == "columnheader" and not node.get("name", {}).get("value"):
                    continue  # above names of rows
                self.assertTrue(node.get("name", {}).get("value", "").strip() or role == "group", (fragment, role, node))
        self.assertTrue({"button", "searchbox", "combobox", "checkbox", "slider", "table", "grid", "application", "tab", "tablist"} <= roles, roles)
        self.assertEqual(self.run_in_page("return [...document.querySelectorAll('canvas')].filter((one) => !one.hidden && "
                                          "one.checkVisibility() && !one.ariaLabel && one.ariaHidden !== 'true').map((one) => one.outerHTML)"), [])
        self.assertEqual(self.run_in_page("return [document.documentElement.lang, document.querySelectorAll('h1').length, document.querySelectorAll('main').length]"),
                         ["en", 1, 1])

    def test_keys_reach_everything_and_show_where_they_are(self):
        self.open()
        seen = []
        for _ in range(60):
            self.browser.keys(Keys.TAB)
            focused = self.run_in_page("""
                const one = document.activeElement, style = getComputedStyle(one);
                return [one.id || one.className || one.dataset.place || one.tagName, one === document.body || style.outlineStyle !== "none" || one.type === "checkbox"];""")
            if focused[0] in ("BODY", seen[0][0] if seen else None):
                break
            seen.append(focused)
        self.assertEqual([name for name, marked in seen if not marked], [])
        self.assertTrue({"skip", "theme", "help", "filter-where", "filter-root", "filter-service", "filter-min", "filter-max", "filter-errors", "filter-clear",
                         "distribution-canvas", "waterfall-canvas", "tab-trace"} <= {name for name, _ in seen}, seen)

    def test_sizes(self):
        """Nothing is wider than the window, from a telephone to a wall."""
        for width, height, touch in ((320, 640, True), (390, 844, True), (768, 1024, True), (1100, 700, False), (3840, 2160, False)):
            self.browser.resize(width, height, touch)
            for fragment in self.panels():
                self.assertLessEqual(self.run_in_page("return document.documentElement.scrollWidth"), width, fragment)
                wide = self.run_in_page("""
                    return [...document.querySelectorAll("button, input, select, canvas, h2")].filter((one) => {
                        const box = one.getBoundingClientRect();
                        return one.checkVisibility() && one.closest(".scroll") === null && (box.right > innerWidth + 1 || box.left < -1);
                    }).map((one) => one.outerHTML.slice(0, 100));""")
                self.assertEqual(wide, [], (width, fragment))
        self.assertGreater(self.run_in_page("return document.querySelector('.waterfall-canvas').getBoundingClientRect().width"), 1200)

    def test_touch(self):
        self.browser.resize(390, 844, touch=True)
        self.open()
        for selector, said in (("tr[data-root='cancel order'] button", lambda: self.browser.find("#filter-root").get_attribute("value") == "cancel order"),
                               ("#traces tbody tr:nth-child(3)", lambda: self.run_in_page("return scrollY") > 100), ("#tab-comparison", lambda: "mean" in self.text("#comparison-headline"))):
            self.browser.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
            x, y = self.run_in_page("const box = document.querySelector(arguments[0]).getBoundingClientRect(); return [box.x + 20, box.y + box.height / 2]", selector)
            for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
                self.browser.command("Input.dispatchTouchEvent", type=kind, touchPoints=points)
            self.wait(said, selector)

    def test_no_motion_if_that_is_asked_for(self):
        self.browser.resize(390, 844, touch=True)
        for wish, behaviours, moves in (("reduce", ["auto"], False), ("no-preference", ["smooth"], True)):
            self.media(prefers_reduced_motion=wish)
            self.open()
            self.run_in_page("window.asked = []; Element.prototype.scrollIntoView = function (how) { window.asked.push(how.behavior); };"
                             "document.querySelector('#traces tbody tr:nth-child(2)').click()")
            self.assertEqual(self.run_in_page("return window.asked"), behaviours)
            slow = self.run_in_page("""
                return [...document.querySelectorAll("*")].some((one) => {
                    const style = getComputedStyle(one);
                    return parseFloat(style.transitionDuration) > 0 || style.animationName !== "none";
                });""")
            self.assertEqual(slow, moves)
            if not moves:
                self.assertEqual(self.run_in_page("return document.getAnimations().length"), 0)

    def test_nothing_is_fetched(self):
        self.open()
        self.browser.keys("2", "1", "e", "e")
        self.assertEqual(self.run_in_page("return performance.getEntriesByType('resource').map((one) => one.name).filter((name) => !name.startsWith('data:'))"), [])
        # Nor could it be.
        self.assertTrue(self.run_in_page("return fetch('http://127.0.0.1:9/').then(() => false, () => true)"))
        self.assertEqual(self.run_in_page("return window.violations.splice(0)"), ["connect-src http://127.0.0.1:9/"])
        self.assertTrue(all("Content Security Policy" in line for line in self.browser.console()))

    def test_any_path(self):
        for name in ("a b#c.html", "100%.html", "%23.html", "ü?.html"):
            copy = self.folder / name
            copy.write_bytes(self.page.read_bytes())
            self.open(page=copy)
            self.browser.keys("l", Keys.ARROW_DOWN)
            self.wait(lambda: "trace" in dict(self.fragment()), "the address")
            chosen = self.chosen()
            self.browser.driver.refresh()
            self.wait_ready()
            self.assertEqual(self.chosen(), chosen)


class Many(PageTest):
    """What the document has, and what is drawn, does not grow with the traces."""
    COUNT = 90_000

    @classmethod
    def make(cls, folder):
        made = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [None]}]}]}
        with open(folder / "spans.jsonl", "w", encoding="utf-8") as out:
            for first in range(0, cls.COUNT, 1000):
                traces = {number: [span(1, f"root {number % 500}", number * 1000, number * 1000 + 100 + number * 7919 % 100_003)]
                          for number in range(first + 1, first + 1001)}
                made = otlp(traces)
                out.write(json.dumps(made) + "\n")
        write(folder / "few.jsonl", platform(random.Random(1), 220))
        return [folder / "spans.jsonl"]

    def test_many_traces(self):
        self.wait_text("#filter-count", "all 90,000 traces")
        self.assertLess(self.run_in_page("return document.querySelectorAll('*').length"), 6000)
        self.assertEqual(len(self.browser.find_all("#traces tbody tr")), 200)
        self.assertEqual(len(self.browser.find_all("table.names tbody tr")), 40)
        self.run_in_page("""
            window.drawn = 0;
            for (const name of ["fillText", "fillRect", "stroke"]) {
                const before = CanvasRenderingContext2D.prototype[name];
                CanvasRenderingContext2D.prototype[name] = function (...all) { window.drawn++; return before.apply(this, all); };
            }""")
        self.browser.keys("l", Keys.PAGE_DOWN, "d", Keys.ARROW_RIGHT, Keys.ENTER)
        self.wait(lambda: self.text("#filter-count") != "all 90,000 traces", "a filter")
        self.run_in_page("return new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        self.assertLess(self.run_in_page("return window.drawn"), 5000)
        self.browser.keys("x", "2")
        self.wait(lambda: "mean" in self.text("#comparison-headline"), "a comparison")
        self.assertLess(self.run_in_page("return document.querySelectorAll('*').length"), 6000)


if __name__ == "__main__":
    unittest.main()
