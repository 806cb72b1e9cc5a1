#!/usr/bin/env python3
"""Fails when a document no longer matches the tree.

A cpp block whose first line is `// from <path>` must stand in that file, stretch by stretch between `// ...` lines (indentation
is ignored). A relative link must lead to a file. A path in back-quotes below src/, docs/, tools/, tests/, bench/ or web/
must exist.
"""
import pathlib
import re
import subprocess
import sys


def squeeze(text):
    return re.sub(r"\s+", "", text)


def check_blocks(document, text):
    for block in re.findall(r"```cpp\n// from (.*?)```", text, re.S):
        path, body = block.split("\n", 1)
        source_path = pathlib.Path(path.strip())
        if not source_path.exists():
            yield f"{document}: a block names {source_path}, which is not there"
            continue
        source, at = squeeze(source_path.read_text()), 0
        for stretch in re.split(r"^\s*// \.\.\.$", body, flags=re.M):
            found = source.find(squeeze(stretch), at)
            if found < 0:
                yield f"{document}: a block no longer matches {source_path}:\n{stretch.strip()}"
                break
            at = found + len(squeeze(stretch))


def check_links(document, text):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target) and not (document.parent / target).exists():
            yield f"{document}: the link to {target} leads nowhere"
    for path in re.findall(r"`((?:src|docs|tools|tests|bench|web)/[\w./-]+)`", text):
        if not pathlib.Path(path).exists():
            yield f"{document}: `{path}` is not there"


def main():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], capture_output=True, text=True, check=True)
    problems = []
    for name in listed.stdout.splitlines():
        document = pathlib.Path(name)
        text = document.read_text()
        problems.extend(check_blocks(document, text))
        problems.extend(check_links(document, text))
    print("\n".join(problems) if problems else "documents: ok")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
