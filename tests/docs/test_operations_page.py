# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
"""docs/operations.md: each figure that it names is printed, its table of losses is complete, and its worked example does
what the page says."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from engine_process import doomed, environment
from page import SOURCE, PageTest
from sink_process import command

PAGE = "docs/operations.md"


def section(heading):
    text = (SOURCE / PAGE).read_text(encoding="utf-8")
    return re.search(rf"^## {heading}\n(.*?)(?:^## |\Z)", text, re.M | re.S)[1]


class Figures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shm = tempfile.mkdtemp(prefix="nanospan-page-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        engine = doomed(shm, 10, 1)
        try:
            cls.printed = subprocess.run([command(), "metrics", "--threads"], env=environment(shm), capture_output=True,
                                         text=True, check=True).stdout
        finally:
            engine.kill()
            shutil.rmtree(shm, True)

    def test_names_are_printed(self):
        printed = set(re.findall(r"^# TYPE (\S+)", self.printed, re.M))
        for page in (PAGE, "docs/command.md"):
            named = set(re.findall(r"\b(?:otel_sdk|nanospan)_[a-z_]+[a-z]\b", (SOURCE / page).read_text(encoding="utf-8")))
            self.assertGreaterEqual(len(named), 5, page)
            self.assertEqual(named - printed, set(), page)

    def test_causes_of_loss(self):
        header = (SOURCE / "core/include/nanospan/stats.h").read_text(encoding="utf-8")
        causes = set(re.findall(r"\buint64_t ((?:dropped_|names_|paths_)\w+|discarded|unconfirmed|rejected|roots_refused|leaked|"
                                r"misused|values_cut|kept_incomplete|switches_lost);", header))
        rows = dict(re.findall(r"^\| `(\w+)` \| (?:`(\w+)` )?\|", section("What each loss means"), re.M))
        self.assertGreaterEqual(len(causes), 13)
        self.assertEqual(set(rows), causes | {"lost_at_crash"})
        labels = set(re.findall(r'error_type="(\w+)"', self.printed))
        metrics = set(re.findall(r"^# TYPE (\S+)", self.printed, re.M))
        self.assertEqual({label for label in rows.values() if label and label not in metrics}, labels)


class WorkedExample(PageTest):
    # What the commands have set. All other numbers may differ.
    SET = ("0.1", "0.5", "500/s", "1", "10%", "50%", "100%", "0.1+1", "1+1")

    def adapted(self, line):
        """Looks only once the receiver has something, as somebody who types would."""
        if line.startswith("./nanospan top"):
            line = "until [ -s received.jsonl ]; do sleep 0.1; done; " + line
        return super().adapted(line)

    def test_what_it_says_happens(self):
        self.assertGreaterEqual(self.play(PAGE, "Tuning by a worked example", exact=self.SET), 40)


if __name__ == "__main__":
    unittest.main()
