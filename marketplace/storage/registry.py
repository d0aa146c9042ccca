"""The table of schemes: which store serves which URI. Visible, and nothing adds to it at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from marketplace.storage.base import BlobStore, NotConfiguredError, UnknownSchemeError, scheme_of
from marketplace.storage.ipfs import SCHEME as IPFS
from marketplace.storage.ipfs import IpfsStore
from marketplace.storage.local import SCHEME as FILE
from marketplace.storage.local import LocalStore
from marketplace.storage.network import NetworkPolicy
from marketplace.storage.patience import Patience
from marketplace.storage.ranges import Ranges
from marketplace.storage.s3 import SCHEME as S3
from marketplace.storage.s3 import S3Config, S3Store
from marketplace.storage.web import SCHEMES as WEB
from marketplace.storage.web import WebStore

__all__ = ["SCHEMES", "WRITABLE", "StorageConfig", "store_for"]


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """Where the stores of one party are.

    Attributes:
        local_root: folder of the `file:` store.
        max_blob_bytes: the longest blob that is taken.
        ipfs_api: URL of an IPFS node's API; None where there is none.
        s3: the S3 service; None where there is none.
        network: where `https:` locations of strangers may lead.
        patience: time-outs and attempts.
        put_scheme: where new blobs go: `file`, `ipfs` or `s3`.
    """

    local_root: Path
    max_blob_bytes: int = 1 << 44
    ipfs_api: str | None = None
    s3: S3Config | None = None
    network: NetworkPolicy = field(default_factory=NetworkPolicy)
    patience: Patience = field(default_factory=Patience)
    put_scheme: str = FILE


def _local(config: StorageConfig) -> BlobStore:
    return LocalStore(config.local_root, max_blob_bytes=config.max_blob_bytes)


def _ipfs(config: StorageConfig) -> BlobStore:
    if config.ipfs_api is None:
        raise _not_configured(IPFS, "[storage.ipfs] api, the address of a node's API")
    return IpfsStore(config.ipfs_api, config.patience)


def _s3(config: StorageConfig) -> BlobStore:
    if config.s3 is None:
        raise _not_configured(S3, "[storage.s3] bucket, and endpoint where it is not AWS")
    return S3Store(config.s3, config.patience)


def _web(config: StorageConfig) -> BlobStore:
    return WebStore(Ranges(config.network, config.patience))


SCHEMES: Final[Mapping[str, Callable[[StorageConfig], BlobStore]]] = MappingProxyType(
    {FILE: _local, IPFS: _ipfs, S3: _s3, **dict.fromkeys(WEB, _web)}
)
"""`http` is in it for loopback alone, where the settings spell that out (`NetworkPolicy`)."""

WRITABLE: Final = (FILE, IPFS, S3)
"""Schemes under which blobs can be stored."""


def store_for(uri: str, config: StorageConfig) -> BlobStore:
    """Return the store that serves `uri`.

    Raises:
        UnknownSchemeError: no store speaks its scheme; the supported ones are named.
        NotConfiguredError: the settings do not say where the store of its scheme is.
        BadInputError: `uri` has no scheme.
    """
    scheme = scheme_of(uri)
    make = SCHEMES.get(scheme)
    if make is None:
        supported = ", ".join(sorted(SCHEMES))
        raise UnknownSchemeError(
            f"blob URI: got {scheme!r}, an unknown scheme, expected one of: {supported}",
            hint=f"use a location with one of the schemes: {supported}",
        )
    return make(config)


def _not_configured(scheme: str, missing: str) -> NotConfiguredError:
    return NotConfiguredError(
        f"blob URI: got {scheme!r}, which the settings say nothing of, expected {missing}",
        hint=f"add {missing} to the profile, or use another location",
    )
