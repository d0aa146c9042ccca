"""The parts of settings that services have in common: where to listen, limits, a signing key, the chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coincurve import PrivateKey

from marketplace.service.jsonio import MAX_BODY_BYTES
from marketplace.service.keyfiles import load_signing_key
from marketplace.service.limits import RateLimit
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
    """[limits]: requests_per_minute (per address; 0: none) and burst; requests_per_minute_in_all and
    burst_in_all, for everybody together; max_body_bytes; challenge_lifetime_s."""

    requests_per_minute: int
    burst: int
    requests_per_minute_in_all: int
    burst_in_all: int
    max_body_bytes: int
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
            section.integer("requests_per_minute_in_all", 6_000, most=10_000_000),
            section.integer("burst_in_all", 1_200, least=1, most=10_000_000),
            section.integer("max_body_bytes", MAX_BODY_BYTES, least=64 << 10, most=8 << 20),
            section.integer("challenge_lifetime_s", 300, least=5, most=3_600),
        )
        section.done()
        return made

    def rate(self, monotonic: Callable[[], float]) -> RateLimit:
        """Return the rate limit that the section describes."""
        return RateLimit(
            monotonic,
            self.requests_per_minute,
            self.burst,
            whole_per_minute=self.requests_per_minute_in_all,
            whole_burst=self.burst_in_all,
        )


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
