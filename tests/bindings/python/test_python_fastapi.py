# SPDX-License-Identifier: Apache-2.0
#
# ctest: TIMEOUT 1200 COST 60
# Sanitizers: none, because Python does not load a library that is built with one.
"""The Python package in real FastAPI services that the real uvicorn runs: one trace across two of them and the platform's
execution service in C, and what each kind of response becomes."""
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from platform_service import Service
from python_package import CLIENT, ERROR, INTERNAL, SERVER, Package, need_packages, only, spans_of
from sink_process import Sink

need_packages("cffi", "scikit_build_core", "fastapi", "uvicorn", "httpx", "websockets")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def setUpModule():
    global package
    package = Package(by="pkg-config")
    unittest.addModuleCleanup(package.close)


class Uvicorn:
    """desk.py, run by uvicorn as a user runs it."""

    def __init__(self, name, files, port, *options, **variables):
        self.log_path = files / f"{name}.log"
        environment = package.environment(port, DESK_NAME=name, **variables)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "desk:app", "--app-dir", Path(__file__).parent, "--host", "127.0.0.1", "--port", "0",
                 *options], env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"{name} did not start: {self.log()}")
            time.sleep(0.05)

    def ready(self):
        found = re.search(r"running on http://(127\.0\.0\.1:\d+)", self.log())
        self.address = found.group(1) if found else None
        return found and "startup complete" in self.log()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def ask(self, method, path, **headers):
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request(method, path, headers=headers)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        finally:
            connection.close()

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(120)
        finally:
            self.process.kill()


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.files = Path(folder.name)
        self.sink = Sink()
        self.addCleanup(self.sink.__exit__)

    def start(self, name, *options, **variables):
        server = Uvicorn(name, self.files, self.sink.port, *options, **variables)
        self.addCleanup(server.stop)
        return server

    def spans(self, *servers):
        for server in servers:
            server.stop()
        self.sink.stop()
        return spans_of(self.sink)

    def only(self, spans, name):
        return only(self, spans, name)


class Services(Case):
    def test_one_trace(self):
        """From the desk in Python to the quoter in Python and the execution service in C."""
        execution = Service("execution", self.files, package.environment(self.sink.port))
        self.addCleanup(execution.stop)
        quoter = self.start("quoter")
        desk = self.start("desk", QUOTER=f"http://{quoter.address}", EXECUTION=f"http://{execution.address}")
        status, body = desk.ask("POST", "/trades/BTCUSDT?token=secret&x=1", traceparent=PARENT, tracestate="vendor=1", baggage="user=ada",
                                **{"User-Agent": "tester"})
        self.assertEqual((status, json.loads(body)["status"]), (200, 201), body)
        execution.stop()
        spans = [span for span in self.spans(desk, quoter) if span.name != "closing"]
        self.assertEqual({span.trace for span in spans}, {PARENT[3:35]})
        self.assertEqual({span.state for span in spans}, {"vendor=1"})
        server = self.only(spans, "POST /trades/{symbol}")
        self.assertEqual((server.service, server.kind, server.parent, server.status), ("desk", SERVER, PARENT[36:52], 0))
        host, port = desk.address.split(":")
        peer = server.attributes.pop("network.peer.port")
        self.assertTrue(0 < peer < 65536)
        self.assertEqual(server.attributes, {
            "http.request.method": "POST", "http.route": "/trades/{symbol}", "url.path": "/trades/BTCUSDT",
            "url.query": "token=REDACTED&x=1", "url.scheme": "http", "server.address": host, "server.port": int(port),
            "client.address": "127.0.0.1", "network.peer.address": "127.0.0.1", "network.protocol.version": "1.1",
            "user_agent.original": "tester", "http.response.status_code": 200})
        self.assertEqual(self.only(spans, "account").parent, server.id)
        for name, service, below in (("quoter: quote", "quoter", "GET /quotes/{symbol}"), ("execution: place_order", "execution", "POST /orders")):
            client, answer = self.only(spans, name), self.only(spans, below)
            self.assertEqual((client.service, client.kind, client.parent), ("desk", CLIENT, server.id))
            self.assertEqual((answer.service, answer.kind, answer.parent), (service, SERVER, client.id))
            # A server's span ends after its response is sent, so the client's may end first.
            self.assertTrue(server.start <= client.start <= answer.start <= client.end <= server.end)
        self.assertEqual(self.only(spans, "look up").parent, self.only(spans, "GET /quotes/{symbol}").id)
        self.assertEqual(self.only(spans, "look up").attributes, {"symbol": "BTCUSDT", "user": "ada"})
        self.assertEqual(self.only(spans, "submit_to_exchange").service, "execution")

    def test_kinds_of_responses(self):
        desk = self.start("desk")
        asked = [("GET", "/api/signals", 200), ("GET", "/fails", 500), ("GET", "/refuses/404", 404), ("GET", "/refuses/503", 503),
                 ("GET", "/stream", 200), ("GET", "/later", 200), ("GET", "/nowhere", 404), ("GET", "/below/nothing", 404), ("DELETE", "/later", 405),
                 ("GET", "/health", 200), ("GET", "/internal/state", 200), ("GET", "/below/items/7", 200), ("BREW", "/later", 405),
                 ("GET", "/nested/v2/quotes/ETHUSDT", 200), ("PUT", "/nested/v2/quotes/ETHUSDT", 405)]
        for method, path, status in asked:
            self.assertEqual(desk.ask(method, path)[0], status, path)
        self.disconnect(desk)
        self.websocket(desk)
        spans = self.spans(desk)
        servers = [span for span in spans if span.kind == SERVER]
        self.assertEqual(sorted(span.name for span in servers), sorted([
            "HTTP GET /api/signals", "GET /fails", "GET /refuses/{status}", "GET /refuses/{status}", "GET /stream", "GET /later", "GET", "GET /below",
            "DELETE /later", "GET /below/items/{item}", "GET /endless", "HTTP /later",
            "GET /nested/v2/quotes/{symbol}", "PUT /nested/v2/quotes/{symbol}"]))
        self.assertTrue(all(span.parent == "" for span in servers))
        self.assertEqual(len({span.trace for span in servers}), len(servers))
        self.assertEqual(self.only(spans, "query_signals").parent, self.only(spans, "HTTP GET /api/signals").id)

        failed = self.only(spans, "GET /fails")
        self.assertTrue(all(failed.start <= time <= failed.end for time in failed.times))
        (name, described), = failed.events
        self.assertEqual(failed.message, "RuntimeError: it broke")
        self.assertEqual((failed.status, failed.attributes["http.response.status_code"], failed.attributes["error.type"], name,
                          described["exception.message"]), (ERROR, 500, "RuntimeError", "exception", "it broke"))
        refused = {span.attributes["http.response.status_code"]: span for span in servers if span.name == "GET /refuses/{status}"}
        self.assertEqual((refused[404].status, refused[503].status, refused[503].attributes["error.type"]), (0, ERROR, "503"))

        stream, lines = self.only(spans, "GET /stream"), [span for span in spans if span.name == "line"]
        self.assertEqual(len(lines), 3)
        self.assertTrue(all(span.parent == stream.id and span.end <= stream.end for span in lines))
        later, background = self.only(spans, "GET /later"), self.only(spans, "in the background")
        self.assertEqual((background.parent, background.kind), (later.id, INTERNAL))
        self.assertGreaterEqual(background.end, later.end)
        self.assertEqual(self.only(spans, "GET").attributes["http.response.status_code"], 404)
        self.assertEqual(self.only(spans, "HTTP /later").attributes["http.request.method_original"], "BREW")
        self.assertEqual([name for name, _ in self.only(spans, "GET /endless").events], ["client disconnected"])
        self.only(spans, "closing")  # of the end of the lifespan, after which a signal ends the process

    def disconnect(self, desk):
        host, port = desk.address.split(":")
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(connection.recv(100))

    def websocket(self, desk):
        from websockets.sync.client import connect
        with connect(f"ws://{desk.address}/ws", proxy=None) as connection:
            connection.send("hello")
            self.assertEqual(connection.recv(), "hello")

    def test_workers(self):
        """Each of uvicorn's workers sends what it has when it is told to stop."""
        desk = self.start("desk", "--workers", "2")
        pids = [json.loads(desk.ask("GET", "/pid")[1])["pid"] for _ in range(40)]
        spans = self.spans(desk)
        self.assertEqual(len([span for span in spans if span.name == "GET /pid"]), len(pids))
        self.assertEqual(len([span for span in spans if span.name == "closing"]), 2)

    def test_interrupted(self):
        desk = self.start("desk")
        desk.ask("GET", "/pid")
        desk.stop(signal.SIGINT)
        self.assertEqual(sorted(span.name for span in self.spans()), ["GET /pid", "closing"])

    def test_leaves_nothing(self):
        """uvicorn ends its process by the signal that stopped it, and no session stays as if that was a crash."""
        desk = self.start("leaves")
        desk.ask("GET", "/pid")
        self.assertEqual(len(self.sessions("leaves")), 1)
        desk.stop()
        self.assertEqual(self.sessions("leaves"), [])

    def sessions(self, service):
        return list(Path(package.sessions).glob(f"*/{service}.*"))


class Applications(Case):
    def test_instrumented_late_and_twice(self):
        """An application that runs already, one that is instrumented twice, and one without routes."""
        code = """
import asyncio, httpx
from fastapi import FastAPI
from nanospan import *
init_observability(service_name="tested", log_level="WARNING")
app = FastAPI()
@app.get("/a")
async def a(): return get_current_span().is_recording()
async def bare(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})
async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        assert (await client.get("/a")).json() is False
        instrument_fastapi(app); instrument_fastapi(app)
        with get_tracer().start_as_current_span("client"):
            assert (await client.get("/a", headers=headers())).json() is True
            assert (await client.get("/a")).json() is True
    async with httpx.AsyncClient(transport=httpx.ASGITransport(TracingMiddleware(bare)), base_url="http://here") as client:
        assert (await client.put("/x")).status_code == 204
asyncio.run(main())
"""
        _, log, spans = package.run(code)
        self.assertEqual(log, "")
        client = self.only(spans, "client")
        self.assertEqual(sorted((span.name, span.parent) for span in spans),
                         sorted([("client", ""), ("GET /a", client.id), ("GET /a", ""), ("PUT", "")]))

    def test_end_of_the_application(self):
        """The session ends with the application, unless a span is open. What begins later is recorded all the same."""
        code = """
import asyncio, os
from fastapi import FastAPI
from nanospan import *
init_observability("tested", log_level="WARNING")
tracer, app = get_tracer(), FastAPI()
instrument_fastapi(app)
def sessions():
    return [name for _, names, _ in os.walk(os.environ["NSP_SHM_DIR"]) for name in names if name.startswith("tested.")]
async def run():
    messages = asyncio.Queue()
    for kind in ("startup", "shutdown"):
        messages.put_nowait({"type": "lifespan." + kind})
    async def send(message): said.append(message["type"])
    said = []
    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, messages.get, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"], said
for name in ("first", "second"):
    with tracer.start_as_current_span(name): pass
    assert len(sessions()) == 1
    asyncio.run(run())
    assert not sessions(), sessions()
with tracer.start_as_current_span("open"):
    asyncio.run(run())
    assert len(sessions()) == 1
    with tracer.start_as_current_span("below"): pass
asyncio.run(run())
shutdown(30)
with tracer.start_as_current_span("after shutdown") as span:
    assert not span.is_recording()
"""
        _, log, spans = package.run(code)
        self.assertEqual(log, "")
        self.assertEqual(sorted(span.name for span in spans), ["below", "first", "open", "second"])
        self.assertEqual(self.only(spans, "below").parent, self.only(spans, "open").id)

    def test_mistakes(self):
        """Requests that are not traced because nothing was started, and what is no application: one warning each."""
        code = """
import asyncio, httpx
from fastapi import APIRouter, FastAPI
from nanospan import *
app, other, late = FastAPI(), FastAPI(), FastAPI()
for one in (app, other, late, APIRouter(), None):
    instrument_fastapi(one)
async def main():
    for one, times in ((app, 3), (other, 1), (late, 1)):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(one), base_url="http://here") as client:
            for _ in range(times):
                assert (await client.get("/a")).status_code == 404
        if one is other:
            assert init_observability("tested", log_level="WARNING")
asyncio.run(main())
"""
        _, log, spans = package.run(code)
        self.assertEqual(log.splitlines(), [
            "instrument_fastapi: APIRouter is no FastAPI application, so it is not traced",
            "instrument_fastapi: NoneType is no FastAPI application, so it is not traced",
            "requests are not traced, because init_observability was not called"])
        self.assertEqual([span.name for span in spans], ["GET"])

    def test_without_the_library(self):
        """A service whose library is not there answers as before, and hands on what came with a request."""
        code = """
import asyncio, sys, httpx
sys.modules["nanospan._native"] = None
from fastapi import FastAPI
from nanospan import get_tracer, headers, init_observability, instrument_fastapi
init_observability(service_name="my-service", log_level="INFO", enable_tracing=True)
app = FastAPI()
instrument_fastapi(app)
@app.get("/a")
async def a():
    with get_tracer().start_as_current_span("a") as span:
        span.set_attribute("result", 1)
        return headers()
@app.get("/fails")
async def fails():
    raise KeyError("x")
async def main():
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        came = {"traceparent": sys.argv[1], "tracestate": "vendor=1", "baggage": "user=ada"}
        assert (await client.get("/a", headers=came)).json() == came
        assert (await client.get("/a")).json() == {}
        assert (await client.get("/fails")).status_code == 500
asyncio.run(main())
"""
        _, log, spans = package.run(code, PARENT)
        self.assertEqual(spans, [])
        self.assertEqual(log.count("\n"), 1, log)
        self.assertIn("nothing is traced", log)


if __name__ == "__main__":
    unittest.main()
