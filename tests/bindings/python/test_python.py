# SPDX-License-Identifier: Apache-2.0
#
# ctest: TIMEOUT 1200 COST 60
# Sanitizers: none, because Python does not load a library that is built with one.
"""The Python package: what programs that use it send, across tasks, threads and forks, and that it never stands in their
way."""
import base64
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from python_package import CLIENT, ERROR, INTERNAL, PACKAGE, SOURCE, WITHOUT_CMAKE, ProgramTest, need_packages, pip_install

need_packages("cffi", "scikit_build_core", "numpy", "fastapi")

WITHOUT = "import sys; sys.modules['nanospan._native'] = None\n"
BEGIN = """
import asyncio, sys, threading
from nanospan import *
assert init_observability(service_name="tested", log_level="WARNING", enable_tracing=True)
tracer = get_tracer()
"""


class Case(ProgramTest):
    begin = BEGIN


class Document(Case):
    def test_snippets(self):
        """The calls of a service that was written for OpenTelemetry, with another import."""
        _, spans = self.spans("""
            from nanospan import get_tracer
            tracer = get_tracer()
            def process_signal(data):
                return {"accepted": data}
            data, user_id = 7, "user-7"
            with tracer.start_as_current_span("process_signal") as span:
                span.set_attribute("symbol", "BTCUSDT")
                span.set_attribute("confidence", 0.85)
                result = process_signal(data)
                span.set_attribute("result", result)
                span.set_attribute("user.id", user_id)
                span.set_attribute("trade.symbol", "BTCUSDT")
                span.set_attribute("trade.size", 0.1)
                span.set_attribute("ai.confidence", 0.85)
                span.set_attribute("error", False)
            """)
        span, = spans
        self.assertEqual((span.service, span.name, span.kind, span.parent, span.status), ("tested", "process_signal", INTERNAL, "", 0))
        self.assertEqual(span.attributes, {
            "symbol": "BTCUSDT", "confidence": 0.85, "result": "{'accepted': 7}", "user.id": "user-7",
            "trade.symbol": "BTCUSDT", "trade.size": 0.1, "ai.confidence": 0.85, "error": False})


    def test_page(self):
        """Each program of docs/python.md runs."""
        page = (SOURCE / "docs" / "python.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
        self.assertEqual(len(blocks), 5)
        for block in blocks:
            output, log, spans = self.package.run(block, OTEL_LOG_LEVEL="info")
            self.assertIn("nanospan: info: tracing is on", log)
            self.assertNotIn("warn", log)
            if "set_baggage" in block:
                self.assertEqual((output, spans), ("{'baggage': 'user=ada'} {'user': 'ada'}\n", []))
            if "def handle" in block:
                self.assertEqual([span.name for span in spans], ["handle"])
            if "TraceIds" in block:
                self.assertIn(f"INFO trace={spans[0].trace} span={spans[0].id} this line has ids", log)


class Values(Case):
    def test_attributes(self):
        """Each value, and what it becomes."""
        blob = "bytes:" + base64.b64encode(b"a\0b").decode()
        table = [
            ('"text"', "text"), ('""', ""), (r'"z\0z"', "z\0z"), ('"\u00e9"', "\u00e9"), (r'"a\ud800"', "a?"),
            ("7", 7), ("-2**63", -2**63), ("2**63-1", 2**63 - 1), ("2**63", str(2**63)), ("-2**80", str(-2**80)),
            ("True", True), ("0.1", 0.1), ("float(7)", 7.0), ("None", "None"), (r'b"a\0b"', blob), (r'bytearray(b"a\0b")', blob),
            ("[1, 2]", [1, 2]), ("(1.5, 2)", [1.5, 2.0]), ("[True, False]", [True, False]), ('["a", "b"]', ["a", "b"]),
            ('[1, "a", None]', ["1", "a", "None"]), ("[2**70, 1]", [str(2**70), "1"]), ("[]", []), ("range(3)", [0, 1, 2]),
            ('{"k": 1}', "{'k': 1}"), ("numpy.float32(0.5)", 0.5), ("numpy.int8(-3)", -3), ("numpy.bool_(True)", True),
            ("numpy.float64(2.5)", 2.5), ("numpy.uint64(2**64-1)", str(2**64 - 1)), ("numpy.array([1, 2])", [1, 2]),
            ("numpy.array(4)", 4), ("[numpy.int64(1), 2]", [1, 2]), ("numpy.array([[1], [2]])", "[[1]\n [2]]"),
            ('decimal.Decimal("0.10")', "0.10"), ("Side.BUY", 1), ("Name.A", "a"), ("Broken()", "<Broken>"),
            ("10**5000", hex(10**5000)[:400]),
        ]
        _, spans = self.spans("""
            import decimal, enum, numpy
            class Side(enum.IntEnum): BUY = 1
            class Name(str, enum.Enum): A = "a"
            class Broken:
                def __str__(self): raise ValueError
            for index, text in enumerate(sys.argv[1:]):
                with tracer.start_as_current_span(str(index)) as span:
                    span.set_attribute("value", eval(text))
                    span.add_event("same", {"value": eval(text)})
            """, *(text for text, _ in table), OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="400")
        self.assertEqual(len(spans), len(table))
        for span in spans:
            text, expected = table[int(span.name)]
            self.assertEqual(span.attributes, {"value": expected}, text)
            self.assertIs(type(span.attributes["value"]), type(expected), text)
            self.assertEqual(span.events, [("same", {"value": expected})], text)

    def test_nothing_raises(self):
        """What makes no sense is left out, or becomes text."""
        _, spans = self.spans("""
            class Evil:
                def __getattribute__(self, name): raise RuntimeError(name)
                def __str__(self): raise RuntimeError
                def __len__(self): raise RuntimeError
                def items(self): raise RuntimeError
            class EvilList(list):
                def __iter__(self): raise RuntimeError
            with tracer.start_as_current_span("evil", attributes=Evil()) as span:
                for key in ("key", 5, None, [], Evil(), "x" * 5000, ""):
                    for value in (Evil(), EvilList([1]), object, lambda: 0, [[1], Evil()], "y" * 10**6, [0] * 10**5):
                        span.set_attribute(key, value)
                span.set_attributes(None); span.set_attributes(5); span.add_event(None, 5); span.add_event("e", Evil())
                span.record_exception(None); span.set_status(None); span.set_status(7, 5); span.set_status("ERROR")
                span.update_name(None); span.add_link(None); span.add_link(Evil())
                inject(Evil()); inject(None); extract(Evil()); extract(5); extract({"traceparent": None, 5: 5})
                span.update_name("evil")
                for name in (None, 5, Evil(), ""):
                    tracer.start_span(name).end()
                for more in ({"context": 5}, {"links": 5}, {"kind": "x"}, {"start_time": "x"}, {"attributes": 5}):
                    with tracer.start_as_current_span("more", **more) as inner:
                        inner.set_attribute("a", 1)
            span.end(); span.set_attribute("late", 1); span.add_event("late"); span.end()
            assert not span.is_recording()
            """)
        evil = self.only(spans, "evil")
        self.assertNotIn("late", evil.attributes)
        self.assertNotIn("late", [name for name, _ in evil.events])

    def test_events_links_times(self):
        output, spans = self.spans("""
            first = tracer.start_span("first", kind=SpanKind.CLIENT, start_time=1_700_000_000_000_000_000)
            first.end(1_700_000_000_000_005_000)
            with tracer.start_as_current_span("second", links=[Link(first.get_span_context(), {"why": "after"}), first]) as span:
                span.add_event("sent", {"venue": "XNAS", "lots": [60, 40], "ok": True, "price": 1.5, "tags": ["a", "b"]})
                span.add_link(first.get_span_context())
                span.update_name("renamed")
                context = span.get_span_context()
                print(f"{context.trace_id:032x} {context.span_id:016x}", context.trace_flags & 1, context.is_valid)
            """)
        first, second = self.only(spans, "first"), self.only(spans, "renamed")
        self.assertLess(abs(first.start - 1_700_000_000_000_000_000), 1000)
        self.assertLess(abs(first.end - first.start - 5000), 1000)
        self.assertEqual(first.kind, CLIENT)
        self.assertEqual(second.events, [("sent", {"venue": "XNAS", "lots": [60, 40], "ok": True, "price": 1.5, "tags": ["a", "b"]})])
        link = (first.trace, first.id)
        self.assertEqual(second.links, [(*link, {"why": "after"}), (*link, {}), (*link, {})])
        self.assertEqual(output.split(), [second.trace, second.id, "1", "True"])

    def test_errors(self):
        _, spans = self.spans("""
            def fails():
                raise ValueError("no such account")
            for name, more in (("both", {}), ("status", {"record_exception": False}), ("event", {"set_status_on_exception": False})):
                try:
                    with tracer.start_as_current_span(name, **more):
                        fails()
                except ValueError as problem:
                    assert str(problem) == "no such account"
            try:
                with tracer.start_as_current_span("exit"):
                    sys.exit(3)
            except SystemExit:
                pass
            with tracer.start_as_current_span("final") as span:
                span.set_status(StatusCode.OK); span.set_status(Status(StatusCode.ERROR, "too late"))
            with tracer.start_as_current_span("by hand") as span:
                span.set_status(Status(StatusCode.ERROR, "refused"))
            """)
        both = self.only(spans, "both")
        self.assertEqual((both.status, both.message), (ERROR, "ValueError: no such account"))
        (name, described), = both.events
        self.assertEqual((name, described["exception.type"], described["exception.message"]), ("exception", "ValueError", "no such account"))
        self.assertIn("in fails", described["exception.stacktrace"])
        self.assertEqual([(span.status, len(span.events)) for span in map(lambda name: self.only(spans, name), ("status", "event", "exit"))],
                         [(ERROR, 0), (0, 1), (0, 0)])
        self.assertEqual(self.only(spans, "final").status, 1)
        self.assertEqual((self.only(spans, "by hand").status, self.only(spans, "by hand").message), (ERROR, "refused"))


    def test_stacks(self):
        """Of a long stack, the innermost frames are kept, and what is set after it has its room."""
        output, spans = self.spans("""
            exec("".join(f"def frame_{n}(): return frame_{n + 1}()\\n" for n in range(40)))
            def frame_40(): raise ValueError("\u20ac" * 500)
            with tracer.start_as_current_span("deep") as span:
                span.set_attribute("before", "x" * 400)
                try:
                    frame_0()
                except ValueError as problem:
                    span.record_exception(problem)
                span.set_status(StatusCode.ERROR, "d" * 100)
                span.set_attribute("after", 1)
            try:
                with tracer.start_as_current_span("chained"):
                    try:
                        int("x")
                    except ValueError as problem:
                        raise KeyError("second") from problem
            except KeyError:
                pass
            """)
        deep, chained = self.only(spans, "deep"), self.only(spans, "chained")
        (_, described), = deep.events
        stack = described["exception.stacktrace"].splitlines()
        self.assertEqual((stack[0], stack[1].lstrip()[:4], stack[-2].split()[-1]), ("...", "File", "frame_40"))
        self.assertEqual(stack[-1], "ValueError: " + "\u20ac" * 81)
        self.assertEqual((described["exception.message"], deep.message), ("\u20ac" * 85, "d" * 100))
        self.assertEqual((deep.attributes["after"], len(deep.attributes["before"])), (1, 400))
        (_, described), = chained.events
        self.assertIn("ValueError: invalid literal", described["exception.stacktrace"])
        self.assertTrue(described["exception.stacktrace"].startswith("Traceback"))
        self.assertTrue(described["exception.stacktrace"].endswith("KeyError: 'second'"))
        self.assertNotIn("^^^", described["exception.stacktrace"])


class Concurrency(Case):
    def test_tasks(self):
        """100 tasks at once, each with its own spans in its own order."""
        _, spans = self.spans("""
            @tracer.start_as_current_span("leaf")
            async def leaf(task, turn):
                get_current_span().set_attribute("of", f"{task}.{turn}")
                await asyncio.sleep(0)
                return turn
            async def work(task):
                with tracer.start_as_current_span("task") as span:
                    span.set_attribute("number", task)
                    for turn in range(5):
                        await asyncio.sleep(0)
                        with tracer.start_as_current_span("turn") as inner:
                            inner.set_attribute("number", turn)
                            await asyncio.sleep(0.001 * (task % 3))
                            assert get_current_span() is inner
                            assert await leaf(task, turn) == turn
                        assert get_current_span() is span
            async def main():
                with tracer.start_as_current_span("main"):
                    await asyncio.gather(*map(work, range(100)))
            asyncio.run(main())
            """)
        by_id, main = {span.id: span for span in spans}, self.only(spans, "main")
        self.assertEqual(len(spans), 1 + 100 + 500 + 500)
        self.assertEqual({span.trace for span in spans}, {main.trace})
        for span in spans:
            if span.name == "task":
                self.assertEqual(span.parent, main.id)
            elif span.name == "turn":
                self.assertEqual(by_id[span.parent].name, "task")
            elif span.name == "leaf":
                turn = by_id[span.parent]
                self.assertEqual(span.attributes["of"], f"{by_id[turn.parent].attributes['number']}.{turn.attributes['number']}")

    def test_task_that_outlives(self):
        """A task's spans belong to where it was begun, also when that has ended; long chains of tasks keep nothing."""
        output, spans = self.spans("""
            import gc
            from nanospan._tracer import Scope
            async def later(left):
                with tracer.start_as_current_span(f"later {left}"):
                    if left:
                        return asyncio.create_task(later(left - 1))
            async def main():
                with tracer.start_as_current_span("request"):
                    task = asyncio.create_task(later(300))
                await asyncio.sleep(0)
                while task is not None:
                    task = await task
                gc.collect()
                print(sum(isinstance(thing, Scope) for thing in gc.get_objects()))
            asyncio.run(main())
            """)
        before = self.only(spans, "request")
        for left in range(300, -1, -1):
            span = self.only(spans, f"later {left}")
            self.assertEqual((span.trace, span.parent), (before.trace, before.id))
            before = span
        self.assertLess(int(output), 20)

    def test_threads(self):
        _, spans = self.spans("""
            import concurrent.futures, contextvars
            def step(name):
                with tracer.start_as_current_span(name):
                    pass
            async def main():
                with tracer.start_as_current_span("request") as span:
                    await asyncio.to_thread(step, "to_thread")
                    with concurrent.futures.ThreadPoolExecutor(1) as pool:
                        pool.submit(contextvars.copy_context().run, step, "copied").result()
                        pool.submit(step, "alone").result()
                        pool.submit(lambda: tracer.start_span("explicit", context=span).end()).result()
                        other = tracer.start_span("ended elsewhere")
                        pool.submit(other.end).result()
            asyncio.run(main())
            """)
        request = self.only(spans, "request")
        parents = {span.name: span.parent for span in spans}
        self.assertEqual(parents, {"request": "", "to_thread": request.id, "copied": request.id, "alone": "", "explicit": request.id,
                                   "ended elsewhere": request.id})

    def test_one_span_on_many_threads(self):
        """Threads may share a span; each end but the first changes nothing."""
        _, spans = self.spans("""
            sys.setswitchinterval(1e-5)
            shared = [tracer.start_span(f"shared {n}") for n in range(50)]
            def work(number):
                for span in shared:
                    for turn in range(20):
                        span.set_attribute("last", number)
                        span.set_attribute(f"of {number}", turn)
                        tracer.start_span("below", context=span).end()
                    if number == 3:
                        span.end()
            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            """, NSP_RECORD_BYTES="4096")
        shared = {span.id: span for span in spans if span.name.startswith("shared")}
        below = [span for span in spans if span.name == "below"]
        self.assertEqual((len(shared), len(below)), (50, 50 * 80))
        self.assertTrue(all(span.parent in shared and span.trace == shared[span.parent].trace for span in below))
        self.assertTrue(all(span.attributes["of 3"] == 19 for span in shared.values()))

    def test_generators(self):
        _, spans = self.spans("""
            @tracer.start_as_current_span("decorated")
            def numbers():
                with tracer.start_as_current_span("first"):
                    yield 1
                yield 2
            assert list(numbers()) == [1, 2] and get_current_span() is INVALID_SPAN
            def held():
                with tracer.start_as_current_span("held"):
                    yield
            with tracer.start_as_current_span("outer") as outer:
                suspended = held(); next(suspended)
                with tracer.start_as_current_span("inner") as inner:
                    for _ in suspended: pass          # ends before what began after it
                    assert get_current_span() is inner
                assert get_current_span() is outer
            assert get_current_span() is INVALID_SPAN
            async def stream():
                with tracer.start_as_current_span("stream"):
                    yield 1
                    yield 2
            async def main():
                with tracer.start_as_current_span("reader"):
                    async for _ in stream(): break
            asyncio.run(main())                       # closed in another context
            assert get_current_span() is INVALID_SPAN
            """)
        self.assertEqual(sorted(span.name for span in spans), ["decorated", "first", "held", "inner", "outer", "reader", "stream"])
        self.assertEqual(self.only(spans, "first").parent, self.only(spans, "decorated").id)

    def test_more_than_there_is_room_for(self):
        """Beyond NSP_DETACHED_SPANS, spans are left out with those below them, which still belong to the trace."""
        output, spans = self.spans("""
            with tracer.start_as_current_span("root") as root:
                many = [tracer.start_span("many") for _ in range(100)]
                print(sum(span.is_recording() for span in many))
                left_out = many[-1]
                for span in many[:10]: span.end()
                with tracer.start_as_current_span("below", context=left_out):
                    assert headers()["traceparent"][3:35] == f"{root.get_span_context().trace_id:032x}"
                for span in many: span.end()
            forgotten = tracer.start_span("forgotten")
            del forgotten
            for _ in range(200): tracer.start_span("after").end()
            """, NSP_DETACHED_SPANS="20")
        recorded = [span for span in spans if span.name == "many"]
        self.assertEqual(len(recorded), int(output))
        self.assertIn(int(output), range(10, 20))
        self.assertEqual(len([span for span in spans if span.name == "after"]), 200)
        self.only(spans, "forgotten")
        self.assertFalse([span for span in spans if span.name == "below"])


class Processes(Case):
    def test_fork(self):
        """A child has a session of its own; what was open belongs to the parent, and is the parent of what the child
        does."""
        _, spans = self.spans("""
            import os
            with tracer.start_as_current_span("open") as span:
                span.set_attribute("before", 1)
                child = os.fork()
                span.set_attribute("child" if child == 0 else "parent", True)
                with tracer.start_as_current_span("in child" if child == 0 else "in parent"):
                    pass
                if child == 0:
                    span.end()
                    assert flush(60)
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0
            """)
        span = self.only(spans, "open")
        self.assertEqual(span.attributes, {"before": 1, "parent": True})
        self.assertEqual([self.only(spans, name).parent for name in ("in child", "in parent")], [span.id, span.id])

    def test_multiprocessing(self):
        """Children of each kind send what they have, although they do not all reach the exit of a process."""
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "work.py").write_text(textwrap.dedent("""
                from nanospan import *
                def work(kind, headers):
                    if kind != "fork":
                        assert init_observability(service_name="tested", log_level="WARNING")
                    with get_tracer().start_as_current_span(kind, context=extract(headers)):
                        pass
                """), encoding="utf-8")
            _, spans = self.spans("""
                import multiprocessing
                sys.path.insert(0, sys.argv[1])
                from work import work
                for kind in ("fork", "spawn", "forkserver"):
                    with tracer.start_as_current_span("for " + kind):
                        process = multiprocessing.get_context(kind).Process(target=work, args=(kind, headers()))
                        process.start(); process.join()
                        assert process.exitcode == 0, kind
                """, folder, OTEL_BSP_SCHEDULE_DELAY="600000")
        for kind in ("fork", "spawn", "forkserver"):
            self.assertEqual(self.only(spans, kind).parent, self.only(spans, "for " + kind).id, kind)


class Contexts(Case):
    def test_in_and_out(self):
        output, spans = self.spans("""
            came = {"TraceParent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "vendor=1", "baggage": "user=ada%20l"}
            with tracer.start_as_current_span("server", context=extract(came), kind=SpanKind.SERVER) as server:
                with tracer.start_as_current_span("client") as client:
                    out = headers({"Accept": "*/*", "Traceparent": "00-old"})
                    assert out["traceparent"] == client.get_span_context().traceparent(), out
                    assert out["tracestate"] == "vendor=1" and out["baggage"] == "user=ada%20l" and out["Accept"] == "*/*"
                    assert "Traceparent" not in out and get_baggage("user") == "ada l" and get_baggage("none") is None
            assert "traceparent" not in headers() and get_baggage("user") is None
            pairs = [(b"traceparent", came["TraceParent"].encode()), (b"x", b"y")]
            tracer.start_span("of asgi", context=extract(pairs)).end()
            tracer.start_span("by context", context=server.get_span_context()).end()
            made = SpanContext(trace_id=0xabc, span_id=0xdef, is_remote=True, trace_flags=1)
            tracer.start_span("made", context=made).end()
            tracer.start_span("malformed", context=extract({"traceparent": "00-xyz"})).end()
            tracer.start_span("unsampled", context=extract({"traceparent": came["TraceParent"][:-1] + "0"})).end()
            """)
        server, trace = self.only(spans, "server"), "0af7651916cd43dd8448eb211c80319c"
        self.assertEqual((server.trace, server.parent, server.state), (trace, "b7ad6b7169203331", "vendor=1"))
        self.assertEqual(self.only(spans, "client").parent, server.id)
        self.assertEqual(self.only(spans, "of asgi").parent, "b7ad6b7169203331")
        self.assertEqual(self.only(spans, "by context").parent, server.id)
        self.assertEqual((self.only(spans, "made").trace, self.only(spans, "made").parent), (f"{0xabc:032x}", f"{0xdef:016x}"))
        self.assertEqual(self.only(spans, "malformed").parent, "")
        self.assertFalse([span for span in spans if span.name == "unsampled"])

    def test_baggage(self):
        """Set, removed and sent on by OpenTelemetry's calls; without the library too."""
        program = textwrap.dedent("""
            from nanospan import *
            from nanospan import baggage, context
            init_observability(service_name="tested", log_level="WARNING")
            tracer = get_tracer()
            came = extract({"baggage": "user=ada%20l;secret, desk=7,bad key=1,=2", "traceparent": "00-xyz"})
            assert dict(baggage.get_all(came)) == {"user": "ada l", "desk": "7"}, baggage.get_all(came)
            assert baggage.get_all() == {} and headers() == {} and get_baggage("user") is None
            with tracer.start_as_current_span("server", context=came) as server:
                changed = set_baggage("order", "\u20ac,1 %")
                assert get_baggage("order") is None and get_baggage("order", changed) == "\u20ac,1 %"
                token = context.attach(changed)
                assert get_current_span().get_span_context() == server.get_span_context()
                with tracer.start_as_current_span("inner"):
                    sent = headers()["baggage"]
                    assert sent.split(",")[:2] == ["user=ada%20l;secret", "desk=7"], sent
                    assert extract({"baggage": sent}).carried is not None
                    assert dict(baggage.get_all(extract({"baggage": sent}))) == {"user": "ada l", "desk": "7", "order": "\u20ac,1 %"}
                context.detach(token)
                assert get_baggage("order") is None and get_baggage("user") == "ada l"
                with attach(remove_baggage("user")):
                    assert dict(baggage.get_all()) == {"desk": "7"}
                    with attach(baggage.clear()):
                        assert "baggage" not in headers()
                with tracer.start_as_current_span("explicit", context=set_baggage("desk", 8)):
                    assert dict(baggage.get_all()) == {"user": "ada l", "desk": "8"}
            with attach(set_baggage("no span", "x")), attach(set_baggage("key", "x")), attach(set_baggage("big", "x" * 9000)):
                assert headers() == {"baggage": "key=x"}, headers()
            for wrong in (None, 5, "\\ud800"):
                baggage.get_all(wrong); set_baggage(wrong, "x"); remove_baggage(wrong); attach(set_baggage("k", "v", wrong)); detach(wrong)
            """)
        _, log, spans = self.package.run(program)
        self.assertEqual(log, "")
        server = self.only(spans, "server")
        self.assertEqual({name: self.only(spans, name).parent for name in ("inner", "explicit")}, {"inner": server.id, "explicit": server.id})
        _, log, spans = self.package.run(WITHOUT + program)
        self.assertEqual((log.count("\n"), spans), (1, []), log)

    def test_turned_off(self):
        """Nothing is recorded, and what came in is sent on."""
        for variables, enable in (({"ENABLE_TRACING": "false"}, True), ({}, False), ({"OTEL_SDK_DISABLED": "true"}, True)):
            _, log, spans = self.package.run(textwrap.dedent(f"""
                from nanospan import *
                assert not init_observability(service_name="tested", log_level="WARNING", enable_tracing={enable})
                came = {{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "baggage": "a=b"}}
                with get_tracer().start_as_current_span("server", context=extract(came)) as span:
                    span.set_attribute("a", 1)
                    with get_tracer().start_as_current_span("inner"):
                        assert headers() == came, headers()
                        assert get_current_span().get_span_context().traceparent() == came["traceparent"]
                assert not span.is_recording() and flush(1) and shutdown(1)
                """), **variables)
            self.assertEqual((spans, log), ([], ""))

    def test_unsampled(self):
        """A trace that is not recorded is one trace all the same."""
        _, spans = self.spans("""
            with tracer.start_as_current_span("root") as root:
                with tracer.start_as_current_span("inner") as inner:
                    assert not inner.is_recording()
                    assert inner.get_span_context().trace_id == root.get_span_context().trace_id
                    assert headers()["traceparent"] == inner.get_span_context().traceparent()
                    assert headers()["traceparent"].endswith(("-00", "-02"))
            """, TRACE_SAMPLE_RATE="0")
        self.assertEqual(spans, [])


class Installation(Case):
    def test_without_the_library(self):
        """The package without its compiled part, or without the library: one warning, and nothing else."""
        program = textwrap.dedent("""
            from nanospan import *
            assert not init_observability(service_name="my-service", log_level="INFO", enable_tracing=True)
            assert not init_observability(service_name="my-service")
            tracer = get_tracer()
            @tracer.start_as_current_span("decorated")
            def decorated(): return 7
            with tracer.start_as_current_span("process_signal", attributes={"a": 1}, links=[INVALID_SPAN]) as span:
                span.set_attribute("result", object()); span.add_event("e", {"k": 1}); span.record_exception(ValueError())
                span.set_status(StatusCode.ERROR, "x"); span.update_name("n"); span.add_link(span.get_span_context())
                assert not span.is_recording() and not span.get_span_context().is_valid and headers() == {}
                assert decorated() == 7 and get_baggage("x") is None
            try:
                with tracer.start_as_current_span("raises"): raise KeyError
            except KeyError: pass
            came = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1,b=2", "baggage": "k=v"}
            with tracer.start_as_current_span("server", context=extract(list(came.items()) + [("x-b3-traceid", "1")])) as server:
                with tracer.start_as_current_span("client") as client:
                    assert headers({"Traceparent": "old"}) == came and not client.is_recording()
                    assert client.get_span_context() == server.get_span_context()
                    pure = {}
                    inject(pure, SpanContext(trace_id=1, span_id=2))
                    assert pure == {"traceparent": f"00-{1:032x}-{2:016x}-00", "baggage": "k=v"}, pure
            above = extract({"traceparent": "01" + came["traceparent"][2:] + "-more"})
            with tracer.start_as_current_span("server", context=above.get_span_context()):
                assert headers() == {"traceparent": came["traceparent"]}
            for wrong in ("", "00-" + "0" * 32 + came["traceparent"][35:], "ff" + came["traceparent"][2:], came["traceparent"] + "-x"):
                with tracer.start_as_current_span("server", context=extract({"traceparent": wrong, "tracestate": "a=1"})):
                    assert headers() == {}, wrong
            assert flush() and shutdown()
            """)
        with tempfile.TemporaryDirectory() as folder:
            site = Path(folder, "site")
            shutil.copytree(PACKAGE / "src", site)
            broken = Path(folder, "broken")
            shutil.copytree(self.package.site, broken)
            compiled, = broken.glob("nanospan/_native*.so")
            compiled.write_bytes(compiled.read_bytes().replace(b"libnanospan.so.", b"libnanoxxxx.so."))
            for path, reason in ((site, "_native"), (broken, "libnanoxxxx")):
                done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(path)}, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
                self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertIn("nanospan's library is not available, so nothing is traced: ", done.stderr)
                self.assertIn(reason, done.stderr)

    def test_version(self):
        numbers = re.findall(r"#define NSP_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)",
                             (SOURCE / "core/include/nanospan/version.h").read_text(encoding="utf-8"))
        output, _, _ = self.package.run("import nanospan; print(nanospan.__version__)")
        self.assertEqual(output.strip(), ".".join(numbers))

    def test_licence(self):
        """The package has one of its own, because what is built contains no file from outside of it."""
        licence = (SOURCE / "LICENSE").read_bytes()
        self.assertEqual((PACKAGE / "LICENSE").read_bytes(), licence)
        installed = list(self.package.site.glob("nanospan-*.dist-info/**/LICENSE"))
        self.assertEqual([path.read_bytes() for path in installed], [licence])

    def test_no_library_to_build_with(self):
        """Where neither CMake nor pkg-config finds the library, the error says what to do."""
        with tempfile.TemporaryDirectory(prefix="nanospan python ") as folder:
            failed = pip_install(Path(folder, "none"), PKG_CONFIG_LIBDIR=folder, PKG_CONFIG_PATH="", **WITHOUT_CMAKE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("nanospan's C library is not installed", failed.stdout)
        self.assertIn("CMAKE_PREFIX_PATH=DIR pip install", failed.stdout)

    def test_wrong_settings(self):
        """Each is said in one line that names it, and the service goes on."""
        table = (
            ('sample_rate=7.0', False, "tracing is off: sample_rate: 7.0 is not accepted; accepted: 0 to 1"),
            ('sample_rate="x"', False, "tracing is off: sample_rate: 'x' is not accepted; accepted: 0 to 1"),
            ('sample_rate="1.0"', True, ""),
            ('exit_timeout="2s"', False, "tracing is off: exit_timeout: '2s' is not accepted; accepted: 0 to 3600 seconds"),
            ('exit_timeout=-1', False, "tracing is off: exit_timeout: -1 is not accepted; accepted: 0 to 3600 seconds"),
            ('exit_timeout=float("inf")', False, "tracing is off: exit_timeout: inf is not accepted; accepted: 0 to 3600 seconds"),
            ('exit_timeout="2.5"', True, ""),
            ('endpoint="http://no good"', False, "tracing is off: endpoint: "),
            ('log_level="LOUD"', True, "log_level: 'LOUD' is not accepted; accepted: DEBUG, INFO, WARNING ...; used instead: INFO"),
            ('log_level=object', True, "log_level: <class 'object'> is not accepted"),
            ('log_level=30', True, ""),
            ('enable_tracing="False"', False, ""),
            ('enable_tracing="0"', False, ""),
            ('enable_tracing="true"', True, ""),
            ('enable_tracing="maybe"', True, "enable_tracing: 'maybe' is not accepted; accepted: true or false; used instead: true"),
            ('enable_tracing=None', True, ""),
            ('service_name=object', True, ""),
        )
        _, log, spans = self.package.run(textwrap.dedent("""
            import logging, sys
            from nanospan import *
            for name, call in enumerate(sys.argv[1:]):
                logging.getLogger("nanospan").setLevel(logging.WARNING)
                on = eval(f"init_observability({call})")
                with get_tracer().start_as_current_span(str(name)) as span:
                    assert span.is_recording() == on
                shutdown(30)
                print("--", file=sys.stderr, flush=True)
            """), *(call for call, _, _ in table), OTEL_LOG_LEVEL="warn")
        self.assertNotIn("Traceback", log)
        said = [[line for line in part.splitlines() if "nanospan: info: " not in line] for part in log.split("--\n")]
        for (call, _, expected), lines in zip(table, said, strict=False):
            self.assertEqual(len(lines), 1 if expected else 0, (call, lines))
            self.assertTrue("".join(lines).startswith(expected), (call, lines))
        self.assertEqual(sorted(int(span.name) for span in spans), [name for name, (_, on, _) in enumerate(table) if on])

    def test_started_twice(self):
        """A second start that says the same is silent; one that says something else is told that it is too late."""
        _, log, spans = self.package.run(textwrap.dedent("""
            from nanospan import *
            assert init_observability("first", log_level="WARNING", sample_rate=1.0)
            assert init_observability("first", log_level="WARNING")
            assert init_observability("second", environment="test")
            with get_tracer().start_as_current_span("x"): pass
            """))
        self.assertEqual(log, "tracing has been started before, so this is ignored: service_name='second', environment='test'\n")
        self.assertEqual([span.service for span in spans], ["first"])


if __name__ == "__main__":
    unittest.main()
