"""Runs transcripts: text files of commands and what they print, compared line by line.

    # a comment
    $ cloister order why $ORDER
    Cancelled before it ran.        what it prints on standard output
    ! SIMULATED: ...                what it prints on standard error
    [3]                             its exit status, unless 0

What differs from run to run (ids, digests, gas, times, places) is replaced by a word before comparing.
CLOISTER_UPDATE_TRANSCRIPTS=1 writes what was printed into the file: read the difference before you commit.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from marketplace.cli.main import run

__all__ = ["Transcript"]

_NORMAL = (
    (re.compile(r"0x[0-9a-f]{64}"), "0x<32>"),
    (re.compile(r"0x[0-9a-f]{40}\b"), "0x<20>"),
    (re.compile(r"0x[0-9a-f]{32}\b"), "0x<16>"),
    (re.compile(r"0x[0-9a-f]{12}\b"), "0x<6>"),
    (re.compile(r"sha256/[0-9a-f]{64}"), "sha256/<32>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<32>"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "<time> UTC"),
    # A lease earns by the second, and may end within the one it began in.
    (re.compile(r"\b(8\.99\d+|9) TUSD fetched"), "8.99<n> TUSD fetched"),
    (re.compile(r"\b\d+ gas"), "<n> gas"),
    (re.compile(r'"(gas|since|now|at|place_before|block)": "?\d+"?'), r'"\1": <n>'),
    (re.compile(r"\b(1[5-9]|[23]\d)\d{8}\b"), "<unix time>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:<port>"),
    (re.compile(r"block \d+"), "block <n>"),
    (re.compile(r"\bof user \d+"), "of user <n>"),
)
_NAMED = {
    "ORDER": re.compile(r'(?:^order +|"order_id": ")(0x[0-9a-f]{64})', re.MULTILINE),
    "LEASE": re.compile(r"^lease +(0x[0-9a-f]{64})", re.MULTILINE),
    "MANIFEST": re.compile(r"^manifest +(file:sha256/[0-9a-f]{64})$", re.MULTILINE),
    "TERMS": re.compile(r"^terms +(0x[0-9a-f]{64})$", re.MULTILINE),
}
"""Words that commands take from what the commands before them printed."""


@dataclass
class Transcript:
    """One file, and the words that stand for places in it.

    Attributes:
        places: word -> the text that it stands for in commands; in output the text becomes the word again.
    """

    path: Path
    places: dict[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Run every command and compare everything that is printed."""
        expected = self.path.read_text()
        got = self._play(expected)
        if os.environ.get("CLOISTER_UPDATE_TRANSCRIPTS"):
            self.path.write_text(got)
        if got != expected:
            names = (str(self.path.name), "printed")
            lines = difflib.unified_diff(expected.splitlines(), got.splitlines(), *names, lineterm="")
            raise AssertionError("\n".join(lines))

    def _play(self, text: str) -> str:
        lines: list[str] = []
        for line in text.splitlines():
            if line.startswith("$ "):
                lines += [line, *self._run(line[2:])]
            elif line.startswith("#") or not line:
                lines.append(line)
        return _spaced("\n".join(lines)) + "\n"

    def _run(self, command: str) -> list[str]:
        words = shlex.split(self._expand(command))
        assert words[0] == "cloister", command
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(words[1:])
        for word, named in _NAMED.items():
            if found := named.search(out.getvalue()):
                self.places[word] = found.group(1)
        printed = [f"! {line}".rstrip() for line in err.getvalue().splitlines()] + out.getvalue().splitlines()
        status = [f"[{int(code)}]"] if code else []
        return [self._normal(line) for line in printed] + status

    def _expand(self, command: str) -> str:
        return re.sub(r"\$([A-Z_]+)", lambda match: self.places[match.group(1)], command)

    def _normal(self, line: str) -> str:
        for word, text in self.places.items():
            if word not in _NAMED:
                line = line.replace(text, f"${word}")
        for pattern, word in _NORMAL:
            line = pattern.sub(word, line)
        return line.rstrip()


def _spaced(text: str) -> str:
    """Return commands with an empty line before each but those that follow a comment."""
    text = re.sub(r"\n{2,}", "\n", text)
    text = re.sub(r"\n(?=(?:\$|#) )", "\n\n", text)
    return re.sub(r"(^|\n)(# [^\n]*)\n\n(?=\$)", r"\1\2\n", text)
