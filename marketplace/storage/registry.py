"""The table of schemes: which store serves which URI. Visible, and nothing adds to it at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from marketplace.storage.base import BlobStore, UnknownSchemeError, scheme_of
from marketplace.storage.local import SCHEME as FILE
from marketplace.storage.local import LocalStore

__all__ = ["PLANNED", "SCHEMES", "StorageConfig", "store_for"]


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """Where the stores of one party are.

    Attributes:
        local_root: folder of the `file:` store.
        max_blob_bytes: the longest blob that is taken.
    """

    local_root: Path
    max_blob_bytes: int = 1 << 44


def _local(config: StorageConfig) -> BlobStore:
    return LocalStore(config.local_root, max_blob_bytes=config.max_blob_bytes)


SCHEMES: Final[Mapping[str, Callable[[StorageConfig], BlobStore]]] = MappingProxyType({FILE: _local})

PLANNED: Final = ("ipfs", "s3", "https")
"""Names kept free for stores that arrive with the issue on sealed content; until then they are refused."""


def store_for(uri: str, config: StorageConfig) -> BlobStore:
    """Return the store that serves `uri`.

    Raises:
        UnknownSchemeError: no store speaks its scheme; the supported ones are named.
        BadInputError: `uri` has no scheme.
    """
    scheme = scheme_of(uri)
    make = SCHEMES.get(scheme)
    if make is None:
        state = "a scheme that is planned but not built yet" if scheme in PLANNED else "an unknown scheme"
        supported = ", ".join(sorted(SCHEMES))
        raise UnknownSchemeError(
            f"blob URI: got {scheme!r}, {state}, expected one of: {supported}",
            hint=f"use a location with one of the schemes: {supported}",
        )
    return make(config)
