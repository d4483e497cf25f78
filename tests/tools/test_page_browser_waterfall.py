# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 600 COST 60
# Sanitizers: none, because a browser does the work
"""The waterfall of a page of traces in a real browser: its time scale, what keys, mouse and fingers do, what it says in words, what
is drawn, and the details of the chosen span."""
import json
import os
import random
import re
import unittest
from pathlib import Path

from browser import Browser, need_browser
from page_browser import PageTest

try:
    from selenium.webdriver.common.keys import Keys
except ImportError:
    Keys = None

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[2]))
WEB = SOURCE / "tools/nanospan/page/web"
START = 1_700_000_000_123_456_789
TRACE, LINKED, MISSING = f"{0xabc:032x}", f"{0xdef:032x}", f"{0x123:032x}"
SECOND = 10**9
ROW, HEAD = 22, 61  # CSS pixels of a wide waterfall: a row, and what is above the first
UNITS = {"ns": 1, "µs": 10**3, "ms": 10**6, "s": SECOND, "min": 60 * SECOND, "h": 3600 * SECOND, "d": 86400 * SECOND,
         "y": 365 * 86400 * SECOND}
SERVICES = [f"service-{i}{edge}" for i in range(1, 9) for edge in ("", "-edge")]
# The waterfall's canvas is meant for drawing; what is read comes from a copy.
COPY = """
    const canvas = arguments[0], ratio = devicePixelRatio;
    const copy = Object.assign(document.createElement("canvas"), {width: canvas.width, height: canvas.height})
        .getContext("2d", {willReadFrequently: true});
    copy.drawImage(canvas, 0, 0);"""


def value(what):
    kind = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}[type(what)]
    return {kind: str(what) if kind == "intValue" else what}


def attributes(**pairs):
    return [{"key": key.replace("__", "."), "value": value(what)} for key, what in pairs.items()]


def span(number, name, start, length, parent=1, trace=TRACE, **more):
    made = {"traceId": trace, "spanId": f"{number:016x}", "name": name, "startTimeUnixNano": str(START + start),
            "endTimeUnixNano": str(START + start + length), **more}
    return {**made, "parentSpanId": f"{parent:016x}"} if parent else made


def event(name, time, **pairs):
    return {"name": name, "timeUnixNano": str(START + time), "attributes": attributes(**pairs)}


# In the order of the rows.
SPANS = [
    span(1, "order", 0, 10 * SECOND + 7, parent=0, kind=2, attributes=attributes(nanospan__kept="slow", order__id=4711)),
    span(2, "decode", 3, 290, attributes=attributes(size=0.5, plain="two words", good=True),
         events=[event("first byte", 20, offset=17), event("last byte", 250)], droppedEventsCount=2),
    span(3, "wait", 2 * SECOND, 3 * SECOND, events=[event("waited", 2 * SECOND + 5, nanospan__off_cpu_ns=SECOND),
                                                    event("preempted", 4 * SECOND, nanospan__off_cpu_ns=1234)]),
    span(4, "inner", 2 * SECOND + 1, 77, parent=3),
    span(5, "blink", 6 * SECOND, 1),
    span(6, "send", 7 * SECOND, SECOND, kind=3, status={"code": 2, "message": "queue\nfull <b>"},
         links=[{"traceId": LINKED, "spanId": f"{9:016x}"}, {"traceId": MISSING, "spanId": f"{8:016x}", "attributes": attributes(why="x")}]),
    span(7, "lost", 9 * SECOND, 5, parent=99),
]
OTHER = span(9, "linked", 0, 1000, parent=0, trace=LINKED, attributes=attributes(order__id=4712, **{"key" * 60: "value " * 60}),
             links=[{"traceId": TRACE, "spanId": f"{6:016x}"}])


def write(path, *groups):
    path.write_text("".join(json.dumps({"resourceSpans": [{"resource": {"attributes": attributes(service__name="execution")},
                                                           "scopeSpans": [{"spans": group}]}]}) + "\n" for group in groups), encoding="utf-8")


def offset(text):
    """The nanoseconds of `12.345 678 ms` or `1 d 2 h 0 min`."""
    total = 0
    for number, unit in re.findall(r"([\d.\u202f]+) (\w+)", text):
        whole, _, fraction = number.replace("\u202f", "").partition(".")
        total += (int(whole + fraction) * UNITS[unit]) // 10**len(fraction)
        assert (int(whole + fraction) * UNITS[unit]) % 10**len(fraction) == 0, text
    return -total if text.startswith("\u2212") else total


class TimeScale(unittest.TestCase):
    """time_axis.js alone, which needs nothing else."""

    @classmethod
    def setUpClass(cls):
        need_browser()
        cls.browser = Browser(200, 200).__enter__()
        cls.addClassCleanup(cls.browser.__exit__)
        cls.source = (WEB / "time_axis.js").read_text(encoding="utf-8")

    def ticks(self, cases):
        """For each (length of the trace, from, to, width): what is shown, and the ticks, when a character takes 7 pixels."""
        return self.browser.run(self.source + """
            return arguments[0].map(([whole, from, to, width]) => {
                const axis = new TimeAxis(whole);
                axis.width = width;
                axis.show(from, to);
                const {step, labelled, between} = axis.ticks((text) => 7 * text.length);
                return {from: axis.from, to: axis.to, step, labelled, between,
                    x: labelled.map(({time}) => axis.x(time))};
            });""", cases)

    def test_labels_are_exact_and_differ(self):
        """From a trace of three years to ten nanoseconds of it: each label is the tick's time, and none is said twice."""
        random.seed(18)
        cases = []
        for exponent in range(18):
            whole = random.randint(10**exponent, 10**(exponent + 1) - 1)
            if whole >= 2**53:
                whole = 2**53 - random.randint(1, 10**9)
            for _ in range(20):
                length = min(whole, 10**random.uniform(1, 16))
                start = random.uniform(0, whole - length)
                cases.append((whole, start, start + length, random.choice([300, 370, 800, 1900, 3400])))
        for case, found in zip(cases, self.ticks(cases)):
            with self.subTest(case=case):
                labels = [tick["label"] for tick in found["labelled"]]
                self.assertEqual(len(set(labels)), len(labels))
                for tick in found["labelled"]:
                    self.assertEqual(offset(tick["label"]), tick["time"], tick)
                    self.assertEqual(tick["time"] % found["step"], 0)
                    self.assertTrue(found["from"] <= tick["time"] <= found["to"])
                if found["step"] < SECOND:
                    self.assertIn(str(found["step"]).rstrip("0"), ("1", "2", "5"))
                room = found["step"] * case[3] / (found["to"] - found["from"])
                if found["step"] <= (found["to"] - found["from"]) / 2.5:
                    self.assertGreaterEqual(room, 7 * max(map(len, labels), default=0))
                else:
                    self.assertLessEqual(len(labels), 3)

    def test_examples(self):
        whole = 25_050_000
        deep, = self.ticks([(whole, 12_345_670, 12_345_680, 800)])
        self.assertEqual([tick["label"] for tick in deep["labelled"]][:2], ["12.345\u202f670 ms", "12.345\u202f672 ms"])
        self.assertEqual(deep["step"], 2)
        all_of_it, = self.ticks([(whole, 0, whole, 800)])
        self.assertEqual([tick["label"] for tick in all_of_it["labelled"]][:3], ["0 ms", "2 ms", "4 ms"])
        years, = self.ticks([(3 * 365 * 86400 * SECOND, 0, 3 * 365 * 86400 * SECOND, 400)])
        self.assertEqual([tick["label"] for tick in years["labelled"]], ["0", "1 y", "2 y", "3 y"])

    def test_zoom_keeps_the_instant_under_the_pointer(self):
        found = self.browser.run(self.source + """
            const axis = new TimeAxis(9_000_000_000), moved = [];
            axis.width = 1000;
            for (let i = 0; i < 200; i++) {
                const x = 300 + i % 7, before = axis.time(x);
                axis.zoom(0.8, x);
                moved.push(Math.abs(axis.x(before) - x));
            }
            const deepest = axis.length;
            for (let i = 0; i < 200; i++)
                axis.zoom(1.25, 500);
            return [Math.max(...moved), deepest, axis.from <= 0 && axis.to >= axis.whole, axis.length / axis.whole];""")
        self.assertLess(found[0], 0.01)
        self.assertAlmostEqual(found[1], 10, places=3)
        self.assertTrue(found[2])
        self.assertLess(found[3], 1.021)

    def test_times_beyond_what_a_double_holds(self):
        """They are said to be rounded, and the scale goes only as deep as they can be told apart."""
        found = self.browser.run(self.source + """
            const axis = new TimeAxis(2 ** 60);
            axis.width = 1000;
            axis.show(2 ** 59, 2 ** 59 + 1);
            return [axis.resolution, axis.length, new TimeAxis(2 ** 53 - 1).resolution, new TimeAxis(2 ** 53).resolution];""")
        self.assertEqual(found, [256, 2560, 1, 2])


class WaterfallPage(PageTest):
    @classmethod
    def make(cls, folder):
        file = folder / "spans.jsonl"
        write(file, *cls.groups())
        return [file]

    @staticmethod
    def groups():
        return SPANS, [OTHER]

    def open(self, fragment="", page=None):
        super().open(fragment, page)
        self.canvas = self.browser.find(".waterfall-canvas")

    def said(self):
        return self.browser.find("#waterfall-said").text

    def shown_time(self):
        """(length, start) in nanoseconds of what is shown; None: all."""
        text = self.browser.find(".waterfall-shown").text
        found = re.match(r"([\d.]+ \S+) from (.*)", text)
        return found and (offset(found[1]), offset(found[2]))

    def focus(self):
        self.browser.run("document.querySelector('.waterfall-canvas').focus()")

    def keys(self, *keys):
        self.browser.keys(*keys)

    def move_to(self, x, y):
        """From the canvas's upper left corner, in CSS pixels."""
        box = self.canvas.rect
        self.browser.run("arguments[0].scrollIntoView({block: 'center'})", self.canvas)
        return self.browser.actions().move_to_element_with_offset(self.canvas, int(x - box["width"] / 2), int(y - box["height"] / 2))

    def row(self, name):
        return next(i for i, one in enumerate(SPANS) if one["name"] == name) + (name == "lost")  # below a heading

    def middle(self, name):
        return HEAD + ROW * self.row(name) + ROW // 2

    def columns(self, y, *colours):
        """The columns, in CSS pixels, in which the bars have one of the colours, which are variables of the style."""
        return self.browser.run(COPY + """
            const [, y, names] = arguments, probe = document.body.appendChild(document.createElement("span")), wanted = new Set();
            for (const name of names) {
                probe.style.color = `var(--${name})`;
                wanted.add(getComputedStyle(probe).color.match(/[0-9]+/g).slice(0, 3).join());
            }
            probe.remove();
            const pixels = copy.getImageData(0, Math.round(y * ratio), canvas.width, 1).data, columns = [];
            for (let x = Math.round(canvas.width * 0.4); x < canvas.width; x++)
                if (wanted.has(pixels.slice(4 * x, 4 * x + 3).join()))
                    columns.push(x / ratio);
            return columns;""", self.canvas, y, colours)

    def picture(self):
        """A number that differs where what is drawn differs."""
        return self.browser.run(COPY + "return copy.getImageData(0, 0, canvas.width, canvas.height).data.reduce((sum, v) => "
                                       "(sum * 31 + v) | 0, 7);", self.canvas)


class Waterfall(WaterfallPage):
    def test_keys_choose_spans_and_say_them(self):
        self.assertEqual(self.canvas.get_attribute("role"), "application")
        self.assertIn("order", self.canvas.get_attribute("aria-label"))
        self.assertIn("7 spans", self.canvas.get_attribute("aria-label"))
        self.focus()
        self.assertIn("order: 10.00 s, starts at 0 ns, root, on the critical path", self.said())
        self.keys(Keys.ARROW_DOWN)
        self.assertIn("decode: 290 ns, starts at 3 ns, child of order", self.said())
        self.keys(*[Keys.ARROW_DOWN] * 2)
        self.assertIn("inner: 77 ns, starts at 2.000\u202f000\u202f001 s, child of wait", self.said())
        self.keys(Keys.END)
        self.assertIn("lost: 5 ns", self.said())
        self.assertIn("its parent is not here, not on the critical path, 7 of 7", self.said())
        self.keys(Keys.ARROW_UP)  # over the heading
        self.assertIn("send: 1.000 s", self.said())
        self.assertIn("failed", self.said())
        self.keys(Keys.HOME)
        self.assertIn("1 of 7", self.said())

    def test_keys_zoom_and_move(self):
        self.focus()
        self.assertIsNone(self.shown_time())
        self.keys(Keys.ARROW_DOWN, Keys.ENTER)
        self.wait(lambda: self.shown_time() == (319, 0), "the scale shows decode")
        self.keys(*"+" * 12)
        self.wait(lambda: self.shown_time()[0] == 10, "the scale shows ten nanoseconds")
        _, before = self.shown_time()
        self.keys(*[Keys.ARROW_RIGHT] * 5)
        self.wait(lambda: self.shown_time() in ((10, before + 5), (10, before + 6)), "half of it farther")
        self.keys("-")
        self.wait(lambda: self.shown_time()[0] == 16, "less")
        self.keys("0")
        self.wait(lambda: self.shown_time() is None, "all of it")

    def test_ruler(self):
        """It measures the chosen span, and from there to the start of another one, to the nanosecond."""
        self.focus()
        self.keys(Keys.ARROW_DOWN, "m")
        self.assertEqual(self.said(), "Ruler: 290 ns, from 3 ns to 293 ns")
        self.browser.actions().key_down(Keys.SHIFT).send_keys(*[Keys.ARROW_RIGHT] * 3).key_up(Keys.SHIFT).perform()
        self.assertEqual(self.said(), "Ruler: 293 ns, from 3 ns to 296 ns")
        self.keys(*[Keys.ARROW_DOWN] * 3)
        self.assertEqual(self.said(), "Ruler: 5,999,999,997 ns, from 3 ns to 6.000\u202f000\u202f000 s")
        self.keys(Keys.ESCAPE)
        self.assertIn("blink: ", self.said())
        self.keys(Keys.ARROW_DOWN)
        self.assertIn("send: ", self.said())

    def test_ruler_by_mouse(self):
        """It comes to lie exactly on the beginning or the end of a bar that is near."""
        self.focus()
        self.keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
        self.wait(lambda: self.shown_time() is not None, "zoomed")
        columns = self.columns(self.middle("wait") - 4, "waited", *SERVICES)
        for x, act in ((columns[0] + 2, "click_and_hold"), (columns[-1] - 3, "release")):
            chain = self.move_to(x, self.middle("wait")).key_down(Keys.SHIFT)
            getattr(chain, act)().key_up(Keys.SHIFT).perform()
        self.wait(lambda: self.said() == "Ruler: 3,000,000,000 ns, from 2.000\u202f000\u202f000 s to 5.000\u202f000\u202f000 s", "both ends")

    def test_mouse(self):
        """A click chooses, a second one zooms, a drag on the scale shows a range, the wheel zooms there, and a triangle collapses."""
        width = self.canvas.rect["width"]
        self.move_to(width * 0.8, self.middle("blink")).click().perform()
        self.wait(lambda: self.said().startswith("blink: 1 ns"), "the shortest span is chosen")
        self.move_to(width * 0.8, self.middle("blink")).double_click().perform()
        self.wait(lambda: (self.shown_time() or (0,))[0] == 11, "it fills the scale")
        self.focus()
        self.keys("0")
        self.wait(lambda: self.shown_time() is None, "all of it")
        self.move_to(width * 0.7, 48).click_and_hold().perform()
        self.move_to(width * 0.8, 48).release().perform()
        self.wait(lambda: self.shown_time() and SECOND < self.shown_time()[0] < 4 * SECOND, "the range")
        length = self.shown_time()[0]
        self.browser.run("""arguments[0].dispatchEvent(new WheelEvent("wheel", {deltaY: -200, bubbles: true, cancelable: true,
            clientX: arguments[0].getBoundingClientRect().left + arguments[1], clientY: arguments[0].getBoundingClientRect().top + 48}))""",
                         self.canvas, width * 0.8)
        self.wait(lambda: self.shown_time()[0] < 0.8 * length, "the wheel zooms")
        self.move_to(28, self.middle("wait")).click().perform()
        self.focus()
        self.keys(Keys.HOME, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
        self.assertIn("blink", self.said())  # inner is hidden
        self.keys(Keys.ARROW_UP)
        self.assertIn("1 below it, collapsed", self.said())
        self.keys(" ", Keys.ARROW_DOWN)
        self.assertIn("inner", self.said())

    def test_names_on_hover(self):
        self.focus()
        self.keys(Keys.ARROW_DOWN, Keys.ENTER)
        self.wait(lambda: self.shown_time() is not None, "zoomed")
        width = self.canvas.rect["width"]
        seen = set()
        for x in range(int(width * 0.5), int(width * 0.98), 10):
            self.move_to(x, self.middle("decode")).perform()
            seen.update(self.browser.find(".waterfall-tip").text.splitlines())
        self.assertIn("\u25c6 first byte +17 ns", seen)
        self.assertIn("\u25c6 last byte +247 ns", seen)

    def test_what_is_drawn(self):
        self.assertGreater(len(self.columns(self.middle("order") - 4, *SERVICES)), 100)
        self.assertIn(len(self.columns(self.middle("blink") - 4, *SERVICES)), (1, 2))  # one nanosecond of ten seconds
        self.assertEqual(self.columns(self.middle("order") - 4, "error"), [])
        self.assertNotEqual(self.columns(self.middle("send") - 4, "error"), [])
        self.assertGreater(len(self.columns(self.middle("wait") - 4, "waited")), 3)

    def test_critical_path(self):
        """It can be switched off, and the parts in words add up to the root."""
        self.focus()
        critical = 0
        for _ in SPANS:
            found = re.search(r"on the critical path for ([\d.]+ \S+?),", self.said())
            critical += offset(found[1]) if found else 0
            self.keys(Keys.ARROW_DOWN)
        self.assertAlmostEqual(critical / (10 * SECOND + 7), 1, places=3)
        button = next(one for one in self.browser.find_all(".waterfall-tools button") if one.text == "Critical path")
        before = self.picture()
        self.keys("c")
        self.assertEqual(button.get_attribute("aria-pressed"), "false")
        self.wait(lambda: self.picture() != before, "it is drawn without the path")
        button.click()
        self.assertEqual(button.get_attribute("aria-pressed"), "true")


class Details(WaterfallPage):
    def choose(self, name):
        self.focus()
        self.keys(Keys.HOME, *[Keys.ARROW_DOWN] * next(i for i, one in enumerate(SPANS) if one["name"] == name))
        self.wait(lambda: self.browser.find(".details-name").text.endswith(name), f"details of {name}")

    def facts(self):
        return self.browser.run("return Object.fromEntries([...document.querySelectorAll('.details-facts > div')].map((one) => "
                                "[one.querySelector('dt').textContent, one.querySelector('dd').textContent]))")

    def texts(self, selector):
        return [one.text for one in self.browser.find_all(selector)]

    def test_facts(self):
        self.choose("send")
        facts = self.facts()
        self.assertEqual(facts["Service"], "execution")
        self.assertEqual(facts["Kind"], "client")
        self.assertEqual(facts["Status"], "\u2717 failed: queue\\nfull <b>")
        self.assertEqual(facts["Duration"], "1.000 s = 1,000,000,000 ns")
        self.assertEqual(facts["Start"], "2023-11-14 22:13:27.123456789 UTC")
        self.assertEqual(facts["End"], "2023-11-14 22:13:28.123456789 UTC")
        self.assertEqual(facts["Offset"], "7.000\u202f000\u202f000 s after the trace's start")
        self.assertEqual(facts["Share"], "10.0 % of the root")
        self.assertIn("1.000 s", facts["Critical path"])
        self.assertIn(TRACE, facts["Trace"])
        self.assertIn(f"{6:016x}", facts["Span"])
        self.assertEqual(facts["Parent"], "order")

    def test_attributes_events_and_what_was_dropped(self):
        self.choose("decode")
        rows = [one.split("\n") if "\n" in one else one.rsplit(" ", 1) for one in self.texts(".details > .details-attributes tbody tr")]
        self.assertEqual([" ".join(row) for row in rows], ["size 0.5 double", 'plain "two words" string', "good true bool"])
        self.assertEqual(self.texts(".details-list li"), ["\u25c6 +17 ns first byte offset=17", "\u25c6 +247 ns last byte"])
        self.assertTrue(self.facts()["Dropped"].startswith("2 events"))

    def test_a_long_key_lies_beside_its_value(self):
        self.open(f"#trace={LINKED}")
        cells = self.browser.run("return [...document.querySelectorAll('#details .details-attributes tbody tr > *')].map((cell) => "
                                 "[cell.textContent.length, cell.clientWidth, cell.scrollWidth])")
        self.assertGreater(max(length for length, *_ in cells), 179)
        for _, room, width in cells:
            self.assertLessEqual(width, room)

    def test_words_for_a_kept_trace_and_times_off_the_cpu(self):
        self.choose("order")
        self.assertIn("a rule's bound (slower=)", self.texts(".details-note")[0])
        self.choose("wait")
        self.assertEqual(self.texts(".details-note"), [])
        self.assertEqual([one.split(maxsplit=1)[1] for one in self.texts(".details-pauses tbody tr")],
                         ["preempted 1 1.234 µs 1.234 µs 0.0 %", "waited 1 1.000 s 1.000 s 33.3 %"])

    def test_a_value_filters(self):
        self.choose("order")
        next(one for one in self.browser.find_all(".details-value") if one.text == "4711").click()
        self.wait(lambda: self.browser.find("#filter-where").get_attribute("value") == "order.id=4711", "the filter has it")
        self.wait(lambda: len(self.browser.find_all("#traces tr[data-trace]")) == 1, "one trace has this value")

    def test_links(self):
        """A link into a trace of the page is followed, by the keyboard too; of another trace the ids are shown."""
        self.choose("send")
        here, away = self.texts(".details-list li")
        self.assertIn("linked 1.000 µs", here)
        self.assertIn(f"a trace that is not here: {MISSING} span {8:016x} why=x", away)
        self.browser.run("document.querySelector('.details-list .details-link').focus()")
        self.keys(Keys.ENTER)
        self.wait(lambda: self.browser.find("#trace").get_attribute("data-trace-id") == LINKED, "the other trace is shown")
        self.assertIn("linked: 1.000 µs", self.said())

    def test_the_arrow_of_a_link(self):
        """A click on it follows the link, if there is one only."""
        self.open(f"#trace={LINKED}")
        arrow = self.wait(lambda: next(((found[0], y) for y in range(HEAD + 4, HEAD + 16) if (found := self.columns(y, "link"))), None),
                          "the arrow is drawn")
        self.move_to(arrow[0] + 3, arrow[1]).click().perform()
        self.wait(lambda: self.browser.find("#trace").get_attribute("data-trace-id") == TRACE, "the other trace is shown")
        self.wait(lambda: self.said().startswith("send: "), "its span is chosen")

    def test_missing_parent(self):
        self.choose("lost")
        self.assertEqual(self.facts()["Parent"], f"{99:016x}, which is not here")


class Narrow(WaterfallPage):
    """A telephone: fingers, and a row in two lines."""
    size = (390, 844)

    def setUp(self):
        super().setUp()
        self.browser.resize(*self.size, touch=True)
        self.browser.run("arguments[0].scrollIntoView({block: 'center'})", self.canvas)
        self.wait(lambda: self.browser.run("return arguments[0].getBoundingClientRect().height", self.canvas) > 7 * 38, "rows of two lines")

    def touch(self, kind, *points):
        box = self.browser.run("const {left, top} = arguments[0].getBoundingClientRect(); return [left, top]", self.canvas)
        self.browser.command("Input.dispatchTouchEvent", type=kind, touchPoints=[
            {"x": box[0] + x, "y": box[1] + y, "id": i} for i, (x, y) in enumerate(points)])

    def test_pinch_and_pan(self):
        self.touch("touchStart", (150, 100), (200, 100))
        for step in range(1, 11):
            self.touch("touchMove", (150 - 5 * step, 100), (200 + 5 * step, 100))
        self.touch("touchEnd")
        self.wait(lambda: self.shown_time() and 3 * SECOND < self.shown_time()[0] < 4 * SECOND, "a third")
        before = self.shown_time()[1]
        self.touch("touchStart", (200, 100))
        for step in range(1, 11):
            self.touch("touchMove", (200 - 10 * step, 100))
        self.touch("touchEnd")
        self.wait(lambda: self.shown_time()[1] > before + SECOND // 2, "later")

    def test_nothing_is_wider_than_the_page(self):
        self.assertLessEqual(self.browser.run("return document.documentElement.scrollWidth"), self.size[0])


class Large(WaterfallPage):
    """Only the rows that are to be seen are drawn."""
    COUNT = 20_000

    @classmethod
    def groups(cls):
        spans = [span(1, "root", 0, cls.COUNT * 100, parent=0)]
        spans += [span(i, f"step {i}", 100 * i - 200, 90, parent=i // 2) for i in range(2, cls.COUNT + 1)]
        return [spans[i:i + 1000] for i in range(0, len(spans), 1000)]

    def test_drawing_does_not_depend_on_the_number_of_spans(self):
        self.browser.run("""
            window.texts = window.rectangles = 0;
            const {fillText, fillRect} = CanvasRenderingContext2D.prototype;
            CanvasRenderingContext2D.prototype.fillText = function (...all) { window.texts++; return fillText.apply(this, all); };
            CanvasRenderingContext2D.prototype.fillRect = function (...all) { window.rectangles++; return fillRect.apply(this, all); };""")
        self.focus()
        self.keys("+")
        self.wait(lambda: self.browser.run("return window.texts") > 0, "it is drawn")
        self.wait(lambda: self.shown_time() is not None, "zoomed")
        self.assertLess(self.browser.run("return window.texts"), 1000)
        self.assertLess(self.browser.run("return window.rectangles"), 5000)
        self.keys(Keys.END)
        self.wait(lambda: f"{self.COUNT:,} of {self.COUNT:,}" in self.said(), "the last one")


if __name__ == "__main__":
    unittest.main()
