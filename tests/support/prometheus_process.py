# SPDX-License-Identifier: Apache-2.0
"""A Prometheus that scrapes one port each second."""
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from engine_process import PATIENCE, wait_until


class Prometheus:
    """Ends with the test. folder: what is made for it."""

    def __init__(self, test, folder, port):
        folder.mkdir()
        (folder / "config.yml").write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            f"scrape_configs: [{{job_name: nanospan, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n", encoding="ascii")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder / 'config.yml'}", f"--storage.tsdb.path={folder / 'data'}",
             "--web.listen-address=127.0.0.1:0", "--log.level=info"], stderr=subprocess.PIPE, text=True)
        test.addCleanup(self.stop)
        self.url = None
        for line in self.process.stderr:
            if match := re.search(r'msg="Listening on" address=127.0.0.1:(\d+)', line):
                self.url = f"http://127.0.0.1:{match[1]}"
                return
        raise AssertionError("Prometheus did not start")

    def stop(self):
        self.process.kill()
        self.process.communicate()

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=PATIENCE):
                return True
        except urllib.error.HTTPError as refused:
            refused.close()
            return False

    def wait_until_ready(self):
        wait_until(self.is_ready, "the start of Prometheus")

    def ask(self, query):
        """[(labels, value)]"""
        with urllib.request.urlopen(f"{self.url}/api/v1/query?" + urllib.parse.urlencode({"query": query}), timeout=PATIENCE) as answer:
            return [(result["metric"], float(result["value"][1])) for result in json.load(answer)["data"]["result"]]
