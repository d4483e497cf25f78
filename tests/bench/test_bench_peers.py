# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
"""The libraries that nanospan is compared with: which source folders bench/peers/build.sh refuses, what it says
about peers that it cannot build, and what nanospan-bench calls in a peer."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BENCH = pathlib.Path(os.environ.get("NSP_BUILD_DIR", "build"), "bin/nanospan-bench")
BUILD = pathlib.Path(__file__).resolve().parents[2] / "bench/peers/build.sh"
# What the script runs, except compilers and other languages' tools.
TOOLS = "bash cat cut dirname env find grep head mkdir nproc paste rm sed tail tr".split()
VERSIONS = {
    "quill": (
        "include/quill/Backend.h",
        "inline constexpr uint32_t VersionMajor{{{}}};\nconstexpr uint32_t VersionMinor{{1}};\n"
        "inline constexpr uint32_t VersionPatch{{0}};\n",
    ),
    "tracy": (
        "public/common/TracyVersion.hpp",
        "constexpr int Major = 0;\nconstexpr int Minor = {};\nconstexpr int Patch = 1;\n",
    ),
    "opentelemetry-cpp": ("api/include/opentelemetry/version.h", '#define OPENTELEMETRY_VERSION "{}.0-dev"\n'),
}
PEER = """
#include "peers/peer.h"
static int64_t flushes;
const char *peer_start(const char *endpoint, int mode) { return 0; }
void peer_run(int operation, size_t count) {}
void peer_sample(int operation, uint32_t *ticks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ticks[i] = 100;
}
bool peer_drained(void) { flushes++; return true; }
void peer_stop(void) {}
void peer_count(peer_counts *out) { *out = (peer_counts){.exported = 0, .dropped = flushes}; }
"""


class Peers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.out = self.folder / "built here"
        path = self.folder / "bin"
        path.mkdir()
        for tool in TOOLS:
            (path / tool).symlink_to(shutil.which(tool))
        self.environment = {"PATH": str(path)}

    def build(self, *arguments):
        return subprocess.run(
            [BUILD, self.out, *arguments], env=self.environment, capture_output=True, text=True, timeout=60
        )

    def source(self, name, version):
        file, text = VERSIONS[name]
        place = self.folder / f"{name} {version}" / file
        place.parent.mkdir(parents=True)
        place.write_text(text.format(version))
        return self.folder / f"{name} {version}"

    def refused(self, arguments, *said):
        done = self.build(*arguments)
        self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for part in said:
            self.assertIn(part, done.stderr)
        self.assertFalse(self.out.exists())  # before anything is built

    def test_folders_that_are_not_sources(self):
        missing = self.folder / "missing"
        for name, (file, _) in VERSIONS.items():
            self.refused([f"--{name}"], f"--{name} needs a source folder")
            self.refused([f"--{name}", ""], f"--{name} ''", "no such folder")
            self.refused([f"--{name}", missing], f"--{name} '{missing}'", "no such folder")
            self.refused([f"--{name}", self.folder], f"--{name} '{self.folder}'", f"it has no {file}")
        self.refused(["--quil", self.folder], "no option --quil")

    def test_versions_that_are_not_understood(self):
        for name, version, found in (
            ("quill", "8", "'8.1.0'"),
            ("quill", "120", "'120.1.0'"),
            ("quill", "", "'1.0'"),
            ("tracy", "13", "'0.13.1'"),
            ("tracy", "15", "'0.15.1'"),
            ("opentelemetry-cpp", "2.29", "'2.29.0-dev'"),
        ):
            folder = self.source(name, version)
            self.refused([f"--{name}", folder], f"--{name} '{folder}'", f"version {found}", "is not understood")
        # One that is understood does not help another.
        self.refused(["--quill", self.source("quill", "12"), "--tracy", self.folder], "--tracy")

    def test_says_why_a_peer_is_skipped(self):
        done = self.build("--quill", self.source("quill", "12"))
        self.assertEqual(done.returncode, 0, done.stderr)
        reasons = {file.stem: file.read_text().strip() for file in self.out.glob("*.skipped")}
        self.assertEqual(reasons["quill"], "c++ is not installed; install g++")
        self.assertEqual(reasons["dpdk"], "the package is not installed; install dpdk-dev")
        for name in ("tracy", "opentelemetry-cpp"):
            self.assertEqual(
                reasons[name], f"its source folder is not given: ./run bench --peers --{name} DIR"
            )
        self.assertEqual(len(reasons), 8)  # nothing could be built
        for reason in reasons.values():
            self.assertIn(f"skipped: {reason}\n", done.stderr)

    def test_source_that_does_not_build(self):
        (self.folder / "bin/c++").symlink_to(shutil.which("c++"))
        done = self.build("--quill", self.source("quill", "12"))
        self.assertEqual(done.returncode, 0, done.stderr)
        reason = (self.out / "quill.skipped").read_text()
        self.assertIn("it does not build: ", reason)
        self.assertIn("quill/Frontend.h", reason)

    @unittest.skipUnless(BENCH.exists(), "nanospan-bench is not built")
    def test_flush_of_a_peer(self):
        # The program looks for peers beside its own folder. This one says how often it was flushed.
        peers = self.folder / "peers"
        peers.mkdir()
        program = shutil.copy(BENCH, self.folder / "bin/nanospan-bench")
        (peers / "quill.about").write_text("Quill of this test\n")
        (peers / "quill.c").write_text(PEER)
        compiler = ["cc", "-O1", "-fPIC", "-shared", "-I", BUILD.parents[1], "-o", peers / "quill.so"]
        subprocess.run([*compiler, peers / "quill.c"], check=True, timeout=60)
        out = self.folder / "run.json"
        call = [program, "--quick", "--rounds", "15", "--only", "quill", "--json", out]
        subprocess.run(call, capture_output=True, text=True, timeout=200)
        (result,) = json.loads(out.read_text())["results"]
        self.assertIn("Quill of this test", result["what"])
        # Before each round, of which there are at least 15 for each operation.
        self.assertGreaterEqual(result["figures"]["dropped_count"]["value"], 30)


if not shutil.which("c++"):
    print("skipped: there is no C++ compiler")
    raise SystemExit(77)
unittest.main()
