# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 240
"""`nanospan agent` with an engine whose batches the receiver cannot answer: the others do not notice."""
import http.server
import json
import threading
import unittest

from agent_process import AgentTest
from engine_process import spans_of, wait_until

REFUSED_BYTES = 30000  # larger requests of the bad engine are refused in test_part_of_a_batch


class Receiver:
    """Takes OTLP in JSON. The connection of a request with spans of the service "bad" is closed without an answer until
    `bad` is False. With a limit, its requests that are larger are refused for their size, and of the others only
    every second one is left unanswered."""

    def __init__(self, limit=None):
        self.bad = True
        self.limit = limit
        self.lock = threading.Lock()
        self.documents, self.refused, self.unanswered = [], 0, 0
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.judge(body)
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def judge(self, body):
        """The status of the answer, or None."""
        with self.lock:
            if self.bad and b'"bad"' in body:
                if self.limit is not None and len(body) > self.limit:
                    self.refused += 1
                    return 413
                answered = self.limit is not None and self.unanswered % 2 == 1
                self.unanswered += 1
                if not answered:
                    return None
            self.documents.append(json.loads(body))
            return 200

    def numbers(self, service):
        """The numbers of the spans that were taken."""
        with self.lock:
            spans, twice = spans_of(self.documents)
        return sorted(span.attributes["number"] for span in spans.values() if span.service == service), twice

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Fair(AgentTest):
    def receiver(self, limit=None):
        receiver = Receiver(limit)
        self.addCleanup(receiver.close)
        return receiver

    def start(self, receiver):
        return self.agent("--endpoint", receiver.url, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/json",
                          OTEL_EXPORTER_OTLP_TRACES_COMPRESSION="none")

    def check_ended(self, engine, service, receiver):
        account = self.ended(engine)
        self.assertEqual((account["status"], account["dropped"], account["exported"]), (0, 0, account["attempted"]), account)
        self.assertEqual(receiver.numbers(service), (list(range(account["attempted"])), 0))

    def test_others_go_on(self):
        receiver = self.receiver()
        agent = self.start(receiver)
        bad = self.steady("--spans", 2000, service="bad")
        agent.wait_for(r"bad \(pid \d+\): draining it")
        wait_until(lambda: receiver.unanswered >= 3, "an attempt to send the bad one's")
        for name in ("first", "second"):  # the bad one's come before all of these
            engine = self.steady("--rate", 500, service=name)
            agent.wait_for(rf"{name} \(pid \d+\): draining it")
            wait_until(lambda: len(receiver.numbers(name)[0]) > 100, "the delivery of the good one's")
            self.check_ended(engine, name, receiver)
            agent.wait_for(rf"{name} \(pid \d+\): ended; ")
        agent.wait_for(r"the batches of bad \(pid \d+\) cannot be delivered: .*; those of other engines go on")
        self.assertEqual(receiver.numbers("bad"), ([], 0))
        before = receiver.unanswered
        wait_until(lambda: receiver.unanswered > before, "another attempt")
        self.assertEqual(bad.process.stdout.readline(), "full\n")
        receiver.bad = False
        agent.wait_for(r"the batches of bad \(pid \d+\) are delivered again")
        self.check_ended(bad, "bad", receiver)
        agent.wait_for(r"bad \(pid \d+\): ended; 2,000 spans exported by this agent")
        self.assertEqual(len(agent.said("cannot be delivered")), 1, agent.lines)
        self.assertEqual(len(agent.said("delivered again")), 1, agent.lines)
        self.assertEqual(agent.end(), 0)

    def test_part_of_a_batch(self):
        """Some of a batch has arrived when another engine's comes between: each span arrives once."""
        receiver = self.receiver(limit=REFUSED_BYTES)
        bad = self.steady("--spans", 4000, service="bad")
        self.assertEqual(bad.process.stdout.readline(), "full\n")  # so that its first batch is a large one
        agent = self.start(receiver)
        good = self.steady("--rate", 500, service="good")
        wait_until(lambda: len(receiver.numbers("bad")[0]) == 4000, "the delivery of all parts")
        self.assertGreater(receiver.refused, 0)
        self.assertGreater(receiver.unanswered, 4)
        self.check_ended(good, "good", receiver)
        self.check_ended(bad, "bad", receiver)
        self.assertEqual(agent.end(), 0)


if __name__ == "__main__":
    unittest.main()
