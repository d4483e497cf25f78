# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
"""`nanospan tune`: what a running engine samples, shown and changed from outside."""
import fcntl
import json
import os
import pwd
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from engine_process import PATIENCE, Engine, environment, wait_until
from sink_process import command

# Of core/shm: the head of `control`, an entry of its table of sections, and kinds of sections.
HEAD, SECTION, OPTIONAL = struct.Struct("<QIIQQII"), struct.Struct("<IIQQQ"), 1 << 31
GENERATION, POLICY, TUNING = 2, 3, 20 | OPTIONAL


class Control:
    """The file `control` of an engine's session, to look at and to damage."""

    def __init__(self, shm, engine):
        self.directory, = Path(shm, f"nanospan-{os.geteuid()}").glob(f"*.{engine.pid}.*")
        self.path = self.directory / "control"
        content = self.path.read_bytes()
        count = HEAD.unpack_from(content)[5]
        self.sections = {}
        for i in range(count):
            at = HEAD.size + i * SECTION.size
            kind, version, offset, stride, _ = SECTION.unpack_from(content, at)
            self.sections[kind] = (at, version, offset, stride)

    def write(self, at, content):
        with open(self.path, "r+b") as file:
            file.seek(at)
            file.write(content)

    def generation(self):
        return struct.unpack_from("<I", self.path.read_bytes(), self.sections[GENERATION][2])[0]

    def lock(self):
        """As a tuner holds it that is in the middle of a change."""
        file = open(self.path, "r+b")  # pylint: disable=consider-using-with
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
        return file


class TuneTest(unittest.TestCase):
    def setUp(self):
        self.shm = tempfile.mkdtemp(prefix="nanospan-tune-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.addCleanup(shutil.rmtree, self.shm, True)

    def engine(self, *arguments, service="engine", **settings):
        settings = {"OTEL_TRACES_EXPORTER": "none", **settings}
        engine = Engine(self.shm, "--rate", 1000, *arguments, service=service, program="steady", **settings)
        self.addCleanup(engine.kill)
        return engine

    def run_it(self, *arguments, code=0, shm=None):
        result = subprocess.run([command(), "tune", *map(str, arguments)], env=environment(shm or self.shm), text=True,
                                capture_output=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        self.assertTrue(code == 0 or result.stdout == "", result.stdout)
        return result.stdout if code == 0 else result.stderr

    def run_raw(self, *arguments, code=1, stdout=subprocess.PIPE, **more):
        result = subprocess.run([command(), "tune", *map(str, arguments)], env=environment(self.shm), text=True, stdout=stdout,
                                stderr=subprocess.PIPE, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL, **more)
        self.assertEqual(result.returncode, code, (result.stdout or "") + result.stderr)
        return result

    def state(self, session="engine"):
        line, = self.run_it(session, "--json").splitlines()
        return json.loads(line)

    def unchanged(self, engine, *arguments, code=1):
        """Runs a command that fails, and returns its message: nothing of the session has changed."""
        control = Control(self.shm, engine)
        before = control.generation()
        message = self.run_it(*arguments, code=code)
        self.assertEqual(control.generation(), before)
        return message


class Shows(TuneTest):
    def test_what_is_in_force_and_its_source(self):
        engine = self.engine(TRACE_SAMPLE_RATE="0.5", TRACE_SAMPLE_LIMIT="100000")
        text = self.run_it("engine")
        self.assertRegex(text, rf"^engine \(pid {engine.pid}\), which has run for \d+ s\n")
        self.assertIn("\n  rate      0.5        environment\n", text)
        self.assertRegex(text, r"\n  limit     100000/s   environment  now all rates are multiplied by 1\n")
        self.assertIn("\n  parents   follow: traces of a remote parent are recorded if the parent was\n", text)
        self.assertIn("\n  changed   not since the engine began\n", text)
        self.run_it("engine", "risk_*=0.25")
        text = self.run_it("engine", "--show")
        self.assertIn("\n  rules     0.25       tune         risk_*\n", text)
        self.assertIn("\n  rate      0.5        environment\n", text)
        self.assertRegex(text, r"\n  changed   by process \d+ \(nanospan tune\), \d+ s ago\n")

    def test_a_limit_that_nobody_keeps(self):
        self.engine(NSP_COLLECTOR="external")
        self.assertIn(": limit none -> 500/s (once somebody drains it: nobody does)\n", self.run_it("engine", "--limit", "500/s"))
        self.assertIn("  now all rates are multiplied by 1, and that stays so while nobody drains it: ", self.run_it("engine"))
        self.assertNotIn("nobody", self.run_it("engine", "--limit", "none", "--show"))

    def test_only_all_is_said_to_be_all(self):
        engine = self.engine()
        self.assertEqual(self.run_it("engine", "0.99999", "a=0.9999"),
                         f"engine (pid {engine.pid}): rate 1 -> 0.99998, rule a 0.9999 added\n")
        text = self.run_it("engine")
        self.assertIn("\n  rate      0.99998    tune\n", text)
        self.assertIn("\n  rules     0.9999     tune         a\n", text)
        for arguments in (("top", "--once", "--interval", "100ms"), ("doctor", "--no-send")):
            result = subprocess.run([command(), *arguments], env=environment(self.shm), text=True, capture_output=True,
                                    timeout=PATIENCE, check=False)
            self.assertIn("99.998% of traces (tune)", result.stdout)
            self.assertNotIn("100% of ", result.stdout)

    def test_a_pattern_that_matches_nothing_yet(self):
        """It may be mistyped, so it is remarked; the rule is set all the same."""
        engine = self.engine()
        self.assertEqual(self.run_raw("engine", "steady=0.5", "st?ad*=0.25", "[a-z]*=0.125", "0.5", code=0).stderr, "")
        result = self.run_raw("engine", "risk_*=1", "steady=1", "x\x1b=0", code=0)
        self.assertEqual(result.stderr, f"nanospan tune: engine (pid {engine.pid}): it has no name so far that matches risk_*, x\\x1b; "
                                        "--remove takes back what is mistyped\n")
        self.assertIn("rule risk_* 1 added", result.stdout)
        self.assertEqual(self.run_raw("engine", "--remove", "risk_*", code=0).stderr, "")
        self.assertEqual(self.run_raw("engine", "--outlier", "st?ad*: errors; *: measure", code=0).stderr, "")
        result = self.run_raw("engine", "--outlier", "risk_*: errors; r: asked", code=0)
        self.assertEqual(result.stderr, f"nanospan tune: engine (pid {engine.pid}): it has no name so far that matches risk_*, r; "
                                        "--remove-outlier takes back what is mistyped\n")
        self.assertIn("outlier rule risk_*: errors added", result.stdout)

    def test_json(self):
        engine = self.engine()
        state = self.state()
        self.assertEqual((state["service"], state["pid"]), ("engine", engine.pid))
        self.assertEqual((state["rate"], state["rate_source"], state["rules"]), (1, "default", []))
        self.assertEqual((state["limit"], state["limit_source"], state["limit_factor"]), (None, "default", 1))
        self.assertEqual((state["parent_policy"], state["changed_by"], state["changed_pid"]), ("follow", "default", engine.pid))
        self.assertTrue(state["session"].startswith(f"engine.{engine.pid}."))
        line, = self.run_it("engine", "0.5", "--json").splitlines()
        after = json.loads(line)
        self.assertEqual((after["rate"], after["rate_source"], after["before"]["rate"]), (0.5, "tune", 1))
        self.assertGreater(after["changed_unix_ns"], state["changed_unix_ns"])

    def test_outlier_rules(self):
        engine = self.engine(NSP_OUTLIERS="order*: slower=50us, errors")
        text = self.run_it("engine")
        self.assertIn("\n  outliers             environment  order*: slower=50us, errors\n", text)
        self.assertEqual(self.run_it("engine", "--outlier", "risk_*: slowest=0.1%, limit=20/s; order*: slower=1ms"),
                         f"engine (pid {engine.pid}): outlier rule order*: slower=50us, errors -> slower=1ms, "
                         "outlier rule risk_*: slowest=0.1%, limit=20/s added\n")
        text = self.run_it("engine", "0.5", "--outlier", "*: measure", "--remove-outlier", "order*", "--show")
        self.assertIn(": rate 1 -> 0.5, outlier rule order* removed, outlier rule *: measure added\n", text)
        self.assertIn("\n  outliers             tune         risk_*: slowest=0.1%, limit=20/s\n"
                      "                       tune         *: measure\n", text)
        state = self.state()
        self.assertEqual(state["outliers"], [{"pattern": "risk_*", "slowest": 0.001, "limit": 20, "source": "tune"},
                                             {"pattern": "*", "measure": True, "source": "tune"}])
        for arguments in (("top", "--once", "--interval", "100ms"), ("doctor", "--no-send")):
            result = subprocess.run([command(), *arguments], env=environment(self.shm), text=True, capture_output=True,
                                    timeout=PATIENCE, check=False)
            self.assertIn("risk_*: slowest=0.1%, limit=20/s (tune)", " ".join(result.stdout.split()))
        # Removals come first, wherever they stand: the rule becomes the last one.
        self.run_it("engine", "--outlier", "risk_*: errors", "--remove-outlier", "risk_*")
        self.assertEqual([rule["pattern"] for rule in self.state()["outliers"]], ["*", "risk_*"])

    def test_bad_outlier_rules(self):
        engine = self.engine(NSP_OUTLIERS="order*: slower=50us")
        message = self.unchanged(engine, "engine", "--outlier", "a: errors; b: slower=50", code=2)
        self.assertIn("character 22, \"50\": a time needs a unit", message)
        self.assertIn("is empty", self.unchanged(engine, "engine", "--outlier", " ; ", code=2))
        self.assertIn("given twice", self.unchanged(engine, "engine", "--outlier", "a: errors", "--outlier", "a: asked", code=2))
        self.assertIn("a pattern is empty", self.unchanged(engine, "engine", "--remove-outlier", "", code=2))
        message = self.unchanged(engine, "engine", "0.5", "--remove-outlier", "order")
        self.assertIn("no outlier rule has the pattern order, and nothing was changed; its outlier rules are: order*", message)
        rules = "; ".join(f"rule{i}: errors" for i in range(63))
        message = self.unchanged(engine, "engine", "0.5", "--outlier", rules)
        self.assertIn("already 63 outlier rules", message)
        message = self.unchanged(engine, "engine", "x=0.5", "--remove-outlier", "order*", "--outlier", rules)
        self.assertIn("more than 64 classes of names", message)

    def test_patterns_steer_no_terminal(self):
        self.engine()
        for options in ((), ("--show",), ("--remove", "bad\x1b[2J")):
            text = self.run_it("engine", *options, *([] if "--remove" in options else ["bad\x1b[2J=0.5"]))
            self.assertNotIn("\x1b", text)
        self.assertNotIn("\x1b", self.run_it("engine", "--remove", "x\x1b[2J", code=1))

    def test_help(self):
        text = self.run_it("--help")
        for word in ("--remove", "--parent", "--limit", "--all", "--show", "--json", "Exit codes", "sudo -u USER"):
            self.assertIn(word, text)


class Changes(TuneTest):
    def test_all_at_once(self):
        engine = self.engine()
        self.run_it("engine", "old=1")
        before = Control(self.shm, engine).generation()
        text = self.run_it("engine", "0.1", "risk_*=0.5", "a=b=0.25", "--remove", "old", "--parent", "decide", "--limit", "500/s")
        self.assertEqual(text, f"engine (pid {engine.pid}): rate 1 -> 0.1, limit none -> 500/s, rule old removed, "
                               "rule risk_* 0.5 added, rule a=b 0.25 added, remote parents follow -> decide\n")
        state = self.state()
        self.assertAlmostEqual(state["rate"], 0.1, places=4)
        self.assertEqual([(rule["pattern"], rule["rate"], rule["source"]) for rule in state["rules"]],
                         [("risk_*", 0.5, "tune"), ("a=b", 0.25, "tune")])
        self.assertEqual((state["limit"], state["limit_source"], state["parent_policy"]), (500, "tune", "decide"))
        # The limiter may have gone on since, a number each time, but the two commands made two.
        self.assertGreaterEqual(Control(self.shm, engine).generation(), before + 1)
        text = self.run_it("engine", "risk_*=0.75", "--limit", "none")
        self.assertEqual(text, f"engine (pid {engine.pid}): limit 500/s -> none, rule risk_* 0.5 -> 0.75\n")

    def test_what_was_so_already(self):
        engine = self.engine()
        self.assertEqual(self.run_it("engine", "1"), f"engine (pid {engine.pid}): all of this was in force already\n")

    def test_removed_and_set_again_it_is_the_last(self):
        self.engine()
        self.run_it("engine", "a=0.5", "b=0.5")
        self.assertIn(": rules in another order\n", self.run_it("engine", "a=0.5", "--remove", "a"))
        self.assertEqual([rule["pattern"] for rule in self.state()["rules"]], ["b", "a"])

    def counts(self):
        """Roots that were recorded, and those that were not."""
        result = subprocess.run([command(), "top", "--once", "--json", "--interval", "100ms"], env=environment(self.shm), text=True,
                                capture_output=True, timeout=PATIENCE, check=True)
        stats = json.loads(result.stdout)["engines"][0]["stats"]
        return stats["attempted"], stats["roots_unsampled"]

    def test_the_engine_obeys(self):
        self.engine()
        self.run_it("engine", "steady=0")
        wait_until(lambda: self.counts()[1] > 0, "a root that is left out")
        attempted, left_out = self.counts()
        wait_until(lambda: self.counts()[1] > left_out, "another one")
        self.assertEqual(self.counts()[0], attempted)
        self.run_it("engine", "--remove", "steady")
        wait_until(lambda: self.counts()[0] > attempted, "a root that is recorded")

    def test_the_engine_logs_who_has_changed_what(self):
        log = Path(self.shm, "log")
        with open(log, "wb") as file:
            engine = self.engine(before=lambda: os.dup2(file.fileno(), 2))
        wait_until(lambda: self.counts()[0] > 0, "a pass")
        self.run_it("engine", "0.5", "risk_*=0.25")
        pattern = r"sampling changed by process (\d+) \(nanospan tune\): rate 1 -> 0\.5, rule risk_\* 0\.25 added\n"
        wait_until(lambda: re.search(pattern, log.read_text()), "the line")
        self.assertEqual(int(re.search(pattern, log.read_text())[1]), self.state()["changed_pid"])
        self.assertIsNone(engine.process.poll())

    def test_sessions_by_all_their_names(self):
        engine = self.engine()
        directory = Control(self.shm, engine).directory
        for number, name in enumerate(("engine", engine.pid, directory.name, directory, os.path.relpath(directory)), 1):
            self.run_it(name, number / 16)
            self.assertEqual(self.state()["rate"], number / 16)
        # A directory lies where it lies, and --shm-dir says where names are looked for.
        with tempfile.TemporaryDirectory() as empty:
            self.run_it(directory, "0.75", shm=empty)
            self.run_it("engine", "0.5", "--shm-dir", self.shm, shm=empty)
            self.assertIn("none of an engine that runs is there", self.run_it("engine", code=1, shm=empty))
        self.assertEqual(self.state()["rate"], 0.5)

    def test_several_engines_of_a_name(self):
        one, two = self.engine(), self.engine()
        message = self.unchanged(one, "engine", "0.5")
        self.assertIn("engine fits 2 running engines, and none was changed: ", message)
        for engine in (one, two):
            self.assertIn(f"engine (pid {engine.pid}, for ", message)
        self.assertEqual([json.loads(line)["rate"] for line in self.run_it("engine", "--json").splitlines()], [1, 1])
        self.run_it(one.pid, "0.5")
        self.assertEqual([self.state(engine.pid)["rate"] for engine in (one, two)], [0.5, 1])
        text = self.run_it("engine", "0.25", "--all")
        self.assertEqual(sorted(text.splitlines()), sorted([f"engine (pid {one.pid}): rate 0.5 -> 0.25",
                                                            f"engine (pid {two.pid}): rate 1 -> 0.25"]))
        # What one of them does not have is removed of none.
        self.run_it(one.pid, "only=0.5")
        self.assertIn(f"(pid {two.pid}): no rule has the pattern only", self.unchanged(one, "engine", "--remove", "only", "--all"))

    def test_all_but_one(self):
        """What was changed is said, although one of them could not be."""
        engines = [self.engine() for _ in range(3)]
        with Control(self.shm, engines[1]).lock():
            result = self.run_raw("engine", "0.5", "--all")
        self.assertEqual(sorted(result.stdout.splitlines()), sorted(f"engine (pid {engine.pid}): rate 1 -> 0.5"
                                                                    for engine in (engines[0], engines[2])))
        self.assertIn(f"engine (pid {engines[1].pid}): ", result.stderr)
        self.assertIn("; this engine was not changed: ", result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1)
        self.assertEqual([self.state(engine.pid)["rate"] for engine in engines], [0.5, 1, 0.5])

    def test_output_that_cannot_be_written(self):
        self.engine()
        with open("/dev/full", "wb") as full:
            self.assertIn("nanospan tune: the change was made, but cannot write to standard output: No space",
                          self.run_raw("engine", "0.5", stdout=full, code=1).stderr)
            self.assertIn("nanospan tune: cannot write to standard output: No space",
                          self.run_raw("engine", stdout=full, code=1).stderr)
        self.assertEqual(self.state()["rate"], 0.5)

    def test_an_engine_that_has_ended_is_not_in_the_way(self):
        self.engine().kill()
        self.engine()
        self.run_it("engine", "0.5")
        self.assertEqual(self.state()["rate"], 0.5)


class Mistakes(TuneTest):
    def test_wrong_command_lines(self):
        engine = self.engine()
        long = 96 * "x"
        for arguments, expected in (
                ((), "no SESSION is given: name a service, a process id or a directory"),
                (("",), "SESSION is empty"),
                (("engine", "10"), "'10' is not a rate: rates are shares of traces, from 0 to 1; for 10% write 0.1"),
                (("engine", "10%"), "'10%' is not a rate: rates are shares of traces, from 0 to 1; for 10% write 0.1"),
                (("engine", "0.5%"), "for 0.5% write 0.005"),
                (("engine", "1000"), "'1000' is not a rate: rates are shares of traces, from 0 to 1, such as 0.1"),
                (("engine", "risk_*"), "'risk_*' is not a rate"),
                (("engine", "risk_*=x"), "'x' is not a rate"),
                (("engine", "risk_*="), "'' is not a rate"),
                (("engine", "0x1"), "'0x1' is not a rate"),
                (("engine", "nan"), "'nan' is not a rate"),
                (("engine", "=0.5"), "a pattern is empty"),
                (("engine", f"{long}=0.5"), "a pattern has at most 95 bytes; this one has 96"),
                (("engine", "--remove", ""), "a pattern is empty"),
                (("engine", "0.5", "0.25"), "the rate is given twice"),
                (("engine", "a=0.5", "a=0.25"), "the rate of a is given twice"),
                (("engine", "--remove", "a", "--remove", "a"), "--remove a is given twice"),
                (("engine", "--parent", "mother"), "--parent takes follow or decide, not 'mother'"),
                (("engine", "--limit", "0"), "--limit takes a number a second, such as 500/s"),
                (("engine", "--limit", "500/m"), "--limit takes a number a second, such as 500/s"),
                (("engine", "--limit", "1", "--limit", "none"), "--limit is given twice"),
                (("engine", "--shm-dir", ""), "--shm-dir is empty"),
                (("engine", "0.5", "--frob"), "unrecognized option")):
            with self.subTest(arguments):
                self.assertIn(expected, self.unchanged(engine, *arguments, code=2))

    def test_no_such_session(self):
        self.assertIn(f"no session of this user in {self.shm} matches nobody; none of an engine that runs is there\n",
                      self.run_it("nobody", "1", code=1))
        engine = self.engine()
        self.assertIn(f"no session of this user in {self.shm} matches nobody; running are: engine (pid {engine.pid}, for ",
                      self.unchanged(engine, "nobody", "0.5"))
        self.assertIn("is not a session: sessions of this user lie in a folder nanospan-", self.unchanged(engine, self.shm, "0.5"))
        self.assertIn("cannot find /nowhere/x: No such file", self.unchanged(engine, "/nowhere/x", "0.5"))
        self.assertIn(" matches 0.5; ", self.unchanged(engine, "0.5")) # SESSION was forgotten
        self.assertIn(f"the process {os.getpid()} runs, and has no session there: ", self.unchanged(engine, os.getpid(), "0.5"))

    def test_a_rule_that_is_not_there(self):
        engine = self.engine()
        message = f"engine (pid {engine.pid}): no rule has the pattern x, and nothing was changed; "
        self.assertIn(message + "it has no rules\n", self.unchanged(engine, "engine", "0.5", "--remove", "x"))
        self.run_it("engine", "a=0.5", "b=0.5")
        self.assertIn(message + "its rules are: a, b\n", self.unchanged(engine, "engine", "0.5", "--remove", "x"))

    def test_too_many_rules(self):
        engine = self.engine()
        rules = [f"rule.{i}=0.5" for i in range(64)]
        self.assertIn("it would have 64 rules, and at most 63 are possible; nothing was changed",
                      self.unchanged(engine, "engine", *rules))
        self.run_it("engine", *rules[:63])
        self.assertIn("it would have 64 rules", self.unchanged(engine, "engine", "one.more=0.5"))
        self.run_it("engine", "one.more=0.5", "rule.1=0.25", "--remove", "rule.0")
        self.assertEqual(len(self.state()["rules"]), 63)

    def test_an_engine_that_does_not_run(self):
        engine = self.engine().kill()
        for name in ("engine", engine.pid):
            self.assertIn(f"engine (pid {engine.pid}): its engine has ended, or died; a sampler can be changed only while its "
                          "engine runs", self.unchanged(engine, name, "0.5"))
        other = self.engine(service="other")
        other.process.send_signal(signal.SIGTERM)
        other.process.wait(PATIENCE)
        self.assertIn(" matches other; none of an engine that runs is there", self.run_it("other", "0.5", code=1))

    def test_another_version(self):
        engine = self.engine()
        control = Control(self.shm, engine)
        at, version, _, _ = control.sections[TUNING]
        control.write(at + 4, struct.pack("<I", version + 1))
        self.assertIn("it belongs to another version of nanospan, whose sampler can only be tuned by that; nothing was changed: use "
                      "the command `nanospan` of that version", self.unchanged(engine, "engine", "0.5"))
        at, version, _, _ = control.sections[POLICY]
        control.write(at + 4, struct.pack("<I", version + 1))
        self.assertIn("another version of nanospan (section policy has version", self.unchanged(engine, "engine", "0.5"))

    def test_damaged(self):
        engine = self.engine()
        control = Control(self.shm, engine)
        _, _, offset, stride = control.sections[POLICY]
        control.write(offset + (control.generation() & 1) * stride, b"\xff")
        self.assertIn("its sampler's policy is damaged", self.unchanged(engine, "engine", "0.5"))

    def test_too_few_files(self):
        """It is not said to have ended because it cannot be opened."""
        engine = self.engine()
        messages = set()
        for files in range(4, 12):
            result = subprocess.run(["prlimit", f"--nofile={files}", command(), "tune", "engine", "0.5"], env=environment(self.shm),
                                    text=True, capture_output=True, timeout=PATIENCE, check=False)
            self.assertNotIn("has ended", result.stderr)
            messages.update(re.findall("Too many open files", result.stderr))
        self.assertTrue(messages)
        self.assertIsNone(engine.process.poll())

    def test_a_long_message_says_that_it_is_cut(self):
        engine = self.engine()
        self.run_it("engine", *(f"{i:02}{93 * 'x'}=0.5" for i in range(16)))
        self.assertRegex(self.unchanged(engine, "engine", "--remove", "y"), r"xxx\.\.\.\n$")

    def test_another_tuner_holds_it(self):
        engine = self.engine()
        with Control(self.shm, engine).lock():
            began = time.monotonic()
            self.assertIn("has not finished within 100 ms; try again; nothing was changed: if that stays so, ", self.unchanged(engine, "engine", "0.5"))
            self.assertGreater(time.monotonic() - began, 0.09)
            self.assertEqual(self.state()["rate"], 1) # looking waits for nobody
            # Nor does the engine: it ends.
            engine.process.send_signal(signal.SIGTERM)
            engine.process.wait(PATIENCE)

    @unittest.skipIf(os.geteuid() != 0, "only root can begin an engine of another user")
    def test_another_users_engine_as_root(self):
        user = pwd.getpwnam("nobody")
        os.chmod(self.shm, 0o777)
        try:
            engine = self.engine(before=lambda: (os.setgroups([]), os.setgid(user.pw_gid), os.setuid(user.pw_uid)))
        except PermissionError:
            self.skipTest("other users cannot enter the build directory")
        directory, = Path(self.shm, f"nanospan-{user.pw_uid}").glob("*")
        rest = f"sudo -u nobody env NSP_SHM_DIR={self.shm} nanospan tune"
        for session, owned, expected in ((engine.pid, f"the process {engine.pid}", f"{rest} {engine.pid} 0.5"),
                                         ("engine", directory.parent, f"{rest} engine 0.5"),
                                         (directory, directory, f"sudo -u nobody nanospan tune {directory} 0.5")):
            message = self.run_it(session, "0.5", code=1)
            self.assertIn(f"{owned} belongs to the user nobody, and only that user may tune it: {expected}\n", message)

    @unittest.skipIf(os.geteuid() == 0, "to root, the engine of another user is none")
    def test_another_users_engine_as_a_user(self):
        closed = Path(self.shm, "nanospan-0")
        closed.mkdir(mode=0)
        self.assertIn(f"cannot find {closed}/engine.1.x: Permission denied; sessions can be used only by the user of their engine\n",
                      self.run_it(closed / "engine.1.x", "0.5", code=1))
        message = self.run_it("1", "0.5", code=1)
        self.assertIn("the process 1 belongs to the user root, and only that user may tune it; root may become that user: ", message)


class AtOnce(TuneTest):
    def test_two_tuners(self):
        """None of them loses what another one has set."""
        self.engine()
        waiting = {f"rule.{i}=0.5" for i in range(16)}
        while waiting:
            running = {rule: subprocess.Popen([command(), "tune", "engine", rule], env=environment(self.shm), text=True,
                                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for rule in waiting}
            for rule, process in running.items():
                message = process.communicate(timeout=PATIENCE)[1]
                if process.returncode == 0:
                    waiting.remove(rule)
                else: # on a busy machine another one may have it for long
                    self.assertIn("try again", message)
        self.assertEqual({rule["pattern"] for rule in self.state()["rules"]}, {f"rule.{i}" for i in range(16)})

    def test_killed_tuners_leave_all_or_nothing(self):
        engine = self.engine()
        self.run_it("engine", "0", "a=0", "b=0")
        took = time.monotonic()
        self.run_it("engine", "0", "a=0", "b=0")
        took = time.monotonic() - took
        for i in range(1, 41):
            rate = i / 64
            with subprocess.Popen([command(), "tune", "engine", str(rate), f"a={rate}", f"b={rate}"], env=environment(self.shm),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                time.sleep(took * i / 40)
                process.kill()
            state = self.state()
            self.assertEqual({rule["rate"] for rule in state["rules"]}, {state["rate"]})
        self.run_it("engine", "1")
        self.assertIsNone(engine.process.poll())


if __name__ == "__main__":
    unittest.main()
