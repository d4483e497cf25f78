# SPDX-License-Identifier: Apache-2.0
#
# ctest: TIMEOUT 1200 COST 60
# Sanitizers: none, because Python does not load a library that is built with one.
"""The Python package where a service or its clients do what makes no sense: the rest is traced all the same, and nothing
stays behind for what comes later."""
import sys
import textwrap
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from python_package import ERROR, ProgramTest, need_packages

need_packages("cffi", "scikit_build_core", "fastapi", "httpx")

BEGIN = """
import asyncio, sys, threading
from nanospan import *
assert init_observability(service_name="tested", log_level="WARNING", enable_tracing=True)
tracer = get_tracer()
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
"""
ASGI = BEGIN + """
import httpx
from contextlib import asynccontextmanager
from fastapi import FastAPI, Request

def client(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")
"""
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Case(ProgramTest):
    begin = BEGIN


class Arguments(Case):
    def test_parts_of_a_span(self):
        """A part that makes no sense is left out; the span is there, below the right one, with all the rest."""
        output, spans = self.spans("""
            class Evil:
                def __getattribute__(self, name): raise RuntimeError(name)
                def __str__(self): raise RuntimeError
                def __bool__(self): raise RuntimeError
            wrong = {
                "context": [5, "x", {}, Evil()], "kind": ["x", 99, 2**70, Evil()], "links": [5, [5], None, Evil(), [Evil()]],
                "start_time": [1.5, -1, 2**64, "x", Evil()], "attributes": [5, Evil()],
            }
            with tracer.start_as_current_span("outer"):
                for part, values in wrong.items():
                    for value in values:
                        arguments = {"attributes": {"part": part}} | {part: value}
                        tracer.start_span("span", **arguments).end()
                        with tracer.start_as_current_span("span", **arguments):
                            pass
                for name in ([], {}, Evil(), None):
                    tracer.start_span(name).end()
            for value in (1.5, -1, 2**64, "x", Evil()):
                span = tracer.start_span("ended")
                span.end(value)
                print(span.is_recording())
            span = tracer.start_span("linked", links=[5, Link(span.get_span_context(), {"why": "after"}), Evil()])
            span.end()
            with use_span(None) as nothing, use_span(Evil()):
                nothing.set_attribute("a", 1)
            """)
        outer = self.only(spans, "outer")
        below = [span for span in spans if span.name == "span"]
        self.assertEqual(len(below), 2 * 20)
        self.assertEqual({(span.trace, span.parent) for span in below}, {(outer.trace, outer.id)})
        self.assertEqual(len([span for span in below if "part" in span.attributes]), 2 * 18)
        self.assertEqual(len([span for span in spans if span.parent == outer.id]), 2 * 20 + 4)
        ended = [span for span in spans if span.name == "ended"]
        self.assertEqual((len(ended), output.split()), (5, ["False"] * 5))
        self.assertTrue(all(span.start <= span.end for span in ended))
        self.assertEqual(self.only(spans, "linked").links, [(ended[-1].trace, ended[-1].id, {"why": "after"})])

    def test_without_the_library(self):
        """Nothing raises there either, and what makes no sense is left out."""
        output, log, _ = self.package.run("""if True:
            import sys
            sys.modules["nanospan._native"] = None
            from nanospan import *
            class Evil:
                def __getattribute__(self, name): raise RuntimeError(name)
                def __str__(self): raise RuntimeError
            came = extract({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": None, "baggage": "user=ada"})
            tracer = get_tracer()
            with tracer.start_as_current_span("a", context=came):
                for wrong in (Evil(), 5, "x", SpanContext("x", "y")):
                    tracer.start_span("b", context=wrong).end(wrong)
                    with tracer.start_as_current_span("c", context=wrong, kind=wrong, links=wrong, attributes=wrong), use_span(wrong), attach(wrong):
                        detach(wrong); set_baggage(wrong, wrong, wrong); remove_baggage(wrong, wrong); get_baggage(wrong, wrong)
                        inject({}, wrong); extract(wrong)
                    attach(set_baggage("item", Evil()))
                print(get_baggage("user"), len(headers()))
            """)
        self.assertEqual(output, "ada 2\n")
        self.assertEqual(log.count("\n"), 1, log)

    def test_parts_of_an_event(self):
        _, spans = self.spans("""
            class EvilList(list):
                def __iter__(self): raise RuntimeError
            class Unprintable(Exception):
                def __str__(self): raise RuntimeError
            with tracer.start_as_current_span("span") as span:
                span.add_event("event", {"before": 1, "evil": EvilList([1]), 5: 2, "after": 3}, timestamp=1.5)
                span.set_status(StatusCode.ERROR, ValueError("as a description"))
            try:
                with tracer.start_as_current_span("unprintable"):
                    raise Unprintable
            except Unprintable:
                pass
            try:
                with tracer.start_as_current_span("huge"):
                    raise ValueError("x" * 10_000_000)
            except ValueError:
                pass
            """)
        span = self.only(spans, "span")
        (_, attributes), = span.events
        self.assertEqual({key: attributes[key] for key in ("before", "5", "after")}, {"before": 1, "5": 2, "after": 3})
        self.assertEqual((span.status, span.message), (ERROR, "as a description"))
        for name in ("unprintable", "huge"):
            span = self.only(spans, name)
            (_, attributes), = span.events
            self.assertEqual(span.status, ERROR)
            self.assertIn('File "<string>"', attributes["exception.stacktrace"])

    def test_keys(self):
        """A key is its text, whatever was seen before."""
        _, spans = self.spans("""
            import enum
            class Key(str, enum.Enum): SYMBOL = "symbol"
            with tracer.start_as_current_span("span") as span:
                span.set_attribute(Key.SYMBOL, "a"); span.set_attribute(1, 1); span.set_attribute(True, 2); span.set_attribute(1.0, 3)
            """)
        self.assertEqual(self.only(spans, "span").attributes, {"symbol": "a", "1": 1, "True": 2, "1.0": 3})

    def test_settings(self):
        """What can be understood is: text for a number, a level that is none, time-outs without end or sense."""
        for call in ('log_level="LOUD"', r'service_name="a\ud800"', 'sample_rate="1.0"', 'exit_timeout="30"'):
            code = f"from nanospan import *\nassert init_observability({call})\nwith get_tracer().start_as_current_span('x'): pass"
            _, log, spans = self.package.run(f"{code}\nassert flush(float('inf'))\nfor value in (None, 'x', float('nan'), -1): flush(value)",
                                        OTEL_LOG_LEVEL="warn")
            self.assertEqual([span.name for span in spans], ["x"], log)
            self.assertEqual("LOUD" in log, "LOUD" in call)

    def test_copies(self):
        """A copy of a span is the span: it does not end it when it is freed."""
        _, spans = self.spans("""
            import copy
            span = tracer.start_span("span")
            copy.copy(span); copy.deepcopy({"span": span})
            span.set_attribute("after", 1)
            span.end()
            """)
        self.assertEqual(self.only(spans, "span").attributes, {"after": 1})


class Scopes(Case):
    def test_too_deep(self):
        """A recursion that was too deep to leave its innermost blocks: they are not current for what comes later."""
        output, spans = self.spans("""
            def endless():
                with tracer.start_as_current_span("level"):
                    endless()
            try:
                with tracer.start_as_current_span("outer"):
                    endless()
            except RecursionError:
                print("too deep")
            assert get_current_span() is INVALID_SPAN
            tracer.start_span("later").end()
            """, NSP_DETACHED_SPANS="8192")
        self.assertEqual(output, "too deep\n")
        self.assertEqual(self.only(spans, "later").parent, "")

    def test_generator_that_waits(self):
        """A span in a generator that nobody goes on with is not current after the block in which it was begun."""
        _, spans = self.spans("""
            def held():
                with tracer.start_as_current_span("held"):
                    yield
                    tracer.start_span("in held").end()
            waiting = held()
            with tracer.start_as_current_span("outer"):
                next(waiting)
            tracer.start_span("later").end()
            with tracer.start_as_current_span("other") as other:
                for _ in waiting: pass
                assert get_current_span() is other
            assert get_current_span() is INVALID_SPAN
            """)
        self.assertEqual(self.only(spans, "later").parent, "")
        self.assertEqual(self.only(spans, "held").parent, self.only(spans, "outer").id)

    def test_context_in_a_generator_that_waits(self):
        """What was attached is not current, and its baggage not sent, after the block around it."""
        self.spans("""
            from nanospan import baggage
            def held():
                token = attach(set_baggage("inner", 1))
                yield
                detach(token)
            for end in (detach, lambda token: token.__exit__(None, None, None)):
                waiting = held()
                token = attach(set_baggage("outer", 1))
                next(waiting)
                end(token)
                assert not baggage.get_all() and not headers()
                with attach(set_baggage("other", 1)):
                    for _ in waiting: pass
                    assert headers() == {"baggage": "other=1"}
                assert not headers()
            waiting = held()
            next(waiting)
            with attach(set_baggage("later", 1)):
                for _ in waiting: pass                # detached before what was attached after it
                assert "later" in baggage.get_all()
            assert not headers()
            """)

    def test_used_again(self):
        """Each use of what start_as_current_span returns is a span of its own, within another use and in other tasks too."""
        _, spans = self.spans("""
            import contextvars
            once, between = tracer.start_as_current_span("once"), tracer.start_as_current_span("between")
            with once as first:
                with between, once as second, once as third:
                    assert get_current_span() is third
                assert get_current_span() is first and first.is_recording() and not second.is_recording()
            assert get_current_span() is INVALID_SPAN and not first.is_recording()
            shared = tracer.start_as_current_span("shared")
            async def work(number):
                with shared as span:
                    span.set_attribute("task", number)
                    await asyncio.sleep(0.001 * (number % 3))
                    with shared as within:
                        within.set_attribute("task", number)
                        tracer.start_span("in it").end()
                    assert get_current_span() is span
                    span.set_attribute("last", number)
            async def main():
                with shared:
                    tasks = [asyncio.create_task(work(number)) for number in range(10)]
                    await asyncio.sleep(0)
                await asyncio.gather(*tasks)
            asyncio.run(main())
            crossed = tracer.start_as_current_span("crossed")
            crossed.__enter__()
            other = contextvars.copy_context()
            other.run(crossed.__enter__)
            crossed.__exit__(None, None, None); other.run(crossed.__exit__, None, None, None); crossed.__exit__(None, None, None)
            for context in (contextvars.copy_context(), other):
                context.run(lambda: tracer.start_span("after").end())
            """)
        numbers = {name: len([span for span in spans if span.name == name]) for name in ("once", "between", "shared", "in it", "crossed", "after")}
        self.assertEqual(numbers, {"once": 3, "between": 1, "shared": 21, "in it": 10, "crossed": 2, "after": 2})
        self.assertEqual(len({span.trace for span in spans if span.name in ("shared", "in it")}), 1)
        shared = {span.id: span for span in spans if span.name == "shared"}
        last = [span for span in shared.values() if "last" in span.attributes]
        self.assertEqual(sorted(span.attributes["last"] for span in last), list(range(10)))
        self.assertTrue(all(span.attributes["last"] == span.attributes["task"] for span in last))
        for span in (span for span in spans if span.name == "in it"):
            within = shared[span.parent]
            self.assertEqual(within.attributes["task"], shared[within.parent].attributes["task"])

    def test_decorated_asynchronous_generator(self):
        """It is still what it was: values and exceptions come in, and it is closed when its reader closes it."""
        output, spans = self.spans("""
            @tracer.start_as_current_span("numbers")
            async def numbers():
                try:
                    print("given", (yield 1))
                    try:
                        yield 2
                    except KeyError:
                        yield 3
                finally:
                    print("closed")
            async def main():
                reader = numbers()
                print(await anext(reader), await reader.asend("x"), await reader.athrow(KeyError()))
                await reader.aclose()
                print([number async for number in numbers()])
            asyncio.run(main())
            """)
        self.assertEqual(output.splitlines(), ["given x", "1 2 3", "closed", "given None", "closed", "[1, 2]"])
        self.assertEqual([span.name for span in spans], ["numbers", "numbers"])


class Carriers(Case):
    def test_fields_that_do_not_fit(self):
        """One that is absent, too long or of another type does not hide the others."""
        _, spans = self.spans("""
            import email.message
            message = email.message.Message()
            message["TraceParent"] = PARENT
            for came in ({"traceparent": PARENT, "tracestate": None, "baggage": None}, {"traceparent": PARENT, "baggage": "a=" + "b" * 20000},
                         [(5, 5), (b"baggage", "a=" + "b" * 20000), ("traceparent", PARENT)], {"traceparent": PARENT, "tracestate": "a=\\0"},
                         {"traceparent": PARENT, "baggage": "a=\\ud800"}, message):
                tracer.start_span("came", context=extract(came)).end()
            assert get_baggage(5, extract({"baggage": "a=b"})) is None
            """)
        self.assertEqual([(span.trace, span.parent) for span in spans], [(TRACE, SPAN)] * 6)

    def test_baggage(self):
        """What is no name, no context or no token changes nothing."""
        self.spans("""
            from nanospan import baggage, context
            class Evil:
                def __getattribute__(self, name): raise RuntimeError(name)
                def __str__(self): raise RuntimeError
                def __hash__(self): raise RuntimeError
            came = extract({"baggage": "a=b"})
            for wrong in (5, None, [], Evil(), "", "a b", "x" * 9000, b"a", "\\ud800"):
                assert get_baggage(wrong, came) is None
                for changed in (set_baggage(wrong, "x", came), remove_baggage(wrong, came)):
                    assert dict(baggage.get_all(changed)) == {"a": "b"}
                assert dict(baggage.get_all(wrong if wrong else Evil())) == {}
                with attach(came):
                    token = attach(wrong)
                    assert get_baggage("a") == "b"
                    detach(token); detach(wrong); detach(token)
                    assert get_baggage("a") == "b"
                assert headers() == {}
            for value, sent in ((5, "5"), (None, "None"), (Evil(), "<Evil>"), ("\\ud800", "?")):
                assert get_baggage("a", set_baggage("a", value, came)) == sent
            """)

    def test_into_what_is_no_dict(self):
        self.spans("""
            import email.message
            from starlette.datastructures import MutableHeaders
            came = extract({"traceparent": PARENT, "baggage": "a=b"})
            old = [("Traceparent", "old"), ("traceparent", "old"), ("TraceState", "old"), ("Baggage", "old"), ("x", "y")]
            message, several = email.message.Message(), MutableHeaders(raw=[(name.lower().encode(), value.encode()) for name, value in old])
            for name, value in old: message[name] = value
            with tracer.start_as_current_span("client", context=came) as span:
                for fields in (message, several, dict(old)):
                    inject(fields)
                    found = sorted((name.lower(), value) for name, value in fields.items())
                    assert found == [("baggage", "a=b"), ("traceparent", span.get_span_context().traceparent()), ("x", "y")], found
            """)

    def test_no_room(self):
        """A span that is left out below a context that came in still belongs to that trace, with all that is below it."""
        _, spans = self.spans("""
            came = extract({"traceparent": PARENT}).get_span_context()
            many = [tracer.start_span("many") for _ in range(30)]
            with tracer.start_as_current_span("left out", context=came) as span:
                assert not span.is_recording() and span.get_span_context() == came
                for one in many: one.end()
                with tracer.start_as_current_span("below"):
                    assert headers()["traceparent"] == PARENT
            """, NSP_DETACHED_SPANS="20")
        self.assertEqual({span.name for span in spans}, {"many"})


class Requests(Case):
    def test_instrumented_within(self):
        """An application that is mounted in another one, and instrumented like it: a request is one span."""
        _, spans = self.spans("""
            app, below = FastAPI(), FastAPI()
            @below.get("/items/{item}")
            async def item_of(item: str):
                tracer.start_span("inner").end()
            app.mount("/below", below)
            instrument_fastapi(below); instrument_fastapi(app)
            async def main():
                async with client(app) as asking:
                    assert (await asking.get("/below/items/7")).status_code == 200
                async with client(below) as asking:
                    assert (await asking.get("/items/7", headers={"traceparent": PARENT})).status_code == 200
            asyncio.run(main())
            """, begin=ASGI)
        outer = self.only(spans, "GET /below/items/{item}")
        self.assertEqual(sorted(span.parent for span in spans if span.name == "inner"), sorted([outer.id, self.only(spans, "GET /items/{item}").id]))

    def test_hostile_request(self):
        """A client cannot fill the span, so that what became of its request would not be seen; nor take time."""
        _, spans = self.spans("""
            async def refuses(scope, receive, send):
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body"})
            async def main():
                async def send(_): pass
                scope = {"type": "http", "method": "X" * 70000, "path": "/" + "\\U0001f600" * 70000, "query_string": b"\\xff" * 100 + b"=&" * 35000,
                         "headers": [(b"host", b"\\xff" * 70000), (b"user-agent", b"\\xff" * 70000), (b"traceparent", b"\\xff" * 70000),
                                     (b"traceparent", b""), (b"baggage", b"=," * 35000)] + [(b"tracestate", b"a=b,")] * 5000}
                await TracingMiddleware(refuses)(scope, None, send)
            asyncio.run(main())
            """, begin=ASGI)
        span, = spans
        self.assertEqual((span.name, span.status, span.attributes["http.response.status_code"], span.attributes["error.type"]),
                         ("HTTP", ERROR, 503, "503"))
        self.assertLess(sum(len(str(value).encode()) for value in span.attributes.values()), 1500)

    def test_client_that_is_gone(self):
        """An endpoint may ask again and again whether its client is still there."""
        _, spans = self.spans("""
            app = FastAPI()
            @app.get("/asks")
            async def asks(request: Request):
                for _ in range(1000):
                    await request.receive()
                tracer.start_span("inner").end()
            instrument_fastapi(app)
            async def main():
                async def receive(): return {"type": "http.disconnect"}
                async def send(_): pass
                await app({"type": "http", "method": "GET", "path": "/asks", "query_string": b"", "headers": []}, receive, send)
            asyncio.run(main())
            """, begin=ASGI)
        span = self.only(spans, "GET /asks")
        self.assertEqual((span.events, span.attributes["http.response.status_code"]), ([("client disconnected", {})], 200))

    def test_end_without_threads(self):
        """The end of the lifespan of an application that has shut its threads down, too, is answered."""
        output, spans = self.spans("""
            @asynccontextmanager
            async def lifespan(_):
                yield
                tracer.start_span("closing").end()
                await asyncio.get_running_loop().shutdown_default_executor()
            app = FastAPI(lifespan=lifespan)
            instrument_fastapi(app)
            async def main():
                messages = iter(({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}))
                async def receive(): return next(messages)
                async def send(message): print(message["type"])
                await app({"type": "lifespan", "state": {}}, receive, send)
            asyncio.run(main())
            """, begin=ASGI)
        self.assertEqual(output.split(), ["lifespan.startup.complete", "lifespan.shutdown.complete"])
        self.only(spans, "closing")

    def test_end_while_others_go_on(self):
        """Applications may come to their end while threads go on to trace, and while processes fork."""
        _, spans = self.spans("""
            import os, time
            async def bare(scope, receive, send):
                await send({"type": "lifespan.shutdown.complete"})
            async def end():
                async def send(_): pass
                await TracingMiddleware(bare)({"type": "lifespan"}, None, send)
            def work():
                start.wait()
                for _ in range(20):
                    with tracer.start_as_current_span("work"):
                        pass
                    time.sleep(0.001)
            for turn in range(20):
                asyncio.run(end())
                start = threading.Barrier(5)
                threads = [threading.Thread(target=work) for _ in range(4)]
                for thread in threads: thread.start()
                start.wait()
                time.sleep(0.002 * turn)
                asyncio.run(end())
                if turn % 5 == 0 and os.fork() == 0:
                    tracer.start_span("in child").end()
                    flush(60)
                    os._exit(0)
                for thread in threads: thread.join()
                assert tracer.start_span("after").is_recording(), turn
            for _ in range(4):
                assert os.wait()[1] == 0
            """, begin=ASGI)
        self.assertEqual({name: len([span for span in spans if span.name == name]) for name in ("in child", "after")}, {"in child": 4, "after": 20})

    def test_failures_are_freed(self):
        """What fails before and after its response leaves nothing for the garbage collector."""
        _, spans = self.spans("""
            import gc, weakref
            class Held: pass
            async def fails(scope, receive, send):
                held = Held()
                kept.append(weakref.ref(held))
                if scope["path"] == "/late":
                    await send({"type": "http.response.start", "status": 200, "headers": []})
                    await send({"type": "http.response.body"})
                raise RuntimeError
            async def ask(path):
                async def send(_): pass
                try:
                    await TracingMiddleware(fails)({"type": "http", "method": "GET", "path": path, "headers": []}, None, send)
                except RuntimeError:
                    pass
            kept = []
            gc.disable()
            for path in ("/early", "/late"):
                asyncio.run(ask(path))
            assert [ref() for ref in kept] == [None, None]
            """, begin=ASGI)
        self.assertEqual([span.status for span in spans], [ERROR, 0])

    def test_no_application(self):
        """What cannot be instrumented is said, and is as it was."""
        for call, reason in (("app, excluded=5", "int"), ("app, names=5", "int")):
            _, log, _ = self.package.run(ASGI + textwrap.dedent(f"""
                app = FastAPI()
                @app.get("/a")
                async def a(): return 7
                instrument_fastapi({call})
                async def main():
                    async with client(app) as asking:
                        assert (await asking.get("/a")).json() == 7
                asyncio.run(main())
                """))
            self.assertIn("instrument_fastapi: the application is not traced", log)
            self.assertIn(reason, log)
            self.assertEqual(log.count("\n"), 1, log)


if __name__ == "__main__":
    unittest.main()
