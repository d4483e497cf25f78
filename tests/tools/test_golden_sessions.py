# SPDX-License-Identifier: Apache-2.0
"""Sessions that engines of each layout left when they were killed: this build recovers every span of them.

tests/tools/golden/NAME.tar.xz is the session, NAME.jsonl what a recovery of it must give: the account, the
resource, and each span in the plain form of support/expected.py. When what lies in shared memory changes,

    python3 tests/tools/test_golden_sessions.py --make NAME

makes the two files of the new layout with the programs of this build; commit them with the change. The files of
an older layout are never made again or edited: they are what users of that release have in their memory, and
hold the readers of all later releases to it. A reader that fails here is what has to change.
"""
import collections
import fcntl
import functools
import io
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.append(str(TESTS / "support"))

import expected  # noqa: E402
import otlp_json_form  # noqa: E402
from agent_process import Agent, AgentTest  # noqa: E402
from outside_lock import DRAINER  # noqa: E402
from peers import need  # noqa: E402
from sink_process import Sink, command  # noqa: E402

GOLDEN = TESTS / "tools" / "golden"
PATIENCE = 60
SPARE = ("PATH", "HOME", "LD_LIBRARY_PATH", "NSP_CPU_NUMBERS", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")
SERVICE = "golden"
SMALL = {"NSP_RING_BYTES": "65536", "NSP_THREADS": "8", "NSP_DETACHED_SPANS": "8", "NSP_BATCHES": "4", "NSP_BATCH_BYTES": "65536",
         "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "20", "NSP_RETRY_MIN_MS": "1"}
RESOURCE = "host.name=somewhere,deployment.environment.name=test"

# The head of the file `control`, whose form never changes: magic, version, pid, start, bytes, count of sections.
HEAD, SECTION, OPTIONAL = struct.Struct("<QIIQQII"), struct.Struct("<IIQQQ"), 1 << 31


def environment(**settings):
    return {**{name: os.environ[name] for name in SPARE if name in os.environ}, **settings}


# ---- recovery ----

def plain(lines):
    """(resource, spans) of what a recovery has written, the spans by their start."""
    resources, spans = [], []
    for tree in map(otlp_json_form.parse, lines):
        for resource_spans in tree["resourceSpans"]:
            resource = sorted(otlp_json_form.attributes_form(resource_spans["resource"]))
            resources += [resource] if resource not in resources else []
            spans += [otlp_json_form.span_form(span) for scope in resource_spans["scopeSpans"] for span in scope["spans"]]
    if len(resources) != 1:
        raise AssertionError(f"{len(resources)} resources instead of one: {resources}")
    return resources[0], sorted(spans, key=lambda span: (int(span["start"]), span["spanId"]))


def run_recover(session, file):
    return subprocess.run([command(), "recover", "--json", "--output", str(file), str(session)], env=environment(),
                          capture_output=True, text=True, timeout=2 * PATIENCE, check=False)


def recover(session):
    """(account, resource, spans). The session is removed."""
    with tempfile.TemporaryDirectory() as work:
        result = run_recover(session, Path(work, "recovered"))
        if result.returncode != 0:
            raise AssertionError(f"exit code {result.returncode}: {result.stdout}{result.stderr}")
        one = json.loads(result.stdout)
        if session.exists() or not one["removed"]:
            raise AssertionError("the session is not removed")
        return one["account"], *plain(Path(work, "recovered").read_bytes().splitlines())


# ---- the files ----

def unpack(archive, folder):
    """Returns the session's directory, in a user's folder of sessions as an engine makes it."""
    sessions = Path(folder, f"nanospan-{os.geteuid()}")
    sessions.mkdir(mode=0o700)
    with tarfile.open(archive) as tar:
        for member in tar:
            session, file = member.name.split("/")
            (sessions / session).mkdir(mode=0o700, exist_ok=True)
            target = os.open(sessions / session / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(target, "wb") as out:
                shutil.copyfileobj(tar.extractfile(member), out)
    return sessions / session


def pack(session, archive):
    with tarfile.open(archive, "w:xz", format=tarfile.USTAR_FORMAT, preset=9) as tar:
        for path in sorted(session.iterdir()):
            member = tarfile.TarInfo(f"{session.name}/{path.name}")  # of nobody, and at no time
            member.size, member.mode = path.stat().st_size, 0o600
            tar.addfile(member, io.BytesIO(path.read_bytes()))


def expectation(path):
    """(account, resource, spans) of a file that `write_expectation` wrote."""
    account, resource, *spans = map(json.loads, path.read_text(encoding="ascii").splitlines())
    return account["account"], resource["resource"], spans


def write_expectation(path, account, resource, spans):
    lines = [{"account": account}, {"resource": resource}, *spans]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="ascii")


def table(session):
    """(the layout's version, its sections as (kind, version, offset, stride, count))."""
    content = (session / "control").read_bytes()
    _, version, _, _, _, count, _ = HEAD.unpack_from(content)
    return version, [SECTION.unpack_from(content, HEAD.size + i * SECTION.size) for i in range(count)]


def write_table(session, sections):
    """Nothing in the file moves, because the table has room."""
    with open(session / "control", "r+b") as file:
        head = list(HEAD.unpack(file.read(HEAD.size)))
        head[5] = len(sections)
        file.seek(0)
        file.write(HEAD.pack(*head) + b"".join(SECTION.pack(*section) for section in sections))


def let_others_drain(session):
    """Makes the session that of an engine that is drained from outside. False: its layout knows none."""
    places = [offset for kind, _, offset, _, _ in table(session)[1] if kind == DRAINER]
    for place in places:
        with open(session / "control", "r+b") as file:
            file.seek(place)
            file.write(struct.pack("<I", 1))
    return bool(places)


def alive(session):
    """Locks the session as its engine does while it lives. Returns what holds the lock until it is closed."""
    file = open(session / "alive", "r+b")  # pylint: disable=consider-using-with
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    return file


# ---- making one ----

def accept_one(receiver):
    """Takes one request and says that all of its spans are accepted."""
    with receiver.accept()[0] as connection, connection.makefile("rb") as request:
        connection.settimeout(PATIENCE)
        length = 0
        while (line := request.readline().strip().lower()):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        request.read(length)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n"
                           b"Connection: close\r\n\r\n")


def kill_an_engine(shm):
    """(its session, what it noted of its spans). A receiver has accepted its first batch; it got the second three
    times and did not answer."""
    program = Path(os.environ.get("NSP_BUILD_DIR", "build"), "tests", "golden_engine")
    need(os.access(program, os.X_OK), f"there is no {program}")
    notes = Path(shm, "notes.json")
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        receiver.settimeout(PATIENCE)
        settings = environment(NSP_SHM_DIR=str(shm), SERVICE_NAME=SERVICE, OTEL_RESOURCE_ATTRIBUTES=RESOURCE, **SMALL,
                               OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.getsockname()[1]}", OTEL_LOG_LEVEL="none")
        with subprocess.Popen([program, str(notes)], stdout=subprocess.PIPE, text=True, env=settings) as engine:
            try:
                accept_one(receiver)
                if (line := engine.stdout.readline()) != "ready\n":
                    raise RuntimeError(f"the engine failed: {line!r}, exit code {engine.wait(PATIENCE)}")
                for attempt in (1, 2, 3):
                    with receiver.accept()[0] as connection:
                        connection.settimeout(PATIENCE)
                        connection.recv(1)
                        if attempt == 3:
                            engine.kill()
                            engine.wait(PATIENCE)
            finally:
                engine.kill()
        if engine.returncode != -signal.SIGKILL:
            raise RuntimeError(f"the engine ended with {engine.returncode}")
    session, = Path(shm, f"nanospan-{os.geteuid()}").iterdir()
    return session, expected.load(notes)[0]


def check_notes(notes, spans):
    """What was recovered is what the engine noted. It ends open spans at the latest time of all."""
    noted_ends = {span["spanId"]: span["end"] for span in notes}
    latest = max(int(time) for span in notes for time in (span["end"], *(event["time"] for event in span["events"])))
    bare = []
    for span in spans:
        own = [attribute for attribute in span["attributes"] if attribute != ["nanospan.unfinished", "bool", True]]
        open_one = own != span["attributes"]
        if open_one != span["name"].startswith("unfinished") or (open_one and int(span["end"]) < latest):
            raise AssertionError(f"{expected.describe(span)}: {span}")
        bare.append({**span, "attributes": own, "end": noted_ends.get(span["spanId"]) if open_one else span["end"]})
    if found := expected.differences(notes, bare):
        raise AssertionError(expected.report(found))


def make(name):
    archive, expects = GOLDEN / f"{name}.tar.xz", GOLDEN / f"{name}.jsonl"
    if archive.exists() or expects.exists():
        sys.exit(f"{archive} is there, and a golden session is never made again; choose another name for a new layout")
    with tempfile.TemporaryDirectory() as shm:
        session, notes = kill_an_engine(shm)
        GOLDEN.mkdir(exist_ok=True)
        pack(session, archive)
        try:
            account, resource, spans = recover(session)
            check_notes(notes, spans)
            write_expectation(expects, account, resource, spans)
        except BaseException:
            archive.unlink()
            raise
    print(f"{archive}: {archive.stat().st_size} bytes\n"
          f"{expects}: {len(spans)} spans, {account}")


# ---- the tests ----

def archives():
    return sorted(GOLDEN.glob("*.tar.xz"))


def for_each(test):
    """Calls it with each session, unpacked, and with what a recovery of it must give."""
    @functools.wraps(test)
    def run(self):
        self.assertTrue(archives())
        for archive in archives():
            with self.subTest(archive.name), tempfile.TemporaryDirectory() as folder:
                test(self, unpack(archive, folder), expectation(GOLDEN / archive.name.replace(".tar.xz", ".jsonl")))
    return run


class GoldenSessions(unittest.TestCase):
    def check(self, session, wanted):
        account, resource, spans = recover(session)
        wanted_account, wanted_resource, wanted_spans = wanted
        # Later releases may count more.
        self.assertEqual({member: account.get(member) for member in wanted_account}, wanted_account)
        self.assertEqual(resource, wanted_resource)
        found = expected.differences(wanted_spans, spans)
        self.assertFalse(found, expected.report(found))

    @for_each
    def test_every_span_is_recovered(self, session, wanted):
        self.check(session, wanted)

    @for_each
    def test_they_have_spans_in_all_places(self, session, wanted):
        account, _, spans = wanted
        self.assertGreater(account["in_doubt"], 0)
        self.assertGreater(account["from_batches"], account["in_doubt"])  # closed ones, and one that is being filled
        self.assertNotEqual(account["from_batches"] % account["in_doubt"], 0)
        self.assertGreater(account["finished"], 0)
        names = collections.Counter(span["name"] for span in spans)
        self.assertEqual(account["unfinished"], 6 + 2 * names["unfinished path"])  # itself, and its open phase
        self.assertEqual(names["finished phase"], names["unfinished path"])
        self.assertGreater(account["engine_exported"], 0)
        self.assertEqual(account["exported"], len(spans))
        self.assertEqual((account["engine_exported"] + len(spans), True), (account["attempted"], account["balanced"]))

    @for_each
    def test_unknown_optional_section_is_passed_over(self, session, wanted):
        version, sections = table(session)
        write_table(session, [(OPTIONAL | 1000, 1, 1 << 60, 8, 1 << 40), *sections, (OPTIONAL | 1001, 7, 0, 0, 0)])
        self.assertEqual((version, len(table(session)[1])), (table(session)[0], len(sections) + 2))
        self.check(session, wanted)

    def refused(self, session, reason):
        """Nothing of the session is changed by it."""
        before = {path.name: path.read_bytes() for path in session.iterdir()}
        with tempfile.TemporaryDirectory() as work:
            result = run_recover(session, Path(work, "recovered"))
            self.assertEqual((result.returncode, os.listdir(work)), (1, []), result.stdout)
        self.assertIn(reason, result.stdout + result.stderr)
        self.assertEqual({path.name: path.read_bytes() for path in session.iterdir()}, before)

    @for_each
    def test_what_only_a_later_release_can_read_is_refused_by_name(self, session, wanted):
        _, sections = table(session)
        write_table(session, [*sections, (1000, 1, 0, 8, 1)])
        self.refused(session, "section 1000 is not known here")
        kind, version, *place = sections[0]
        write_table(session, [(kind, version + 100, *place), *sections[1:]])
        self.refused(session, f"section engine has version {version + 100}, not ")
        write_table(session, sections)
        self.check(session, wanted)

    def test_this_builds_layout_is_one_of_them(self):
        """Whoever changes the layout makes a golden session of the new one (see above)."""
        def form(session):
            layout, sections = table(session)
            return layout, sorted((kind, version, stride) for kind, version, _, stride, _ in sections)
        known = []
        for archive in archives():
            with tempfile.TemporaryDirectory() as folder:
                known.append(form(unpack(archive, folder)))
        with tempfile.TemporaryDirectory() as shm:
            session, notes = kill_an_engine(shm)
            self.assertIn(form(session), known)
            check_notes(notes, recover(session)[2])


def without_times(spans):
    return [{**span, "start": "", "end": "", "events": [{**event, "time": ""} for event in span["events"]]} for span in spans]


class GoldenSessionsAndAgents(AgentTest):
    drained = 0

    def check(self, sink, wanted, form=lambda spans: spans):
        self.assertEqual(sink.stop(), 0)
        resource, spans = plain(sink.output.read_bytes().splitlines())
        _, wanted_resource, wanted_spans = wanted
        self.assertEqual(resource, wanted_resource)
        found = expected.differences(form(wanted_spans), form(spans))
        self.assertFalse(found, expected.report(found))

    @for_each
    def test_an_agent_recovers_every_span(self, session, wanted):
        self.shm = session.parent.parent
        with Sink() as sink, Agent(self.shm, "--once", "--endpoint", f"http://127.0.0.1:{sink.port}") as agent:
            self.assertEqual(agent.process.wait(PATIENCE), 0, agent.lines)
            self.assertEqual(self.left(), [])
            self.check(sink, wanted)

    def test_an_agent_drains_it_while_its_engine_lives(self):
        """What it has left open is recovered. An agent reads the clocks, which are another machine's, so times are not compared."""
        self.drain()
        self.assertGreaterEqual(self.drained, 3)  # those of today, to which later layouts are added

    @for_each
    def drain(self, session, wanted):
        self.shm, unfinished = session.parent.parent, wanted[0]["unfinished"]
        names = collections.Counter(span["name"] for span in wanted[2])
        phases = names["finished phase"] + names["unfinished phase"]  # of open paths, each of which is one span till then
        left = unfinished - names["unfinished phase"]
        if not let_others_drain(session):
            return  # the layout has no such engines
        with Sink() as sink, alive(session) as engine, Agent(self.shm, "--endpoint", f"http://127.0.0.1:{sink.port}") as agent:
            agent.wait_for("draining it")
            self.wait_for_finished(SERVICE, left)
            engine.close()
            agent.wait_for(f"recovered: {left + phases} more spans exported, {unfinished} of them unfinished")
            self.assertEqual(agent.end(), 0)
            self.assertEqual(self.left(), [])
            self.check(sink, wanted, without_times)
            self.drained += 1


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--make":
        make(sys.argv[2])
    else:
        unittest.main()
