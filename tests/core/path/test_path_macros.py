#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300
# Sanitizers: none, because it runs nothing that is built here
"""NSP_PATH_DECLARE compiles as C11, gnu11 and C++17 without a warning, with NSP_DISABLE to no instruction at all, and
says plainly what is wrong with a list that cannot be."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(os.environ["NSP_SOURCE_DIR"])
FORMS = SOURCE / "tests/core/path/forms.c"
WARNINGS = ("-Wall -Wextra -Wpedantic -Wshadow -Wundef -Wconversion -Wcast-align -Wcast-qual -Wwrite-strings -Wvla "
            "-Wmissing-declarations -Werror").split()
C = [name for name in ("gcc", "clang-14") if shutil.which(name)]
CXX = [name for name in ("g++", "clang++-14") if shutil.which(name)]
LANGUAGES = ([([name, f"-std={standard}", "-xc"], f"{name} {standard}") for name in C for standard in ("c11", "gnu11")]
             + [([name, "-std=c++17", "-xc++"], f"{name} c++17") for name in CXX])
ONE_OF_EACH = [language for language in LANGUAGES if "gnu11" not in language[1]]
C_AND_CXX = ONE_OF_EACH[:1] + ONE_OF_EACH[-1:]


def compiler(command, source, *options):
    """Runs a compiler with the public headers; `source` is a file or a text."""
    end, text = ([str(source)], None) if isinstance(source, Path) else (["-"], source)
    return subprocess.run([*command, *options, f"-I{SOURCE / 'core/include'}", *end], input=text, capture_output=True, text=True,
                          check=False)


def code_of(command, folder, *options):
    """The instructions of forms.c, and whatever is left of its data."""
    built = Path(folder) / "forms.o"
    result = compiler(command, FORMS, "-c", "-o", str(built), "-DNSP_DISABLE", *options)
    assert result.returncode == 0, result.stderr
    code = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", built], capture_output=True, text=True, check=True).stdout
    names = subprocess.run(["nm", "--format=posix", built], capture_output=True, text=True, check=True).stdout
    code = "".join(part for part in re.split(r"(?m)^(?=[0-9a-f]+ <)", code) if "in_a_namespace" not in part.partition("\n")[0])
    data = [line for line in names.splitlines() if line.split()[1] in "bBdDrRvVuC"]
    return re.sub(r"^.*file format.*$", "", code, flags=re.M), data


def declaration(body, start=""):
    return (f"#include <nanospan/nanospan.h>\n{start}\n#define LIST(PHASE, I64, F64, STR, BOOL) {body}\n"
            'NSP_PATH_DECLARE(declared, "declared", LIST)\nextern int not_empty;\n')


def many(part, count):
    return " ".join(part.replace("#", str(i)) for i in range(count))


class Macros(unittest.TestCase):
    def test_every_language(self):
        self.assertGreaterEqual(len(LANGUAGES), 2)
        for command, name in LANGUAGES:
            for options in (["-DPATHS"], ["-DPATHS", "-DNSP_DISABLE"]):
                for level in ("-O0", "-O2") if name.startswith("gcc c11") else ("-O2",):
                    with self.subTest(name, options=options, level=level):
                        result = compiler(command, FORMS, "-c", "-o", os.devnull, level, *WARNINGS, *options)
                        self.assertEqual(result.returncode, 0, result.stderr)

    def test_disabled_is_nothing(self):
        if not shutil.which("objdump"):
            self.skipTest("there is no objdump")
        with tempfile.TemporaryDirectory() as folder:
            for command, name in ONE_OF_EACH:
                for level in ("-O1", "-O2", "-Os"):
                    with self.subTest(name, level=level):
                        without, _ = code_of(command, folder, level)
                        code, data = code_of(command, folder, level, "-DPATHS")
                        self.assertIn("<handle>", code)
                        self.assertEqual(code, without)
                        self.assertEqual(data, [])

    def test_limits_are_reached(self):
        for body in (many('PHASE(p#, "p#")', 64), many('BOOL(f#, "f#")', 64), many('PHASE(p#, "p#") BOOL(p#, "f#")', 64),
                     'STR(s, 1000, "s")', many('I64(f#, "f#")', 63), 'STR(s, 1, "s")'):
            for command, name in C_AND_CXX:
                with self.subTest(name, body=body[:60]):
                    result = compiler(command, declaration(body), "-fsyntax-only", *WARNINGS)
                    self.assertEqual(result.returncode, 0, result.stderr)

    def refused(self, text, said):
        for command, name in C_AND_CXX:
            with self.subTest(name, said=said):
                result = compiler(command, text, "-fsyntax-only")
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(said, result.stderr.replace("\\", ""))

    def test_what_is_wrong_is_said(self):
        self.refused(declaration(many('PHASE(p#, "p#")', 65)), "a path has at most 64 phases")
        self.refused(declaration(many('BOOL(f#, "f#")', 65)), "a path has at most 64 fields")
        self.refused(declaration('STR(a, 1000, "a") I64(b, "b") I64(c, "c")'), "a path's struct has at most 1024 bytes")
        self.refused(declaration('STR(a, 1001, "a")'), "the capacity of a path's STR is 1 to 1000 bytes")
        self.refused(declaration('STR(a, 0, "a")'), "the capacity of a path's STR is 1 to 1000 bytes")
        self.refused(declaration('PHASE(a, "a") PHASE(b, "b", NSP_PATH_AT_START)'),
                     "only the first PHASE of a path can be NSP_PATH_AT_START")
        self.refused(declaration('PHASE(a, "a", 2)'), "the last argument of a PHASE can only be NSP_PATH_AT_START")
        self.refused(declaration('BOOL(a, "a", 256)'), 'what stands for "not set" of a BOOL is 0 to 255')

    def test_other_mistakes_do_not_compile(self):
        """The names of phases and fields, their kinds, and what is not a path."""
        for start in ("", "#define NSP_DISABLE"):
            top = f"{start}\n" + declaration('I64(number, "number") STR(text, 4, "text") PHASE(phase, "phase")')
            for wrong, names in (("NSP_PATH_MARK(it, phases);", ""), ("NSP_PATH_STR(it, other, text, 1);", "other"),
                                 ("it->other = 1;", "other"), ("(void)nsp_path_span(text);", ""), ("declared_end(text);", ""),
                                 ("NSP_PATH_STR(it, number, text, 1);", "")):
                if start and wrong in ("NSP_PATH_MARK(it, phases);", "NSP_PATH_STR(it, number, text, 1);"):
                    continue # nothing is left of phases and texts
                text = top + f"void f(declared *it, const char *text);\nvoid f(declared *it, const char *text) {{ (void)it; {wrong} }}\n"
                for command, name in C_AND_CXX:
                    with self.subTest(name, wrong=wrong, start=start):
                        result = compiler(command, text, "-fsyntax-only", "-Werror")
                        self.assertNotEqual(result.returncode, 0)
                        self.assertIn(names, result.stderr)
        right = top + "void f(declared *it); void f(declared *it) { NSP_PATH_MARK(it, phase); it->number = 1; }\n"
        for command, name in C_AND_CXX:
            self.assertEqual(compiler(command, right, "-fsyntax-only", "-Werror").returncode, 0, name)


if __name__ == "__main__":
    unittest.main()
