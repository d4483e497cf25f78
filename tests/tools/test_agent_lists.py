# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
"""`nanospan agent` with a list of exporters: each gets every span, also when agents are killed, and when the next one
sends elsewhere."""
import fcntl
import json
import os
import unittest

from agent_process import Agent, AgentTest
from engine_process import PATIENCE, spans_of, wait_until
from ports import closed_port
from silent_receiver import silent_receiver

BATCH = 100


class Lists(AgentTest):
    def setUp(self):
        super().setUp()
        self.file = self.shm / "spans.jsonl"

    def settings(self, endpoint, exporters="otlp,file", **more):
        return {"OTEL_TRACES_EXPORTER": exporters, "NSP_FILE": str(self.file), "OTLP_ENDPOINT": endpoint,
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(BATCH), **more}

    def away(self, exporters="otlp,file"):
        return self.settings(f"http://127.0.0.1:{closed_port()}", exporters)

    def in_file(self, torn=0):
        """torn: so many lines may not be complete, since a writer was killed; those spans come again."""
        lines = []
        for line in self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else ():
            try:
                lines.append(json.loads(line))
            except ValueError:
                torn -= 1
        self.assertGreaterEqual(torn, 0)
        return spans_of(lines)

    def in_sink(self, sink):
        if sink.process.poll() is None:
            self.assertEqual(sink.stop(), 0)
        return spans_of(sink.lines())

    def check(self, of, count, most_twice=0):
        spans, twice = of
        self.assertEqual(sorted(span.attributes["number"] for span in spans.values()), list(range(count)))
        self.assertLessEqual(twice, most_twice)


class Draining(Lists):
    def test_both_get_every_span_once(self):
        for exporters in ("otlp,file", "file,otlp"):
            with self.subTest(exporters):
                self.file.unlink(missing_ok=True)
                sink = self.sink()
                engine = self.steady("--spans", 3000)
                agent = self.agent(**self.settings(sink.url, exporters))
                agent.wait_for(f"started; .*, sending to {exporters}$")
                agent.wait_for("draining it")
                self.assertEqual(engine.process.stdout.readline(), "full\n")
                account = self.ended(engine)
                self.assertEqual((account["status"], account["attempted"], account["exported"]), (0, 3000, 3000))
                agent.wait_for("ended; 3,000 spans exported by this agent$")
                self.assertEqual(agent.end(), 0)
                self.check(self.in_file(), 3000)
                self.check(self.in_sink(sink), 3000)

    def test_engine_that_dies(self):
        """The recovery that the agent starts has the same list."""
        sink = self.sink()
        engine = self.doomed(1000, 3)
        agent = self.agent(**self.settings(sink.url))
        self.wait_for_finished("doomed", 3)
        engine.kill()
        agent.wait_for("recovered: 3 more spans exported, 3 of them unfinished")
        self.assertEqual(agent.end(), 0)
        for spans, twice in (self.in_file(), self.in_sink(sink)):
            self.assertEqual((len(spans), twice), (1003, 0))
        self.assertEqual(self.left(), [])

    def test_one_that_cannot_be_created(self):
        agent = self.agent(start=False, **self.settings("http://127.0.0.1:1", NSP_FILE=str(self.shm / "no" / "file")))
        self.assertEqual(agent.process.wait(PATIENCE), 1)
        agent.wait_for("cannot start: not all of the exporters otlp,file can be used")


class Deaths(Lists):
    def test_receiver_is_away_and_agents_end(self):
        """In order or not: the file has nothing of what waits for the receiver, so it gets nothing twice."""
        engine = self.steady("--spans", 1050, NSP_BATCHES="32")
        self.assertEqual(engine.process.stdout.readline(), "full\n")
        for exporters in ("otlp,file", "file,otlp", "otlp,file,file"):
            # The first one leaves a batch that it has not closed, which the second one takes over as it is.
            with Agent(self.shm, "--timeout", "200ms", OTEL_BSP_SCHEDULE_DELAY="3600000", **self.away(exporters)) as agent:
                agent.wait_for("waiting; retrying")
                wait_until(lambda: self.listed()["steady"]["ring_fill"] == 0, "an empty ring")
                if exporters == "file,otlp":
                    self.assertEqual(agent.end(), 0)
        self.assertEqual(self.in_file(), ({}, 0))
        sink = self.sink()
        agent = self.agent(**self.settings(sink.url))
        self.wait_for_delivery("steady")
        self.assertEqual(self.ended(engine)["exported"], 1050)
        self.assertEqual(agent.end(), 0)
        self.check(self.in_file(), 1050)
        self.check(self.in_sink(sink), 1050)

    def test_batch_that_was_not_closed(self):
        """The next agent takes it over as it is, and the one after that too."""
        engine = self.steady("--spans", 50)
        self.assertEqual(engine.process.stdout.readline(), "full\n")
        with Agent(self.shm, OTEL_BSP_SCHEDULE_DELAY="3600000", **self.away()) as agent:
            agent.wait_for("draining it")
            wait_until(lambda: self.listed()["steady"]["ring_fill"] == 0, "an empty ring")
        for _ in range(2):
            with Agent(self.shm, **self.away()) as agent:
                agent.wait_for("waiting; retrying")
        sink = self.sink()
        agent = self.agent(**self.settings(sink.url))
        self.wait_for_delivery("steady")
        self.assertEqual(self.ended(engine)["exported"], 50)
        self.assertEqual(agent.end(), 0)
        self.check(self.in_file(), 50)
        self.check(self.in_sink(sink), 50)

    def test_next_agent_sends_elsewhere(self):
        """What lies in batches is encoded again for whatever exporters the next one has."""
        for first, second in (("otlp,file", "file"), ("otlp", "file,otlp"), ("console,otlp", "otlp,file"), ("otlp,file", "otlp")):
            with self.subTest(first=first, second=second):
                self.file.unlink(missing_ok=True)
                engine = self.steady("--spans", 1000)
                self.assertEqual(engine.process.stdout.readline(), "full\n")
                with Agent(self.shm, **self.away(first)) as agent:
                    agent.wait_for("waiting; retrying")
                sink = self.sink()
                agent = self.agent(**self.settings(sink.url, second))
                self.wait_for_delivery("steady")
                self.assertEqual(self.ended(engine)["exported"], 1000)
                agent.wait_for("ended; 1,000 spans exported by this agent(, 100 of them in doubt and sent again)?$")
                self.assertEqual(agent.end(), 0)
                self.assertEqual(sink.stop(), 0)
                if "file" in second:
                    self.check(self.in_file(), 1000)
                if "otlp" in second:
                    self.check(self.in_sink(sink), 1000)

    def test_file_that_hangs(self):
        """What an earlier agent left is sent in pieces: the receiver gets each once, while the file hangs in the middle."""
        engine = self.steady("--spans", 1000)
        self.assertEqual(engine.process.stdout.readline(), "full\n")
        with Agent(self.shm, **self.settings(f"http://127.0.0.1:{closed_port()}", "otlp", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="1000")) as agent:
            agent.wait_for("waiting; retrying")
        os.mkfifo(self.file)
        reader = os.open(self.file, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        sink = self.sink()
        # It holds for the receiver too, which would get a span twice if it took longer to answer.
        agent = self.agent(**self.settings(sink.url, OTEL_EXPORTER_OTLP_TIMEOUT="2000"))
        agent.wait_for("waiting; retrying")
        self.assertEqual(self.not_sent("steady"), 1000)
        os.set_blocking(reader, True)
        text = b""
        while text.count(b"\"spanId\"") < 1000 or not text.endswith(b"\n"):
            text += os.read(reader, 1 << 16)
        self.wait_for_delivery("steady")
        self.assertEqual(self.ended(engine)["exported"], 1000)
        self.assertEqual(agent.end(), 0)
        self.check(spans_of(map(json.loads, text.splitlines())), 1000)
        self.check(self.in_sink(sink), 1000)

    def test_receiver_that_does_not_answer(self):
        """What it may have is in doubt, which is said; the file gets nothing before the receiver has answered."""
        with silent_receiver() as (url, documents):
            engine = self.steady("--spans", 50)
            self.assertEqual(engine.process.stdout.readline(), "full\n")
            with Agent(self.shm, OTEL_EXPORTER_OTLP_PROTOCOL="http/json", **self.settings(url)) as agent:
                wait_until(lambda: documents, "a request")
                agent.kill()
        in_doubt = len(spans_of(documents)[0])
        self.assertEqual(self.in_file(), ({}, 0))
        sink = self.sink()
        agent = self.agent(**self.settings(sink.url))
        self.wait_for_delivery("steady")
        self.assertEqual(self.ended(engine)["exported"], 50)
        agent.wait_for(f"ended; 50 spans exported by this agent, {in_doubt} of them in doubt and sent again$")
        self.check(self.in_file(), 50)
        self.check(self.in_sink(sink), 50)

    def test_agent_is_killed_again_and_again(self):
        """While an engine records: everything is in both, and twice at most the batch that each was sending."""
        kills = 8
        sink = self.sink("--delay", "2ms")
        engine = self.steady("--rate", 20000, NSP_RING_BYTES=str(16 << 20))
        for _ in range(kills):
            with Agent(self.shm, **self.settings(sink.url)) as agent:
                agent.wait_for("draining it")
                written = sink.output.stat().st_size
                wait_until(lambda: sink.output.stat().st_size > written, "a delivery")
        agent = self.agent(**self.settings(sink.url))
        agent.wait_for("draining it")
        account = self.ended(engine)
        agent.wait_for("ended; ")
        self.assertEqual((account["status"], account["in_rings"], account["in_batches"]), (0, 0, 0), account)
        self.assertEqual(account["attempted"] - account["dropped"], account["exported"], account)
        self.assertEqual(agent.end(), 0)
        for spans, twice in (self.in_file(torn=2 * kills), self.in_sink(sink)):
            self.assertEqual(len({span.attributes["number"] for span in spans.values()}), account["exported"])
            self.assertLessEqual(twice, kills * BATCH)


if __name__ == "__main__":
    unittest.main()
