# SPDX-License-Identifier: Apache-2.0
"""The Python package, installed for a test as a user installs it: the library into a prefix, the package over it by pip
into a folder. Programs that use it run in processes of their own, and send to nanospan's sink."""
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

from peers import missing
from platform_service import clean_environment
from sink_process import Sink

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[2]))
BUILD = Path(os.environ.get("NSP_BUILD_DIR", SOURCE / "build"))
PACKAGE = SOURCE / "bindings" / "python"
INTERNAL, SERVER, CLIENT = 1, 2, 3
ERROR = 2
WITHOUT_CMAKE = {"CMAKE_ARGS": "-DCMAKE_DISABLE_FIND_PACKAGE_nanospan=ON"}  # pip asks pkg-config then


def need_packages(*names):
    """Ends the test program if something of tests/requirements.txt is not here."""
    for name in names:
        try:
            __import__(name)
        except ImportError as problem:
            missing(f"{name} is not here (tests/requirements.txt): {problem}")


def pip_install(target, **variables):
    """Builds the package and installs it into a folder."""
    return subprocess.run(
        [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "install", "--no-build-isolation", "--no-deps",
         "--no-index", "--target", target, PACKAGE], env={**os.environ, **variables}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def _fingerprint(by):
    """Of all that the built package depends on, and its place, because it remembers where its library is."""
    headers = [SOURCE / part / "include" for part in ("core", "exporters", "instrumentation")]
    files = [file for folder in (*headers, PACKAGE) for file in folder.rglob("*") if file.suffix != ".pyc" and file.is_file()]
    files += [*BUILD.glob("lib*.so"), *BUILD.glob("*.pc"), *BUILD.glob("*.cmake"), *(SOURCE / "cmake").glob("*")]
    found = hashlib.sha256(repr((by, str(BUILD), sys.executable, sys.version)).encode())
    for file in sorted(files):
        found.update(b"%b\0%b\0" % (str(file).encode(), hashlib.sha256(file.read_bytes()).digest()))
    return found.hexdigest()[:16]


class Package:
    """The package, installed in the build folder. It takes seconds to build, so it stays there for the next test, until
    something that it depends on changes. by: who finds the library for it, "CMake" or "pkg-config"."""

    def __init__(self, by="CMake"):
        all_of_them = BUILD / "python packages"
        all_of_them.mkdir(exist_ok=True)
        self.folder = all_of_them / f"{by} {_fingerprint(by)}"
        self.prefix, self.site = self.folder / "prefix", self.folder / "site"
        # Who builds it has the lock alone, and who uses it shares it.
        self.lock = open(f"{self.folder}.lock", "wb")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        if not (self.folder / "complete").exists():
            self._build(by)
            self._remove_others(all_of_them, by)
        fcntl.flock(self.lock, fcntl.LOCK_SH)
        # Of its own, so that the log says nothing about sessions that others have left.
        self.sessions = tempfile.mkdtemp(prefix="nanospan-python-", dir="/dev/shm")

    def _build(self, by):
        shutil.rmtree(self.folder, ignore_errors=True)
        installed = subprocess.run(["cmake", "--install", BUILD, "--prefix", self.prefix], text=True, check=False,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if installed.returncode != 0:
            missing(f"the library is not built: {installed.stdout}")
        if by == "CMake":
            built = pip_install(self.site, CMAKE_PREFIX_PATH=str(self.prefix))
        else:
            built = pip_install(self.site, PKG_CONFIG_PATH=str(self.prefix / "lib" / "pkgconfig"), **WITHOUT_CMAKE)
        if built.returncode != 0:
            raise RuntimeError(f"pip: {built.stdout}")
        (self.folder / "complete").touch()

    def _remove_others(self, all_of_them, by):
        for path in all_of_them.glob(f"{by} *.lock"):
            with open(path, "rb") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:  # in use, or this one
                    continue
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                path.unlink()

    def close(self):
        self.lock.close()
        shutil.rmtree(self.sessions, ignore_errors=True)

    def environment(self, port, **variables):
        """The environment of a program that uses the package, and sends to a receiver at this port."""
        return {**clean_environment(OTLP_ENDPOINT=f"http://127.0.0.1:{port}", PYTHONUNBUFFERED="1"),
                "PYTHONPATH": str(self.site), "NSP_EXIT_TIMEOUT_MS": "30000",
                "NSP_SHM_DIR": self.sessions, **variables}

    def run(self, code, *arguments, sink=None, code_expected=0, **variables):
        """Runs a program; returns (its output, its log, its spans: those of `sink`, or of a sink of its own)."""
        own = sink is None
        receiver = Sink() if own else sink
        try:
            done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], text=True, timeout=240, check=False,
                                  env=self.environment(receiver.port, **variables), stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
            if done.returncode != code_expected:
                raise AssertionError(f"exit code {done.returncode}: {done.stdout}{done.stderr}")
            if own:
                receiver.stop()
            return done.stdout, done.stderr, spans_of(receiver) if own else None
        finally:
            if own:
                receiver.__exit__()


class ProgramTest(unittest.TestCase):
    """Tests of programs that begin with `begin`, and use the package."""
    begin = ""

    @classmethod
    def setUpClass(cls):
        cls.package = Package()
        cls.addClassCleanup(cls.package.close)

    def spans(self, code, *arguments, begin=None, **variables):
        """Runs a program; returns its output and its spans. It has to log nothing."""
        output, log, spans = self.package.run((begin or self.begin) + textwrap.dedent(code), *arguments, **variables)
        self.assertEqual(log, "")
        return output, spans

    def only(self, spans, name):
        return only(self, spans, name)


def only(test, spans, name):
    """The span of this name; there has to be one."""
    found = [span for span in spans if span.name == name]
    test.assertEqual(len(found), 1, spans)
    return found[0]


def value_of(value):
    for kind, convert in (("stringValue", str), ("intValue", int), ("boolValue", bool), ("doubleValue", float),
                          ("bytesValue", lambda text: f"bytes:{text}")):
        if kind in value:
            return convert(value[kind])
    return [value_of(item) for item in value["arrayValue"].get("values", ())] if "arrayValue" in value else None


def attributes_of(entity):
    return {pair["key"]: value_of(pair["value"]) for pair in entity.get("attributes", ())}


class Span:
    """One span as it has arrived."""

    def __init__(self, service, raw):
        self.service, self.name, self.kind = service, raw.get("name", ""), raw.get("kind", 0)
        self.trace, self.id, self.parent = raw["traceId"], raw["spanId"], raw.get("parentSpanId", "")
        self.start, self.end = int(raw["startTimeUnixNano"]), int(raw["endTimeUnixNano"])
        self.attributes, self.state = attributes_of(raw), raw.get("traceState", "")
        self.status, self.message = raw.get("status", {}).get("code", 0), raw.get("status", {}).get("message", "")
        self.events = [(event["name"], attributes_of(event)) for event in raw.get("events", ())]
        self.times = [int(event["timeUnixNano"]) for event in raw.get("events", ())]
        self.links = [(link["traceId"], link["spanId"], attributes_of(link)) for link in raw.get("links", ())]

    def __repr__(self):
        return f"{self.service}/{self.name}"


def spans_of(sink):
    """All spans that a sink has taken. One that came twice is an error."""
    found = {}
    if not sink.output.exists():
        return []
    for line in sink.output.read_text(encoding="utf-8").splitlines():
        for resource in json.loads(line).get("resourceSpans", ()):
            service = attributes_of(resource.get("resource", {})).get("service.name", "")
            for scope in resource.get("scopeSpans", ()):
                for raw in scope.get("spans", ()):
                    span = Span(service, raw)
                    if (span.trace, span.id) in found:
                        raise AssertionError(f"{span} came twice")
                    found[span.trace, span.id] = span
    return list(found.values())
