"""Collateral from the vendors' own services: outside the CVM, cached in a folder, and believed by nobody."""

from __future__ import annotations

from pathlib import Path

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.wire.errors import WireError
from marketplace.collateral.base import CollateralUnavailableError
from marketplace.collateral.cache import Cache
from marketplace.collateral.hosts import Hosts
from marketplace.collateral.library import Library
from marketplace.collateral.web import Web

__all__ = ["VendorCollateral"]


class VendorCollateral:
    """Asks the vendors of a platform's processor and of its GPUs; safe to use from several threads."""

    def __init__(self, folder: Path, *, web: Web | None = None) -> None:
        """Take the folder of the cache, in which `hosts.toml` may name other services.

        Raises:
            BadInputError: a file of hosts that cannot be used.
        """
        self.folder = folder
        self._hosts = Hosts.load(folder)
        self._library = Library(Cache(folder), Web() if web is None else web)

    def __call__(self, evidence: Evidence, now: int) -> Collateral:
        """Return every statement that a verifier of `evidence` will ask for; see `CollateralSource`."""
        try:
            return self._processor(evidence, now) | self._devices(evidence, now)
        except WireError as error:
            raise CollateralUnavailableError(
                f"evidence: it does not say what to ask its vendor for: {error}"
            ) from error

    def _processor(self, evidence: Evidence, now: int) -> Collateral:
        # Loaded here: who reads a file needs no parser of quotes.
        if evidence.tee in (TeeKind.TDX, TeeKind.SGX):
            from marketplace.collateral.intel import fetch_intel

            return Collateral(intel=fetch_intel(evidence, self._library, self._hosts, now))
        if evidence.tee is TeeKind.SEV_SNP:
            from marketplace.collateral.amd import fetch_amd

            return Collateral(amd=fetch_amd(evidence, self._library, self._hosts, now))
        if evidence.tee is TeeKind.NITRO:
            return Collateral()  # its document brings its chain, and there is no service to ask
        raise CollateralUnavailableError(
            f"{evidence.tee.value}: no service hands out its platforms' keys",
            hint="`cloister collateral pack --cpak` writes the endorsed keys into a bundle (file:)",
        )

    def _devices(self, evidence: Evidence, now: int) -> Collateral:
        if evidence.gpu is None:
            return Collateral()
        from marketplace.collateral.nvidia import fetch_nvidia

        return Collateral(nvidia=fetch_nvidia(evidence.gpu, self._library, self._hosts, now))
