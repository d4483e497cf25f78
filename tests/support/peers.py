# SPDX-License-Identifier: Apache-2.0
"""What a test needs besides nanospan: another program, a package, a service that was built. If it is
missing, the test is skipped with the reason; in CI, where everything must be present, it fails."""
import functools
import os
import sys
import unittest

IN_CI = os.environ.get("CI") == "true"


def missing(what):
    """Ends this test program."""
    print(f"{'failed' if IN_CI else 'skipped'}: {what}")
    sys.exit(1 if IN_CI else 77)


def need(present, what):
    """Within a test: continues only if the thing is there."""
    if not present and IN_CI:
        raise AssertionError(what)
    if not present:
        raise unittest.SkipTest(what)


def needs(present, what):
    """The same for all tests of a class."""
    def decorate(group):
        before = group.setUpClass.__func__

        @functools.wraps(before)
        def set_up(cls):
            need(present, what)
            before(cls)
        group.setUpClass = classmethod(set_up)
        return group
    return decorate
