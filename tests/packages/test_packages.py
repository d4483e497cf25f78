# SPDX-License-Identifier: Apache-2.0
# Sanitizers: none, because it runs nothing that is built here
"""debian/, as far as it can be judged without building packages; `./run deb --try` builds, installs and uses them."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from peers import need

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[2]))
BUILD = Path(os.environ.get("NSP_BUILD_DIR", SOURCE / "build"))
DEBIAN = SOURCE / "debian"
VERSION_H = Path("core/include/nanospan/version.h")
LIBRARIES = ("nanospan-core", "nanospan", "nanospan-microhttpd", "nanospan-curl")


def defined(name):
    return re.search(rf"^#define NSP_{name} (\d+)$", (SOURCE / VERSION_H).read_text(encoding="utf-8"), re.M)[1]


def paragraphs():
    """Those of debian/control: {field: value}, with the values in one line."""
    text = (DEBIAN / "control").read_text(encoding="utf-8")
    return [dict(re.findall(r"^([\w-]+): *(.*)$", re.sub(r"\n[ \t]+", " ", part), re.M)) for part in text.split("\n\n")]


def names(value):
    """The packages in a list of dependencies."""
    return {re.match(r"[a-z0-9.+-]+", part.strip())[0] for part in value.split(",") if re.match(r"\s*[a-z]", part)}


class Control(unittest.TestCase):
    def test_libraries_are_named_by_the_binary_interface(self):
        abi = defined("ABI_VERSION")
        packages = {part["Package"] for part in paragraphs() if "Package" in part}
        self.assertEqual(packages, {f"lib{name}{abi}" for name in LIBRARIES} | {"libnanospan-dev", "nanospan"})
        self.assertEqual({path.stem for path in DEBIAN.glob("*.install")}, packages)
        for name in LIBRARIES:
            self.assertEqual((DEBIAN / f"lib{name}{abi}.install").read_text().split(), [f"usr/lib/*/lib{name}.so.{abi}*"])

    def test_what_run_installs_is_what_the_build_needs(self):
        run = (SOURCE / "run").read_text(encoding="utf-8")
        installed = set(re.search(r'^DEB_PACKAGES="([^"]*)"', run, re.M)[1].split())
        needed = names(paragraphs()[0]["Build-Depends"]) - {"debhelper-compat"}
        self.assertEqual(needed - installed, set())
        # dpkg-buildpackage demands build-essential, which Build-Depends does not name.
        self.assertEqual(installed - needed, {"build-essential", "debhelper", "lintian"})

    def test_the_development_package_has_what_its_files_name(self):
        """The development packages of the build whose libraries ours are linked with, and of ours the same version."""
        needs = next(part for part in paragraphs() if part.get("Package") == "libnanospan-dev")["Depends"]
        command_only = {"libjansson-dev", "libncurses-dev"}
        expected = {name for name in names(paragraphs()[0]["Build-Depends"]) if re.fullmatch("lib.*-dev", name)} - command_only
        ours = {f"lib{name}{defined('ABI_VERSION')}" for name in LIBRARIES}
        self.assertEqual(names(needs), expected | ours)
        for name in ours:
            self.assertIn(f"{name} (= ${{binary:Version}})", needs)


class Rules(unittest.TestCase):
    """debian/rules refuses to build what is named wrongly."""

    def refusal(self, **changes):
        """What it says with these numbers in version.h."""
        need(shutil.which("make") and Path("/usr/share/dpkg/pkg-info.mk").exists(), "dpkg-dev is not installed")
        with tempfile.TemporaryDirectory(prefix="wrong names ") as folder:
            shutil.copytree(DEBIAN, Path(folder, "debian"))
            text = (SOURCE / VERSION_H).read_text(encoding="utf-8")
            for name, number in changes.items():
                text, found = re.subn(rf"(#define NSP_{name}) \d+", rf"\1 {number}", text)
                self.assertEqual(found, 1)
            header = Path(folder, VERSION_H)
            header.parent.mkdir(parents=True)
            header.write_text(text, encoding="utf-8")
            # Instead of the step that would follow, a program that can be told from it.
            Path(folder, "dh_auto_configure").write_text("#!/bin/sh\necho configures\n")
            Path(folder, "dh_auto_configure").chmod(0o755)
            done = subprocess.run(["make", "-s", "-f", "debian/rules", "override_dh_auto_configure"], cwd=folder, capture_output=True, text=True,
                                  env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}, timeout=60)
            self.assertEqual(done.returncode != 0, "configures" not in done.stdout, done.stdout + done.stderr)
            return done.stdout if done.returncode else ""

    def test_these_names(self):
        self.assertEqual(self.refusal(), "")

    def test_another_binary_interface(self):
        self.assertIn("rename the libraries' packages to libnanospan-core99", self.refusal(ABI_VERSION=99))
        self.assertIn("rename", self.refusal(ABI_VERSION=defined("ABI_VERSION") + "0"))

    def test_another_version(self):
        minor = str(int(defined("VERSION_MINOR")) + 1)
        self.assertIn(f"but version.h says {defined('VERSION_MAJOR')}.{minor}.", self.refusal(VERSION_MINOR=minor))
        self.assertIn("but version.h says", self.refusal(VERSION_PATCH=defined("VERSION_PATCH") + "1"))


class Build(unittest.TestCase):
    """tools/debian/build.sh, with programs that show how they are started instead of those which need minutes."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="packages üö ")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.programs = self.folder / "programs"
        self.program("dpkg-parsechangelog", "echo 1.2.3")
        self.program("dpkg-buildpackage", 'pwd >../a.changes; echo "$DEB_BUILD_OPTIONS" >../a.dsc; echo "$TMPDIR" >../a.buildinfo')
        self.program("lintian", 'cat "${@: -1}"; exit ${LINTIAN:-0}')
        for path in ("tools/debian/build.sh", "debian/changelog"):
            (self.folder / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SOURCE / path, self.folder / "tree" / path)

    def program(self, name, text):
        self.programs.mkdir(exist_ok=True)
        (self.programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (self.programs / name).chmod(0o755)

    def build(self, **variables):
        done = subprocess.run([self.folder / "tree/tools/debian/build.sh", self.folder / "out"], capture_output=True, text=True, timeout=60,
                              cwd=self.folder, umask=0o077, env=os.environ | {"PATH": f"{self.programs}:{os.environ['PATH']}"} | variables)
        self.assertEqual(done.stderr, "" if done.returncode == 0 else done.stderr)
        return done

    def made(self, suffix):
        return (self.folder / "out" / f"a.{suffix}").read_text().strip()

    def test_temporary_files(self):
        """Nowhere that the compiler cannot be told, and nothing is left of them."""
        for place in ("relative", str(self.folder / "missing"), str(self.folder)):
            with self.subTest(place):
                (self.folder / "relative").mkdir(exist_ok=True)
                self.assertEqual(self.build(TMPDIR=place).returncode, 0)
                built = self.made("changes")
                self.assertRegex(built, r"^(/var)?/tmp/[^/]+/nanospan$")
                self.assertFalse(Path(built).parent.exists())
                self.assertEqual(built, f"{self.made('buildinfo')}/{Path(built).parent.name}/nanospan")
                self.assertEqual(list((self.folder / "relative").iterdir()), [])

    def test_options_of_the_caller_stay(self):
        self.build(DEB_BUILD_OPTIONS="nocheck parallel=1", JOBS="7")
        self.assertEqual(self.made("dsc"), "nocheck parallel=1")
        self.build(DEB_BUILD_OPTIONS="nocheck", JOBS="7")
        self.assertEqual(self.made("dsc"), "nocheck parallel=7")

    def test_others_may_read_the_packages(self):
        self.build()
        for path in (self.folder / "out", self.folder / "out/a.changes"):
            self.assertEqual(path.stat().st_mode & 0o044, 0o044, path)

    def test_lintian_judges_where_it_was_built(self):
        """It cannot read files below a path like this one; the packages are there to be looked at even if it complains."""
        done = self.build(LINTIAN="1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("lintian complains", done.stderr)
        self.assertIn(self.made("changes"), done.stdout)
        self.program("lintian", '[[ $(realpath "${@: -1}") != *"packages üö"* ]]')
        self.assertEqual(self.build().returncode, 0)


class Unit(unittest.TestCase):
    def test_it_names_the_installed_program(self):
        made = BUILD / "nanospan-agent@.service"
        need(made.exists(), "this build has no rules for installing")
        prefix = re.search(r"^CMAKE_INSTALL_PREFIX:PATH=(.*)$", (BUILD / "CMakeCache.txt").read_text(encoding="utf-8"), re.M)[1]
        text = (SOURCE / "deploy" / "nanospan-agent@.service").read_text(encoding="utf-8")
        self.assertIn("\nExecStart=/usr/local/bin/nanospan agent\n", text)
        self.assertEqual(made.read_text(encoding="utf-8"), text.replace("/usr/local/bin/", f"{prefix}/bin/"))


if __name__ == "__main__":
    unittest.main()
