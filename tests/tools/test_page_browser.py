# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 600 COST 60
# Sanitizers: none, because a browser does the work
"""A page of traces in a real browser: its numbers are those of `nanospan view`, and what clicks and fields do to them."""
import base64
import gzip
import json
import re
import unittest
from collections import defaultdict

from critical_path import UNSEEN_ROOT, quantile
from page_browser import PlatformPage, trace_ids, view
from view_process import nanoseconds


class Numbers(PlatformPage):
    def test_root_names_are_those_of_the_summary(self):
        lines = view("--summary", *self.files).splitlines()
        end = next(i for i, line in enumerate(lines) if line.startswith(("kept: ", "off the CPU: ")))
        wanted = [re.split("  +", line.strip())[:7] for line in lines[1:end]]
        found = self.table("table.names tbody tr")
        self.assertEqual(len(wanted), 4)
        self.assertEqual([[*row[:6], row[7]] for row in found], wanted)
        self.assertEqual(self.run_in_page("return [...document.querySelectorAll('#names-notes li')].map((item) => item.textContent)"),
                         lines[end:-1])
        self.assertGreaterEqual(len(lines[end:-1]), 4)
        self.assertEqual(lines[-1], f"{self.COUNT} traces, {sum(map(len, self.traces.values())):,} spans in {self.files[0]}")
        failed = sum(any("failed" in span for span in spans) for spans in self.traces.values())
        self.assertIn(lines[-1].partition(" in ")[0].replace(", ", " · ") + f" · {failed} failed · ", self.text("#totals"))

    def test_numbers_are_those_of_another_computation(self):
        by_name = defaultdict(list)
        for number, tree in self.trees.items():
            by_name[tree.name].append((tree.duration, any("failed" in span for span in self.traces[number])))
        found = {row[0]: row[1:] for row in self.table("table.names tbody tr")}
        self.assertEqual(set(found), set(by_name))
        for name, traces in by_name.items():
            durations, failed = [took for took, _ in traces], sum(failed for _, failed in traces)
            self.assertEqual(found[name][:2], [str(len(traces)), str(failed) if failed else "·"])
            for shown, share in zip(found[name][2:], (0.5, 0.9, 0.99, 0.999, 1)):
                value = quantile(durations, share)
                self.assertAlmostEqual(nanoseconds(shown), value, delta=value / 1999, msg=(name, share))

    def test_the_list_is_that_of_view(self):
        self.expect()
        rows = self.table("#traces tbody tr")
        by_id = {f"{number:032x}": (number, tree) for number, tree in self.trees.items()}
        for trace, row in zip(self.ids, rows, strict=True):
            number, tree = by_id[trace]
            spans = self.traces[number]
            top = tree.root or tree.spans[0]
            failed = sum("failed" in span for span in spans)
            off = sum(span["off"] for span in spans)
            self.assertAlmostEqual(nanoseconds(row[0]), tree.duration, delta=tree.duration / 1999)
            self.assertEqual(row[1:5], [tree.name, top["service"], str(len(spans)), f"✕ {failed}" if failed else "·"])
            self.assertEqual(row[6], top.get("attributes", {}).get("nanospan.kept", ""))
            if off:
                self.assertAlmostEqual(nanoseconds(row[5]), off, delta=off / 1999)
            else:
                self.assertEqual(row[5], "·")

    def test_text_can_be_found_by_the_browser(self):
        """Totals, root names and the list are text of the document, and so are the details of a span."""
        for text in (f"{self.COUNT} traces", "cancel order", UNSEEN_ROOT, "nanospan.kept", "host.name"):
            found = self.run_in_page("getSelection().removeAllRanges(); return find(arguments[0], true, false, true)", text) or \
                self.run_in_page("return document.body.innerText.includes(arguments[0])", text)
            if text == "host.name":
                self.click(".details-resource summary")
                found = self.run_in_page("return document.body.innerText.includes(arguments[0])", text)
            self.assertTrue(found, text)


class Filters(PlatformPage):
    def test_attributes(self):
        """My order, values of each type, patterns, characters that mean something in patterns and fields, several conditions."""
        number, spans = next((number, spans) for number, spans in self.traces.items() if spans[0]["name"] == "order")
        order = spans[0]["attributes"]["order.id"]
        for text, conditions in (
                (f"order.id={order}", [f"order.id={order}"]), ("order.id=10*", ["order.id=10*"]), ("price=1.*", ["price=1.*"]),
                ("urgent=true", ["urgent=true"]), ("symbol=a\\*b", ["symbol=a\\*b"]), ('"symbol=two words"', ["symbol=two words"]),
                ("symbol=quo\\\"te", ['symbol=quo"te']), ("symbol=sl\\\\ash", ["symbol=sl\\\\ash"]), ("symbol=[!ae]*", ["symbol=[!ae]*"]),
                ("symbol=*USDT urgent=false depth", ["symbol=*USDT", "urgent=false", "depth"]), ("attempt", ["attempt"]),
                ("attempt=1", ["attempt=1"]), ("host.name=host?of?risk", ["host.name=host of risk"]), ("nanospan.kept=slow*", ["nanospan.kept=slow*"]),
                ("tags=*3*", ["tags=*3*"]), ("service.name=gateway", ["service.name=gateway"]), ("no.such=1", ["no.such=1"])):
            with self.subTest(text=text):
                self.fill("#filter-where", text)
                self.expect(*(f"--where={one}" for one in conditions))
        self.fill("#filter-where", f"order.id={order}")
        self.wait(lambda: self.chosen() == f"{number:032x}", "my order is shown")
        self.assertEqual(self.table("#traces tbody tr")[0][2], str(order))

    def test_fields(self):
        for field, text, option in (
                ("root", "order", "--root=order"), ("root", "*order*", "--root=*order*"), ("root", "[ch]*", "--root=[ch]*"),
                ("service", "risk", "--service=risk"), ("service", "r?sk", "--service=r?sk"), ("min", "5us", "--min-duration=5us"),
                ("min", "0.05 ms", "--min-duration=50us"), ("where", f"{17:032x}", f"--trace={17:032x}")):
            with self.subTest(field=field, text=text):
                self.fill(f"#filter-{field}", text)
                self.assertGreater(len(self.expect(option)), 0)
                self.fill(f"#filter-{field}", "")
        self.click("#filter-errors")
        self.assertGreater(len(self.expect("--errors")), 3)
        self.fill("#filter-root", "order")
        self.expect("--errors", "--root=order")

    def test_kept(self):
        options = self.run_in_page("return [...document.querySelector('#filter-kept').options].map((one) => one.value)")
        for kept in options[2:]:
            self.choose("#filter-kept", kept)
            self.expect(f"--where=nanospan.kept={kept}")
        self.assertGreater(len(options), 3)
        self.choose("#filter-kept", "*")
        self.expect("--where=nanospan.kept")

    def test_below(self):
        self.fill("#filter-max", "5us")
        slow = set(trace_ids("--min-duration=5us", *self.files))
        self.wait_text("#filter-count", f"{self.COUNT - len(slow)} of {self.COUNT} traces")
        self.assertEqual(self.listed(self.ids), [one for one in self.ids if one not in slow])

    def test_what_cannot_be_meant_is_said(self):
        self.fill("#filter-min", "fast")
        self.wait(lambda: "fast" in self.text("#filter-problem"), "a message")
        self.fill("#filter-min", "")
        self.fill("#filter-where", "no.such=1")
        self.wait(lambda: "no.such" in self.text("#filter-problem"), "a message")
        self.assertTrue(self.browser.find("#list-none").is_displayed())
        self.click("#filter-clear")
        self.expect()
        self.assertFalse(self.browser.find("#filter-problem").is_displayed())

    def test_nothing_passes_because_of_root_and_duration(self):
        self.open("#root=cancel+order&min=1ns")
        self.assertFalse(self.browser.find("#list-widen").is_displayed())
        self.fill("#filter-where", "order.id=10*")
        wanted = trace_ids("--where=order.id=10*", *self.files)
        self.fill("#filter-root", "no such root")
        self.wait_text("#filter-count", f"0 of {self.COUNT} traces")
        self.assertEqual(self.text("#list-widen"), f"Show {len(wanted)} with any root and duration")
        self.click("#list-widen")
        self.expect("--where=order.id=10*")
        self.assertEqual([self.browser.find(f"#filter-{name}").get_attribute("value") for name in ("root", "min", "where")],
                         ["", "", "order.id=10*"])
        self.fill("#filter-where", "order.id=none")
        self.wait_text("#filter-count", f"0 of {self.COUNT} traces")
        self.assertFalse(self.browser.find("#list-widen").is_displayed())

    def test_percentiles_follow_the_filters(self):
        """Those but for root and duration, which choose among them."""
        self.click("#filter-errors")
        self.expect("--errors")
        wanted = [re.split("  +", line.strip())[:7] for line in view("--summary", "--errors", *self.files).splitlines()[1:]]
        found = [[*row[:6], row[7]] for row in self.table("table.names tbody tr")]
        self.assertEqual(found, wanted[:len(found)])
        self.fill("#filter-min", "1s")
        self.wait_text("#filter-count", f"0 of {self.COUNT} traces")
        self.assertEqual([[*row[:6], row[7]] for row in self.table("table.names tbody tr")], found)


class Damaged(PlatformPage):
    def test_attributes_beyond_the_pack(self):
        """A count of four thousand millions must not become a loop of that length."""
        html = self.page.read_text(encoding="utf-8")
        packed = re.search('<script id="pack" type="text/plain">([^<]*)<', html).group(1)
        raw = bytearray(gzip.decompress(base64.b64decode(packed)))
        start = 12 + int.from_bytes(raw[8:12], "little")
        for column in json.loads(raw[12:start])["columns"]:
            size = column["count"] * {"u8": 1, "u16": 2, "u32": 4, "u64": 8}[column["type"]]
            if column["name"] == "shape.count":
                raw[start:start + size] = b"\xff" * size
            start += size
        page = self.folder / "damaged.html"
        page.write_text(html.replace(packed, base64.b64encode(gzip.compress(bytes(raw))).decode()), encoding="utf-8")
        self.browser.open(page.resolve().as_uri())
        self.wait_text("#problem", "The traces cannot be shown: the pack of traces is damaged: the attributes of a shape")


class Clicks(PlatformPage):
    def test_root_name(self):
        button = "tr[data-root='cancel order'] button"
        self.click(button)
        self.expect("--root=cancel order")
        self.assertEqual(self.browser.find("#filter-root").get_attribute("value"), "cancel order")
        self.assertEqual(self.text("#distribution-heading"), "Durations of cancel order")
        self.assertEqual(self.browser.find("tr[data-root='cancel order']").get_attribute("aria-current"), "true")
        self.click(button)
        self.expect()
        self.click(f"tr[data-root='{UNSEEN_ROOT}'] button")
        unseen = {f"{number:032x}" for number, tree in self.trees.items() if not tree.root}
        self.wait_text("#filter-count", f"{len(unseen)} of {self.COUNT} traces")
        self.assertEqual(self.listed(self.ids), [one for one in self.ids if one in unseen])
        self.assertEqual(self.text("#distribution-heading"), f"Durations of {UNSEEN_ROOT}")

    def test_bar(self):
        """A click on a bar chooses the traces that it counts, a drag those of several, and the same again all of them."""
        canvas = self.browser.find("#distribution-canvas")
        width = canvas.rect["width"]

        def at(x):
            return self.browser.actions().move_to_element_with_offset(canvas, int(x - width / 2), 20)

        x = next(x for x in range(14, int(width) - 10, 4)
                 if at(x).perform() or re.search(": ([2-9]|[1-9][0-9]+) traces", self.text("#distribution-said")))
        said = re.fullmatch("(.*) to (.*): ([0-9]+) traces", self.text("#distribution-said"))
        at(x).click().perform()
        self.wait_text("#filter-count", f"{said[3]} of {self.COUNT} traces")
        for row in self.table("#traces tbody tr"):
            self.assertEqual(row[1], "order")
            self.assertTrue(nanoseconds(said[1]) * 0.9995 <= nanoseconds(row[0]) <= nanoseconds(said[2]) * 1.0005, (row[0], said[0]))
        at(x).click().perform()
        self.wait_text("#filter-count", f"{len(trace_ids('--root=order', *self.files))} of {self.COUNT} traces")
        at(x).click_and_hold().perform()
        at(width - 12).perform()
        at(width - 12).release().perform()
        self.wait(lambda: self.browser.find("#filter-min").get_attribute("value") != "", "a range")
        least = self.browser.find("#filter-min").get_attribute("value")
        self.assertEqual(self.browser.find("#filter-max").get_attribute("value"), "")
        self.expect("--root=order", f"--min-duration={least}")

    def test_titles_sort(self):
        columns = {"slowest": (0, -1, nanoseconds), "spans": (3, -1, int), "start": (7, 1, str)}
        for sort, (column, first, value) in columns.items():
            button = f"th button[data-sort={sort}]"
            if sort != "slowest":
                self.click(button)
            for direction in (first, -first):
                self.listed(self.ids)
                values = [value(row[column]) for row in self.table("#traces tbody tr")]
                self.assertEqual(values, sorted(values, reverse=direction < 0), sort)
                head = self.browser.find(f"th:has(> button[data-sort={sort}])")
                self.assertEqual(head.get_attribute("aria-sort"), "ascending" if direction > 0 else "descending")
                self.click(button)
        self.assertEqual(self.listed(self.ids), trace_ids("--sort=start", *self.files))

    def test_value_becomes_a_filter(self):
        for market in ("a*b", "two words", 'quo"te', "sl\\ash"):
            with self.subTest(market=market):
                number = next(number for number, spans in self.traces.items() if spans[0].get("attributes", {}).get("symbol") == market)
                self.open(f"#trace={number:032x}")
                value = next(one for one in self.browser.find_all(".details-value") if one.text.strip('"').replace('\\"', '"') == market
                             or market in one.text)
                self.browser.run("arguments[0].click()", value)
                literal = re.sub(r"([*?\[\]\\])", r"\\\1", market)
                self.expect(f"--where=symbol={literal}")
                # What stands in the field means the same when it is read from there.
                self.browser.find("#filter-where").send_keys(" ")
                self.expect(f"--where=symbol={literal}")

    def test_link_and_the_way_back(self):
        number, spans = next((number, spans) for number, spans in self.traces.items()
                             if spans[0].get("links") and not spans[0]["parent"] and self.trees.get(number - 2) and self.trees[number - 2].root)
        self.open(f"#trace={number:032x}")
        here, there = f"{number:032x}", f"{number - 2:032x}"
        self.assertIn(f"{999_999:032x}", self.text("#details"))
        self.browser.run("arguments[0].click()", self.browser.find("#details .details-list .details-link"))
        self.wait(lambda: self.chosen() == there, "the linked trace")
        self.assertEqual(self.run_in_page("return document.getElementById('trace').scrollTop"), 0)
        self.assertEqual(dict(self.fragment())["trace"], there)
        self.browser.driver.back()
        self.wait(lambda: self.chosen() == here, "the way back")
        self.browser.driver.forward()
        self.wait(lambda: self.chosen() == there, "forward again")

    def test_address_changed_while_the_page_is_about_to_write_it(self):
        """The event of a changed address comes later; what the page still has to write until then does not replace it."""
        self.open()
        wanted = self.run_in_page("""
            const rows = [...document.querySelectorAll("#traces tbody tr")].slice(0, 3);
            const settle = () => dispatchEvent(new Event("pagehide")); // what waits is written now
            rows[0].click();
            settle();
            const first = location.hash;
            rows[1].click();
            settle();
            rows[2].click(); // waits, since the last one was just written
            location.hash = first;
            settle();
            return new URLSearchParams(first.slice(1)).get("trace");""")
        self.wait(lambda: self.chosen() == wanted, "the trace of the address")


if __name__ == "__main__":
    unittest.main()
