# SPDX-License-Identifier: Apache-2.0
# Sanitizers: none, because it runs nothing that is built here
"""./run fresh and tools/debian: their command lines, and what a new Debian is told about the network. Making one
needs root and minutes: `bash .ci/run fresh` does it."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from peers import need

SOURCE = Path(os.environ.get("NSP_SOURCE_DIR", Path(__file__).parents[2]))
TOOLS = SOURCE / "tools" / "debian"
DEBIAN = "deb http://deb.debian.org/debian bookworm main\n" \
         "deb http://deb.debian.org/debian bookworm-updates main\n" \
         "deb http://deb.debian.org/debian-security bookworm-security main\n"


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="new debian ")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_tool(self, tool, *arguments, umask=-1, **variables):
        """(exit code, output, errors), with these variables and nothing else of the caller's configuration."""
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": str(self.folder)}
        done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, env=clean | variables, umask=umask)
        return done.returncode, done.stdout, done.stderr

    def write(self, path, text):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class CommandLines(Case):
    def test_fresh_runs_the_commands_that_the_readme_begins_with(self):
        code, out, _ = self.run_tool(SOURCE / "run", "fresh", "--help")
        self.assertEqual(code, 0)
        self.assertIn("./run demo, ./run test\n", out)

    def test_fresh_refuses_what_it_does_not_know(self):
        for arguments, reason in ((["--quickly"], "there is no option '--quickly'"),
                                  (["--quick", "true"], "--quick is about README.md's commands")):
            code, out, errors = self.run_tool(TOOLS / "fresh.sh", *arguments)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(reason, errors)

    def test_a_system_refuses_what_it_does_not_know(self):
        for arguments, reason in ((["--users", "a"], "there is no option '--users'"),
                                  (["--user", "user", "--read"], "--read needs a value"),
                                  (["--user", "a;b"], "'a;b' cannot be a user's name"),
                                  (["--user", "ALL"], "'ALL' cannot be a user's name"),
                                  (["--space", "much"], "--space takes a number of MB"),
                                  (["--read", "here:/there"], "--read takes two absolute paths"),
                                  (["--read", "/usr"], "--read takes two absolute paths"),
                                  (["--read", "/is/not/here:/there"], "there is no folder /is/not/here"),
                                  (["--read", "/usr:/../usr"], "contains '..'")):
            code, out, errors = self.run_tool(TOOLS / "system.sh", *arguments)
            self.assertEqual((code, out), (125, ""), arguments)
            self.assertIn(reason, errors)

    def test_a_system_says_where_it_is_kept_and_what_it_takes(self):
        code, out, errors = self.run_tool(TOOLS / "system.sh", "--help", XDG_CACHE_HOME=str(self.folder / "cache"))
        self.assertEqual((code, errors), (0, ""))
        self.assertIn(f"{self.folder}/cache/nanospan/debian\n", out)

    def test_without_root_and_sudo_it_says_so(self):
        need(os.geteuid() != 0, "root needs no sudo")
        programs = self.folder / "programs"
        programs.mkdir()
        for program in ("bash", "cat", "dirname", "env", "id", "mkdir"):
            (programs / program).symlink_to(shutil.which(program))
        (self.folder / "system.sh").write_text((TOOLS / "system.sh").read_text().replace(":/usr/sbin:/sbin", ""))
        code, out, errors = self.run_tool(shutil.which("bash"), self.folder / "system.sh", "--", "true", PATH=str(programs))
        self.assertEqual((code, out), (125, ""))
        self.assertIn("there is no sudo here, so run this as root", errors)


class Clone(Case):
    """What ./run fresh hands to a system, which is not made here."""

    def test_a_clone_of_another_user(self):
        tree = self.folder / "tree"
        (tree / "tools/debian").mkdir(parents=True)
        shutil.copy(SOURCE / "README.md", tree)
        shutil.copy(TOOLS / "fresh.sh", tree / "tools/debian")
        self.write("tree/tools/debian/system.sh", "#!/bin/sh\ntar -tf -\n")
        (tree / "tools/debian/system.sh").chmod(0o755)
        self.write("tree/.gitignore", "/build/\n")
        for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-qm", "a"]):
            subprocess.run(["git", *words], cwd=tree, check=True, timeout=60, env=os.environ | {"HOME": str(self.folder)})
        self.write("tree/new", "")
        code, out, errors = self.run_tool(tree / "tools/debian/fresh.sh", "true", GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("there are changes that are not committed", out)
        self.assertIn("nanospan/README.md\n", out)
        self.assertNotIn("nanospan/new\n", out)
        self.assertEqual([path.name for path in (tree / "build/fresh").iterdir()], ["system.log"])


class Host(Case):
    """A host of which only the files exist that matter, and a system as debootstrap leaves it."""

    def setUp(self):
        super().setUp()
        need(shutil.which("apt-get"), "apt-get is missing")
        self.write("host/etc/os-release", 'ID=debian\nVERSION_CODENAME=bookworm\n')
        for name in ("apt.conf.d", "sources.list.d"):
            (self.folder / "host/etc/apt" / name).mkdir(parents=True)
        (self.folder / "system/etc/apt/apt.conf.d").mkdir(parents=True)

    def sources(self):
        code, out, errors = self.run_tool(TOOLS / "host.sh", "sources", self.folder / "host")
        self.assertEqual((code, errors), (0, ""))
        return out

    def take(self, **variables):
        result = self.run_tool(TOOLS / "host.sh", "take", self.folder / "system", self.folder / "host", **variables)
        self.assertEqual(result, (0, "", ""))

    def taken(self, path):
        return (self.folder / "system" / path).read_text()

    def test_mirrors_of_debian_are_taken_over_and_no_other_source(self):
        self.write("host/etc/apt/sources.list", "deb [signed-by=/usr/share/keyrings/a.gpg] https://mirror.example/debian bookworm main contrib\n"
                   "deb https://other.example/apt nodistro main\n"
                   "deb https://third.example/linux bookworm stable\n"
                   "# deb https://off.example/debian bookworm main\n")
        self.write("host/etc/apt/sources.list.d/security.sources",
                   "Types: deb deb-src\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main non-free\n")
        self.assertCountEqual(self.sources().splitlines(), ["deb https://mirror.example/debian bookworm main",
                                                            "deb http://mirror.example/security bookworm-security main"])

    def test_another_system_or_one_without_mirrors_gets_debians_own(self):
        self.assertEqual(self.sources(), DEBIAN)
        self.write("host/etc/apt/sources.list", "deb https://mirror.example/ubuntu noble main\n")
        self.assertEqual(self.sources(), DEBIAN)
        self.write("host/etc/apt/sources.list", "deb https://mirror.example/debian bookworm main\n")
        self.write("host/etc/os-release", 'ID=debian\nVERSION_CODENAME=trixie\n')
        self.assertEqual(self.sources(), DEBIAN)

    def test_how_apt_downloads_is_taken_over_and_what_it_runs_is_not(self):
        self.write("host/ca.pem", "an authority\n")
        self.write("host/etc/apt/apt.conf.d/99company",
                   'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Retries "5";\n'
                   'Acquire::https::CaInfo "/ca.pem";\nAcquire::http::Proxy-Auto-Detect "/usr/bin/detect";\n'
                   'DPkg::Post-Invoke { "rm /var/cache/apt/*"; };\nAcquire::Languages "none";\n')
        self.write("host/etc/apt/auth.conf.d/mirror.conf", "machine mirror.example login somebody\n")
        self.take()
        lines = self.taken("etc/apt/apt.conf.d/90network").splitlines()
        self.assertCountEqual(lines, ['Acquire::http::Proxy "http://proxy.example:3128";', 'Acquire::Retries "5";',
                                      'Acquire::https::CaInfo "/ca.pem";'])
        self.assertEqual(self.taken("ca.pem"), "an authority\n")
        self.assertEqual((self.folder / "system/etc/apt/auth.conf.d/mirror.conf").stat().st_mode & 0o777, 0o600)

    def test_proxies_of_the_environment_reach_apt_and_every_login(self):
        self.take(http_proxy="http://a:1", https_proxy="http://b:2", no_proxy="localhost", PIP_INDEX_URL="https://pypi.example/simple",
                  SERVICE_NAME="mine", CI="true")
        self.assertEqual(self.taken("etc/environment"), 'http_proxy="http://a:1"\nhttps_proxy="http://b:2"\nno_proxy="localhost"\n'
                         'PIP_INDEX_URL="https://pypi.example/simple"\n')
        self.assertEqual(self.taken("etc/apt/apt.conf.d/90network"),
                         'Acquire::http::Proxy "http://a:1";\nAcquire::https::Proxy "http://b:2";\n')

    def test_every_user_can_read_it(self):
        self.write("host/etc/pip.conf", "[global]\n")
        code, *_ = self.run_tool(TOOLS / "host.sh", "take", self.folder / "system", self.folder / "host", umask=0o077, http_proxy="http://a:1")
        self.assertEqual(code, 0)
        for path in ("hosts", "hostname", "environment", "apt/apt.conf.d/90network"):
            self.assertEqual((self.folder / "system/etc" / path).stat().st_mode & 0o777, 0o644, path)

    def test_without_a_folder_for_temporary_files(self):
        self.write("host/etc/apt/sources.list", "deb https://mirror.example/debian bookworm main\n")
        for place in ("relative", str(self.folder / "missing")):
            code, out, errors = self.run_tool(TOOLS / "host.sh", "sources", self.folder / "host", TMPDIR=place)
            self.assertEqual((code, out, errors), (0, "deb https://mirror.example/debian bookworm main\n", ""))

    def test_names_authorities_and_pip_are_taken_over(self):
        self.write("host/etc/resolv.conf", "nameserver 192.0.2.1\n")
        self.write("host/etc/hosts", "192.0.2.2 mirror.example\n")
        self.write("host/usr/local/share/ca-certificates/company.crt", "an authority\n")
        self.write("host/company.pem", "another\n")
        self.write("host/etc/pip.conf", "[global]\ncert = /company.pem\n")
        (self.folder / "system/etc/resolv.conf").symlink_to("../run/nothing/there")
        self.take()
        self.assertEqual(self.taken("etc/resolv.conf"), "nameserver 192.0.2.1\n")
        self.assertRegex(self.taken("etc/hosts"), re.compile(r"^127\.0\.1\.1 debian$.*^192\.0\.2\.2 mirror\.example$", re.M | re.S))
        self.assertEqual(self.taken("usr/local/share/ca-certificates/company.crt"), "an authority\n")
        self.assertEqual(self.taken("company.pem"), "another\n")
        self.assertEqual(self.taken("etc/pip.conf"), "[global]\ncert = /company.pem\n")

    def test_a_host_that_has_none_of_this_leaves_no_traces(self):
        self.take()
        self.assertEqual(self.taken("etc/environment") + self.taken("etc/apt/apt.conf.d/90network"), "")
        self.assertFalse((self.folder / "system/etc/pip.conf").exists())


if __name__ == "__main__":
    unittest.main()
