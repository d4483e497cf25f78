# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
"""What docs/agent.md lets the reader try does what the page says."""
import unittest

from page import PageTest


class AgentPage(PageTest):
    def test_what_it_says_happens(self):
        self.assertGreaterEqual(self.play("docs/agent.md", "Try it"), 10)


if __name__ == "__main__":
    unittest.main()
