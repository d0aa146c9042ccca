"""Where blobs lie and may be fetched from: the section [storage] of the settings file, all of it optional.

```
[storage]
put = "file"                           # where new blobs go: file, ipfs or s3
silent_s = 45                          # how long a server may say nothing, in all attempts together
[storage.ipfs]
api = "http://127.0.0.1:5001"          # of an IPFS node
[storage.s3]
bucket = "models"                      # credentials come from where boto looks, never from here
prefix = "cloister/"                   # before the names of new blobs
endpoint = "https://s3.example.org"    # left out: AWS
region = "eu-central-1"
profile = "cloister"                   # section of boto's files
[storage.web]                          # https: locations are strangers' words
allow_networks = ["10.20.0.0/16"]      # private networks that they may lead into
dangerous_allow_loopback = false       # true opens this machine's own services to every manifest's author
[storage.cache]                        # a provider's ciphertext: kept while orders run, else oldest first
folder = "cache"
gib = 100
```
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from marketplace.errors import BadInputError
from marketplace.sdk.settings import ConfigTable

if TYPE_CHECKING:
    from marketplace.storage.cache import CiphertextCache
    from marketplace.storage.stores import Stores

__all__ = ["Storage"]

_PUT = ("file", "ipfs", "s3")


@dataclass(frozen=True, slots=True)
class Storage:
    """The section, as plain values: stores are imported when they are opened.

    Attributes:
        put: scheme of new blobs.
        silent_s: how long a server of any scheme may say nothing, in all attempts together, seconds.
        ipfs_api: None where there is no node.
        s3: bucket, prefix, endpoint, region, profile; None where there is no service.
        networks: private networks that strangers' locations may lead into, as texts.
        cache: folder of the provider's cache; None for `<home>/cache`.
        cache_gib: its size.
    """

    put: str = "file"
    ipfs_api: str | None = None
    s3: tuple[str, str, str | None, str | None, str | None] | None = None
    networks: tuple[str, ...] = ()
    dangerous_allow_loopback: bool = False
    cache: Path | None = None
    cache_gib: int = 100
    silent_s: int = 45

    @classmethod
    def take(cls, table: ConfigTable) -> Storage:
        """Take the section.

        Raises:
            BadInputError: a value of the wrong form, or `put` without the section that it needs.
        """
        section = table.part("storage")
        ipfs, s3, web = section.part("ipfs"), section.part("s3"), section.part("web")
        cache = section.part("cache")
        has_s3 = bool(s3.names())
        storage = cls(
            section.choice("put", _PUT, "file"),
            ipfs.maybe_text("api"),
            (
                s3.text("bucket"),
                s3.maybe_text("prefix") or "",
                s3.maybe_text("endpoint"),
                s3.maybe_text("region"),
                s3.maybe_text("profile"),
            )
            if has_s3
            else None,
            web.texts("allow_networks", []),
            web.flag("dangerous_allow_loopback", False),
            cache.maybe_path("folder"),
            cache.integer("gib", 100, least=1, most=1 << 20),
            section.integer("silent_s", 45, least=5, most=3600),
        )
        for part in (ipfs, s3, web, cache, section):
            part.done()
        storage._networks()
        if {"ipfs": storage.ipfs_api, "s3": storage.s3}.get(storage.put, storage) is None:
            raise BadInputError("storage: put", repr(storage.put), f"a section [storage.{storage.put}] too")
        return storage

    def stores(self, local: Path) -> Stores:
        """Open all stores; `local` is the folder of the local one."""
        from marketplace.storage.network import NetworkPolicy
        from marketplace.storage.patience import Patience
        from marketplace.storage.registry import StorageConfig
        from marketplace.storage.s3 import S3Config
        from marketplace.storage.stores import Stores

        network = NetworkPolicy(self._networks(), self.dangerous_allow_loopback)
        s3 = None if self.s3 is None else S3Config(*self.s3)
        return Stores(
            StorageConfig(
                local,
                ipfs_api=self.ipfs_api,
                s3=s3,
                network=network,
                patience=Patience.of(self.silent_s),
                put_scheme=self.put,
            )
        )

    def open_cache(self, home: Path, stores: Stores) -> CiphertextCache:
        """Open the provider's cache of what is fetched through `stores`."""
        from marketplace.storage.cache import CiphertextCache

        return CiphertextCache(
            self.cache or home / "cache",
            self.cache_gib << 30,
            stores.store_of,
            patience=stores.config.patience,
        )

    def _networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        try:
            return tuple(ipaddress.ip_network(text) for text in self.networks)
        except ValueError as error:
            raise BadInputError(
                "storage: web: allow_networks", str(error), "networks like 10.0.0.0/8"
            ) from error
