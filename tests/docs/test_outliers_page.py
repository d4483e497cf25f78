# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
"""docs/outliers.md: its worked example does what the page says, and its policy for the Collector is that of deploy/."""
import re
import unittest

from page import SOURCE, PageTest

PAGE = "docs/outliers.md"
KEPT = """until ./nanospan top --once --json --interval 100ms | grep -q '"kept":[1-9]'; do sleep 0.1; done"""


class WorkedExample(PageTest):
    # What the commands have set. All other numbers may differ.
    SET = ("slower=500us", "limit=20/s")

    def adapted(self, line):
        """Waits until the engine runs, and then no longer than until there is something to see."""
        if line.startswith("./nanospan tune"):
            line = "until [ -s received.jsonl ]; do sleep 0.1; done; " + line
        for before, after in (("sleep 15", "sleep 2"), ("sleep 20", KEPT), ("slow.json", str(self.work / "slow.json"))):
            line = line.replace(before, after, 1)
        return super().adapted(line)

    def test_it(self):
        self.assertGreater(self.play(PAGE, "A worked example", self.SET), 6)


class Policy(unittest.TestCase):
    def test_it_is_the_gateways(self):
        page, gateway = ((SOURCE / name).read_text(encoding="utf-8") for name in (PAGE, "deploy/collector/gateway.yaml"))
        policy = re.search(r"( +- name: kept-by-an-outlier-rule\n.*?)( +- name: share-of-the-rest)", page, re.S)
        self.assertIn(policy[1], gateway)


if __name__ == "__main__":
    unittest.main()
