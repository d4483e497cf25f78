# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240 COST 25
"""What `nanospan agent` costs the machine: almost no time while nothing happens, and memory that has a bound."""
import re
import time
import unittest
from pathlib import Path

from agent_process import AgentTest
from engine_process import wait_until
from sink_process import command

MIB = 1 << 20
SANITIZED = any(name in Path(command()).read_bytes() for name in (b"__asan_init", b"__tsan_init"))


def status_of(pid):
    """The numbers of /proc/PID/status; memory is in bytes."""
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        match = re.fullmatch(r"(\w+):\s*(\d+)( kB)?", line)
        if match:
            found[match[1]] = int(match[2]) * (1024 if match[3] else 1)
    return found


def spent(pid):
    """(seconds on a processor, times that it went to sleep), of all threads."""
    seconds = sleeps = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        seconds += int((task / "schedstat").read_text(encoding="ascii").split()[0]) * 1e-9
        sleeps += status_of(f"{pid}/task/{task.name}")["voluntary_ctxt_switches"]
    return seconds, sleeps


class Cost(AgentTest):
    def start(self, count, *arguments, **settings):
        """An agent that has delivered the spans of so many engines, which are idle now."""
        sink = self.sink("--max-connections", 100)
        agent = self.agent("--endpoint", sink.url)
        engines = [self.doomed(*arguments, service=f"engine-{number}", **settings) for number in range(count)]
        for number in range(count):
            self.wait_for_delivery(f"engine-{number}")
        return agent, engines

    def test_idle(self):
        """After ten seconds without a span it looks at its sessions some 20 times a second; a look takes microseconds."""
        agent, _ = self.start(5, 100, 0)

        def measured(duration):
            seconds, sleeps = spent(agent.pid)
            began = time.monotonic()
            time.sleep(duration)
            elapsed = time.monotonic() - began
            return tuple((after - before) / elapsed for before, after in zip((seconds, sleeps), spent(agent.pid)))

        wait_until(lambda: measured(1)[1] < 40, "longer pauses")  # 200 at first, 100 after a second
        time_spent, looks = measured(5)
        print(f"idle: {100 * time_spent:.3f} % of a core, {looks:.0f} looks a second, {1e6 * time_spent / looks:.0f} us each")
        self.assertLess(looks, 40)
        self.assertLess(time_spent, 0.01)  # 0.0015 on an idle machine; others may be slower

    @unittest.skipIf(SANITIZED, "nearly all of its memory is the sanitizer's")
    def test_memory(self):
        """Of its own: an encoder for each session, one batch for sending, and little else, however much goes through it."""
        agent, engines = self.start(1, 10, 0)
        before = status_of(agent.pid)["RssAnon"]
        more = [self.steady("--rate", 100000, "--spans", 30000, service=f"busy-{number}", NSP_BATCHES="2", NSP_RING_BYTES=str(8 * MIB))
                for number in range(19)]
        for number, engine in enumerate(more):
            self.assertEqual(engine.process.stdout.readline(), "full\n")
            self.wait_for_delivery(f"busy-{number}")
        after = status_of(agent.pid)["RssAnon"]
        print(f"memory: {before / MIB:.1f} MiB with one session, {after / MIB:.1f} MiB with 20")
        self.assertLess(after - before, 19 * 0.75 * MIB + 4 * MIB)
        for engine in more + engines:
            engine.kill()
        agent.wait_for("recovered: ", count=20)
        print(f"and {status_of(agent.pid)['RssAnon'] / MIB:.1f} MiB when they are gone")


if __name__ == "__main__":
    unittest.main()
