# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
"""`nanospan top`: the figures as text and as JSON, and the screen, looked at through a terminal emulator."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unicodedata
import unittest
from pathlib import Path

from agent_process import EXTERNAL, Agent
from engine_process import PATIENCE, Engine, doomed, environment, wait_until
from peers import need
from sink_process import Sink, command

try:
    import pyte
except ImportError:
    pyte = None

SANITIZED = any(name in Path(command()).read_bytes() for name in (b"__asan_init", b"__tsan_init"))
HEADS = ["SERVICE", "PID", "DRAINED", "SPANS/s", "LOST/s", "RING", "PEAK", "LAG", "ANSWER", "RATE"]


if pyte is not None:
    class Emulator(pyte.Screen):
        """With the two commands that ncurses uses and pyte lacks: the region moves by some lines."""

        def scroll(self, count, edge, step):
            line, self.cursor.y = self.cursor.y, (self.margins or (0, self.lines - 1))[edge]
            for _ in range(count or 1):
                step()
            self.cursor.y = line

        def scroll_up(self, count=1):
            self.scroll(count, 1, self.index)

        def scroll_down(self, count=1):
            self.scroll(count, 0, self.reverse_index)

    class Stream(pyte.ByteStream):
        csi = {**pyte.ByteStream.csi, "S": "scroll_up", "T": "scroll_down"}


class Terminal:
    """`nanospan top` in a terminal of its own, and what stands on it."""

    def __init__(self, shm, *options, lines=24, columns=80, term="screen-256color", controlling=True, **settings):
        self.screen = Emulator(columns, lines)
        self.stream = Stream(self.screen)
        self.written = b""
        self.master, slave = pty.openpty()
        self.resize(lines, columns, tell=False)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        surroundings = {name: value for name, value in environment(shm, TERM=term, **settings).items() if name != "COLUMNS"}
        self.process = subprocess.Popen([command(), "top", *options], stdin=slave, stdout=slave, stderr=slave, env=surroundings,
                                        preexec_fn=lambda: (os.setsid(), controlling and fcntl.ioctl(0, termios.TIOCSCTTY, 0)))

    def resize(self, lines, columns, tell=True):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self.screen.resize(lines, columns)

    def read(self):
        while select.select([self.master], [], [], 0.02)[0]:
            try:
                content = os.read(self.master, 65536)
            except OSError:
                return
            self.written += content
            self.stream.feed(content)

    def rows(self):
        self.read()
        return [row.rstrip() for row in self.screen.display]

    def shows(self, pattern):
        return any(re.search(pattern, row) for row in self.rows())

    def wait_for(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while not self.shows(pattern):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"'{pattern}' is not shown:\n" + "\n".join(self.rows()))

    def wait_until_gone(self, pattern):
        wait_until(lambda: not self.shows(pattern), f"the end of '{pattern}'")

    def press(self, keys):
        os.write(self.master, keys.encode())

    def wait(self):
        wait_until(lambda: self.read() or self.process.poll() is not None, "the end")
        self.read()  # what it wrote last, since it was looked for before it ended
        return self.process.returncode

    def restored(self):
        """The terminal is as it was: its modes, and it shows its usual screen and the cursor."""
        leave, enter = self.written.rfind(b"\x1b[?1049l"), self.written.rfind(b"\x1b[?1049h")
        return termios.tcgetattr(self.slave) == self.before and leave > enter >= 0 and not self.screen.cursor.hidden

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class TopTest(unittest.TestCase):
    def setUp(self):
        self.shm = tempfile.mkdtemp(prefix="nanospan-top-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.addCleanup(shutil.rmtree, self.shm, True)

    def engine(self, *arguments, **settings):
        engine = doomed(self.shm, *arguments, **settings)
        self.addCleanup(engine.kill)
        return engine

    def steady(self, *arguments, **settings):
        engine = Engine(self.shm, *arguments, program="steady", OTEL_TRACES_EXPORTER="none", **settings)
        self.addCleanup(engine.kill)
        return engine

    def remove(self, engine):
        engine.kill()
        session, = Path(self.shm, f"nanospan-{os.geteuid()}").glob(f"*.{engine.pid}.*")
        shutil.rmtree(session)


class Text(TopTest):
    def run_it(self, *options, code=0, **settings):
        result = subprocess.run([command(), "top", *options], env=environment(self.shm, **{"COLUMNS": "80", **settings}),
                                capture_output=True, text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stdout if code == 0 else result.stderr

    def once(self, *options, **settings):
        return self.run_it("--once", "--interval", "100ms", *options, **settings)

    def test_once(self):
        engine = self.engine(1000, 2, service="engine", TRACE_SAMPLE_RATE="0.999999999")
        idle = self.engine(0, 1, service="idle")
        lines = self.once().splitlines()
        self.assertTrue(all(len(line) <= 80 for line in lines), lines)
        self.assertTrue(lines[0].startswith("2 engines, 2 threads; spans/s 0, sent/s 0, lost/s 0; by spans"), lines[0])
        self.assertEqual(lines[1].split(), HEADS)
        rows = {row[0]: row[1:] for row in map(str.split, lines[2:4])}
        self.assertEqual(rows["engine"][:4], [str(engine.pid), "itself", "0", "0"])
        self.assertEqual(rows["idle"][0], str(idle.pid))
        self.assertRegex(rows["engine"][4], r"^[1-9]\d?%$")
        self.assertEqual(rows["engine"][8 - 1:], ["-", "1"])
        text = re.sub(r"\s+", " ", "\n".join(lines))
        self.assertIn("Spans: begun 1,002, open 2, in rings 1,000, in batches 0, exported 0,", text)
        self.assertIn("Lost: ring full 0, too deep 0, detached full 0, in signal 0, no thread 0, invalid 0, discarded 0,", text)

    def test_a_thread_has_a_line_if_asked_for(self):
        self.engine(10, 0, service="engine")
        self.assertEqual(len([line for line in self.once().splitlines() if "attached" in line]), 0)
        self.assertEqual(len([line for line in self.once("--threads").splitlines() if "attached" in line]), 1)

    def test_snapshots_are_counted(self):
        rules = {"TRACE_SAMPLE_RATE": "0", "NSP_OUTLIERS": "*: slower=1000s, history=60s", "NSP_COLLECTOR": "invoker"}
        engine = Engine(self.shm, "--spans", 50, "--open", 0, "--snapshot", OTLP_ENDPOINT="http://127.0.0.1:1", **rules)
        self.addCleanup(engine.kill)
        self.assertIn(", in snapshots 50, records overtaken 0", re.sub(r"\s+", " ", self.once()))
        self.remove(engine)
        self.engine(1, 0, **rules)
        self.assertNotIn("in snapshots", self.once())

    def test_no_engines(self):
        self.assertIn("no engine of this user runs here", self.once())

    def test_wide_terminals_have_more_columns(self):
        self.engine(1, 0)
        narrow, wide = self.once().splitlines()[1], self.once(COLUMNS="160").splitlines()[1]
        self.assertNotIn("RETRY/s", narrow)
        self.assertIn("RETRY/s", wide)
        self.assertLessEqual(len(wide), 160)

    def test_what_is_sampled_and_who_has_set_it(self):
        self.engine(10, 0, service="engine", TRACE_SAMPLE_RATE="0.5", TRACE_SAMPLE_LIMIT="100000")
        tune = subprocess.run([command(), "tune", "engine", "bad\x1b=0.25"], env=environment(self.shm), capture_output=True,
                              text=True, timeout=PATIENCE, check=False)
        self.assertEqual(tune.returncode, 0, tune.stderr)
        text = re.sub(r"\s+", " ", self.once())
        self.assertRegex(text, r"Sample: 50% of traces \(environment\), 25% of bad\\x1b \(tune\), limit 100000/s \(environment\), "
                               r"all rates times 1, left out [\d,]+, changed by process \d+ \(nanospan tune\), \d+ s ago")
        wide = [line.split() for line in self.once(COLUMNS="160").splitlines()[1:3]]
        self.assertEqual(wide[0][11:13], ["SET", "BY"])
        self.assertEqual((wide[1][9], wide[1][11]), ("0.5+1", "environment"))
        state = json.loads(self.run_it("--json", "--once", "--interval", "100ms"))["engines"][0]
        self.assertEqual((state["rate_source"], state["rules"][0]["source"], state["limit_source"], state["changed_by"]),
                         ("environment", "tune", "environment", "tune"))

    def test_filter_and_sort(self):
        one, two = self.engine(5, 0, service="one"), self.engine(9, 0, service="two")
        names = lambda *options: [line.split()[0] for line in self.once(*options).splitlines()[2:] if "itself" in line]
        self.assertEqual(names("--sort", "service"), ["one", "two"])
        self.assertEqual(names("--sort", "pid"), ["one", "two"] if one.pid < two.pid else ["two", "one"])
        self.assertEqual(names("--sort", "ring"), ["two", "one"])
        self.assertEqual(names("--filter", "TW"), ["two"])
        self.assertEqual(names("--filter", str(one.pid)), ["one"])
        self.assertEqual(names("--filter", "three"), [])

    def test_names_steer_no_terminal(self):
        self.engine(1, 0, service="bad\x1b[2Jname")
        self.engine(1, 0, service="turned\u202ername\u2028\u2066")
        text = self.once()
        self.assertFalse(set(text) & set("\x1b\u202e\u2028\u2066"))
        self.assertIn("turned\\u202ername\\u2028\\u2066", text)

    def test_wide_names_keep_the_columns(self):
        for name in ("注文執行エンジン・東京・第一", "café", "cafe\u0301"):
            self.engine(1, 0, service=name)
        lines = self.once().splitlines()[1:5]
        wide = lambda text: sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
                                for char in text)
        self.assertEqual([wide(line) for line in lines], [80] * 4, lines)

    def test_long_names_are_cut_between_characters(self):
        self.engine(1, 0, service="é" + "注" * 80)
        text = self.once()
        self.assertIn("注" * 20, text)
        self.assertNotIn("\ufffd", text)

    def test_of_what_cannot_be_read_there_are_no_figures(self):
        engine = self.engine(5, 0, service="cut").kill()
        session, = Path(self.shm, f"nanospan-{os.geteuid()}").glob(f"*.{engine.pid}.*")
        os.truncate(session / "control", 100)
        self.assertEqual(self.once().splitlines()[2].split(), ["cut", str(engine.pid), "unknown", *"-------"])

    def test_the_dead_have_no_threads(self):
        self.engine(1, 0)
        self.engine(1, 0).kill()
        self.assertTrue(self.once().startswith("1 engine, 1 thread; "))

    def test_lag_grows_when_nobody_drains(self):
        look = lambda: json.loads(self.run_it("--json", "--once", "--interval", "100ms"))["engines"][0]
        with Sink() as sink:
            with Agent(self.shm, "--endpoint", f"http://127.0.0.1:{sink.port}"):
                engine = Engine(self.shm, "--rate", 1000, program="steady", **EXTERNAL)
                self.addCleanup(engine.kill)
                wait_until(lambda: look()["stats"]["exported"] > 0, "the agent")
        wait_until(lambda: look()["lag_ns"] > look()["stats"]["lag_longest_ns"], "the lag")

    def test_json(self):
        engine = self.steady("--rate", 2000, service="engine", TRACE_SAMPLE_RATE="1")
        with subprocess.Popen([command(), "top", "--json", "--interval", "100ms"], env=environment(self.shm), text=True,
                              stdout=subprocess.PIPE) as process:
            first, second, third = (json.loads(process.stdout.readline())["engines"][0] for _ in range(3))
            # On a busy machine an engine, or its collector, may do nothing between two looks.
            while third["stats"]["attempted"] == second["stats"]["attempted"] or third["stats"]["pass_ns"] == first["stats"]["pass_ns"]:
                second, third = third, json.loads(process.stdout.readline())["engines"][0]
            process.kill()
        self.assertEqual((first["service"], first["pid"], first["alive"], first["drained_by"]), ("engine", engine.pid, True, "itself"))
        self.assertIsNone(first["per_second"]["spans"])
        self.assertLess(second["stats"]["attempted"], third["stats"]["attempted"])
        self.assertGreater(third["per_second"]["spans"], 0)
        self.assertEqual(third["threads"][0]["state"], "attached")
        self.assertGreater(third["threads"][0]["per_second"]["spans"], 0)
        self.assertGreater(third["stats"]["pass_ns"], first["stats"]["pass_ns"])
        self.assertGreater(third["ring_fill_peak"], 0)

        def seen_once():
            single, = self.run_it("--json", "--once", "--interval", "100ms").splitlines()
            return json.loads(single)["engines"][0]["per_second"]["spans"]
        wait_until(lambda: seen_once() > 0, "spans between the two looks of --once")

    def test_wrong_command_lines(self):
        for options in (["extra"], ["--interval", "1ms"], ["--sort", "colour"], ["--filter", "x" * 64], ["--shm-dir", ""]):
            self.assertIn("top", self.run_it(*options, code=2))

    def test_without_a_terminal(self):
        self.assertIn("--once and --json need none", self.run_it(code=1))

    @unittest.skipIf(SANITIZED, "sanitizers cost more than the command")
    def test_cost_with_a_hundred_threads(self):
        """Less than 1 % of a core at one look a second: here the looks are counted, since machines differ."""
        self.steady("--rate", 1000, "--threads", 100, service="engine", NSP_RING_BYTES="65536")
        with subprocess.Popen([command(), "top", "--json", "--interval", "100ms"], env=environment(self.shm), text=True,
                              stdout=subprocess.PIPE) as process:
            looks, seconds = 0, 0.0
            for looks in range(1, 22):
                look = json.loads(process.stdout.readline())
                if looks == 1:
                    seconds = -spent(process.pid)
            seconds += spent(process.pid)
            process.kill()
        self.assertEqual(look["engines"][0]["stats"]["threads"], 100)
        each = seconds / (looks - 1)
        print(f"{1000 * each:.2f} ms on a processor for each look at 100 threads")
        self.assertLess(each, 0.1)  # 10 ms would be 1 %; others may be ten times slower


def spent(pid):
    """Seconds on a processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) * 1e-9


class Screen(TopTest):
    def setUp(self):
        super().setUp()
        need(pyte is not None, "there is no Python package pyte")

    def top(self, *options, **settings):
        terminal = Terminal(self.shm, "--interval", "100ms", *options, **settings)
        self.addCleanup(terminal.close)
        terminal.wait_for("q end  h keys")
        return terminal

    def test_engines_come_and_go(self):
        top = self.top()
        top.wait_for("no engine of this user runs here")
        engine = self.engine(100, 0, service="first")
        top.wait_for(rf"^first +{engine.pid} +itself +0 ")
        top.wait_for("^1 engine, 1 thread; ")
        wait_until(lambda: top.rows()[1].split() == HEADS, "the heads")
        other = self.steady("--rate", 2000, service="second")
        top.wait_for(rf"^second +{other.pid} +itself +[1-9]")
        self.remove(engine)
        top.wait_until_gone("^first ")
        top.wait_for("^second ")

    def test_keys(self):
        for number in range(3):
            self.engine(10 * (number + 1), 0, service=f"engine-{number}")
        top = self.top("--sort", "service")
        names = lambda: [row.split()[0] for row in top.rows() if re.match(r"engine-\d", row)]
        shows_names = lambda wanted: wait_until(lambda: names() == wanted, f"the order {wanted}")
        shows_names(["engine-0", "engine-1", "engine-2"])
        top.press("r")
        top.wait_for("by service, reversed")
        shows_names(["engine-2", "engine-1", "engine-0"])
        top.press("rS")
        top.wait_for("by answer")
        top.press("sd")
        top.wait_for("^Engine: engine-0, session engine-0")
        top.wait_for("^Spans:  begun 10, ")
        top.press("\x1bOB")  # down, as the terminal was told to send it
        top.wait_for("^Engine: engine-1, ")
        top.press("jj")
        top.wait_for("^Engine: engine-2, ")
        top.press("k")
        top.wait_for("^Engine: engine-1, ")
        top.press("\r")
        top.wait_until_gone("^Engine: ")
        top.press("t")
        top.wait_for(r"^  doomed +\d+ attached")
        top.press("t")
        top.wait_until_gone("attached")
        top.press("h")
        top.wait_for("^nanospan top: keys")
        top.wait_for("^q +end")
        top.press("h")
        top.wait_until_gone("^nanospan top: keys")
        top.press("/-1\r")
        top.wait_for("; filter -1$")
        shows_names(["engine-1"])
        top.press("/zzz")
        top.wait_for("^filter: zzz_")
        shows_names([])
        top.press("\x1b")
        top.wait_for("; filter -1$")
        top.press("q")
        self.assertEqual(top.wait(), 0)
        self.assertTrue(top.restored())

    def test_a_smaller_and_a_wider_terminal(self):
        engines = [self.engine(1, 0, service=f"engine-{number:02}") for number in range(6)]
        top = self.top("--sort", "service")
        top.wait_for("engine-05")
        top.resize(6, 60)
        top.wait_until_gone("engine-05")
        top.wait_for("^engine-00")
        top.press("j" * len(engines))
        top.wait_for("^engine-05")  # it scrolls
        top.wait_until_gone("^engine-00")
        top.resize(24, 160)
        top.wait_for("RETRY/s")
        top.wait_for("^engine-00")
        for size in ((1, 1), (2, 10), (24, 80)):
            top.resize(*size)
        top.wait_for("^engine-03")

    def test_details_get_what_the_table_leaves(self):
        engines = [self.engine(1, 0, service=f"engine-{number}") for number in range(4)]
        top = self.top("--sort", "service", lines=20)
        top.press("d")
        top.wait_for("left out 0")  # the last of them, on line 17
        top.wait_for("^engine-3")
        top.resize(10, 80)
        wait_until(lambda: top.shows("^Engine: ") and top.shows("^engine-3") and not top.shows("unconfirmed 0"),
                   "the table that keeps a half")
        self.remove(engines[3])
        top.wait_for("unconfirmed 0")

    def test_many_engines(self):
        for number in range(6):
            self.engine(1, 0, service=f"engine-{number}")
        top = self.top("--sort", "service", lines=6)
        top.wait_for("^engine-2")
        top.press("\x1b[6~" * 3)  # page down
        top.wait_for("^engine-5")
        top.press("\x1b[5~" * 3)
        top.wait_for("^engine-0")
        top.screen.reset()  # somebody else has written there
        top.press("x")
        self.assertFalse(top.shows("^SERVICE"))
        top.press("\x0c")
        top.wait_for("^SERVICE")

    def test_keys_scroll_where_they_do_not_fit(self):
        top = self.top(lines=10)
        top.press("h")
        top.wait_for("^q +end")
        self.assertFalse(top.shows("^RATE "))
        top.press("\x1b[6~" * 3)
        top.wait_for("^RATE ")
        self.assertRegex(top.rows()[-1], "^RATE ")  # it goes no further
        top.wait_until_gone("^q +end")
        top.press("k")
        top.wait_until_gone("^RATE ")
        top.press("\x1b[5~" * 3)
        top.wait_for("^q +end")
        top.press("j")
        top.wait_until_gone("^q +end")
        top.resize(24, 80)
        top.wait_for("^q +end")
        top.wait_for("^RATE ")
        top.press("j")  # as any key, where all of it is there
        top.wait_until_gone("^nanospan top: keys")

    def test_a_small_terminal_cuts_lines(self):
        for number in range(3):
            self.engine(1, 0, service=f"engine-{number}")
        top = Terminal(self.shm, "--interval", "100ms", "--sort", "service", lines=8, columns=20)
        self.addCleanup(top.close)
        top.wait_for("^q end")
        wait_until(lambda: top.rows()[1:7] == ["SERVICE", "engine-0", "engine-1", "engine-2", "", ""],
                   lambda: f"the table: {top.rows()}")

    def test_a_terminal_that_goes_away_ends_it(self):
        """Also without SIGHUP, which only the session whose terminal it is gets."""
        for controlling in (True, False):
            with self.subTest(controlling=controlling):
                top = Terminal(self.shm, "--interval", "100ms", controlling=controlling)
                top.wait_for("q end  h keys")
                os.close(top.slave)
                os.close(top.master)
                self.addCleanup(top.process.kill)
                self.assertEqual(top.process.wait(PATIENCE), 0)

    def test_signals_restore_the_terminal(self):
        self.engine(1, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(number.name):
                top = self.top()
                self.assertFalse(top.restored())
                top.process.send_signal(number)
                self.assertEqual(top.wait(), 0)
                self.assertTrue(top.restored())

    def test_ctrl_c_ends_it(self):
        top = self.top()
        top.press("\x03")
        self.assertEqual(top.wait(), 0)
        self.assertTrue(top.restored())

    def colours(self, top):
        """Codes of colours that were written, of letters and of backgrounds."""
        codes = b";".join(re.findall(rb"\x1b\[([0-9;]*)m", top.written)).split(b";")
        return [code for code in codes if re.fullmatch(rb"[349][0-7]", code)]

    def test_colours_can_be_without(self):
        self.engine(100, 0).kill()  # a dead engine is coloured
        for options, settings, wanted in (((), {}, True), (("--no-color",), {}, False), ((), {"NO_COLOR": "1"}, False),
                                          ((), {"NO_COLOR": ""}, True), ((), {"term": "vt100"}, False)):
            with self.subTest(options=options, settings=settings):
                top = self.top(*options, **settings)
                top.wait_for("^doomed .* dead ")
                self.assertEqual(bool(self.colours(top)), wanted, self.colours(top))

    def test_terminals_that_do_not_suit(self):
        for name, message in (("no-such-terminal", "no-such-terminal"), ("dumb", "cannot place text"), ("", "does not say which")):
            with self.subTest(name):
                top = Terminal(self.shm, columns=120, term=name)
                self.addCleanup(top.close)
                self.assertEqual(top.wait(), 1)
                self.assertTrue(top.shows(message), top.rows())


if __name__ == "__main__":
    unittest.main()
