#!/usr/bin/env python3
"""Fails on what should not stay in a tree: unfinished marks, stray characters, big or dead files, addresses.

A TODO must carry an issue number, "TODO(#12): …"; FIXME is never kept.
"""
import pathlib
import re
import subprocess
import sys

FILE_BYTES_MAX = 600_000
MARKS = re.compile(r"\b(FIXME|XXX)\b|\bTODO\b(?!\(#\d+\))")
BANNED = {
    re.compile(r"\bstd::(stoi|stol|stod|atoi)\b"): "use std::from_chars or base/json.h",
    re.compile(r"#include <nlohmann/json\.hpp>"): 'include "base/json.h"',
    re.compile(r"\bstd::system\("): "use base/process.h",
    re.compile(r"\b(sprintf|strcpy|strcat)\("): "use fmt or std::string",
}
BANNED_ALLOWED = {"src/base/json.h"}
TEXT_SUFFIXES = {".h", ".cc", ".py", ".sh", ".js", ".mjs", ".css", ".html", ".md", ".txt", ".cmake", ".yaml", ".json", ".tsv", ""}


def tracked_files():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=True)
    return [pathlib.Path(name) for name in listed.stdout.splitlines() if pathlib.Path(name).is_file()]


def dead_headers(files):
    """Headers that no source of ours includes."""
    sources = [path for path in files if path.suffix in (".h", ".cc")]
    included = set()
    for path in sources:
        included.update(re.findall(r'#include "([^"]+)"', path.read_text()))
    for path in sources:
        if path.suffix == ".h" and path.parts[0] == "src" and str(pathlib.Path(*path.parts[1:])) not in included:
            yield f"{path}: nobody includes it"


def check_file(path):
    if path.stat().st_size > FILE_BYTES_MAX:
        yield f"{path}: {path.stat().st_size} bytes; should set-up fetch it instead?"
        return
    if path.suffix not in TEXT_SUFFIXES:
        return
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{path}:{number}"
        if path.name != pathlib.Path(__file__).name:
            if MARKS.search(line) and path.suffix in (".h", ".cc", ".js", ".mjs", ".sh", ".py"):
                yield f"{place}: unfinished: {line.strip()[:80]}"
            is_test = path.stem.endswith(("_test", "_bench", "_fuzz"))
            if path.suffix in (".h", ".cc") and not is_test and str(path) not in BANNED_ALLOWED:
                for pattern, cure in BANNED.items():
                    if pattern.search(line):
                        yield f"{place}: {cure}"
        if line != line.rstrip() and path.suffix != ".md":
            yield f"{place}: blank at the end of the line"
        if "\t" in line and path.suffix in (".h", ".cc", ".js", ".py"):
            yield f"{place}: tab"
    if text and not text.endswith("\n"):
        yield f"{path}: no newline at the end"


def main():
    files = tracked_files()
    problems = [problem for path in files for problem in check_file(path)]
    problems.extend(dead_headers(files))
    print("\n".join(problems) if problems else "leftovers: none")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
