"""Settings files: TOML read strictly, so that a misspelt key is an error and not a default.

Paths are relative to the file that names them. Secrets are never in a settings file, only paths to them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from marketplace.errors import BadInputError, NotFoundError

__all__ = ["MAX_SETTINGS_BYTES", "Table", "load"]

MAX_SETTINGS_BYTES = 64 << 10
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_MISSING = object()
T = TypeVar("T")


def load(path: Path) -> Table:
    """Return the settings in the TOML file at `path`.

    Raises:
        NotFoundError: there is no such file.
        BadInputError: too large, or not TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SETTINGS_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"settings file {path}: {error.strerror}") from error
    if len(data) > MAX_SETTINGS_BYTES:
        raise BadInputError(str(path), "a larger file", f"at most {MAX_SETTINGS_BYTES} bytes")
    try:
        return Table(tomllib.loads(data.decode()), path.name, path.resolve().parent)
    except ValueError as error:
        raise BadInputError(str(path), str(error), "TOML") from error


class Table:
    """One table of a settings file. Every member is taken by name; `done` refuses what nobody took.

    `base` is the folder that relative paths start from. Every taking method raises BadInputError, with the
    member's full name, for a missing or wrong value.
    """

    def __init__(self, values: dict[str, object], where: str, base: Path) -> None:
        self._values = dict(values)
        self._where = where
        self.base = base

    def text(self, name: str, default: str | None = None) -> str:
        """Take a string."""
        value = self._take(name, _MISSING if default is None else default)
        if not isinstance(value, str) or not value:
            raise self._bad(name, value, "a text")
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """Take one of `allowed`."""
        value = self.text(name, default)
        if value not in allowed:
            raise self._bad(name, value, f"one of {', '.join(allowed)}")
        return value

    def integer(self, name: str, default: int | None = None, *, least: int = 0, most: int = 2**53 - 1) -> int:
        """Take an integer from `least` to `most`."""
        value = self._take(name, _MISSING if default is None else default)
        if type(value) is not int or not least <= value <= most:
            raise self._bad(name, value, f"an integer from {least} to {most}")
        return value

    def texts(self, name: str, default: list[str] | None = None) -> tuple[str, ...]:
        """Take a list of strings."""
        value = self._take(name, _MISSING if default is None else default)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._bad(name, value, "a list of texts")
        return tuple(value)

    def path(self, name: str) -> Path:
        """Take a path, relative to the settings file."""
        return self.base / self.text(name)

    def maybe_path(self, name: str) -> Path | None:
        """Take a path that may be left out."""
        return self.path(name) if name in self._values else None

    def maybe_text(self, name: str) -> str | None:
        """Take a string that may be left out."""
        return self.text(name) if name in self._values else None

    def address(self, name: str) -> bytes:
        """Take an Ethereum address, 20 bytes."""
        value = self.text(name)
        if not _ADDRESS.fullmatch(value):
            raise self._bad(name, value, "0x and 40 hex digits")
        return bytes.fromhex(value[2:])

    def table(self, name: str, *, optional: bool = False) -> Table:
        """Take a table; an optional one that is missing is empty."""
        value = self._take(name, {} if optional else _MISSING)
        if not isinstance(value, dict):
            raise self._bad(name, value, "a table")
        return Table(value, f"{self._where}: {name}", self.base)

    def maybe(self, name: str, read: Callable[[str, object], T]) -> T | None:
        """Take a member by a reader of its own, which gets its full name; None where it is left out."""
        return read(f"{self._where}: {name}", self._take(name, None)) if name in self._values else None

    def names(self) -> tuple[str, ...]:
        """Return the names of the members that are left, in the file's order."""
        return tuple(self._values)

    def done(self) -> None:
        """Refuse members that nobody took."""
        if self._values:
            raise BadInputError(
                self._where, f"unknown settings {sorted(self._values)}", "only known settings"
            )

    def _take(self, name: str, default: object) -> object:
        value = self._values.pop(name, default)
        if value is _MISSING:
            raise BadInputError(f"{self._where}: {name}", "nothing", "a value")
        return value

    def _bad(self, name: str, got: object, expected: str) -> BadInputError:
        return BadInputError(f"{self._where}: {name}", repr(got)[:80], expected)
