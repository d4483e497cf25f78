# SPDX-License-Identifier: Apache-2.0
"""Changes that break programs and changes that do not, with which the check of the binary interface is tested."""
import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from abi_check import INCLUDES, ROOT, Problem, check, compare, indented, keep, numbers, run, take_headers, take_library

# Of the public headers.
SPAN, CONTEXT, CONFIG, SAMPLER, LAYOUT = "span.h", "context.h", "config.h", "sampler.h", "abi/layout.h"

# What is done to a header, the text that it replaces, the new text, and whether programs go on working.
CHANGES = [
    ("a member in the middle of a struct", CONTEXT, "    bool remote; ", "    uint64_t more;\n    bool remote; ", False),
    ("a member at the end of a struct without a size", CONTEXT,
     "    char tracestate[NSP_TRACESTATE_MAX];", "    char tracestate[NSP_TRACESTATE_MAX]; int more;", False),
    ("a member in the middle of a struct with a size", CONFIG,
     "    bool huge_pages; ", "    uint64_t more;\n    bool huge_pages; ", False),
    ("a member at the end of a struct with a size", CONFIG,
     "    size_t outlier_bytes;\n}", "    size_t outlier_bytes;\n    int more, most;\n}", True),
    ("the same, of a struct in the middle of another one", "stats.h",
     "    uint64_t paths_shared;\n}", "    uint64_t paths_shared, more;\n}", True),
    ("the same, of a struct at the end of another one", "outlier.h",
     "    uint64_t history_ns;\n}", "    uint64_t history_ns, more;\n}", True),
    ("the same, where padding was", "drainer.h",
     "    bool living_only;\n", "    bool living_only;\n    bool more;\n", False),
    ("a larger member, for which others move", CONFIG, "    bool switches; ", "    uint64_t switches; ", False),
    ("two members change places", SPAN,
     "    const nsp_link *links;\n    size_t link_count;\n", "    size_t link_count;\n    const nsp_link *links;\n", False),
    ("two members of the same type change places", LAYOUT, "start, end;", "end, start;", False),
    ("a member's type", CONTEXT, "    uint64_t threshold; ", "    double threshold; ", False),
    ("a parameter's type", SAMPLER, "nsp_sampler_set_rate(double rate)", "nsp_sampler_set_rate(float rate)", False),
    ("what a function returns", SAMPLER, "double nsp_sampler_rate(void)", "float nsp_sampler_rate(void)", False),
    ("a function is gone", SAMPLER, "NSP_API double nsp_sampler_rate(void);", "", False),
    ("a function is new", SAMPLER,
     "NSP_API double nsp_sampler_rate(void);", "NSP_API double nsp_sampler_rate(void);\nNSP_API int nsp_new(void);", True),
    ("a type is new", SAMPLER, "NSP_BEGIN_DECLS", "typedef struct nsp_new { int it; } nsp_new;\nNSP_BEGIN_DECLS", True),
    ("an enum in another order", SAMPLER,
     "NSP_PARENT_FOLLOW = 0, NSP_PARENT_DECIDE = 1", "NSP_PARENT_FOLLOW = 1, NSP_PARENT_DECIDE = 0", False),
    ("an enumerator is gone", SAMPLER, "NSP_PARENT_FOLLOW = 0, ", "", False),
    ("an enumerator is new", SAMPLER, "NSP_PARENT_DECIDE = 1", "NSP_PARENT_DECIDE = 1, NSP_PARENT_NEW = 2", True),
    ("the value of a constant without a type", SAMPLER,
     "NSP_SAMPLER_PATTERN_MAX = 95", "NSP_SAMPLER_PATTERN_MAX = 96", False),
    ("the value of a macro", LAYOUT, "#define NSP__FRAME_ALIGN 256u", "#define NSP__FRAME_ALIGN 512u", False),
    ("a macro is gone", LAYOUT, "#define NSP__ITEM_DROPS 20u", "", False),
    ("a macro is new", LAYOUT,
     "#define NSP__SUSPENDED ((uintptr_t)18)", "#define NSP__SUSPENDED ((uintptr_t)18)\n#define NSP__NEW 1u", True),
    ("what a macro with parameters gives", LAYOUT, "(attributes) << 16 |", "(attributes) << 20 |", False),
    ("what inline code knows of a thread", LAYOUT,
     "    nsp__entry *top;\n", "    uint64_t more;\n    nsp__entry *top;\n", False),
    ("the type of a thread-local variable", "abi/path.h",
     "extern NSP_API __thread char *nsp__path_scratch_v", "extern NSP_API __thread int *nsp__path_scratch_v", False),
    ("a frame, which only inline code reaches", LAYOUT,
     "    uint32_t cursor;\n", "    uint32_t other;\n    uint32_t cursor;\n", False),
    ("how a struct is aligned", LAYOUT, "} nsp__frame;", "} __attribute__((aligned(128))) nsp__frame;", False),
    ("a path's struct", "abi/path_declare.h",
     "#define NSP__PATH_BOOL(field, ...) uint8_t field;", "#define NSP__PATH_BOOL(field, ...) uint16_t field;", False),
    ("names of parameters, and comments", SAMPLER,
     "nsp_sampler_set_rate(double rate)", "nsp_sampler_set_rate(double /* 0 to 1 */ share)", True),
]


def tree(folder):
    """Copies the headers of this repository."""
    for include in INCLUDES:
        shutil.copytree(ROOT / include, folder / include)
    return folder


def change_is_judged(folder, reference, change):
    """Makes one change, and returns what is wrong with the check's answer, or None."""
    what, path, old, new, sound = change
    root = tree(folder / re.sub(r"\W", "_", what))
    header = root / "core/include/nanospan" / path
    text = header.read_text()
    if text.count(old) != 1:
        return f"{what}: what tools/checks/abi_self_test.py replaces is {text.count(old)} times in {path}: {old.strip()}"
    header.write_text(text.replace(old, new))
    take_headers(root, root / "headers.abi")
    broken, added = compare(reference, root / "headers.abi")
    if bool(broken) == sound:
        return f"{what}: is {'wrongly refused' if broken else 'not found'}\n{indented(broken + added)}"
    if sound and what != CHANGES[-1][0] and not added:
        return f"{what}: is not mentioned"
    return None


def bit_field_is_refused(folder):
    """Returns what is wrong with what is said of a bit field, or None."""
    root = tree(folder / "bit_field")
    header = root / "core/include/nanospan" / CONTEXT
    header.write_text(header.read_text().replace("    bool remote; ", "    bool remote : 1; "))
    try:
        take_headers(root, root / "headers.abi")
    except Problem as problem:
        return None if str(problem).endswith("have none: remote") else f"a bit field: {problem}"
    return "a bit field: is not found"


def library_of(folder, name, soname, text):
    """Compiles a shared library with these symbols, and takes its interface."""
    library = folder / f"{name}.so"
    (folder / f"{name}.c").write_text(text)
    run("gcc", "-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", str(library), f"{name}.c", cwd=folder)
    take_library(library, folder / f"{name}.abi")
    return folder / f"{name}.abi"


def libraries_are_judged(folder):
    """Judges what may become of a library's symbols and its SONAME. Returns what is wrong with that."""
    complaints = []
    old = library_of(folder, "old", "libit.so.4", "int nsp_a, nsp_c; void nsp_b(void) {}")
    for name, soname, text, sound in [
            ("same", "libit.so.4", "int nsp_a, nsp_c; void nsp_b(void) {}", True),
            ("more", "libit.so.4", "int nsp_a, nsp_c; void nsp_b(void) {} void nsp_d(void) {}", True),
            ("less", "libit.so.4", "int nsp_a, nsp_c;", False),
            ("variable", "libit.so.4", "int nsp_a; void nsp_b(void) {}", False),
            ("renamed", "libit.so.5", "int nsp_a, nsp_c; void nsp_b(void) {}", False)]:
        broken, _ = compare(old, library_of(folder, name, soname, text))
        if bool(broken) == sound:
            complaints.append(f"a library, {name}: is {'wrongly refused' if broken else 'not found'}")
    return complaints


def rules_are_kept(folder, reference):
    """Goes through two releases. Returns what is wrong with when an interface is refused, and when it may be kept."""
    complaints = []
    root, now, kept = tree(folder / "rules"), folder / "now", folder / "kept"
    now.mkdir()
    kept.mkdir()
    version, number = numbers(root)
    next_version = re.sub(r"\d+$", lambda match: str(int(match[0]) + 1), version)
    broken = root / "broken.abi"

    def expect(what, action, *wanted):
        try:
            said = action(root, kept, now)
        except Problem as problem:
            said = f"problem: {problem}"
        if not all(text in said for text in wanted):
            complaints.append(f"{what}: {said}")

    def has(log, interface):
        (root / "CHANGELOG.md").write_text(log)
        shutil.copyfile(interface, now / "headers.abi")

    def replace_in(header, old, new):
        path = root / "core/include/nanospan" / header
        path.write_text(path.read_text().replace(old, new))

    replace_in(CONTEXT, "    bool remote; ", "    uint64_t more;\n    bool remote; ")
    take_headers(root, broken)
    log = f"# Changes\n\n## Unreleased ({version}, ...)\n"
    released = f"# Changes\n\n## {version} (2020-01-01)\n"
    has(log, reference)
    expect("a first interface", keep, "abi: this is", "release: none")
    expect("the same", check, "nothing", "broken")
    has(log, broken)
    expect("a break before the first release", check, "problem", "may stay")
    has(released, reference)
    expect("a release whose interface was not taken", check, "problem", "./run abi")
    expect("the interface of the first release", keep, "abi: this is", f"release: {version}")
    expect("the same after it", check, "nothing", "broken")
    expect("the interface of the same release again", keep, "problem", "stays")
    has(released, broken)
    expect("a break after it", check, "problem", "would not work", "NSP_ABI_VERSION", "nsp__thread_v")
    for heading in (f"[{next_version}] - 2020-02-01", f"v{next_version} (2020-02-01)"):
        has(f"# Changes\n\n## {heading}\n", reference)
        expect(f"a heading like {heading}", check, "problem", f"is {next_version}, but")
    has(f"# Changes\n\n## [Unreleased]\n\n## {next_version}-rc1\n\n## {version}\n", reference)
    expect("a heading that is not understood", check, "problem", "neither")
    has(f"# Changes\n\n## {next_version} (2020-02-01)\n\n## {version} (2020-01-01)\n", broken)
    expect("a release that version.h does not have", keep, "problem")
    last = version.rsplit(".", 1)[1]
    replace_in("version.h", f"VERSION_PATCH {last}\n", f"VERSION_PATCH {int(last) + 1}\n")
    expect("a release that breaks the last one's programs", keep, "problem", "another one")
    replace_in("version.h", f"NSP_ABI_VERSION {number}\n", f"NSP_ABI_VERSION {number + 1}\n")
    has(released, broken)
    expect("a new number, and an old name", check, "problem", "thread-local")
    for path in (root / "core/include/nanospan").rglob("*.h"):
        replace_in(path, f"_v{number}", f"_v{number + 1}")
    expect("a break with a new number", check, "new one")
    has(f"# Changes\n\n## {next_version} (2020-02-01)\n\n## {version} (2020-01-01)\n", broken)
    expect("a release with a new number", keep, "abi: this is", f"release: {next_version}")
    return complaints


def self_test():
    """Returns True if the check judges every change of CHANGES as it stands there, and keeps its own rules."""
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor() as pool:
        folder = Path(temporary)
        reference = folder / "headers.abi"
        take_headers(tree(folder / "tree"), reference)
        jobs = [pool.submit(change_is_judged, folder, reference, change) for change in CHANGES]
        complaints = libraries_are_judged(folder) + rules_are_kept(folder, reference)
        jobs.append(pool.submit(bit_field_is_refused, folder))
        complaints += [job.result() for job in jobs if job.result()]
    for complaint in complaints:
        print(f"abi: self-test: {complaint}", file=sys.stderr)
    print(f"abi: self-test: {len(CHANGES)} changes of headers, 5 of a library, and the rules of releases"
          + ("" if complaints else ": all judged correctly"))
    return not complaints
