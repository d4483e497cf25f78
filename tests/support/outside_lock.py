# SPDX-License-Identifier: Apache-2.0
"""Holds a session as a process does that drains it from outside, without draining anything."""
import fcntl
import os
import struct
import time
from pathlib import Path

# Of core/shm: the head of `control`, an entry of its table of sections, and the drainer's section.
HEAD, SECTION = struct.Struct("<QIIQQII"), struct.Struct("<IIQQQ")
DRAINER, PASS = 19 | 1 << 31, struct.Struct("<QI")
PASS_AT = 24  # in the section: pass_ns, pid


def hold(session, idle=-60.0, pid=None):
    """Returns what holds the lock until it is closed. idle: seconds since its last pass, which lies ahead without it, so that
    whoever looks late does not find that it hangs."""
    lock = open(Path(session, "consumer"), "r+b")  # pylint: disable=consider-using-with
    fcntl.fcntl(lock, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    with open(Path(session, "control"), "r+b") as control:
        count = HEAD.unpack(control.read(HEAD.size))[5]
        table = [SECTION.unpack(control.read(SECTION.size)) for _ in range(count)]
        at, = (offset for kind, _, offset, _, _ in table if kind == DRAINER)
        control.seek(at + PASS_AT)
        control.write(PASS.pack(time.monotonic_ns() - int(idle * 1e9), os.getpid() if pid is None else pid))
    return lock
