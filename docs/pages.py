#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes docs/traces-page.png, a page of traces, and docs/slow-order.png, the waterfall of a slow order:

    ./run demo --keep FOLDER
    docs/pages.py BUILD_DIR FOLDER

The slow order is the slowest of those that were preempted for at least half of their time. Needs chromium, chromium-driver,
imagemagick, fonts-dejavu-core, and selenium from tests/requirements.txt."""
import base64
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests/support"))
# pylint: disable=wrong-import-position
from browser import Browser
from page_data import Page

SCALE = 1.25  # device pixels to a CSS pixel
SETTLED = """
    document.activeElement.blur();
    return new Promise((done) => setTimeout(() => requestAnimationFrame(() => setTimeout(done, 100)), 500));"""


def written(build, file, page):
    subprocess.run([build / "bin/nanospan", "view", "--html", page, file], check=True)
    return page


def slow_order(page):
    """The trace, and the span of it that was preempted for longest."""
    traces = Page(page.read_bytes()).pack.traces()
    trace = max((one for one in traces if 2 * one["preempted"] >= one["duration"]), key=lambda one: one["duration"])
    span = max(trace["spans"], key=lambda one: sum(pause["duration"] for pause in one["pauses"] if pause["preempted"]))
    return trace["id"], span["id"]


def take(browser, page, fragment, size, picture, until=None):
    """The whole window, which gets this size, or what reaches from `#trace` to the end of the element `until`."""
    browser.command("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=SCALE, mobile=False)
    browser.open(page.resolve().as_uri() + fragment)
    browser.wait(lambda b: b.run("return document.documentElement.dataset.ready") == "true", "the page is ready")
    browser.run(SETTLED)
    clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
    if until is not None:
        clip.update(browser.run("""
            const from = document.querySelector("#trace").getBoundingClientRect();
            const to = document.querySelector(arguments[0]).getBoundingClientRect();
            return {x: from.x, y: from.y + scrollY, width: from.width, height: to.bottom + 12 - from.y};""", until))
    found = browser.command("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
    with tempfile.NamedTemporaryFile(suffix=".png") as raw:
        raw.write(base64.b64decode(found["data"]))
        raw.flush()
        subprocess.run(["convert", raw.name, "+dither", "-colors", "128", "-strip", "-define", "png:compression-level=9", picture],
                       check=True)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    build, folder = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="pages") as made, Browser() as browser:
        page = written(build, folder / "traces.jsonl", Path(made, "traces.html"))
        take(browser, page, "#root=order&where=order.id&where=order.type&where=order.result", (1280, 900), DOCS / "traces-page.png")
        page = written(build, folder / "outliers.jsonl", Path(made, "outliers.html"))
        trace, span = slow_order(page)
        take(browser, page, f"#trace={trace}&span={span}", (1060, 900), DOCS / "slow-order.png", until=".details-pauses")


if __name__ == "__main__":
    main()
