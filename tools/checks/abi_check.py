# SPDX-License-Identifier: Apache-2.0
"""The binary interface: taking it, comparing two, and the rules of releases.

What is kept in tools/checks/released_abi consists of two parts:

- LIBRARY.abi: the SONAME and the symbols of each shared library.
- headers.abi: what the public headers say, all of which a program may have compiled in. To get hold of it, one source
  is made, and compiled, with a variable for the type of each public function, and one for each type. (In the libraries
  themselves abidw would not find the types that only inline functions use, and it would find internal ones.) Two enums
  have the values of macros and unnamed enums, and how types are aligned.

A program goes on working if something is added. So additions are listed, and anything else needs a new
NSP_ABI_VERSION. A struct whose first member is `size` may get members at its end, because whoever reads or writes it
goes by that size; the member must lie behind the old end, and not in what was padding.

What a machine cannot see is what an inline function does: CONTRIBUTING.md, "A release".
"""
import os
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "tools/checks/released_abi"
ARCHITECTURE = "x86_64"  # of what is kept
LIBRARIES = ["libnanospan-core", "libnanospan", "libnanospan-microhttpd", "libnanospan-curl"]
INCLUDES = ["core/include", "exporters/include", "instrumentation/include"]
# No paths and no places in sources, so that what is kept only changes with the interface.
ABIDW = ["abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--no-elf-needed", "--no-parameter-names",
         "--no-write-default-sizes", "--type-id-style", "hash"]

# The value of a macro with parameters, or the layout of what it declares, shows only where it is used.
OF_MACROS = """
#define FIELDS(PHASE, I64, F64, STR, BOOL) PHASE(first) I64(number, "n") F64(real, "r") BOOL(flag, "f") PHASE(second) \\
    STR(text, 24, "t")
NSP_PATH_DECLARE(nsp_any_path, "path", FIELDS)
enum {
    NSP_ANY_CURSOR = NSP__CURSOR(3, 1000),
    NSP_ANY_ITEM_BYTES = NSP__ITEM_BYTES(9),
    NSP_ANY_PATH_NUMBER = NSP__PATH_NUMBER((nsp_any_path *)0, second),
};
"""


class Problem(Exception):
    """The check cannot be made, or has failed; the text says why."""


def run(*command, cwd=None, may_fail=False):
    """Runs a program and returns what it did. If it fails, that is a problem."""
    try:
        result = subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", errors="replace", check=False,
                                env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError as error:
        raise Problem(f"{command[0]} is missing (./run install-deps)") from error
    if result.returncode != 0 and not may_fail:
        raise Problem(f"{command[0]} failed:\n{result.stdout}{result.stderr}".rstrip())
    return result


# ---- taking an interface ----

def compile_headers(root, folder, name, text, *options):
    """Compiles a source that includes all public headers of this tree, followed by `text`."""
    headers = sorted(f"nanospan/{path.name}" for include in INCLUDES for path in (root / include / "nanospan").glob("*.h"))
    source = "".join(f"#include <{header}>\n" for header in headers) + text
    (folder / f"{name}.c").write_text(source)
    includes = [f"-I{root / include}" for include in INCLUDES]
    return run("gcc", "-std=gnu11", "-w", "-g", "-fmax-errors=1", *includes, *options, f"{name}.c", cwd=folder,
               may_fail="-fsyntax-only" in options)


def macros_with_a_value(root, folder):
    """The names of the macros of the public headers that stand for an integer."""
    names, public = [], False
    for line in compile_headers(root, folder, "macros", OF_MACROS, "-E", "-dD").stdout.splitlines():
        if line.startswith("# "):
            public = "/include/nanospan/" in line
        # What these consist of cannot upset the compiler, whatever it makes of them.
        elif match := public and re.fullmatch(r"#define (NSP_\w+) ([\w\s()+*~|&<>-]+)", line):
            names.append(match[1])
    tried = "".join(f"\nenum {{ tried_{name} = ({name}) }};" for name in names)
    text = OF_MACROS + "\nint begin_here;" + tried
    said = compile_headers(root, folder, "tried", text, "-fsyntax-only", "-fmax-errors=0", "-ftrack-macro-expansion=0").stderr
    first = (folder / "tried.c").read_text().splitlines().index("int begin_here;") + 2
    refused = {int(number) - first for number in re.findall(r"^tried\.c:(\d+):\d+: error", said, re.M)}
    return [name for place, name in enumerate(names)
            if place not in refused and not name.startswith(("NSP_VERSION_", "NSP_ABI_VERSION"))]


def names_in(abi):
    """The types that begin with nsp_ in what abidw wrote, as C calls them, whether they are complete, and the
    enumerators of enums without a name."""
    types, constants = {}, []
    for element in ElementTree.parse(abi).iter():
        name = element.get("name", "")
        kind = {"class-decl": "struct", "union-decl": "union", "enum-decl": "enum"}.get(element.tag)
        if kind == "enum" and element.get("is-anonymous") and not element.get("naming-typedef-id"):
            names = [value.get("name") for value in element.iter("enumerator")]
            constants += [name for name in names if name.startswith("NSP_")]
        elif name.startswith("nsp_") and element.tag == "typedef-decl":
            types.setdefault(name, None)
        elif name.startswith("nsp_") and kind and not element.get("naming-typedef-id"):
            types[f"{kind} {name}"] = not element.get("is-declaration-only")
    for name in list(types):
        if " " in name and (alias := name.split()[1]) in types:  # as most structs have
            types[alias] = types.pop(name)
    return types, constants


def take_headers(root, out):
    """Writes the interface that the public headers of this tree offer."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # Inline functions become others, as in core/trace/bindings.c.
        compile_headers(root, folder, "types", OF_MACROS, "-c", "-fno-eliminate-unused-debug-types", "-aux-info", "functions",
                        "-DNSP_INLINE=NSP_API", "-DNSP_INLINE_ALWAYS=NSP_API")
        run(*ABIDW, "--load-all-types", "--out-file", "types.abi", "types.o", cwd=folder)
        types, constants = names_in(folder / "types.abi")
        functions = set(re.findall(r"^/\* [^*]*/include/nanospan/\S+ \*/ extern .*?\b(nsp_\w+) \(",
                                   (folder / "functions").read_text(), re.M))
        constants = sorted({*constants, *macros_with_a_value(root, folder)})
        if len(functions) < 10 or len(types) < 10 or len(constants) < 10:
            raise Problem("the public headers could not be understood")
        named = [*sorted(functions), *thread_locals(root)]
        lines = [OF_MACROS, *(f"__typeof__({name}) *{name}_;" for name in named)]
        lines += [f"{name} *{name.replace(' ', '_')}_;" for name in sorted(types)]
        lines += ["enum constants {", *(f"    value_of_{name} = {name}," for name in constants), "} constants;"]
        complete = [name for name in sorted(types) if types[name]]
        lines += ["enum alignments {", *(f"    alignment_of_{name.replace(' ', '_')} = _Alignof({name})," for name in complete),
                  "} alignments;"]
        compile_headers(root, folder, "headers", "\n".join(lines), "-c")
        refuse_bit_fields(folder)
        run(*ABIDW, "--out-file", str(out), "headers.o", cwd=folder)


def refuse_bit_fields(folder):
    """libabigail notes where a bit field begins, but not how many bits it has."""
    said = run("readelf", "--debug-dump=info", "headers.o", cwd=folder).stdout
    names = re.findall(r"DW_AT_name +: (?:\(.*?\): )?(\w+)\n(?: +<\w+> +DW_AT_(?!name|bit_size).*\n)* +<\w+> +DW_AT_bit_size", said)
    if names or "DW_AT_bit_size" in said:
        raise Problem(f"the width of a bit field cannot be compared, so public structs have none: {', '.join(names)}")


def take_library(library, out):
    """Writes the SONAME and the symbols of a shared library."""
    with tempfile.TemporaryDirectory() as temporary:
        stripped = Path(temporary) / library.name
        run("objcopy", "--strip-debug", str(library), str(stripped))
        run(*ABIDW, "--out-file", str(out), str(stripped))


def thread_locals(root):
    """The thread-local variables of the public headers."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((root / "core/include/nanospan").rglob("*.h"))]
    return re.findall(r"extern NSP_API __thread [^;]*?\b(nsp_\w+)\s+__attribute__", "\n".join(texts))


# ---- comparing two ----

def name_of(member):
    return member.find("var-decl").get("name")


def what_abidiff_overlooks(old, new, out):
    """Returns what is broken and what was added that abidiff does not see, or would judge in another way. Writes `new`
    without the latter, for abidiff to compare."""
    before = ElementTree.parse(old).getroot()
    structs = {element.get("name"): element for element in before.iter("class-decl") if element.get("size-in-bits")}
    enums = {element.get("name"): element for element in before.iter("enum-decl") if not element.get("is-anonymous")}
    tree = ElementTree.parse(new)
    broken, added = [], []
    for element in tree.iter("class-decl"):
        name, members, size = element.get("name"), element.findall("data-member"), int(element.get("size-in-bits", 0))
        if name not in structs or not name.startswith("nsp_"):
            continue
        known, end = structs[name].findall("data-member"), int(structs[name].get("size-in-bits"))
        # If two members of the same type change places, that is only another name to abidiff. What was reserved may get one.
        broken += [f"{name}.{name_of(was)} is now {name_of(member)}\n" for member, was in zip(members, known)
                   if name_of(member) != name_of(was) and not name_of(was).startswith("reserved")
                   and member.get("layout-offset-in-bits") == was.get("layout-offset-in-bits")]
        if not known or name_of(known[0]) != "size" or size < end:
            continue
        more = [member for member in members[len(known):] if int(member.get("layout-offset-in-bits")) >= end]
        for member in more:
            element.remove(member)
        element.set("size-in-bits", str(end))
        added += [f"{name}.{name_of(member)}\n" for member in more]
    for element in tree.iter("enum-decl"):
        # If two enumerators have the same value, abidiff takes them for one.
        name = element.get("name")
        if name not in enums or not name.startswith(("nsp_", "constants", "alignments")):
            continue
        known, values = ({value.get("name"): value.get("value") for value in enum.iter("enumerator")}
                         for enum in (enums[name], element))
        broken += [f"{value} was {known[value]}, is now {values.get(value, 'not there')}\n" for value in known
                   if values.get(value) != known[value]]
        added += [f"{value} is {values[value]}\n" for value in values if value not in known]
    tree.write(out)
    return broken, added


def compare(old, new):
    """What of an interface is broken, and what was added: two lists of texts."""
    with tempfile.TemporaryDirectory() as temporary:
        cut = str(Path(temporary) / new.name)
        broken, added = what_abidiff_overlooks(old, new, cut)
        strict = run("abidiff", "--no-added-syms", str(old), cut, may_fail=True)
        # With what is new. What this option is for are changes that break nothing, such as new enumerators.
        all_of_it = run("abidiff", "--harmless", str(old), cut, may_fail=True)
        if (strict.returncode | all_of_it.returncode) & 3:
            raise Problem(f"abidiff failed:\n{strict.stdout}{strict.stderr}{all_of_it.stderr}".rstrip())
        broken += [strict.stdout] if strict.returncode else []
        added += [all_of_it.stdout] if all_of_it.returncode else []
        return broken, [] if broken else added


# ---- releases ----

def numbers(root):
    """The version of a tree, and the number of its binary interface."""
    values = dict(re.findall(r"#define NSP_(\w+) (\d+)$", (root / "core/include/nanospan/version.h").read_text(encoding="utf-8"), re.M))
    return ".".join(values[f"VERSION_{part}"] for part in ("MAJOR", "MINOR", "PATCH")), int(values["ABI_VERSION"])


def newest_release(root):
    """The version of the newest release in CHANGELOG.md, or "none". A heading that is not understood could be a release's."""
    for heading in re.findall(r"^##\s+(.*?)\s*$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.M):
        if match := re.match(r"\[?v?(\d+\.\d+\.\d+)(?![\w.+~-])", heading):
            return match[1]
        if not re.match(r"\[?Unreleased\b", heading, re.I):
            raise Problem(f"this heading of CHANGELOG.md is neither `Unreleased` nor a version of three numbers: {heading}")
    return "none"


def kept_numbers(kept):
    """Of which release the kept interface is, and its number."""
    release, number = re.fullmatch(r"release (\S+)\nbinary interface (\d+)\n", (kept / "release").read_text()).groups()
    return release, int(number)


def take(root, libraries, out):
    """Writes the whole interface of a tree and its libraries into a folder."""
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(take_headers, root, out / "headers.abi")]
        jobs += [pool.submit(take_library, library, out / f"{library.stem}.abi") for library in libraries]
        for job in jobs:
            job.result()


def differences(kept, now):
    """What is broken and what was added in all files of the interface."""
    broken, added = [], []
    for old in sorted(kept.glob("*.abi")):
        new = now / old.name
        if not new.exists():
            broken.append(f"{old.stem} is not there any more\n")
            continue
        more_broken, more_added = compare(old, new)
        broken += more_broken
        added += more_added
    return broken, added


def indented(texts):
    lines = [line for text in texts for line in text.splitlines()]
    return "".join(f"    {line}\n" for line in lines if line.strip() and " changes summary: " not in line)


def check(root, kept, now):
    """Judges the interface in `now`. Returns what there is to say; raises Problem if it must not be so."""
    _, number = numbers(root)
    release, kept_number = kept_numbers(kept)
    newest = newest_release(root)
    wrong = [name for name in thread_locals(root) if not name.endswith(f"_v{number}")]
    if wrong:
        raise Problem(f"names of thread-local variables must end with the number of the binary interface, _v{number}: "
                      f"{', '.join(wrong)}")
    if newest != release:
        raise Problem(f"the newest release in CHANGELOG.md is {newest}, but tools/checks/released_abi is of release {release}; "
                      "\"A release\" in CONTRIBUTING.md says when to take it: ./run abi")
    if number < kept_number:
        raise Problem(f"NSP_ABI_VERSION is {number}, but was {kept_number} already")
    if number > kept_number:
        return f"abi: binary interface {number} is a new one; the last one that was kept is {kept_number}"
    broken, added = differences(kept, now)
    if broken and release == "none":
        raise Problem(f"this changes binary interface {number}:\n{indented(broken)}"
                      "No release has it yet, so its number may stay. If the change is meant, take the interface: ./run abi")
    if broken:
        raise Problem(f"programs that were compiled for {release} would not work with this:\n{indented(broken)}"
                      f"Undo it, or raise NSP_ABI_VERSION in version.h to {number + 1}, and the number at the end of "
                      f"{' and '.join(thread_locals(root))}.")
    what = f"abi: nothing in binary interface {number} is broken"
    since = f"release {release}" if release != "none" else "it was taken"
    return f"{what}, and this is new since {since}:\n{indented(added)}".rstrip() if added else what


def keep(root, kept, now):
    """Replaces the kept interface by the one in `now`, unless the rules are against it. Returns what there is to say."""
    version, number = numbers(root)
    release, kept_number = kept_numbers(kept) if (kept / "release").exists() else ("none", 0)
    newest = newest_release(root)
    if release != "none":
        if newest == release:
            raise Problem(f"the interface of {release}, the newest release in CHANGELOG.md, is there, and stays")
        broken = differences(kept, now)[0] if number == kept_number else []
        if broken:
            raise Problem(f"{release} has binary interface {number} too, and this is another one:\n{indented(broken)}".rstrip())
    if newest not in ("none", version):
        raise Problem(f"the newest release in CHANGELOG.md is {newest}, but version.h says {version}")
    for old in kept.glob("*.abi"):
        old.unlink()
    for new in now.glob("*.abi"):
        shutil.copyfile(new, kept / new.name)
    (kept / "release").write_text(f"release {newest}\nbinary interface {number}\n")
    return f"abi: this is binary interface {number} now; release: {newest}"
