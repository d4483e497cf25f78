#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# ctest: TIMEOUT 300 COST 30
# Sanitizers: none, because it links programs of its own to the library
"""<nanospan/nanospan.hpp> in programs: what cannot be meant does not compile, and the message says what to do; several
sources, with other options each, and a plug-in are one program, in which a text is one name."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE, BUILD = Path(os.environ["NSP_SOURCE_DIR"]), Path(os.environ["NSP_BUILD_DIR"])
CORE = BUILD / "libnanospan-core.so"
CXX = [name for name in ("g++", "clang++-14") if shutil.which(name)]
OPTIONS = ["-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{SOURCE / 'core/include'}"]

PROLOGUE = """
#include <nanospan/nanospan.hpp>
#include <chrono>
#include <string>
#include <vector>
using namespace nsp::literals;
enum class side { buy };
struct object { operator int() const { return 1; } };
#define LIST(PHASE, I64, F64, STR, BOOL) I64(number, "number")
NSP_PATH_DECLARE(a_path, "path", LIST)
"""
BODY = """
void use(nsp::span &span, nsp::detached_span &detached);
void use(nsp::span &span, nsp::detached_span &detached) { (void)span; (void)detached; %s }
"""

# What does not compile, and what a compiler's message about it must contain; "error" where all words are the compiler's.
REFUSED = [
    ('span.set("key", 1);', "delete"),
    ('span.set(std::string("key"), 1);', "error"),
    ('span.set(1u, 1);', "error"),
    ('nsp::span other("name");', "error"),
    ('span.set("key"_key, &span);', "a pointer is none"),
    ('span.set("key"_key, nullptr);', "a pointer is none"),
    ('span.set("key"_key, side::buy);', "scoped enumeration"),
    ('span.set("key"_key, object());', "a pointer is none"),
    ('span.set("key"_key, std::chrono::seconds(1));', "durations"),
    ('span.set("key"_key, L\'x\');', "wide character"),
    ('span.set("key"_key, u\'x\');', "wide character"),
    ('span.set("key"_key, L"text");', "wide|characters is no text"),
    ('span.set("key"_key, std::byte(1));', "scoped enumeration"),
    ('span.set("key"_key, std::vector<char>(1));', "string_view of it"),
    ('span.set("key"_key, std::vector<side>(1));', "array's elements"),
    ('span.set("key"_key, std::vector<std::vector<int>>(1));', "array's elements"),
    ('span.set("key"_key, std::vector<int *>(1));', "array's elements"),
    ('span.set("key"_key, {1, 2.5});', "error"),
    ('span.add_event("event"_name, nsp::attr("key"_key, &span));', "a pointer is none"),
    ('span.set_status(nsp::span_status::error, std::string_view("no zero"));', "error"),
    ('nsp::span copy = span;', "delete"),
    ('nsp::span moved = std::move(span);', "delete"),
    ('nsp::detached_span copy = detached;', "delete"),
    ('std::vector<nsp::span> spans; spans.push_back(std::move(span));', "error"),
    ('nsp::path<a_path> path; auto moved = std::move(path);', "delete"),
    ('nsp::options how; how.parent(span.context());', "delete"),
    ('nsp::options how; how.parent(nsp_context());', "delete"),
    ('nsp::incoming().enter();', "delete"),
    ('nsp::incoming in; in.extract([](std::string_view) { return std::string("gone"); });', "stays in place"),
    ('nsp::incoming in; in.extract([](int) { return ""; });', "a getter takes"),
    ('span.inject([](std::string_view) {});', "a setter takes"),
    ('(void)L"wide"_name;', "without a prefix"),
]


class Checker:
    """Compiles bodies of a function, with the prologue compiled once."""

    def __init__(self, compiler, folder):
        self.command = [compiler, "-std=c++17", *OPTIONS, "-Wno-unused"]
        header = Path(folder, "prologue.hpp")
        header.write_text(PROLOGUE, encoding="utf-8")
        compiled = f"{header}.gch"
        subprocess.run([*self.command, "-xc++-header", header, "-o", compiled], check=True)
        self.include = ["-include-pch", compiled] if "clang" in compiler else ["-include", header]

    def check(self, body):
        return subprocess.run([*self.command, *self.include, "-fsyntax-only", "-xc++", "-"], input=BODY % body, capture_output=True,
                              text=True, check=False)


# Each source has a function that returns the number of the same text.
PART = """
#include <nanospan/nanospan.hpp>
#include <string>
using namespace nsp::literals;
nsp_name name_of_NAME();
nsp_name name_of_NAME()
{
    nsp::span span("NAME"_name);
    span.set("shared"_key, std::string("NAME"));
    span.inject([](std::string_view, std::string_view) {});
    return nsp::name("shared"_key).get();
}
"""
PLUGIN = PART.replace("nsp_name name_of_NAME();", 'extern "C" __attribute__((visibility("default"))) nsp_name name_of_NAME();')
MAIN = r"""
#include <cstdio>
#include <dlfcn.h>
#include <nanospan/nanospan.hpp>
using namespace nsp::literals;
nsp_name name_of_plain();
nsp_name name_of_later();
nsp_name name_of_bare();
nsp_name name_of_disabled();
int main(int, char **arguments)
{
    nsp::session session;
    nsp::span root("root"_name);
    const nsp_name own = nsp::name("shared"_key).get();
    void *plugin = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr)
        return std::fprintf(stderr, "%s\n", dlerror()), 1;
    auto name_of_plugin = reinterpret_cast<nsp_name (*)()>(dlsym(plugin, "name_of_plugin"));
    const nsp_name plugins = name_of_plugin();
    dlclose(plugin);
    const bool unloaded = dlopen(arguments[1], RTLD_NOW | RTLD_NOLOAD) == nullptr;
    std::printf("session %d, spans %d, same %d, disabled %u, unloaded %d\n", session.status(), root.recording(),
                own != 0 && own == name_of_plain() && own == name_of_later() && own == name_of_bare() && own == plugins,
                name_of_disabled(), unloaded);
    return 0;
}
"""


class Programs(unittest.TestCase):
    def test_what_cannot_be_meant_does_not_compile(self):
        for compiler in CXX:
            with tempfile.TemporaryDirectory() as folder:
                checker = Checker(compiler, folder)
                whole = checker.check('span.set("key"_key, 1);')
                self.assertEqual(whole.returncode, 0, whole.stderr)
                for body, words in REFUSED:
                    with self.subTest(compiler, body=body):
                        result = checker.check(body)
                        self.assertNotEqual(result.returncode, 0, "it compiles")
                        self.assertIn("error", result.stderr)
                        self.assertRegex(result.stderr, words)

    def test_a_program_of_several_sources(self):
        for compiler in CXX:
            with self.subTest(compiler), tempfile.TemporaryDirectory(prefix="cpp programs ") as folder:
                self.build_and_run(compiler, Path(folder))

    def build_and_run(self, compiler, folder):
        def run(*command, text=None):
            result = subprocess.run([str(part) for part in command], input=text, capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, f"{command}: {result.stderr}")
            return result.stdout

        objects = []
        for name, options in (("plain", ["-std=c++17"]), ("later", ["-std=c++20"]), ("disabled", ["-std=c++17", "-DNSP_DISABLE"]),
                              ("bare", ["-std=c++17", "-fno-exceptions", "-fno-rtti"])):
            objects.append(folder / f"{name}.o")
            run(compiler, *options, *OPTIONS, "-c", "-xc++", "-", "-o", objects[-1], text=PART.replace("NAME", name))
        undefined = run("nm", "-u", folder / "disabled.o")
        self.assertNotRegex(undefined, r"\bnsp_")
        plugin = folder / "plugin.so"
        run(compiler, "-std=c++17", *OPTIONS, "-fPIC", "-shared", "-xc++", "-", "-o", plugin, "-xnone", CORE, f"-Wl,-rpath,{BUILD}",
            text=PLUGIN.replace("NAME", "plugin"))
        exported = run("nm", "-D", "--defined-only", plugin)
        self.assertNotIn("literal", exported)
        program = folder / "program"
        run(compiler, "-std=c++17", *OPTIONS, "-xc++", "-", "-o", program, "-xnone", *objects, CORE, f"-Wl,-rpath,{BUILD}", "-ldl",
            text=MAIN)
        # One variable for this text, of all sources that record.
        letters = "".join(f"Lc{ord(letter)}E" for letter in "shared")
        names = run("nm", program)
        self.assertEqual(len(re.findall(rf"literalIJ{letters}EE+4siteE", names)), 1, names)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTLP_", "NSP_"))}
        environment.update(NSP_SHM_DIR=str(folder), OTEL_LOG_LEVEL="error")
        result = subprocess.run([program, plugin], env=environment, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((result.stdout, result.stderr, result.returncode),
                         ("session 0, spans 1, same 1, disabled 0, unloaded 1\n", "", 0))


if __name__ == "__main__":
    if not CXX or not CORE.exists():
        print("skipped: there is no C++ compiler, or no shared library in this build")
        raise SystemExit(77)
    unittest.main()
