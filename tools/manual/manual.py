#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the man pages of the command nanospan, from what it prints for --help.

    manual.py COMMAND FOLDER

writes nanospan.1, and nanospan-SUBCOMMAND.1 for each subcommand that `COMMAND --help` lists. The pages have no date, so
that the same sources give the same pages.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

# argp breaks no lines then, and leaves out a note on the arguments of short options.
WIDE = {"ARGP_HELP_FMT": "rmargin=30000,no-dup-args-note", "LC_ALL": "C"}
OPTION = re.compile(r"  (?:  |(-\S), )(?:  )?(--[\w-]+)(=\S+)? {2,}(\S.*)")
SUBCOMMAND = re.compile(r"  (\w+) +(\S.*)")


def ask(command, *arguments):
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=True, env=os.environ | WIDE)
    return done.stdout


def plain(text):
    """roff that shows the text as it is: a dash that can be copied, and no line that roff takes for a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    return "\\&" + text if text.startswith((".", "'")) else text


def prose(text):
    """Text with `code` in bold."""
    return plain(re.sub(r"`([^`']+)`", "\0\\1\1", text)).replace("\0", "\\fB").replace("\1", "\\fR")


def synopsis(usage):
    """nanospan view [OPTION...] FILE...: the command in bold, what stands for something else in italics."""
    words = []
    for number, word in enumerate(usage.split(" ")):
        pieces = re.split(r"([A-Z]{2,})", word)
        marked = "".join(f"\\fI{plain(piece)}\\fR" if odd else plain(piece) for odd, piece in
                         ((index % 2, piece) for index, piece in enumerate(pieces)) if piece)
        words.append(f"\\fB{plain(word)}\\fR" if number == 0 or word.islower() else marked)
    return " ".join(words)


def paragraphs(text):
    """roff of text whose indented lines stay as they are."""
    lines, after_code = [], False
    for block in re.split(r"\n\n+", text.strip("\n")):
        rows = block.split("\n")
        lines.append(".PP")
        while rows:
            code = []
            while rows and rows[0].startswith("  "):
                code.append(plain(rows.pop(0)[2:]))
            if code:
                lines += [".RS 4", ".nf", *code, ".fi", ".RE"]
                after_code = True
            if rows and not rows[0].startswith("  "):
                if after_code:
                    lines.append(".PP")
                    after_code = False
                lines.append(prose(rows.pop(0)))
    while lines and lines[0] == ".PP":
        lines.pop(0)
    return lines


def option_list(lines):
    """roff of argp's list of options, with a subsection for each of its groups."""
    found = []
    for line in lines:
        option = OPTION.fullmatch(line)
        if option:
            short, long, value, text = option.groups()
            if long == "--help" and any(row.startswith(".SS ") for row in found):
                found.append('.SS "Help"')
            names = f"\\fB{plain(short)}\\fR, " if short else ""
            names += f"\\fB{plain(long)}\\fR" + (f"=\\fI{plain(value[1:])}\\fR" if value else "")
            found += [".TP", names, prose(text)]
        elif line.strip():
            if not re.fullmatch(r" \S.*:", line):
                raise SystemExit(f"manual.py: this line of a list of options is not understood: {line!r}")
            found += [f'.SS "{plain(line.strip().rstrip(":"))}"']
    return found


def cut(text, start):
    """(what is before the paragraph that begins like this, that paragraph and what follows)"""
    match = re.search(rf"(?:^|\n\n)(?={start})", text)
    return (text[:match.start()], text[match.end():]) if match else (text, "")


def exit_codes(text):
    """roff of "0 success; 1 a problem; 2 ..." """
    found = []
    for part in re.split(r"; (?=\d )", text.rstrip(".")):
        number, _, meaning = part.partition(" ")
        found += [".TP", f"\\fB{number}\\fR", prose(meaning[0].upper() + meaning[1:] + ".")]
    return found


def page(title, version, purpose, usage, sections, others):
    lines = [f'.TH {title.upper()} 1 "" "nanospan {version}" "nanospan"', ".SH NAME", f"{title} \\- {plain(purpose)}", ".SH SYNOPSIS",
             synopsis(usage)]
    for name, content in sections:
        if content:
            lines += [f".SH {name}", *content]
    references = ", ".join(f"\\fB{plain(name)}\\fR(1)" for name in others if name != title)
    lines += [".SH SEE ALSO", references]
    return "\n".join(lines) + "\n"


def subcommand_sections(text):
    """(usage, sections) of what `nanospan SUBCOMMAND --help` prints."""
    first, _, rest = text.partition("\n")
    lines = rest.split("\n")
    options = [number for number, line in enumerate(lines) if OPTION.fullmatch(line)]
    begin, end = options[0], options[-1] + 1
    while begin > 0 and re.fullmatch(r" \S.*:", lines[begin - 1]):
        begin -= 1
    description = "\n".join(lines[:begin]).strip("\n")
    behind = "\n".join(lines[end:]).strip("\n")
    before_codes, codes = cut(behind, "Exit codes: ")
    codes, _, after_codes = codes.partition("\n\n")
    more, examples = cut(after_codes, "Examples?:\n")
    text = "\n\n".join(part for part in (description, before_codes, more) if part)
    sections = [("DESCRIPTION", paragraphs(text)), ("OPTIONS", option_list(lines[begin:end])),
                ("EXIT STATUS", exit_codes(codes.removeprefix("Exit codes: ")) if codes else []),
                ("EXAMPLES", paragraphs(examples.partition("\n")[2]) if examples else [])]
    return first.removeprefix("Usage: "), sections


def main_sections(text, subcommands):
    """(purpose, usage, sections) of what `nanospan --help` prints."""
    usage, _, rest = text.partition("\n")
    about, _, rest = rest.strip("\n").partition("\n\n")
    _, _, behind = rest.partition("\n\n")
    behind, codes = cut(behind.replace("\nExit codes: ", "\n\nExit codes: "), "Exit codes: ")
    commands = [line for name, purpose in subcommands for line in
                (".TP", f"\\fBnanospan {name}\\fR", f"{prose(purpose[0].upper() + purpose[1:])}; see \\fBnanospan\\-{name}\\fR(1).")]
    codes, _, more = codes.removeprefix("Exit codes: ").partition(". ")
    sections = [("DESCRIPTION", paragraphs(about + "\n\n" + behind)), ("COMMANDS", commands),
                ("EXIT STATUS", exit_codes(codes) + ([".PP", prose(more)] if more.strip() else []) if codes else [])]
    return about[0].lower() + about[1:].partition(".")[0], usage.removeprefix("usage: "), sections


def main():
    if len(sys.argv) != 3:
        raise SystemExit("usage: manual.py COMMAND FOLDER")
    command, folder = sys.argv[1], Path(sys.argv[2])
    version = ask(command, "--version").split()[1]
    text = ask(command, "--help")
    subcommands = [match.groups() for match in map(SUBCOMMAND.fullmatch, text.split("\n")) if match]
    titles = ["nanospan"] + [f"nanospan-{name}" for name, _ in subcommands]
    purpose, usage, sections = main_sections(text, subcommands)
    pages = {"nanospan": page("nanospan", version, purpose, usage, sections, titles)}
    for name, purpose in subcommands:
        usage, sections = subcommand_sections(ask(command, name, "--help"))
        pages[f"nanospan-{name}"] = page(f"nanospan-{name}", version, purpose, usage, sections, titles)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("nanospan*.1"):
        old.unlink()
    for title, content in pages.items():
        (folder / f"{title}.1").write_text(content, encoding="utf-8")


main()
