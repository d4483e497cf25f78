# SPDX-License-Identifier: Apache-2.0
#
# Reads the list of memory accesses that valgrind's lackey makes of the program beside this file, and counts
# the 4 KiB pages and 64-byte lines of each operation.
#
#     count.py OUTPUT DETAILS < ACCESSES
#
# OUTPUT: what the program wrote. Prints NAME CODE_PAGES CODE_LINES DATA_PAGES DATA_LINES for each operation,
# and writes into DETAILS which pages these are.
import bisect
import os
import re
import subprocess
import sys

PAGE, LINE = 4096, 64
# What lies on the pages of these files of the session on which the program has named nothing.
UNNAMED = {"threads": "the ring", "control": "the classes of names"}
BEGIN, END = [b"1", b"2", b"4", b"8"], [b"8", b"4", b"2", b"1"]


# A list of (is_code, address, bytes) for each time that an operation ran. Where it begins and ends, the program
# stores to one address four times, with the sizes of BEGIN and END.
def operations(accesses):
    inside, stores, found = None, [], []
    for line in accesses:
        if inside is not None:
            inside.append(line)
        if line[:1] != b" ":
            continue  # an instruction, or what valgrind says
        if line[1:2] != b"S":
            stores.clear()
            continue
        address, _, size = line[3:-1].partition(b",")
        if stores and stores[-1][0] != address:
            stores.clear()
        stores.append((address, size))
        sizes = [size for _, size in stores[-4:]]
        if inside is None and sizes == BEGIN:
            inside = []
        elif inside is not None and sizes == END:
            found.append(parse(inside, address))
            inside = None
    return found


def parse(lines, mark):
    accesses = []
    for line in lines:
        address, _, size = line[3:-1].partition(b",")
        if line[:1] in b"I " and address != mark:
            accesses.append((line[:1] == b"I", int(address, 16), int(size)))
    return accesses


def units(accesses, code, unit):
    touched = set()
    for is_code, address, size in accesses:
        if is_code == code:
            touched.update(range(address // unit, (address + size - 1) // unit + 1))
    return touched


def counts(accesses):
    return [len(units(accesses, code, unit)) for code in (True, False) for unit in (PAGE, LINE)]


# What lies where: the program's own places, and the symbols and sections of what is mapped.
class Map:
    def __init__(self, lines):
        self.places, self.mappings, self.objects = [], [], {}
        for line in lines:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "place":
                address, name = rest.split(" ", 1)
                self.places.append((int(address, 16), name))
            elif word == "mapping":
                fields = rest.split(None, 5)
                begin, end = (int(number, 16) for number in fields[0].split("-"))
                path = fields[5] if len(fields) > 5 else ""
                self.mappings.append((begin, end, int(fields[2], 16), path))

    # The load address of the object, its symbols and its sections, sorted.
    def object_at(self, path):
        if path not in self.objects:
            base = min(begin - offset for begin, end, offset, its in self.mappings if its == path)
            symbols = run(["nm", "-n", "--defined-only", path]) + run(["nm", "-nD", "--defined-only", path])
            table = sorted(
                (int(fields[0], 16), fields[2])
                for fields in map(str.split, symbols)
                if len(fields) == 3 and fields[1] in "tTwWiIuU" + "dDbBrRvV"
            )
            sections = re.findall(
                r"\] (\.\S+)\s+\S+\s+([0-9a-f]{8,}) [0-9a-f]+ ([0-9a-f]+) ", "\n".join(run(["readelf", "-SW", path]))
            )
            sections = [(int(at, 16), int(size, 16), name) for name, at, size in sections if int(at, 16)]
            self.objects[path] = (base, table, sections)
        return self.objects[path]

    def name(self, address):
        for begin, end, _, path in self.mappings:
            if begin <= address < end:
                break
        else:
            return "?", "?"
        if path.startswith("/") and os.access(path, os.R_OK) and is_elf(path):
            return os.path.basename(path), self.symbol(path, address)
        return os.path.basename(path).split(" ")[0] or "private memory", None

    def symbol(self, path, address):
        base, table, sections = self.object_at(path)
        address -= base
        section = next((name for at, size, name in sections if at <= address < at + size), "?")
        at = bisect.bisect_right(table, (address, "\x7f")) - 1
        named = section in (".text", ".data", ".bss", ".data.rel.ro", ".rodata") and at >= 0
        return section + (" " + table[at][1] if named else "")

    # The names of what is touched on a page.
    def page(self, page, accesses, code):
        names, where = {}, None
        for is_code, address, size in accesses:
            if is_code != code or not page * PAGE <= address < (page + 1) * PAGE:
                continue
            where, symbol = self.name(address)
            if symbol is not None:
                names.setdefault(symbol, None)
        for address, name in self.places:
            if address // PAGE == page:
                names.setdefault(name, None)
        return where, ", ".join(names) or UNNAMED.get(where, "?")


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def run(command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


def details(where, accesses, out):
    for code, word in ((True, "code"), (False, "data")):
        touched = units(accesses, code, LINE)
        for page in sorted(units(accesses, code, PAGE)):
            lines = sum(1 for line in touched if line * LINE // PAGE == page)
            place, names = where.page(page, accesses, code)
            print(f"    {word}  {lines:3} lines  {place}: {names}", file=out)


def main():
    output, details_path = sys.argv[1:]
    found = operations(sys.stdin.buffer)
    with open(output, encoding="utf-8") as file:
        lines = file.readlines()
    where = Map(lines)
    with open(details_path, "w", encoding="utf-8") as out:
        for line in lines:
            if not line.startswith("operation "):
                continue
            _, name, times = line.split()
            runs, found = found[: int(times)], found[int(times) :]
            if len(runs) != int(times):
                sys.exit(f"count.py: {name}: {len(runs)} runs instead of {times}")
            # The one that touches least: the others lie at the end of one of the ring's pages, or are the first.
            least = min(runs, key=lambda run: (counts(run)[0] + counts(run)[2], counts(run)))
            print(name, *counts(least))
            print(name, file=out)
            details(where, least, out)


main()
