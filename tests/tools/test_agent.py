# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240 COST 25
"""`nanospan agent`: it drains real engines from outside, and every span that they began arrives once."""
import signal
import socket
import subprocess
import time
import unittest

from agent_process import Agent, AgentTest
from engine_process import PATIENCE, environment, spans_of, wait_until
from ports import closed_port
from silent_receiver import silent_receiver
from sink_process import command


class CommandLine(AgentTest):
    def run_it(self, *options, **settings):
        return subprocess.run([command(), "agent", *options], env=environment(self.shm, **settings), capture_output=True,
                              text=True, timeout=PATIENCE, check=False)

    def test_help(self):
        result = self.run_it("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for option in ("--endpoint", "--shm-dir", "--in-doubt", "--timeout", "--once", "--quiet"):
            self.assertIn(option, result.stdout)

    def test_wrong_command_lines(self):
        where = ("--endpoint", "http://127.0.0.1:1")
        for options, settings, words in [
                ((), {}, "where should the spans go?"), (("--nonsense",), {}, "unrecognized option"), (("engine",), {}, "takes only options"),
                ((*where, "--timeout", "3"), {}, "a time with a unit"), ((*where, "--timeout", "1ms"), {}, "100ms to 60m"),
                ((*where, "--in-doubt", "perhaps"), {}, "send or skip"), (("--endpoint", ""), {}, "--endpoint is empty"),
                (("--endpoint", "ftp://somewhere"), {}, "only http, https and unix"),
                (where, {"NSP_SHM_DIR": "none"}, "NSP_SHM_DIR is none, so there are no sessions"),
                ((*where, "--shm-dir", "none"), {}, "--shm-dir is none, so there are no sessions"), ((), {"OTEL_TRACES_EXPORTER": "none"}, "where should")]:
            with self.subTest(options=options, **settings):
                result = self.run_it(*options, **settings)
                self.assertEqual((result.returncode, result.stdout), (2, ""), result.stderr)
                self.assertIn(words, result.stderr)

    def test_exporter_that_cannot_start(self):
        result = self.run_it(OTEL_TRACES_EXPORTER="file", NSP_FILE=str(self.shm / "no" / "file"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot open", result.stderr)
        self.assertIn("cannot start", result.stderr)

    def test_quiet(self):
        sink = self.sink()
        engine = self.doomed(10, 0)
        engine.kill()
        result = self.run_it("--once", "--quiet", "--endpoint", sink.url)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(self.received(sink, "finished", "doomed"), list(range(10)))


class Draining(AgentTest):
    def test_engines_with_their_own_resources(self):
        sink = self.sink()
        first = self.steady("--spans", 3000, service="first")
        second = self.steady("--spans", 2000, service="second", OTEL_RESOURCE_ATTRIBUTES="host.name=other")
        agent = self.agent("--endpoint", sink.url)
        for engine, service, count in ((first, "first", 3000), (second, "second", 2000)):
            agent.wait_for(rf"{service} \(pid {engine.pid}\): draining it")
            self.assertEqual(engine.process.stdout.readline(), "full\n")
            account = self.ended(engine)
            self.assertEqual((account["status"], account["attempted"], account["exported"]), (0, count, count))
            agent.wait_for(rf"{service} \(pid {engine.pid}\): ended; {count:,} spans exported by this agent$")
        wait_until(lambda: self.left() == [], "the removal of ended sessions")
        self.assertEqual(agent.end(), 0)
        for service, count in (("first", 3000), ("second", 2000)):
            self.assertEqual(self.received(sink, "steady", service), list(range(count)))

    def test_agent_comes_first(self):
        """The folder of sessions is not there yet, nor the one above it."""
        sink = self.sink()
        self.shm = self.shm / "later"
        agent = self.agent("--endpoint", sink.url)
        self.shm.mkdir()
        engine = self.doomed(100, 0)
        agent.wait_for(r"doomed \(pid \d+\): draining it")
        self.wait_for_delivery("doomed")
        engine.kill()
        agent.wait_for("recovered: nothing was left to send$")
        self.assertEqual(self.received(sink, "finished", "doomed"), list(range(100)))

    def test_receiver_that_comes_later(self):
        """Nothing is lost while it is away; that is said once, and when it is back."""
        port = closed_port()
        engine = self.doomed(500, 0)
        agent = self.agent("--endpoint", f"http://127.0.0.1:{port}")
        agent.wait_for("waiting; retrying")
        sink = self.sink("--listen", f"127.0.0.1:{port}")
        agent.wait_for("sending works again")
        self.wait_for_delivery("doomed")
        self.assertEqual(len(agent.said("waiting; retrying")), 1)
        engine.kill()
        self.assertEqual(self.received(sink, "finished", "doomed"), list(range(500)))

    def test_engine_that_drains_itself(self):
        """It is left alone while it lives, which is said once, and recovered when it dies."""
        sink = self.sink()
        engine = self.doomed(200, 2, NSP_COLLECTOR="invoker", OTLP_ENDPOINT="http://127.0.0.1:1")
        agent = self.agent("--endpoint", sink.url)
        agent.wait_for("it is recovered if it dies")
        engine.kill()
        agent.wait_for("recovered: ")
        self.assertEqual(len(agent.said("it is recovered if it dies")), 1)
        self.assertEqual(self.received(sink, "finished", "doomed"), list(range(200)))
        self.assertEqual(self.received(sink, "open", "doomed"), [0, 1])
        self.assertEqual(self.left(), [])

    def test_once(self):
        sink = self.sink()
        self.doomed(300, 1, service="dead").kill()
        living = self.doomed(400, 1, service="living")
        agent = self.agent("--once", "--endpoint", sink.url)
        self.assertEqual(agent.process.wait(PATIENCE), 0, agent.lines)
        self.assertEqual(list(self.listed()), ["living"])
        self.assertEqual(self.received(sink, "finished", "dead"), list(range(300)))
        self.assertEqual(self.received(sink, "open", "dead"), [0])
        self.assertEqual(self.received(sink, "finished", "living"), list(range(400)))
        living.kill()

    def test_once_without_a_receiver(self):
        """Something is left, which is said, and still there for the next one."""
        self.doomed(300, 0).kill()
        agent = self.agent("--once", "--endpoint", "http://127.0.0.1:1", "--timeout", "500ms")
        self.assertEqual(agent.process.wait(PATIENCE), 1)
        agent.wait_for("spans are left in shared memory")
        sink = self.sink()
        agent = self.agent("--once", "--endpoint", sink.url)
        self.assertEqual(agent.process.wait(PATIENCE), 0, agent.lines)
        self.assertEqual(self.received(sink, "finished", "doomed"), list(range(300)))


    def test_once_with_a_folder_that_is_not_read(self):
        """Nobody knows what is in it, so it does not say that everything is sent."""
        self.doomed(10, 0).kill()
        self.sessions.chmod(0o777)
        agent = self.agent("--once", "--endpoint", self.sink().url)
        self.assertEqual(agent.process.wait(PATIENCE), 1, agent.lines)
        agent.wait_for("may be accessed by other users, so nothing in it is read")
        agent.wait_for("ended; what is in .* is not sent")
        self.assertEqual(agent.said("everything"), [])

    def test_once_with_a_folder_that_does_not_exist(self):
        """Where no engine has run there is nothing to do. Where there cannot be one, the folder is the wrong one."""
        sink, engine = self.sink(), self.doomed(10, 0)
        empty, nowhere = self.shm / "empty", self.shm / "nowhere"
        empty.mkdir()
        agent = self.agent("--once", "--endpoint", sink.url, "--shm-dir", empty)
        self.assertEqual(agent.process.wait(PATIENCE), 0, agent.lines)
        for options, settings, name in ((("--shm-dir", nowhere), {}, "--shm-dir"), ((), {"NSP_SHM_DIR": str(nowhere)}, "NSP_SHM_DIR")):
            agent = self.agent("--once", "--endpoint", sink.url, *options, start=False, **settings)
            self.assertEqual(agent.process.wait(PATIENCE), 1, agent.lines)
            agent.wait_for(f"there is no folder .*/nowhere, so nothing was looked for: correct {name},")
            self.assertEqual(agent.said("ended"), [])
        engine.kill()

    def test_a_folder_that_cannot_be_reached(self):
        """It may be there: nobody knows."""
        loop = self.shm / "loop"
        loop.symlink_to(loop)
        sink, wrong = self.sink(), "loop cannot be reached: Too many levels of symbolic links"
        agent = self.agent("--once", "--endpoint", sink.url, "--shm-dir", loop, start=False)
        self.assertEqual(agent.process.wait(PATIENCE), 1, agent.lines)
        agent.wait_for(f"{wrong}, so nothing was looked for$")
        lasting = self.agent("--endpoint", sink.url, "--shm-dir", loop)
        lasting.wait_for(f"{wrong}; no engine can be found until it can$")
        self.assertEqual(agent.said("there is no folder") + lasting.said("there is no folder"), [])

    def test_once_with_unfinished_spans_alone(self):
        """Another agent has sent what was finished."""
        engine = self.doomed(100, 2)
        first = self.sink()
        agent = self.agent("--once", "--endpoint", first.url)
        self.assertEqual(agent.process.wait(PATIENCE), 0, agent.lines)
        engine.kill()
        second = self.sink()
        agent = self.agent("--once", "--endpoint", second.url)
        self.assertEqual(agent.process.wait(PATIENCE), 0, agent.lines)
        agent.wait_for("recovered: 2 spans exported, 2 of them unfinished")
        self.assertEqual(self.received(second, "open", "doomed"), [0, 1])
        self.assertEqual(self.left(), [])

    def test_new_engines_do_not_wait(self):
        """An engine that is just starting is looked at again soon, and not a second later."""
        agent = self.agent("--endpoint", self.sink().url)
        soon = late = slow = 0
        while soon < late + 3 and late < 10:
            started = time.monotonic()
            self.doomed(1, 0)
            start = time.monotonic() - started
            agent.wait_for("draining it", count=soon + late + slow + 1)
            if time.monotonic() - started < 0.7:
                soon += 1
            elif start < 0.3:
                late += 1
            else:  # the agent may wait as long again as the engine has taken to start
                slow += 1
            if slow == 10:
                break
        if soon + late < 3:
            self.skipTest("engines start too slowly here to tell")
        self.assertGreater(soon, late, "engines are taken over late")

    def test_traces_that_were_refused_before(self):
        engine = self.steady("--rate", 100000, "--spans", 20000, NSP_RING_BYTES="65536")
        self.assertEqual(engine.process.stdout.readline(), "full\n")
        agent = self.agent("--endpoint", self.sink().url)
        agent.wait_for(r"draining it; its engine refused [\d,]+ traces before, because a ring was full")
        engine.kill()

    def test_what_cannot_be_used_is_said(self):
        agent = self.agent("--endpoint", self.sink().url, OTEL_EXPORTER_OTLP_TIMEOUT="soon")
        agent.wait_for("OTEL_EXPORTER_OTLP_TIMEOUT=soon is not accepted")
        result = subprocess.run([command(), "agent"], env=environment(self.shm, OTLP_ENDPOINT="httpp://receiver"), capture_output=True,
                                text=True, timeout=PATIENCE, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("OTLP_ENDPOINT=httpp://receiver cannot be used", result.stderr)

    def test_missing_folder_is_said(self):
        agent = self.agent("--endpoint", self.sink().url, "--shm-dir", self.shm / "nowhere")
        agent.wait_for("there is no folder .*nowhere")

    def test_hangup_ends_it_in_order(self):
        agent = self.agent("--endpoint", self.sink().url)
        self.assertEqual(agent.end(signal.SIGHUP), 0)
        agent.wait_for("ended; everything")


class LongPaths(AgentTest):
    def deepen(self, length):
        """Takes another folder, so that the path of the sessions' own has so many bytes."""
        more = length - len(str(self.sessions))
        self.shm = self.shm / ("a" * (more // 2 - 1)) / ("b" * (more - more // 2 - 1))
        self.shm.mkdir(parents=True)
        self.assertEqual(len(str(self.sessions)), length)

    def test_longest_of_an_engine(self):
        """What engines can make can be drained, recovered, tuned and removed."""
        self.deepen(399)
        service, sink = "of-a-long-name-" * 5, self.sink()
        living = self.steady("--spans", 500, service=service)
        self.assertEqual(living.process.stdout.readline(), "full\n")
        session, = self.left()
        self.assertGreater(len(str(self.sessions / session)), 470)
        agent = self.agent("--once", "--endpoint", sink.url)
        self.assertEqual(agent.process.wait(PATIENCE), 0, agent.lines)
        agent.wait_for("draining it")
        self.doomed(300, 1, service="dead").kill()
        agent = self.agent("--once", "--endpoint", sink.url)
        self.assertEqual(agent.process.wait(PATIENCE), 0, agent.lines)
        self.assertEqual(self.left(), [session])
        result = subprocess.run([command(), "tune", str(living.pid), "0.5"], env=environment(self.shm), capture_output=True, text=True,
                                timeout=PATIENCE, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        agent = self.agent("--endpoint", sink.url)
        agent.wait_for("draining it")
        self.assertEqual(self.ended(living)["exported"], 500)
        wait_until(lambda: self.left() == [], "the removal of the session")
        self.assertEqual(agent.end(), 0)
        self.assertEqual(self.received(sink, "steady", service), list(range(500)))
        self.assertEqual(self.received(sink, "finished", "dead"), list(range(300)))
        self.assertEqual(self.received(sink, "open", "dead"), [0])

    def test_too_long(self):
        """It is said, and something is left."""
        self.deepen(500)
        (self.sessions / "engine.1.00000001").mkdir(parents=True)
        self.sessions.chmod(0o700)
        agent = self.agent("--once", "--endpoint", self.sink().url)
        self.assertEqual(agent.process.wait(PATIENCE), 1, agent.lines)
        agent.wait_for("engine.1.00000001: its path is too long")
        self.assertEqual(agent.said("drains itself"), [])


class Refusals(AgentTest):
    def test_engine_that_runs(self):
        """What the receiver refuses is lost, as with an engine's own collector, and the last line says so."""
        engine = self.doomed(100, 0)
        agent = self.agent("--endpoint", self.sink().url + "/elsewhere")
        agent.wait_for("rejected for good")
        self.wait_for_delivery("doomed")
        self.assertEqual(agent.end(), 0)
        agent.wait_for("the receiver refused 100 spans")
        engine.kill()

    def test_once(self):
        engine = self.doomed(100, 0)
        agent = self.agent("--once", "--endpoint", self.sink().url + "/elsewhere")
        self.assertEqual(agent.process.wait(PATIENCE), 1)
        agent.wait_for("the receiver refused 100 spans")
        engine.kill()

    def test_engine_that_is_dead(self):
        """What it left stays until a receiver takes it."""
        self.doomed(100, 2).kill()
        sink = self.sink()
        agent = self.agent("--once", "--endpoint", sink.url + "/elsewhere")
        self.assertEqual(agent.process.wait(PATIENCE), 1)
        agent.wait_for("not recovered yet: ")
        agent.wait_for("spans are left in shared memory")
        self.assertEqual(self.not_sent("doomed"), 102)
        agent = self.agent("--once", "--endpoint", sink.url)
        self.assertEqual(agent.process.wait(PATIENCE), 0, agent.lines)
        self.assertEqual(self.received(sink, "finished", "doomed"), list(range(100)))


class Deaths(AgentTest):
    def test_engine_is_killed(self):
        """Finished and unfinished spans arrive, each once, and there is one line for each event."""
        sink = self.sink()
        agent = self.agent("--endpoint", sink.url)
        engine = self.doomed(5000, 3)
        agent.wait_for("draining it")
        engine.kill()
        agent.wait_for("recovered: ")
        wait_until(lambda: self.left() == [], "the removal")
        name = rf"nanospan agent: doomed \(pid {engine.pid}\): "
        self.assertEqual(len(agent.said(name)), 3, agent.lines)
        self.assertEqual([len(agent.said(name + event)) for event in ("draining it", "died; 5,000 spans exported", "recovered: 3 more spans "
                                                                      "exported, 3 of them unfinished")], [1, 1, 1], agent.lines)
        self.assertEqual(self.received(sink, "finished", "doomed"), list(range(5000)))
        self.assertEqual(self.received(sink, "open", "doomed"), [0, 1, 2])

    def test_what_is_left_out_is_said(self):
        """Also with --quiet, since it is gone then; an agent that is told to exports it."""
        sink = self.sink()
        rules = {"TRACE_SAMPLE_RATE": "0", "NSP_OUTLIERS": "*: slower=1000s, history=60s"}
        for options, told in ((("--quiet", ), r"recovered: nothing was left to send; 20 spans lay in history, 2 in traces that were not "
                               r"decided, and were not exported \(an agent with --speculative exports them\)"),
                              (("--speculative", ), r"recovered: 22 (more )?spans exported, 2 of them unfinished$")):
            self.doomed(20, 2, **rules).kill()
            agent = self.agent("--endpoint", sink.url, *options, start=False)
            agent.wait_for(told)
            wait_until(lambda: self.left() == [], "the removal")
            self.assertEqual(agent.end(), 0)
        self.assertEqual(self.received(sink, "finished", "doomed"), list(range(20)))
        self.assertEqual(self.received(sink, "open", "doomed"), [0, 1])

    def test_several_engines_die_at_once(self):
        """Each is recovered, one after the other, and its line is about itself."""
        sink = self.sink()
        agent = self.agent("--endpoint", sink.url)
        engines = [self.doomed(10, number, service=f"dies-{number}") for number in (1, 2, 3)]
        for number in (1, 2, 3):
            self.wait_for_finished(f"dies-{number}", number)
        for engine in engines:
            engine.kill()
        for number in (1, 2, 3):
            agent.wait_for(rf"dies-{number} \(pid \d+\): recovered: {number} more spans? exported, {number} of them unfinished")
        wait_until(lambda: self.left() == [], "the removal")

    def test_in_doubt(self):
        """An agent dies while it sends: with `skip` the next one counts that batch as unconfirmed, and sends the rest."""
        with silent_receiver() as (url, documents):
            engine = self.steady("--spans", 50)
            self.assertEqual(engine.process.stdout.readline(), "full\n")
            with Agent(self.shm, "--endpoint", url, OTEL_EXPORTER_OTLP_PROTOCOL="http/json") as agent:
                wait_until(lambda: documents, "a request")
                agent.kill()
        in_doubt = len(spans_of(documents)[0])
        sink = self.sink()
        agent = self.agent("--endpoint", sink.url, "--in-doubt", "skip")
        self.wait_for_delivery("steady")
        account = self.ended(engine)
        agent.wait_for(rf"ended; .*{in_doubt} unconfirmed")
        self.assertEqual((account["attempted"], account["exported"]), (50, 50 - in_doubt))
        self.assertEqual(len(self.received(sink, "steady", "steady")), 50 - in_doubt)

    def test_agent_is_killed_again_and_again(self):
        """While an engine records. Twice there may be at most the batch that each of them was sending."""
        kills, batch = 8, 100
        sink = self.sink("--delay", "2ms")
        engine = self.steady("--rate", 20000, NSP_RING_BYTES=str(16 << 20))
        small = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(batch)}
        for _ in range(kills):
            with Agent(self.shm, "--endpoint", sink.url, **small) as agent:
                agent.wait_for("draining it")
                requests = sink.output.stat().st_size
                wait_until(lambda: sink.output.stat().st_size > requests, "a delivery")
        agent = self.agent("--endpoint", sink.url, **small)
        agent.wait_for("draining it")
        account = self.ended(engine)
        agent.wait_for("ended; ")
        self.assertEqual((account["status"], account["in_rings"], account["in_batches"]), (0, 0, 0), account)
        self.assertEqual(account["attempted"] - account["dropped"], account["exported"], account)
        self.assertEqual(agent.end(), 0)
        self.assertEqual(sink.stop(), 0)
        spans, twice = spans_of(sink.lines())
        numbers = sorted(span.attributes["number"] for span in spans.values())
        self.assertEqual((len(numbers), len(set(numbers))), (account["exported"], account["exported"]))
        self.assertLessEqual(twice, kills * batch)

    def test_another_agent_takes_over(self):
        """One drains, by the lock; the other one goes on when that is killed."""
        sink = self.sink()
        engine = self.steady("--rate", 1000)
        first = self.agent("--endpoint", sink.url)
        first.wait_for("draining it")
        second = self.agent("--endpoint", sink.url)
        second.wait_for("this agent takes over when that ends")
        self.assertEqual(second.said(": draining it"), [])
        first.kill()
        second.wait_for(r"steady \(pid \d+\): draining it")
        account = self.ended(engine)
        second.wait_for("ended; ")
        self.assertEqual((account["status"], account["exported"]), (0, account["attempted"]))
        self.assertEqual(second.end(), 0)
        self.assertEqual(sink.stop(), 0)
        spans, _ = spans_of(sink.lines())
        self.assertEqual(sorted(span.attributes["number"] for span in spans.values()), list(range(account["attempted"])))

    def test_all_of_them_are_killed(self):
        """The engine while nobody drains it, then the agent while it recovers: the next one finds everything."""
        sink = self.sink()
        engine = self.doomed(2000, 2)
        with Agent(self.shm, "--endpoint", "http://127.0.0.1:1") as agent:
            agent.wait_for("waiting; retrying")
        engine.kill()
        agent = self.agent("--endpoint", sink.url)
        agent.wait_for(r"recovered: 2,002 spans exported, 2 of them unfinished")
        self.assertEqual(self.received(sink, "finished", "doomed"), list(range(2000)))
        self.assertEqual(self.received(sink, "open", "doomed"), [0, 1])
        self.assertEqual(self.left(), [])

    def test_end_in_order_without_a_receiver(self):
        """It ends within its timeout, with exit code 0, and leaves everything to the next one."""
        self.doomed(1000, 0)
        agent = self.agent("--endpoint", "http://127.0.0.1:1", "--timeout", "300ms")
        agent.wait_for("waiting; retrying")
        self.assertEqual(agent.end(signal.SIGINT), 0)
        agent.wait_for("spans are left in shared memory, for the next agent")
        self.assertEqual(self.not_sent("doomed"), 1000)
        sink = self.sink()
        second = self.agent("--endpoint", sink.url)
        self.wait_for_delivery("doomed")
        self.assertEqual(second.end(), 0)
        self.assertEqual(self.received(sink, "finished", "doomed"), list(range(1000)))


class ServiceManager(AgentTest):
    def test_what_it_is_told(self):
        path = str(self.shm / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(PATIENCE)
            agent = self.agent("--endpoint", "http://127.0.0.1:1", NOTIFY_SOCKET=path, WATCHDOG_USEC="100000")
            told = []

            def wait_for(line):
                while line not in told:
                    told.extend(manager.recv(4096).decode().splitlines())
            wait_for("READY=1")
            wait_for("STATUS=draining 0 engines")
            wait_for("WATCHDOG=1")
            self.doomed(1, 0)
            wait_for("STATUS=draining 1 engine")
            self.assertEqual(agent.end(), 0)
            wait_for("STOPPING=1")
            self.assertEqual(told[0], "READY=1")


if __name__ == "__main__":
    unittest.main()
