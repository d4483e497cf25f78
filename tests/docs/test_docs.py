#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 120
"""The pages are correct: every block of C and C++ compiles without a warning, every link has a target, and every
variable, command of ./run and subcommand of nanospan that a page names exists."""
import os
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

SOURCE = Path(os.environ["NSP_SOURCE_DIR"])
PAGES = sorted([SOURCE / "README.md", SOURCE / "CONTRIBUTING.md", SOURCE / "examples/README.md", SOURCE / "bindings/python/README.md",
                *SOURCE.glob("docs/*.md"), *SOURCE.glob("deploy/**/*.md")])
CXX = os.environ.get("CXX", "c++")
INCLUDES = ["core/include", "exporters/include", "instrumentation/include"]


def text_of(page):
    return page.read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.M | re.S)


def anchors(page):
    """The anchors that a renderer makes from a page's headings."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", text_of(page), re.M):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return found


class Docs(unittest.TestCase):
    def compile_blocks(self, language, compiler):
        """How many blocks of this language there are, each of which compiles."""
        count = 0
        for page in PAGES:
            for number, block in enumerate(blocks(page, language)):
                count += 1
                with self.subTest(page=page.name, block=number):
                    command = [*compiler, "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-fsyntax-only", "-"]
                    command += [f"-I{SOURCE / folder}" for folder in INCLUDES]
                    result = subprocess.run(command, input=block, capture_output=True, text=True, check=False)
                    self.assertEqual(result.returncode, 0, result.stderr)
        return count

    def test_the_number_of_the_binary_interface(self):
        """What a page calls by the number, such as a library, has the present one."""
        number = re.search(r"#define NSP_ABI_VERSION (\d+)", (SOURCE / "core/include/nanospan/version.h").read_text())[1]
        found = 0
        for page in PAGES:
            for name in re.findall(r"\blibnanospan[a-z-]*\.so\.\d+|\bnsp__\w+_v\d+|\bbinary interface \d+(?=, with)", text_of(page)):
                found += 1
                with self.subTest(page=page.name):
                    self.assertEqual(re.search(r"\d+$", name)[0], number, f"{name} of {page.name}")
        self.assertGreater(found, 3)

    def test_c_blocks_compile(self):
        self.assertGreaterEqual(self.compile_blocks("c", [os.environ.get("CC", "cc"), "-std=c11", "-xc"]), 6)

    @unittest.skipUnless(shutil.which(CXX), "there is no C++ compiler")
    def test_cpp_blocks_compile(self):
        self.assertGreaterEqual(self.compile_blocks("cpp", [CXX, "-std=c++17", "-xc++"]), 1)

    def test_a_wrong_block_is_found(self):
        self.assertTrue(blocks(SOURCE / "README.md", "c"))
        result = subprocess.run(["cc", "-fsyntax-only", "-x", "c", f"-I{SOURCE / INCLUDES[0]}", "-"], text=True, check=False,
                                input="#include <nanospan/nanospan.h>\nint x = nsp_no_such_function();", capture_output=True)
        self.assertNotEqual(result.returncode, 0)

    def test_links_lead_somewhere(self):
        for page in PAGES:
            for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                with self.subTest(page=page.name, link=target):
                    file = (page.parent / path).resolve() if path else page
                    self.assertTrue(file.exists(), f"{file} does not exist")
                    if anchor:
                        self.assertIn(anchor, anchors(file))

    def test_variables_are_in_the_table(self):
        table = text_of(SOURCE / "core/config/environment.c")
        known = set(re.findall(r'ROWS?\("([A-Z_]+)"', table))
        known |= {f"{prefix}{name}" for name in re.findall(r'OTLP_ROWS\("([A-Z_]+)"', table)
                  for prefix in ("OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_")}
        users = re.compile(r"\b(?:OTEL_[A-Z_]+[A-Z]|NSP_[A-Z_]+[A-Z]|OTLP_[A-Z]+|TRACE_SAMPLE_RATE|ENABLE_TRACING)\b")
        headers = "".join(text_of(h) for folder in INCLUDES for h in (SOURCE / folder).glob("**/*.h"))
        build = "".join(text_of(f) for f in [SOURCE / "CMakeLists.txt", *SOURCE.glob("cmake/*"), *SOURCE.glob("tests/**/*.c"),
                                             *SOURCE.glob("tests/**/*.txt")])
        for page in PAGES:
            for name in sorted(set(users.findall(text_of(page)))):
                with self.subTest(page=page.name, name=name):
                    self.assertTrue(name in known or re.search(rf"\b{name}\b", headers + build)
                                    or name in ("OTEL_", "OTEL_EXPORTER_OTLP_TRACES"), f"{name} is nothing of ours")

    def test_instructions_are_those_of_the_gate(self):
        """Of each table with a column `instructions` whose rows begin with names of the gate."""
        gate = (SOURCE / "tests/gates/instructions.txt").read_text(encoding="utf-8")
        allowed = {name: float(count) for name, count in re.findall(r"^(\w+) +([0-9.]+)$", gate, re.M)}
        rows = 0
        for page in PAGES:
            for head, body in re.findall(r"^(\|.*\| instructions \|.*)\n\|[-|]+\n((?:\|.*\n)+)", text_of(page), re.M):
                column = [cell.strip() for cell in head.split("|")].index("instructions")
                for row in body.splitlines():
                    cells = row.split("|")
                    names = [name for name in re.findall(r"`(\w+)`", cells[1]) if name in allowed]
                    if not names:
                        continue
                    spans = 6 if "by span" in row else 1
                    counts = ", ".join(f"{allowed[name] / spans:.0f}" for name in names)
                    self.assertEqual(cells[column].strip(), counts, f"{page.name}: {row}")
                    rows += 1
        self.assertGreaterEqual(rows, 6)

    def test_commands_exist(self):
        run = text_of(SOURCE / "run")
        command = subprocess.run([os.environ["NSP_COMMAND"], "--help"], capture_output=True, text=True, check=True).stdout
        for page in PAGES:
            for name in set(re.findall(r"\./run ([a-z][a-z-]*)", text_of(page))):
                with self.subTest(page=page.name, run=name):
                    self.assertTrue(re.search(rf"(?m)^(?:[a-z -|]*\| )?{name}(?: \|.*)?\)", run), "no such command")
            for name in set(re.findall(r"(?:^ +|bin/|`|=\S+ )nanospan ([a-z]+)\b", text_of(page), re.M)):
                with self.subTest(page=page.name, nanospan=name):
                    self.assertTrue(re.search(rf"(?m)^ +{name}\b", command), "no such command")


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False).result.wasSuccessful() else 1)
