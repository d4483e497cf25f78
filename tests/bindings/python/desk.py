# SPDX-License-Identifier: Apache-2.0
"""Two FastAPI services of test_python_fastapi.py, run by uvicorn: a desk that asks a quoter (the same program, under
another name) and the platform's execution service."""
import asyncio
import os
from contextlib import asynccontextmanager

import httpx
import nanospan
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from nanospan import SpanKind, get_tracer, init_observability, instrument_fastapi

init_observability(
    service_name=os.environ["DESK_NAME"],
    log_level="WARNING",
    enable_tracing=True,
)


@asynccontextmanager
async def lifespan(_):
    async with httpx.AsyncClient(timeout=60) as clients["http"]:
        yield
    with tracer.start_as_current_span("closing"):
        pass


clients = {}
tracer = get_tracer()
app = FastAPI(lifespan=lifespan)
instrument_fastapi(app, names={"GET /api/signals": "HTTP GET /api/signals"}, excluded=("/health", "/internal/*"))
router = APIRouter(prefix="/quotes")


async def ask(name, method, url, **arguments):
    """A request to another service, under a span of its own."""
    with tracer.start_as_current_span(name, kind=SpanKind.CLIENT):
        return await clients["http"].request(method, url, headers=nanospan.headers(), **arguments)


@router.get("/{symbol}")
async def quote(symbol: str):
    with tracer.start_as_current_span("look up") as span:
        span.set_attribute("symbol", symbol)
        span.set_attribute("user", nanospan.get_baggage("user") or "")
    return {"symbol": symbol, "price": 1e9}


app.include_router(router)
outer = APIRouter(prefix="/v2")
outer.include_router(router)
app.include_router(outer, prefix="/nested")


def account():
    with tracer.start_as_current_span("account"):  # in a thread of the pool
        return "user-7"


@app.post("/trades/{symbol}")
async def trade(symbol: str, user: str = Depends(account)):
    quoted, order = await asyncio.gather(
        ask("quoter: quote", "GET", f"{os.environ['QUOTER']}/quotes/{symbol}"),
        ask("execution: place_order", "POST", f"{os.environ['EXECUTION']}/orders",
            json={"user_id": user, "symbol": symbol, "side": "BUY", "amount": 5000.0, "limit_price": 60120.0, "confidence": 0.9}))
    return {"quote": quoted.json(), "status": order.status_code, "order": order.json()}


@app.get("/api/signals")
def signals():
    with tracer.start_as_current_span("query_signals"):
        return []


@app.get("/fails")
async def fails():
    raise RuntimeError("it broke")


@app.get("/refuses/{status}")
async def refuses(status: int):
    raise HTTPException(status)


@app.get("/stream")
async def stream():
    async def lines():
        for number in range(3):
            with tracer.start_as_current_span("line"):
                await asyncio.sleep(0.02)
            yield f"{number}\n"
    return StreamingResponse(lines())


@app.get("/endless")
async def endless():
    async def lines():
        while True:
            yield "x" * 65536
            await asyncio.sleep(0.001)
    return StreamingResponse(lines())


@app.get("/later")
async def later(tasks: BackgroundTasks):
    async def work():
        with tracer.start_as_current_span("in the background"):
            await asyncio.sleep(0.05)
    tasks.add_task(work)
    return {}


@app.get("/health")
@app.get("/internal/state")
async def health():
    return {"pid": os.getpid()}


@app.get("/pid")
async def pid():
    await asyncio.sleep(0.01)
    return {"pid": os.getpid()}


@app.websocket("/ws")
async def socket(connection: WebSocket):
    await connection.accept()
    await connection.send_text(await connection.receive_text())
    await connection.close()


below = FastAPI()


@below.get("/items/{item}")
async def item_of(item: str):
    return {"item": item}


app.mount("/below", below)
