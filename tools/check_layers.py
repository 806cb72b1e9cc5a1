#!/usr/bin/env python3
"""Fails when a file under src/<part>/ includes a part that layers.txt does not grant it.

Also checks that the grants have no cycle, that every part with code has a line and a README, and that
third-party headers stay in the part that wraps them.
"""
import pathlib
import re
import sys

WRAPPED = {  # header prefix -> the parts that may include it
    "openssl/": {"base"},
    "boost/": {"base"},
    "curl/": {"base"},
    "sqlite3.h": {"storage"},
    "onnxruntime": {"inference"},
    "yaml-cpp/": {"pipeline", "packaging"},
    "pugixml": {"connectors"},
}


def read_grants(path):
    grants = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            part, allowed = line.split(":")
            grants[part] = set(allowed.split())
    return grants


def find_cycle(grants):
    seen, stack = set(), []

    def visit(part):
        if part in stack:
            return stack[stack.index(part):] + [part]
        if part in seen:
            return None
        seen.add(part)
        stack.append(part)
        for other in sorted(grants.get(part, ())):
            cycle = visit(other)
            if cycle:
                return cycle
        stack.pop()
        return None

    for part in grants:
        cycle = visit(part)
        if cycle:
            return cycle
    return None


def check(root):
    problems = []
    grants = read_grants(root / "layers.txt")
    cycle = find_cycle(grants)
    if cycle:
        problems.append(f"layers.txt: cycle {' -> '.join(cycle)}")
    for part in sorted(p for p in (root / "src").iterdir() if p.is_dir() and any(p.rglob("*.cc"))):
        if part.name not in grants:
            problems.append(f"layers.txt: no line for src/{part.name}")
        if not (part / "README.md").exists():
            problems.append(f"src/{part.name}: no README.md")
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        part = path.relative_to(root / "src").parts[0]
        allowed = grants.get(part, set()) | {part}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            own = re.match(r'#include "([a-z_]+)/', line)
            if own and own[1] not in allowed:
                problems.append(f"{path.relative_to(root)}:{number}: {part} must not include {own[1]} (see layers.txt)")
            third = re.match(r"#include <([^>]+)>", line)
            for prefix, owners in WRAPPED.items():
                if third and third[1].startswith(prefix) and part not in owners:
                    problems.append(f"{path.relative_to(root)}:{number}: only {' and '.join(sorted(owners))} may include <{third[1]}>")
    return problems


if __name__ == "__main__":
    found = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print("\n".join(found) if found else "layers: ok")
    sys.exit(bool(found))
