# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
"""Processes that are linked with libnanospan-core alone: what is in them, and that an agent drains them."""
import json
import os
import re
import subprocess
import unittest
from pathlib import Path

from agent_process import AgentTest
from engine_process import BUILD, PATIENCE, Engine, environment, spans_of, wait_until
from peers import missing, need

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[3]))
# What exporters need, and what that needs: TLS, HTTP, protobuf, compression, the resolver's helpers ...
FOREIGN = re.compile(r"/lib(nanospan\.so|curl|ssl|crypto|gnutls|nettle|nghttp2|ssh|psl|idn|brotli|zstd|ldap|krb5|gssapi"
                     r"|protobuf|deflate|z\.so)")


def libraries(pid):
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    return {line.split(maxsplit=5)[5] for line in maps.splitlines() if ".so" in line}


def foreign(pid):
    return sorted(path for path in libraries(pid) if FOREIGN.search(path))


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def sockets(pid):
    folder = Path(f"/proc/{pid}/fd")
    return [fd.name for fd in folder.iterdir() if os.readlink(fd).startswith("socket:")]


class Process(AgentTest):
    def start(self, program, *arguments):
        engine = Engine(self.shm, *arguments, program=program, service="alone", OTLP_ENDPOINT="http://127.0.0.1:1")
        self.addCleanup(engine.kill)
        return engine

    def test_no_thread_no_socket_no_library(self):
        """Without NSP_COLLECTOR: nothing else is possible. Everything arrives, with the engine's own resource."""
        sink = self.sink()
        engine = self.start("steady_core", "--spans", 2000)
        self.assertTrue(any("/libnanospan-core.so" in path for path in libraries(engine.pid)))
        self.assertEqual(foreign(engine.pid), [])
        self.assertEqual(sockets(engine.pid), [])
        self.assertEqual(threads(engine.pid), 1)
        agent = self.agent("--endpoint", sink.url)
        self.assertEqual(engine.process.stdout.readline(), "full\n")
        account = self.ended(engine)
        self.assertEqual((account["status"], account["exported"]), (0, 2000))
        self.assertEqual(agent.end(), 0)
        self.assertEqual(self.received(sink, "steady", "alone"), list(range(2000)))

    def test_with_exporters_there_are_some(self):
        """The checks of the test above can fail."""
        engine = self.start("steady")
        found = set(re.findall("curl|libnanospan.so|protobuf", str(foreign(engine.pid))))
        self.assertEqual(found, {"curl", "libnanospan.so", "protobuf"})
        self.assertGreaterEqual(threads(engine.pid), 3)


class Example(AgentTest):
    def test_engine(self):
        """The example engine, with orders from the feed."""
        program, feed = BUILD / "bin" / "engine-core", BUILD / "bin" / "feed"
        need(program.exists() and feed.exists(), "the examples are not built")
        sink = self.sink()
        agent = self.agent("--endpoint", sink.url)
        address, stats = self.shm / "address", self.shm / "stats"
        engine = subprocess.Popen([program, "--listen", "127.0.0.1:0", "--no-pin", "--address-file", address, "--once",
                                   "--stats-json", stats], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env=environment(self.shm, NSP_RING_BYTES="16777216"))
        self.addCleanup(engine.kill)
        wait_until(lambda: address.exists() or engine.poll() is not None, "the engine's start")
        self.assertEqual(foreign(engine.pid), [])
        sent = subprocess.run([feed, "--file", SOURCE / "examples" / "orders" / "orders.csv", "--connect",
                               address.read_text(encoding="utf-8").strip(), "--orders", "500"], timeout=PATIENCE,
                              capture_output=True, text=True, env=environment(self.shm, ENABLE_TRACING="false"), check=False)
        self.assertEqual(sent.returncode, 0, sent.stderr)
        said = engine.communicate(timeout=PATIENCE)[0]
        self.assertEqual(engine.returncode, 0, said)
        self.assertIn("drained from outside", said)
        begun = json.loads(stats.read_text(encoding="utf-8"))["spans"]
        agent.wait_for(r"execution \(pid \d+\): ended")
        self.assertEqual(agent.end(), 0)
        self.assertEqual(sink.stop(), 0)
        spans, twice = spans_of(sink.lines())
        self.assertEqual((len(spans), twice), (begun["attempted"], 0))
        self.assertEqual({span.service for span in spans.values()}, {"execution"})


if __name__ == "__main__":
    if not (BUILD / "tests" / "steady_core").exists():
        missing("the program steady_core is not built")
    unittest.main()
