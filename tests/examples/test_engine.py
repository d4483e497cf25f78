# SPDX-License-Identifier: Apache-2.0
#
# ctest: TIMEOUT 500 COST 35
"""The example engine from outside: bytes in, bytes out; the feed; the demo and its check."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from peers import missing

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[2]))
BIN = Path(os.environ.get("NSP_BUILD_DIR", SOURCE / "build")) / "bin"
EXAMPLES = SOURCE / "examples"
ORDERS = EXAMPLES / "orders" / "orders.csv"

sys.path.insert(0, str(EXAMPLES))
from check_traces import attributes_of, read_spans, stages_complaint  # noqa: E402

BUY, SELL, DAY, IMMEDIATE = 1, 2, 1, 2
RESTING, PARTLY, FILLED, EXPIRED, CANCELLED, REJECTED = range(1, 7)
UNKNOWN_SYMBOL, PRICE_BAND, BAD_QUANTITY, UNKNOWN_ACCOUNT, NO_CASH, NO_POSITION, BELOW_LOT, DUPLICATE = range(2, 10)
UNKNOWN_ORDER, NOT_OWNER = 11, 12


def untraced():
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTLP_"))}
    environment["ENABLE_TRACING"] = "false"
    return environment


class Engine:
    """A running engine, not traced unless the environment says so, and its folder."""

    def __init__(self, *options, environment=None):
        self.folder = Path(tempfile.mkdtemp())
        address = self.folder / "address"
        self.log = open(self.folder / "log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [BIN / "engine", "--listen", "127.0.0.1:0", "--no-pin", "--address-file", address, "--drop-copy",
             self.folder / "drop_copy", *options], env=environment or untraced(), stdout=self.log, stderr=self.log)
        for _ in range(3000):
            if address.exists() or self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.address = address.read_text().strip()

    def stop(self):
        """Stops it like an operator; returns its exit code and output."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(30)
        finally:
            self.process.kill()
        self.log.seek(0)
        said = self.log.read()
        self.log.close()
        shutil.rmtree(self.folder)
        return code, said


class Client:
    """Speaks the protocol as README.md describes it; shares no code with the programs."""

    def __init__(self, engine):
        host, port = engine.address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.buffer = b""

    def order(self, number, side, price, quantity, symbol="BTCUSDT", account=1, kind=DAY, context=b""):
        body = struct.pack("<IQII8sBB6x", account, number, price, quantity, symbol.encode(), side, kind) + context
        return struct.pack("<HBB", 4 + len(body), 1, 1) + body

    def cancel(self, number, target, account=1):
        return struct.pack("<HBBIQQ", 24, 1, 2, account, number, target)

    def send(self, *messages):
        self.socket.sendall(b"".join(messages))

    def receive(self):
        """The next message: (type, the rest of its fields)."""
        while len(self.buffer) < 4 or len(self.buffer) < struct.unpack_from("<H", self.buffer)[0]:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more
        length, version, kind = struct.unpack_from("<HBB", self.buffer)
        assert version == 1
        message, self.buffer = self.buffer[:length], self.buffer[length:]
        return kind, struct.unpack_from({16: "<IQQIIIBB", 17: "<IQQIII"}[kind], message, 4)

    def ask(self, message):
        """(result, reason, filled, leaves, fills, value) of a message that concerns no other connection."""
        self.send(message)
        kind, (_, _, value, filled, leaves, fills, result, reason) = self.receive()
        assert kind == 16
        return result, reason, filled, leaves, fills, value

    def close(self):
        self.socket.close()


class Protocol(unittest.TestCase):
    def setUp(self):
        self.engine = Engine()
        self.client = Client(self.engine)

    def tearDown(self):
        self.client.close()
        code, said = self.engine.stop()
        self.assertEqual(code, 0, said)
        self.assertNotIn("NOT BALANCED", said)

    def test_trade(self):
        client = self.client
        self.assertEqual(client.ask(client.order(1, SELL, 60010, 5)), (RESTING, 0, 0, 5, 0, 0))
        self.assertEqual(client.ask(client.order(2, SELL, 60000, 5, account=2)), (RESTING, 0, 0, 5, 0, 0))
        client.send(client.order(3, BUY, 60010, 12, account=3))
        self.assertEqual(client.receive(), (17, (2, 2, 3, 5, 60000, 0)))
        self.assertEqual(client.receive(), (17, (1, 1, 3, 5, 60010, 0)))
        self.assertEqual(client.receive(), (16, (3, 3, 5 * 60000 + 5 * 60010, 10, 2, 2, PARTLY, 0)))
        self.assertEqual(client.ask(client.cancel(4, 3, account=2))[:2], (REJECTED, NOT_OWNER))
        self.assertEqual(client.ask(client.cancel(5, 3, account=3))[:4], (CANCELLED, 0, 0, 2))
        self.assertEqual(client.ask(client.cancel(6, 3, account=3))[:2], (REJECTED, UNKNOWN_ORDER))

    def test_immediate(self):
        client = self.client
        client.ask(client.order(1, BUY, 60000, 3))
        client.send(client.order(2, SELL, 59990, 5, account=2, kind=IMMEDIATE))
        self.assertEqual(client.receive()[0], 17)
        self.assertEqual(client.receive(), (16, (2, 2, 3 * 60000, 3, 2, 1, EXPIRED, 0)))
        self.assertEqual(client.ask(client.order(3, BUY, 60100, 1))[0], RESTING)

    def test_rejections(self):
        client = self.client
        self.assertEqual(client.ask(client.order(1, BUY, 60000, 1, symbol="NOSUCH"))[:2], (REJECTED, UNKNOWN_SYMBOL))
        self.assertEqual(client.ask(client.order(2, BUY, 1, 1))[:2], (REJECTED, PRICE_BAND))
        self.assertEqual(client.ask(client.order(3, BUY, 60000, 0))[:2], (REJECTED, BAD_QUANTITY))
        self.assertEqual(client.ask(client.order(4, BUY, 60000, 1, account=65))[:2], (REJECTED, UNKNOWN_ACCOUNT))
        self.assertEqual(client.ask(client.order(5, BUY, 60000, 4000000000))[:2], (REJECTED, NO_CASH))
        self.assertEqual(client.ask(client.order(6, SELL, 60000, 4000000000))[:2], (REJECTED, NO_POSITION))
        self.assertEqual(client.ask(client.order(7, BUY, 2500, 499, symbol="DOGEUSDT"))[:2], (REJECTED, BELOW_LOT))
        self.assertEqual(client.ask(client.order(8, BUY, 60000, 1))[0], RESTING)
        self.assertEqual(client.ask(client.order(8, BUY, 60000, 1))[:2], (REJECTED, DUPLICATE))
        # Quantities are whole lots of 500 and at most 400 units of the first instrument at its middle price.
        self.assertEqual(client.ask(client.order(9, BUY, 2500, 1200, symbol="DOGEUSDT"))[3], 1000)
        self.assertEqual(client.ask(client.order(10, BUY, 60000, 1000))[3], 400)

    def test_any_slicing(self):
        """Messages arrive byte by byte or all at once, with and without a trace context."""
        client = self.client
        context = bytes([0]) + bytes(range(1, 25)) + bytes([1])
        stream = b"".join(client.order(i, BUY, 59000 + i, 1, context=context if i % 2 else b"") for i in range(1, 61))
        for byte in stream[:1500]:
            self.client.send(bytes([byte]))
        client.send(stream[1500:])
        for number in range(1, 61):
            kind, fields = client.receive()
            self.assertEqual((kind, fields[1], fields[6]), (16, number, RESTING))

    def test_nonsense_ends_the_connection(self):
        for nonsense in (b"\x02\x00\x01\x01", b"\xff\xff\x01\x01", b"\x28\x00\x09\x01", b"\x04\x00\x01\x63"):
            client = Client(self.engine) if nonsense[0] != 2 else self.client
            client.send(nonsense)
            with self.assertRaises((EOFError, ConnectionError)):
                client.receive()
            client.close()
        self.client = Client(self.engine)  # and the engine serves the next one
        self.assertEqual(self.client.ask(self.client.order(1, BUY, 60000, 1))[0], RESTING)

    def test_short_order_is_malformed(self):
        self.client.send(struct.pack("<HBBI", 8, 1, 1, 7))
        self.assertEqual(self.client.receive()[1][6:], (REJECTED, 1))


class Receiver:
    """nanospan sink, and the spans that it took."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp())
        port = self.folder / "port"
        self.process = subprocess.Popen([BIN / "nanospan", "sink", "--listen", "127.0.0.1:0", "--port-file", port, "--output",
                                         self.folder / "traces.jsonl"], env=untraced(), stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(3000):
            if port.exists() or self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.environment = {name: value for name, value in untraced().items() if name != "ENABLE_TRACING"}
        self.environment["OTLP_ENDPOINT"] = "http://127.0.0.1:" + port.read_text().strip().rpartition(":")[2]

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        spans, twice = read_spans(self.folder / "traces.jsonl")
        shutil.rmtree(self.folder)
        return spans, twice


class Paths(unittest.TestCase):
    """Orders that are traced as declared paths, and by ordinary calls, are the same traces."""

    def setUp(self):
        if not (BIN / "nanospan").exists():
            self.skipTest("the command nanospan is not built")

    def trade(self, client):
        """Every result, and a refusal in every stage that can refuse; every other order comes with a context."""
        context = bytes([0]) + bytes(range(1, 25)) + bytes([1])
        client.ask(client.order(1, SELL, 60010, 5, context=context))
        client.ask(client.order(2, SELL, 60000, 5, account=2))
        client.send(client.order(3, BUY, 60010, 12, account=3, context=context))
        for _ in range(3):
            client.receive()
        client.send(client.order(4, SELL, 59990, 1, account=2, kind=IMMEDIATE))
        for _ in range(2):
            client.receive()
        client.ask(client.order(5, SELL, 60500, 1, kind=IMMEDIATE, context=context))
        client.ask(client.cancel(6, 3, account=3))
        client.ask(client.cancel(7, 3, account=3))
        client.ask(client.order(8, BUY, 60000, 1, symbol="NOSUCH"))
        client.ask(client.order(9, BUY, 60000, 4000000000, context=context))
        client.ask(client.order(10, BUY, 2500, 499, symbol="DOGEUSDT"))
        client.send(struct.pack("<HBBI", 8, 1, 1, 7))  # too short to be an order
        client.receive()
        client.ask(client.order(11, BUY, 2500, 500, symbol="DOGEUSDT", context=context))

    def traces(self, *options):
        """What the spans say but ids and times: by order, its stages, and its life."""
        receiver = Receiver()
        engine = Engine("--once", *options, environment={**receiver.environment, "NSP_CPU_NUMBERS": "no"})
        client = Client(engine)
        self.trade(client)
        client.close()
        self.assertEqual(engine.process.wait(60), 0)
        code, said = engine.stop()
        self.assertEqual(code, 0, said)
        self.assertNotIn("NOT BALANCED", said)
        spans, twice = receiver.stop()
        self.assertEqual(twice, 0)

        def content(span):
            return (span.name, span.kind, list(span.attributes.items()), span.state, span.dropped_events,
                    [(event["name"], attributes_of(event)) for event in span.events])

        orders, lives = [], []
        for span in spans.values():
            if span.name == "order":
                stages = sorted((stage for stage in spans.values() if (stage.trace, stage.parent) == (span.trace, span.id)),
                                key=lambda stage: (stage.start, stage.end))
                self.assertIsNone(stages_complaint(span, stages))
                orders.append((content(span), span.status, span.parent != "", list(map(content, stages))))
            elif span.name == "order_life":
                link, = span.links
                lives.append((content(span), content(spans[link["traceId"], link["spanId"]])))
        self.assertEqual(len(spans), len(orders) + sum(len(order[3]) for order in orders) + len(lives))
        return sorted(orders, key=repr), sorted(lives, key=repr)

    def test_both_ways_give_the_same_traces(self):
        paths, calls = self.traces(), self.traces("--calls")
        self.assertEqual((len(paths[0]), len(paths[1])), (12, 6))
        self.assertEqual(paths, calls)


class Feed(unittest.TestCase):
    def feed(self, *options):
        engine = Engine("--once")
        done = subprocess.run([BIN / "feed", "--file", ORDERS, "--connect", engine.address, *options], env=untraced(),
                              capture_output=True, text=True, timeout=120, check=False)
        code, said = engine.stop()
        self.assertEqual((done.returncode, code), (0, 0), done.stdout + done.stderr + said)
        self.assertNotIn("NOT BALANCED", done.stdout + said)
        return done.stdout

    def test_replay(self):
        self.feed("--orders", "50000")

    def test_open_loop(self):
        self.feed("--orders", "2000", "--rate", "4000", "--window", "64")

    def test_order_file_is_the_generators(self):
        made = subprocess.run([sys.executable, EXAMPLES / "orders" / "make_orders.py"], capture_output=True, check=True)
        self.assertEqual(made.stdout, ORDERS.read_bytes())

    def test_wrong_usage(self):
        ten = ["--file", ORDERS, "--orders", "10"]
        for arguments in (["--file"], ["--file", ORDERS, "--rate", "fast"], ["--nothing"], ["--orders", "5"],
                          [*ten, "--pause-at", "0"], [*ten, "--pause-at", "10"], [*ten, "--pause-at", "5", "--pause-at", "5"]):
            done = subprocess.run([BIN / "feed", *arguments], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertEqual(subprocess.run([BIN / "engine", "x"], capture_output=True, check=False).returncode, 2)


class Liar(threading.Thread):
    """An engine that answers each order with the messages that `answer` makes from its number and size."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.start()

    def run(self):
        connection, _ = self.listener.accept()
        buffer = b""
        with connection, self.listener:
            while more := connection.recv(65536):
                buffer += more
                while len(buffer) >= 4 and len(buffer) >= struct.unpack_from("<H", buffer)[0]:
                    length = struct.unpack_from("<H", buffer)[0]
                    number, quantity = struct.unpack_from("<Q4xI", buffer, 8) if length >= 40 else (0, 0)
                    buffer = buffer[length:]
                    connection.sendall(b"".join(self.answer(number, quantity)))


def report(number, filled, leaves, result, reason=0):
    return struct.pack("<HBBIQQIIIBBxx", 40, 1, 16, 1, number, filled, filled, leaves, int(filled > 0), result, reason)


class FeedNotices(unittest.TestCase):
    """The feed notices wrong answers of the engine. The file's first orders are not cancels."""

    def feed(self, answer, patience=10):
        liar = Liar(answer)
        done = subprocess.run([BIN / "feed", "--file", ORDERS, "--connect", liar.address, "--orders", "3", "--window",
                               "1", "--patience", str(patience)], env=untraced(), capture_output=True, text=True, timeout=60,
                              check=False)
        liar.join(10)
        return done.returncode, done.stderr

    def test_truth(self):
        self.assertEqual(self.feed(lambda number, quantity: [report(number, 0, 0, REJECTED, NO_CASH)])[0], 0)

    def test_lies(self):
        lies = {
            "twice": lambda number, quantity: [report(number, 0, 0, REJECTED, NO_CASH)] * 2,
            "no answer": lambda number, quantity: [],
            "never sent": lambda number, quantity: [report(number + 99, 0, 0, REJECTED, NO_CASH)],
            "more than": lambda number, quantity: [report(number, 0, quantity + 1, RESTING)],
            "both sides": lambda number, quantity: [report(number, quantity, 0, FILLED)],
            "not open": lambda number, quantity: [struct.pack("<HBBIQQIIII", 40, 1, 17, 1, 3, number, 1, 1, 0, 0),
                                                  report(number, 1, quantity - 1, PARTLY)],
            "invalid message": lambda number, quantity: [b"\0\0\0\0"],
        }
        for complaint, answer in lies.items():
            code, said = self.feed(answer, patience=1 if complaint == "no answer" else 10)
            self.assertEqual(code, 1, complaint)
            self.assertIn(complaint, said)


class Pauses(unittest.TestCase):
    def test_nothing_is_sent_in_a_pause(self):
        seen = []

        def answer(number, _):
            seen.append(number)
            time.sleep(0.1)  # so the feed looks for the answer before it is there
            return [report(number, 0, 0, REJECTED, NO_CASH)]

        liar = Liar(answer)
        with tempfile.TemporaryDirectory() as folder:
            stats = Path(folder) / "stats.json"
            feed = subprocess.Popen([BIN / "feed", "--file", ORDERS, "--connect", liar.address, "--orders", "3", "--patience",
                                     "5", "--pause-at", "1", "--pause-at", "2", "--stats-json", stats], env=untraced(),
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            with feed:
                self.assertIn("paused after 1 orders", feed.stdout.readline())
                time.sleep(5.5)  # a pause may be longer than the feed's patience, and nothing happens in it
                self.assertEqual(seen, [1])
                feed.stdin.write("go on\n")
                feed.stdin.flush()
                self.assertIn("goes on", feed.stdout.readline())
                self.assertIn("paused after 2 orders", feed.stdout.readline())
                self.assertEqual(seen, [1, 2])
                feed.stdin.close()  # its end means the same as a line
                feed.stdout.read()
                self.assertEqual(feed.wait(60), 0)
            liar.join(10)
            self.assertEqual(seen, [1, 2, 3])
            said = json.loads(stats.read_text())
        self.assertEqual([after for after, _ in said["sample_rates"]], [0, 1, 2])
        self.assertEqual(said["first_pause_after"], 1)


class Faults(unittest.TestCase):
    def run_engine(self, *options):
        return subprocess.run([BIN / "engine", *options], env=untraced(), capture_output=True, text=True, timeout=60, check=False)

    def test_wrong_usage(self):
        for options in (("--faults", "preemption,,lock"), ("--faults", ""), ("--faults", "lock,"), ("--faults", "loc"),
                        ("--fault-time", "5"), ("--slower", "0us"), ("--slower", "us"), ("--slower", "5 us"), ("--fault-every", "0")):
            result = self.run_engine(*options)
            self.assertEqual((result.returncode, result.stdout), (2, ""), options)
            self.assertIn(options[0], result.stderr)

    def test_each_kind_holds_orders_up(self):
        """Also without tracing, and without a processor of its own."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "slow.json")
            engine = Engine("--faults", "lock,page-fault,strategy,preemption", "--fault-every", "2", "--fault-time", "1ms",
                            "--slow-orders", file)
            client = Client(engine)
            for number in range(1, 101):
                client.ask(client.order(number, BUY, 59000, 1))
            client.close()
            code, said = engine.stop()
            self.assertEqual(code, 0, said)
            held_up = json.loads(file.read_text(encoding="utf-8"))["held_up"]
            self.assertEqual(set(held_up), {"preemption", "page-fault", "lock", "strategy"})
            self.assertTrue(all(count > 3 for count in held_up.values()) and sum(held_up.values()) < 80, held_up)


class Endings(unittest.TestCase):
    def test_drop_copy_that_cannot_be_written_stops_trading(self):
        engine = Engine("--drop-copy", "/dev/full")
        client = Client(engine)
        client.send(client.order(1, BUY, 60000, 1))
        self.assertEqual(engine.process.wait(30), 1)
        client.close()
        self.assertIn("/dev/full", engine.stop()[1])

    def test_orders_are_withdrawn_when_their_feed_leaves(self):
        engine = Engine("--once")
        client = Client(engine)
        self.assertEqual(client.ask(client.order(1, BUY, 60000, 1))[0], RESTING)
        client.close()
        self.assertEqual(engine.process.wait(30), 0)
        self.assertRegex(engine.stop()[1], r"withdrawn +1 ")

    def test_stop_while_a_feed_is_connected(self):
        engine = Engine()
        client = Client(engine)
        client.ask(client.order(1, BUY, 60000, 1))
        engine.process.send_signal(signal.SIGUSR1)
        code, said = engine.stop()
        client.close()
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"withdrawn +1 ")

    def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            engine = Engine("--once", "--listen", f"unix:{folder}/orders")
            done = subprocess.run([BIN / "feed", "--file", ORDERS, "--connect", engine.address, "--orders", "500"],
                                  env=untraced(), capture_output=True, timeout=60, check=False)
            self.assertEqual((done.returncode, engine.stop()[0]), (0, 0))


class Demo(unittest.TestCase):
    """A small demo, and that its check notices wrong traces."""

    @classmethod
    def setUpClass(cls):
        if not (BIN / "nanospan").exists():
            raise unittest.SkipTest("the command nanospan is not built")
        cls.folder = Path(tempfile.mkdtemp())
        cls.done = subprocess.run(["bash", EXAMPLES / "demo.sh", BIN.parent, "--orders", "4000", "--rate", "2000",
                                   "--keep", cls.folder, "--web", "0"], capture_output=True, text=True, timeout=400, check=False)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def test_all_is_well(self):
        self.assertEqual(self.done.returncode, 0, self.done.stdout + self.done.stderr)
        self.assertIn("everything agrees", self.done.stdout)
        self.assertIn("orders 2,001 to 4,000 at rate 0.1", self.done.stdout)

    def test_it_ends_with_a_page(self):
        self.assertRegex(self.done.stdout, r"\nlive page: http://127\.0\.0\.1:\d+/#token=[0-9a-f]{40}\n")
        self.assertIn(f"{self.folder}/page.html: ", self.done.stderr)
        self.assertIn('id="pack"', (self.folder / "page.html").read_text(encoding="utf-8"))
        self.assertFalse((self.folder / "live_page").exists(), "it has the token")

    def check(self, change, file="traces.jsonl", program="check_traces.py"):
        """The exit code of the check on a changed copy of the file."""
        with tempfile.TemporaryDirectory() as copy:
            shutil.copytree(self.folder, copy, dirs_exist_ok=True)
            path = Path(copy) / file
            text = path.read_text(encoding="utf-8")
            changed = change(text)
            self.assertNotEqual(text, changed)
            path.write_text(changed, encoding="utf-8")
            return subprocess.run([sys.executable, EXAMPLES / program, copy], capture_output=True, check=False).returncode

    def test_a_lie_about_the_recovery_is_found(self):
        self.assertIn("are exactly those that were begun", self.done.stdout)
        spans, account = ("crashed.jsonl", "check_recovery.py"), ("recovery.json", "check_recovery.py")
        self.assertEqual(self.check(lambda text: text[:text.rindex("\n", 0, -1) + 1], *spans), 1)  # a request is missing
        self.assertEqual(self.check(lambda text: text.replace("nanospan.unfinished", "unfinished", 1), *spans), 1)
        self.assertEqual(self.check(lambda text: text.replace('"attempted":', '"attempted":1', 1), *account), 1)
        self.assertEqual(self.check(lambda text: text.replace('"balanced":true', '"balanced":false', 1), *account), 1)

    def test_slow_orders_are_kept(self):
        """Of all orders exactly those arrive that the engine's stopwatch calls slow; each kind of fault has made some."""
        slow, = re.findall(r"of 4,000 orders (\d+) were slower than 500 us; all are here\n", self.done.stdout)
        said = json.loads((self.folder / "slow_orders.json").read_text(encoding="utf-8"))
        self.assertEqual((said["orders"], len(said["slow"]), said["slower_ns"]), (4000, int(slow), 500000))
        held_up = sum(said["held_up"].values())
        self.assertEqual(sum(order["fault"] != "none" for order in said["slow"]), held_up, "each was held up for 500 us or longer")
        self.assertGreater(held_up, 10)
        self.assertTrue(all(order["ns"] >= 500000 for order in said["slow"]))

    def test_a_lie_about_slow_orders_is_found(self):
        spans, list_ = ("outliers.jsonl", "check_outliers.py"), ("slow_orders.json", "check_outliers.py")
        self.assertEqual(self.check(lambda text: re.sub(r"\n \{.*\},", "", text, count=1), *list_), 1)  # one too many arrived
        self.assertEqual(self.check(lambda text: text.replace('{"id": ', '{"id": 9', 1), *list_), 1)
        self.assertEqual(self.check(lambda text: re.sub(r'"ns": (\d+)', lambda ns: f'"ns": {int(ns[1]) + 1}', text, count=1), *list_), 1)
        self.assertEqual(self.check(lambda text: re.sub(r'"fault": "[\w-]+"', '"fault": "x"', text, count=1), *list_), 1)
        self.assertEqual(self.check(lambda text: text.replace('"lost": 0', '"lost": 1'), *list_), 1)
        for before, after in (('"slow"', '"slowest"'), ('"match"', '"mash"'), ('"order"', '"tick"'), ('"report"', '"order"')):
            self.assertEqual(self.check(lambda text: text.replace(before, after, 1), *spans), 1, before)

    def test_a_lie_is_found(self):
        self.assertEqual(self.check(lambda text: text + "nonsense\n"), 1)  # not even JSON
        self.assertEqual(self.check(lambda text: text[:text.rindex("\n", 0, -1) + 1]), 1)  # a request is missing
        for before, after in (('"match"', '"mash"'), ('"submit_to_exchange"', '"match"'), ('"send_order"', '"order"'),
                              ('"filled"', '"resting"'), ('"kind":2', '"kind":3')):
            self.assertEqual(self.check(lambda text: text.replace(before, after, 1)), 1, before)
        # The threshold of one order, and the rate that the feed says it was tuned to.
        self.assertEqual(self.check(lambda text: re.sub(r'("traceState":"ot=th:)e666(?="[^{}]*"name":"order")', r"\1c", text,
                                                        count=1)), 1)
        self.assertEqual(self.check(lambda text: text.replace("], [2000, 0.1", "], [2000, 0.2"), "feed.json"), 1)


if __name__ == "__main__":
    if not (BIN / "engine").exists() or not (BIN / "feed").exists():
        missing("engine and feed are not built")
    unittest.main()
