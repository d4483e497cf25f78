#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes random declarations of paths, and random programs in two forms: with paths, and with the ordinary calls that
say the same. Both have the same readings, so that what is exported differs by nothing but ids. programs/path_programs.c
runs them, and test_path_programs.py compares.

    generate_programs.py OUTPUT [SEED]     the seed is NSP_PATH_SEED, or 1, if it is not given
"""
import os
import random
import sys

DECLARATIONS = 12
PROGRAMS = 24
NO_I64 = -2**63
TEXTS = ["", "a", "AAPL", "0123456789abcdef", "\u00e9t\u00e9", "\u20ac\u20ac\u20ac\u20ac", "\U0001f600\U0001f601", 'quote " and \\', "line\nbreak",
         "a text that is longer than most of the fields that it is put into, by far"]


def literal(text):
    """(C literal, bytes)"""
    data = text.encode()
    return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in data) + '"', len(data)


def cut(text, capacity):
    """The number of bytes of the longest prefix of whole characters that fits."""
    size = 0
    for character in text:
        if size + len(character.encode()) > capacity:
            break
        size += len(character.encode())
    return size


class Field:
    def __init__(self, draw, name, key):
        self.name, self.key = name, key
        self.type = draw.choice(["I64", "F64", "STR", "BOOL"])
        self.capacity = draw.choice([1, 2, 7, 15, 16, 17, 40, 100]) if self.type == "STR" else None
        self.unset = None
        if self.type != "STR" and draw.random() < 0.3:
            self.unset = draw.choice({"I64": [0, -1, 7], "F64": [0, -1, 0.5], "BOOL": [0, 1, 9]}[self.type])

    def part(self):
        middle = f", {self.capacity}" if self.type == "STR" else ""
        end = f", {self.unset}" if self.unset is not None else ""
        return f'{self.type}({self.name}{middle}, "{self.key}"{end})'

    def value(self, draw):
        """What a program sets: (assignment to path `%s`, call for span `%s` or "", texts cut)."""
        if self.type == "STR":
            text = draw.choice(TEXTS)
            quoted, length = literal(text)
            kept = cut(text, self.capacity)
            return (f"NSP_PATH_STR(%s, {self.name}, {quoted}, {length});",
                    f'nsp_span_set_strn(%s, NSP_KEY("{self.key}"), {quoted}, {kept});', kept < length)
        if self.type == "I64":
            value = draw.choice([0, 1, -1, 7, 2**63 - 1, -2**63 + 1, NO_I64, draw.randrange(-10**6, 10**6)])
            unset = NO_I64 if self.unset is None else self.unset
            shown = "INT64_MIN" if value == NO_I64 else f"INT64_C({value})"
            call = f'nsp_span_set_i64(%s, NSP_KEY("{self.key}"), {shown});' if value != unset else ""
        elif self.type == "F64":
            value = draw.choice([0.0, 1.5, -1.0, 0.5, 1e300, 5e-324, "__builtin_inf()", "__builtin_nan(\"\")", draw.uniform(-1e6, 1e6)])
            shown = value if isinstance(value, str) else repr(value)
            call = f'nsp_span_set_f64(%s, NSP_KEY("{self.key}"), {shown});' if self.unset is None or value != self.unset else ""
        else:
            value = draw.choice([0, 1])
            shown = ("false", "true")[value]
            call = f'nsp_span_set_bool(%s, NSP_KEY("{self.key}"), {shown});' if self.unset != value else ""
        return f"%s->{self.name} = {shown};", call, False


class Declaration:
    def __init__(self, draw, number):
        self.name, self.root = f"path_{number}", f"root.{number}"
        phases = draw.choice([0, 1, 2, 5, 5, draw.randrange(65), 64 if number == 0 else 3])
        fields = draw.choice([0, 1, 3, 8, draw.randrange(65), 64 if number == 1 else 5])
        kinds = ["PHASE"] * phases + ["FIELD"] * fields
        draw.shuffle(kinds)
        self.phases, self.fields, self.parts = [], [[]], []
        self.at_start = phases > 0 and draw.random() < 0.4
        size = 8 + 8 * phases
        for i, kind in enumerate(kinds):
            if kind == "PHASE":
                start = ", NSP_PATH_AT_START" if self.at_start and not self.phases else ""
                self.phases.append(f"phase.{number}.{len(self.phases)}")
                self.fields.append([])
                self.parts.append(f'PHASE(p{len(self.phases)}, "{self.phases[-1]}"{start})')
                continue
            key = f"key.{number}.{i}" if draw.random() < 0.95 else f"key.{number}"
            # Phases and fields may have the same names.
            field = Field(draw, f"p{i + 1}" if draw.random() < 0.5 else f"f{i + 1}", key)
            size += 8 if field.type != "STR" else field.capacity + 2 + 8  # at most
            if size <= 1016:
                self.fields[-1].append(field)
                self.parts.append(field.part())

    def text(self):
        lines = " \\\n    ".join(self.parts)
        return (f"#define LIST_{self.name}(PHASE, I64, F64, STR, BOOL) \\\n    {lines}\n"
                f'NSP_PATH_DECLARE({self.name}, "{self.root}", LIST_{self.name})\n')


class Program:
    """Both forms of one program, line by line."""

    def __init__(self, draw, declarations, number):
        self.draw, self.declarations = draw, declarations
        self.paths, self.spans = [], []
        self.time = self.names = self.steps = 0
        for _ in range(draw.randrange(1, 4)):
            self.anything(0, f"program.{number}")

    def both(self, line, path=None, span=None):
        self.paths.append(line % path if path is not None else line)
        self.spans.append(line % span if span is not None else line)

    def at(self):
        self.time += self.draw.randrange(1, 2000)
        return f"base + {self.time}"

    def fresh(self):
        self.names += 1
        return self.names

    def anything(self, depth, name):
        if self.draw.random() < 0.75:
            self.path(depth)
        else:
            self.ordinary(depth, name)

    def ordinary(self, depth, name):
        """A span that is one in both forms."""
        number = self.fresh()
        self.both(f'nsp_span *o{number} = nsp_span_begin_at(NSP_NAME("{name}"), {self.at()});')
        if self.draw.random() < 0.5:
            self.both(f'nsp_span_set_i64(o{number}, NSP_KEY("number"), {number});')
        if depth < 2 and self.draw.random() < 0.7:
            self.anything(depth + 1, f"{name}.below")
        self.both(f"nsp_span_end_at(o{number}, {self.at()});")

    def begin(self, declaration, number):
        """True if the path is detached."""
        draw = self.draw
        if draw.random() < 0.6:
            at = self.at()
            self.paths.append(f"{declaration.name} *p{number} = {declaration.name}_begin_at({at});")
            self.spans.append(f'nsp_span *s{number} = nsp_span_begin_at(NSP_NAME("{declaration.root}"), {at});')
            return False
        detached, status, links = draw.random() < 0.5, draw.choice([0, 0, 1, 2]), draw.choice([0, 0, 1, 2])
        lines = [f".kind = (nsp_kind){draw.randrange(5)}", f".start = {self.at()}"]
        if draw.random() < 0.3:
            lines.append(".new_root = true")
        elif draw.random() < 0.5:
            state = draw.choice(["NULL", '"a=1,b=2"', '"ot=th:8;rv:ffffffffffffff"', '"ot=th:0,x=y"'])
            lines.append(f".parent = remote(&(nsp_context){{0}}, {self.fresh()}, {draw.choice(['true', 'true', 'true', 'false'])}, {state})")
        if links:
            shown = ", ".join(f"link_to(&(nsp_context){{0}}, {self.fresh()})" for _ in range(links))
            lines += [f".links = (const nsp_link[]){{{shown}}}", f".link_count = {links}"]
        message = draw.choice(["NULL", '"late"'])
        shared = ", ".join(lines)
        self.paths.append(f"const nsp_path_options w{number} = {{.size = sizeof w{number}, {shared}, .detached = "
                          f"{str(detached).lower()}, .status = (nsp_span_status){status}, .status_message = {message}}};")
        self.paths.append(f"{declaration.name} *p{number} = {declaration.name}_begin_with(&w{number});")
        self.spans.append(f"const nsp_span_options w{number} = {{.size = sizeof w{number}, {shared}}};")
        begin = "nsp_span_begin_detached" if detached else "nsp_span_begin_with"
        self.spans.append(f'nsp_span *s{number} = {begin}(NSP_NAME("{declaration.root}"), &w{number});')
        self.spans.append(f"nsp_span_set_status(s{number}, (nsp_span_status){status}, {message});")
        return detached

    def fill(self, declaration, number, phase, later):
        """Chooses values of a phase's fields, or of the path's (0). Returns the calls for the span."""
        calls = []
        for field in declaration.fields[phase]:
            if self.draw.random() < 0.35:
                continue
            assign, call, was_cut = field.value(self.draw)
            if self.draw.random() < 0.1: # the last value counts
                first, _, first_cut = field.value(self.draw)
                later.append((first % f"p{number}", first_cut))
            later.append((assign % f"p{number}", was_cut))
            if call:
                calls.append(call)
        return calls

    def path(self, depth):
        draw, number = self.draw, self.fresh()
        declaration = draw.choice(self.declarations)
        detached = self.begin(declaration, number)
        later, phase_calls = [], {}
        root_calls = self.fill(declaration, number, 0, later)
        self.spans += [call % f"s{number}" for call in root_calls]
        # Fields may be set before and after their phase is marked, in any order but their own.
        for phase in range(1, len(declaration.phases) + 1):
            phase_calls[phase] = self.fill(declaration, number, phase, later)
        if draw.random() < 0.5: # in any order, but two values of one field stay in theirs
            values, targets = {}, [self.target(assign) for assign, _ in later]
            for assign in later:
                values.setdefault(self.target(assign[0]), []).append(assign)
            draw.shuffle(targets)
            later = [values[target].pop(0) for target in targets]
        self.spans.append(f"nsp_span *h{number} = NULL;")
        open_phase = 0
        if declaration.at_start:
            open_phase = self.mark(declaration, number, 1, detached, phase_calls, f"nsp_span_start(s{number})", begun=True)
        for phase in range(1, len(declaration.phases) + 1):
            later = self.set_some(later, number)
            if draw.random() < 0.4:
                self.something(declaration, number, detached, depth)
            if open_phase >= phase or draw.random() < 0.2:
                continue
            if open_phase and draw.random() < 0.05:
                self.paths.append(f"NSP_PATH_MARK_AT(p{number}, p{draw.randrange(1, open_phase + 1)}, {self.at()});")
                self.paths.append(f"expected.misused += nsp_span_recording(nsp_path_span(p{number}));")
            open_phase = self.mark(declaration, number, phase, detached, phase_calls, self.at())
        while later:
            later = self.set_some(later, number)
        if draw.random() < 0.4:
            self.something(declaration, number, detached, depth)
        end = self.at()
        self.paths.append(f"{declaration.name}_end_at(p{number}, {end});")
        self.spans.append(f"nsp_span_end_at(h{number}, {end});")
        self.spans.append(f"nsp_span_end_at(s{number}, {end});")

    @staticmethod
    def target(assign):
        return assign.split(" = ")[0] if not assign.startswith("NSP_PATH_STR") else ",".join(assign.split(",")[:2])

    def set_some(self, later, number):
        count = self.draw.randrange(0, 4)
        for assign, was_cut in later[:count]:
            self.paths.append(assign)
            if was_cut:
                self.paths.append(f"expected.values_cut += nsp_span_recording(nsp_path_span(p{number}));")
        return later[count:]

    def mark(self, declaration, number, phase, detached, phase_calls, at, begun=False):
        name = declaration.phases[phase - 1]
        if not begun:
            self.paths.append(f"NSP_PATH_MARK_AT(p{number}, p{phase}, {at});")
        self.spans.append(f"nsp_span_end_at(h{number}, {at});")
        if detached:
            self.spans.append(f'h{number} = phase_of(s{number}, NSP_NAME("{name}"), {at});')
        else:
            self.spans.append(f'h{number} = nsp_span_begin_at(NSP_NAME("{name}"), {at});')
        self.spans += [call % f"h{number}" for call in phase_calls[phase]]
        return phase

    def something(self, declaration, number, detached, depth):
        """What spans can do, done to a path's span, or below it."""
        draw, path, span = self.draw, f"nsp_path_span(p{number})", f"s{number}"
        current = f"(h{number} != NULL ? h{number} : s{number})"
        self.steps += 1
        what = draw.randrange(8)
        if what == 0:
            self.both(f'nsp_span_add_event_at(%s, NSP_NAME("event.{self.steps}"), {self.at()});', path, span)
        elif what == 1:
            self.both(f'nsp_span_set_f64(%s, NSP_KEY("more.{self.steps}"), {self.steps}.5);', path, span)
        elif what == 2:
            self.both(f'nsp_span_set_status(%s, NSP_SPAN_STATUS_ERROR, "step {self.steps}");', path, span)
        elif what == 3:
            # A child somewhere else, of what a context says.
            self.both("{ nsp_context context; nsp_span_context(%s, &context);", path, current)
            self.both(f'child_of(&context, NSP_NAME("by.context"), {self.at()}, {self.at()}); }}')
        elif what == 4:
            self.both(f"nsp_span_add_link(%s, remote(&(nsp_context){{0}}, {self.fresh()}, true, NULL));", path, span)
        elif what == 5:
            self.both(f'nsp_span_set_name(%s, NSP_NAME("renamed.{self.steps}"));', path, span)
        elif depth < 2:
            if detached:
                self.both("nsp_span_enter(%s);", path, current)
            self.anything(depth + 1, "below")
            if detached:
                self.both("nsp_span_leave(%s);", path, current)


def main():
    output = sys.argv[1]
    seed = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("NSP_PATH_SEED", "1"))
    draw = random.Random(seed)
    declarations = [Declaration(draw, number) for number in range(DECLARATIONS)]
    programs = [Program(draw, declarations, number) for number in range(PROGRAMS)]
    text = [f"// Made by generate_programs.py with the seed {seed}.", '#include "programs/path_programs.h"\n']
    text += [declaration.text() for declaration in declarations]
    for number, program in enumerate(programs):
        for form in ("paths", "spans"):
            body = "\n    ".join(getattr(program, form))
            text.append(f"static void {form}_{number}(nsp_ticks base)\n{{\n    {body}\n}}\n")
    rows = ",\n    ".join(f"{{paths_{n}, spans_{n}, {p.time}}}" for n, p in enumerate(programs))
    text.append(f"const path_program path_programs[] = {{\n    {rows}}};")
    text.append(f"const size_t path_program_count = {len(programs)};\nconst unsigned path_program_seed = {seed};")
    with open(output, "w", encoding="utf-8") as file:
        file.write("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
