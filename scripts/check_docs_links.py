#!/usr/bin/env python3
"""Holds the documents to the tree: links and their anchors, named source files, and cited protocol sections.

usage: scripts/check_docs_links.py     prints every place that points nowhere; exit status 1 if there is any

Addresses outside the tree are not asked for: this runs without a network.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOCOL = ROOT / "docs" / "protocol.md"

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
SOURCE = re.compile(r"`([\w.-]+(?:/[\w.-]+)+\.(?:py|sol))`")
CITED = re.compile(r"protocol(?:\.md)?,? (?:sections? )?(\d+(?:\.\d+)?)")
NUMBERED = re.compile(r"^## (\d+)\.|(?:^|[ ,(])(\d+\.\d+) (?=[*`A-Z])", re.MULTILINE)


@cache
def files() -> tuple[Path, ...]:
    """List the files of the tree: what git tracks, and what it would track."""
    said = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return tuple(ROOT / name for name in said.split("\0") if name and (ROOT / name).is_file())


@cache
def anchors(document: Path) -> frozenset[str]:
    """Name the headings of a document as links name them."""
    found: list[str] = []
    for heading in HEADING.findall(FENCE.sub("", document.read_text())):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return frozenset(found)


@cache
def sections() -> frozenset[str]:
    """Name the numbered sections of the protocol."""
    found = NUMBERED.findall(FENCE.sub("", PROTOCOL.read_text()))
    return frozenset(chapter or section for chapter, section in found)


def dead_links(document: Path) -> Iterator[str]:
    """Yield every link of a document that leads to no file, or to no heading of it."""
    for target in LINK.findall(FENCE.sub("", document.read_text())):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        if not file.exists():
            yield f"link to {target}: no such file"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"link to {target}: no such heading"


def lost_sources(document: Path) -> Iterator[str]:
    """Yield every source file that a document names and the tree lacks; a path may lack its front."""
    for name in SOURCE.findall(FENCE.sub("", document.read_text())):
        if not any(f"/{path.relative_to(ROOT)}".endswith(f"/{name}") for path in files()):
            yield f"names `{name}`: no such file"


def lost_sections(source: Path) -> Iterator[str]:
    """Yield every section of the protocol that a file cites and the protocol lacks."""
    for number in CITED.findall(source.read_text()):
        if number not in sections():
            yield f"cites protocol section {number}: no such section"


def main() -> int:
    """Run the script; returns the exit status."""
    found: list[str] = []
    for path in files():
        faults: list[str] = []
        if path.suffix == ".md":
            faults += [*dead_links(path), *lost_sources(path)]
        if path.suffix in (".py", ".sol", ".md") and PROTOCOL.exists():
            faults += lost_sections(path)
        found += [f"{path.relative_to(ROOT)}: {fault}" for fault in faults]
    print(
        "\n".join(found)
        if found
        else f"documents: {len(files())} files, every link and citation leads somewhere"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
