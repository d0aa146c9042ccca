"""Small changes to Solidity that a test suite should notice: where they are, and what they turn into.

Works on text with comments and strings blanked out, which is enough for code in this project's format. A
change that does not compile is no mutant and is not counted; better one too many here than a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Mutant", "blanked", "mutants_of"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file.

    Attributes:
        operator: what kind of change.
        start, end: the characters that are replaced.
        line: number of the line, from 1.
    """

    file: str
    operator: str
    start: int
    end: int
    replacement: str
    line: int
    before: str
    after: str

    @property
    def key(self) -> str:
        """Return what names the mutant as long as its line stays as it is."""
        return f"{self.file} | {self.operator} | {self.before} -> {self.after}"

    def applied(self, source: str) -> str:
        """Return the file with the change."""
        return source[: self.start] + self.replacement + source[self.end :]


_COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', re.DOTALL)
_SWAPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("logic", r"&&", ("||",)),
    ("logic", r"\|\|", ("&&",)),
    ("relation", r"==", ("!=",)),
    ("relation", r"!=", ("==",)),
    ("relation", r"<=", ("<",)),
    ("relation", r">=(?!=)", (">",)),
    ("relation", r"(?<![<=])<(?![<=])", ("<=", ">")),
    ("relation", r"(?<![>=])>(?![>=])", (">=", "<")),
    ("shift", r"<<(?!=)", (">>",)),
    ("shift", r">>(?!=)", ("<<",)),
    ("arithmetic", r"(?<![+])\+(?![+=])", ("-",)),
    ("arithmetic", r"(?<![-e(,=?:\[])(?<!return)\s-(?![-=>])", (" +",)),
    ("arithmetic", r"(?<![*/])\*(?![*/=])", ("/",)),
    ("arithmetic", r"(?<![*/])/(?![*/=])", ("*",)),
    ("arithmetic", r"%(?!=)", ("*",)),
    ("bits", r"(?<!&)&(?![&=])", ("|",)),
    ("bits", r"(?<!\|)\|(?![|=])", ("&",)),
    ("bits", r"~", ("",)),
    ("assignment", r"\+=", ("-=", "=")),
    ("assignment", r"-=", ("+=", "=")),
    ("assignment", r"\|=", ("&=", "=")),
    ("assignment", r"&=", ("|=", "=")),
    ("step", r"\+\+", ("--",)),
    ("negation", r"!(?!=)", ("",)),
    ("boolean", r"\btrue\b", ("false",)),
    ("boolean", r"\bfalse\b", ("true",)),
    ("guard", r"(?<=\s)(?:nonReentrant|onlyOrderBook|inBook|restricted)\b(?=[^;{]*\{)", ("",)),
)
# The same, in words of the machine. Memory and storage of assembly are left alone: they mostly crash at once.
_WORDS = {"add": "sub", "mul": "div", "lt": "gt", "and": "or", "shl": "shr"}
_WORDS |= {there: here for here, there in _WORDS.items()}
_WORD = re.compile(rf"\b({'|'.join(_WORDS)})(?=\()")
_ASSEMBLY = re.compile(r"\bassembly\b[^{]*\{")
_NUMBER = re.compile(r"(?<![\w.])(0x[0-9a-fA-F]+|\d[\d_]*)(?:e\d+)?(?![\w.])")
_RETURN = re.compile(r"\breturn\s+([^;]+);")
_CONDITION = re.compile(r"\bif\s*\(")
_REVERTS = re.compile(r"\s*\{?\s*revert\b")
_ELSE = re.compile(r"\s*else\s+(?!if\b)")
_RETURNS = re.compile(r"\breturns\s*\(([^)]*)\)")
_SKIP = re.compile(
    r"^\s*(?:pragma|import|using|event|error|struct|enum|type|interface|library|contract|abstract)\b"
)
_DECLARATION = re.compile(
    r"^(?:u?int\d*|bytes\d*|bool|address|string|mapping\b|function\b|constructor\b|modifier\b|fallback\b"
    r"|receive\b|return\b|else\b|for\b|while\b|do\b|unchecked\b|assembly\b"
    r"|[A-Z]\w*(?:\.\w+)?(?:\[\d*\])?\s+(?:memory\s+|calldata\s+|storage\s+)?\w+\s*(?:=|;|$)"
    r"|\((?:u?int\d*|bytes\d*|bool|address|,))"
)


def blanked(source: str) -> str:
    """Return the source with comments and strings as spaces, every character where it was."""
    return _COMMENT_OR_STRING.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), source)


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Return every mutant of a file, in the order of the text."""
    plain = blanked(source)
    found: dict[tuple[int, int, str], Mutant] = {}
    for operator, start, end, replacement in (*_changes(_without_headers(plain)), *_in_assembly(plain)):
        if source[start:end] != replacement:
            mutant = _mutant(file, source, operator, start, end, replacement)
            found.setdefault((start, end, replacement), mutant)
    return sorted(found.values(), key=lambda item: (item.start, item.end, item.replacement))


def _changes(code: str) -> Iterator[tuple[str, int, int, str]]:
    for operator, pattern, replacements in _SWAPS:
        for match in re.finditer(pattern, code):
            for replacement in replacements:
                yield operator, match.start(), match.end(), replacement
    for match in _NUMBER.finditer(code):
        value = int(match.group(1).replace("_", ""), 0)
        yield "number", match.start(1), match.end(1), str(value + 1)
        if value:
            yield "number", match.start(1), match.end(1), "0"
    for match in _RETURN.finditer(code):
        for instead in _returnable(code[: match.start()]):
            yield "return", match.start(1), match.end(1), instead
    for match in _CONDITION.finditer(code):
        end = _closing(code, match.end() - 1)
        # A check that reverts is left out below, and one that always reverts is no test of the tests.
        if not _REVERTS.match(code, end + 1):
            yield "condition", match.end(), end, "true"
            yield "condition", match.end(), end, "false"
    yield from _deletions(code)


def _in_assembly(code: str) -> Iterator[tuple[str, int, int, str]]:
    """Yield other words and other numbers inside inline assembly."""
    for block in _ASSEMBLY.finditer(code):
        begin, end = block.end(), _block_end(code, block.end() - 1)
        for match in _WORD.finditer(code, begin, end):
            yield "assembly", match.start(1), match.end(1), _WORDS[match.group(1)]
        for match in _NUMBER.finditer(code, begin, end):
            yield "assembly", match.start(1), match.end(1), str(int(match.group(1).replace("_", ""), 0) + 1)


def _returnable(above: str) -> tuple[str, ...]:
    """Return what a `return` may say instead, by the types of the function that it stands in."""
    headers = _RETURNS.findall(above)
    kind = headers[-1].strip() if headers else ""
    if "," in kind:
        return ()
    if kind.startswith("bool"):
        return ("false", "true")
    return ("0",) if re.match(r"u?int|bytes\d", kind) else ()


def _deletions(code: str) -> Iterator[tuple[str, int, int, str]]:
    """Yield statements that can be left out: calls, assignments, events, reverts with their condition."""
    start, depth = 0, 0
    for at, sign in enumerate(code):
        depth += (sign in "([") - (sign in ")]")
        if depth or sign not in ";{}":
            continue
        if (other := _ELSE.match(code, start)) is not None:
            start = other.end()
        text = code[start:at].strip()
        if sign == ";" and text and not _DECLARATION.match(text) and not _SKIP.match(text):
            begin = start + len(code[start:at]) - len(code[start:at].lstrip())
            kind = "event" if text.startswith("emit") else "check" if "revert" in text else "statement"
            # An empty block, so that an `else` after it still has something before it.
            yield kind, begin, at + 1, "{}"
        start = at + 1


def _closing(code: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(code)):
        depth += (code[at] == "(") - (code[at] == ")")
        if not depth:
            return at
    return len(code)


def _without_headers(code: str) -> str:
    """Blank what is no code: directives, types, interfaces of events and errors, and inline assembly."""
    spans = [match.span() for match in re.finditer(r"^[^\n]*$", code, re.MULTILINE) if _SKIP.match(match[0])]
    for match in re.finditer(r"^\s*(?:pragma|import|using|event|error)\b[^;]*;", code, re.MULTILINE):
        spans.append(match.span())
    for match in re.finditer(r"\b(?:struct|enum)\s+\w+\s*\{[^}]*\}", code):
        spans.append(match.span())
    for match in _ASSEMBLY.finditer(code):
        spans.append((match.start(), _block_end(code, match.end() - 1)))
    signs = list(code)
    for begin, end in spans:
        for at in range(begin, end):
            # The braces of a contract stay: statements are found between them.
            if signs[at] not in "\n{}":
                signs[at] = " "
    return "".join(signs)


def _block_end(code: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(code)):
        depth += (code[at] == "{") - (code[at] == "}")
        if not depth:
            return at + 1
    return len(code)


def _mutant(file: str, source: str, operator: str, start: int, end: int, replacement: str) -> Mutant:
    # What a person has to see: the lines that it touches, as they were and as they are.
    first, last = source.rfind("\n", 0, start) + 1, source.find("\n", end)
    last = len(source) if last < 0 else last
    before = " ".join(source[first:last].split())
    after = " ".join((source[first:start] + replacement + source[end:last]).split())
    return Mutant(file, operator, start, end, replacement, source.count("\n", 0, start) + 1, before, after)
