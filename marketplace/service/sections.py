"""The parts of settings that services have in common: where to listen, limits, a signing key, the chain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coincurve import PrivateKey

from marketplace.service.keyfiles import load_signing_key
from marketplace.service.settings import Table

__all__ = ["KeyFile", "Limits", "Listen"]


@dataclass(frozen=True, slots=True)
class Listen:
    """[listen]: host (default "127.0.0.1") and port (default 0: a free one)."""

    host: str
    port: int

    @classmethod
    def take(cls, table: Table) -> Listen:
        """Take the section.

        Raises:
            BadInputError: a value of the wrong form.
        """
        section = table.table("listen", optional=True)
        made = cls(section.text("host", "127.0.0.1"), section.integer("port", 0, most=65_535))
        section.done()
        return made


@dataclass(frozen=True, slots=True)
class Limits:
    """[limits]: requests_per_minute (per address; 0: none), burst, challenge_lifetime_s."""

    requests_per_minute: int
    burst: int
    challenge_lifetime_s: int

    @classmethod
    def take(cls, table: Table) -> Limits:
        """Take the section.

        Raises:
            BadInputError: a value of the wrong form.
        """
        section = table.table("limits", optional=True)
        made = cls(
            section.integer("requests_per_minute", 600, most=1_000_000),
            section.integer("burst", 120, least=1, most=1_000_000),
            section.integer("challenge_lifetime_s", 300, least=5, most=3_600),
        )
        section.done()
        return made


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A section with `file` and, for an encrypted keystore, `passphrase_file`: both private."""

    file: Path
    passphrase_file: Path | None

    @classmethod
    def take(cls, table: Table, name: str) -> KeyFile:
        """Take the section called `name`.

        Raises:
            BadInputError: a value of the wrong form.
        """
        section = table.table(name)
        made = cls(section.path("file"), section.maybe_path("passphrase_file"))
        section.done()
        return made

    def load(self) -> PrivateKey:
        """Return the key.

        Raises:
            NotFoundError, BadInputError: as `keyfiles.load_signing_key`.
        """
        return load_signing_key(self.file, self.passphrase_file)
