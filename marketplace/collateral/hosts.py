"""Whom to ask: the vendors' own services, or those that a file in the cache folder names instead."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from marketplace.errors import BadInputError

__all__ = ["HOSTS_FILE", "Hosts"]

HOSTS_FILE = "hosts.toml"
_MAX_FILE_BYTES = 1 << 14
_MEMBERS = {"pccs": "pcs", "kds": "kds", "rim": "rim", "ocsp": "ocsp"}
_URL = re.compile(
    r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?"
)


@dataclass(frozen=True, slots=True)
class Hosts:
    """Addresses of services, without a slash at the end.

    Evidence and certificates never name one: what they say about where to ask is not looked at.

    Attributes:
        pcs: Intel's service, or a cache of it.
        root_crl: the list of Intel's root where it lies elsewhere; empty for a cache, which has it.
        kds: AMD's service.
        rim: NVIDIA's service of manifests.
        ocsp: NVIDIA's responder.
    """

    pcs: str = "https://api.trustedservices.intel.com"
    root_crl: str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
    kds: str = "https://kdsintf.amd.com"
    rim: str = "https://rim.attestation.nvidia.com"
    ocsp: str = "https://ocsp.ndis.nvidia.com"

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the vendors' own, but for those that `hosts.toml` in `folder` names.

        Raises:
            BadInputError: a file that cannot be read, an unknown member, or something else than a URL.
        """
        path = folder / HOSTS_FILE
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_FILE_BYTES).decode("utf-8")
            named = tomllib.loads(text)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            raise BadInputError(str(path), str(error), "addresses of services, in TOML") from error
        hosts = cls()
        for name, url in named.items():
            if name not in _MEMBERS or not isinstance(url, str) or not _URL.fullmatch(url):
                expected = f"some of {', '.join(_MEMBERS)}, each an http or https address without a query"
                raise BadInputError(str(path), f"{name} = {str(url)[:80]!r}", expected)
            hosts = replace(hosts, **{_MEMBERS[name]: url.rstrip("/")})
            if name == "pccs":
                hosts = replace(hosts, root_crl="")
        return hosts
