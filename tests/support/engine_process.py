# SPDX-License-Identifier: Apache-2.0
"""Engines for tests of the commands that work on sessions from outside, and the spans that a receiver got of them."""
import collections
import json
import os
import subprocess
import time
from pathlib import Path

from peers import missing

BUILD = Path(os.environ.get("NSP_BUILD_DIR", "build"))
SPARE = ("PATH", "HOME", "LD_LIBRARY_PATH", "NSP_CPU_NUMBERS", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")
PATIENCE = 60

Span = collections.namedtuple("Span", "service name attributes start end")


def environment(shm, **settings):
    kept = {name: os.environ[name] for name in SPARE if name in os.environ}
    return {**kept, "NSP_SHM_DIR": str(shm), "COLUMNS": "100", **settings}


def wait_until(condition, what):
    """what: the text of the failure's subject, or a function that returns it then."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what() if callable(what) else what} did not happen")
        time.sleep(0.01)


def value_of(value):
    for kind, convert in (("stringValue", str), ("intValue", int), ("boolValue", bool)):
        if kind in value:
            return convert(value[kind])
    return None


def attributes_of(entity):
    return {pair["key"]: value_of(pair["value"]) for pair in entity.get("attributes", ())}


def spans_of(lines, only=None):
    """All spans by their ids, or only those of one service, and how many of them came more than once."""
    spans, twice = {}, 0
    for document in lines:
        for resource in document["resourceSpans"]:
            service = attributes_of(resource["resource"]).get("service.name")
            if only is not None and service != only:
                continue
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    key = span["traceId"], span["spanId"]
                    twice += key in spans
                    spans[key] = Span(service, span["name"], attributes_of(span), int(span["startTimeUnixNano"]),
                                      int(span["endTimeUnixNano"]))
    return spans, twice


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


class Engine:
    """A process of one of the programs doomed and steady of tests/programs. When this returns, doomed has recorded its
    spans, and steady its first one."""

    def __init__(self, shm, *arguments, service="doomed", program="doomed", before=None, **settings):
        path = BUILD / "tests" / program
        if not os.access(path, os.X_OK):
            missing(f"there is no {path}")
        self.process = subprocess.Popen([path, *map(str, arguments)], text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, preexec_fn=before,
                                        env=environment(shm, SERVICE_NAME=service, **settings))
        self.pid = self.process.pid
        line = self.process.stdout.readline()
        if line != "ready\n":
            raise RuntimeError(f"the engine did not start: {line!r}, exit code {self.process.poll()}")

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        return self


def doomed(shm, finished=1000, unfinished=2, service="doomed", before=None, **settings):
    """An engine whose spans nobody drains, unless the test wants it: all of them stay in the rings."""
    settings = {"NSP_COLLECTOR": "invoker", "OTLP_ENDPOINT": "http://127.0.0.1:1", "NSP_RING_BYTES": "4194304", **settings}
    return Engine(shm, "--spans", finished, "--open", unfinished, service=service, before=before, **settings)
