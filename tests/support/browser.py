# SPDX-License-Identifier: Apache-2.0
"""A real browser, Debian's Chromium, driven by selenium: opens a page, looks at it and uses it as a person does, and keeps what
the page writes to its console, which should be nothing."""
import os
import shutil
import tempfile

from peers import need

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait
except ImportError:
    webdriver = None

PATIENCE = 60  # seconds, for what takes milliseconds on a machine that does nothing else


def need_browser():
    """Within a test: continues only if there is a browser that can be driven."""
    need(webdriver is not None, "there is no selenium; `pip install -r tests/requirements.txt` installs it")
    for program in ("chromium", "chromedriver"):
        need(shutil.which(program), f"there is no {program}; the packages are chromium and chromium-driver")


class Browser:
    """One window without a screen. To be used in a `with` statement."""

    def __init__(self, width=1280, height=900, dark=False, reduced_motion=False):
        self.size, self.dark, self.reduced_motion = (width, height), dark, reduced_motion

    def __enter__(self):
        # Chromium keeps its profile here, and nothing of it in the home folder of whoever runs the test.
        self.folder = tempfile.TemporaryDirectory(prefix="browser")
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
                         "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
                         # It would need name spaces that containers and root do not have. What is opened here is ours.
                         "--no-sandbox",
                         f"--user-data-dir={self.folder.name}/profile", f"--window-size={self.size[0]},{self.size[1]}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        environment = {**os.environ, "HOME": self.folder.name, "XDG_CONFIG_HOME": self.folder.name,
                       "XDG_CACHE_HOME": self.folder.name, "TMPDIR": self.folder.name}
        try:
            self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver"), env=environment))
        except BaseException:
            self.folder.cleanup()
            raise
        self.driver.set_page_load_timeout(PATIENCE)
        self.driver.set_script_timeout(PATIENCE)
        self.resize(*self.size)
        self.command("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if self.dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if self.reduced_motion else "no-preference"}])
        return self

    def __exit__(self, *_):
        self.driver.quit()
        self.folder.cleanup()

    def command(self, name, **parameters):
        """One of Chromium's own commands (its DevTools protocol)."""
        return self.driver.execute_cdp_cmd(name, parameters)

    def resize(self, width, height, touch=False):
        """The size of the page itself, in CSS pixels; windows have a smallest size that is larger than a telephone."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.command("Emulation.setTouchEmulationEnabled", enabled=touch)

    def open(self, place):
        """A URL, or the path of a file."""
        self.driver.get(place if isinstance(place, str) else place.resolve().as_uri())

    def run(self, script, *arguments):
        """Runs it in the page; returns what it returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition, what):
        """Until the function, which gets this browser, returns something; returns that."""
        return WebDriverWait(self, PATIENCE, poll_frequency=0.05).until(condition, f"never: {what}\n{self.console()}")

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def keys(self, *keys):
        """Typed into whatever has the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def actions(self):
        return ActionChains(self.driver, duration=20)

    def console(self):
        """What the page has written to its console since the last call; errors and refused requests are among it."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def screenshot(self, path):
        self.driver.save_screenshot(str(path))
