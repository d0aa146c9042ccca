"""Where collateral comes from, by the name that settings give: a file that somebody keeps fresh, the vendors'
services with a cache folder, or a SIMULATED platform's socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.attestation.collateral import MAX_COLLATERAL_BYTES, Collateral
from enclave_runtime.attestation.model import Evidence
from enclave_runtime.wire.errors import EnclaveError, WireError
from marketplace.collateral.base import CollateralSource, CollateralUnavailableError
from marketplace.collateral.vendors import VendorCollateral
from marketplace.errors import BadInputError

__all__ = ["SCHEMES", "FileCollateral", "SimulatedPlatformCollateral", "open_source"]


@dataclass(frozen=True, slots=True)
class FileCollateral:
    """Reads `path` at every call, so that whoever renews the file needs to tell nobody."""

    path: Path

    def __call__(self, evidence: Evidence, now: int) -> Collateral:
        """Return what the file holds now; see `CollateralSource`."""
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_COLLATERAL_BYTES + 1)
            return Collateral.from_bytes(data)
        except (OSError, WireError) as error:
            raise CollateralUnavailableError(
                f"collateral file {self.path}: {error}",
                hint="renew the file, or name another in the settings",
            ) from error


@dataclass(frozen=True, slots=True)
class SimulatedPlatformCollateral:
    """Asks a SIMULATED platform for collateral of the moment: for chains whose clock is not the wall's."""

    socket: Path

    def __call__(self, evidence: Evidence, now: int) -> Collateral:
        """Return collateral issued around `now`; see `CollateralSource`."""
        # Loaded here: a profile without simulated TEEs has no such package.
        from enclave_runtime.attestation.simulated.client import PlatformClient

        try:
            return PlatformClient(self.socket).collateral(now)
        except EnclaveError as error:
            raise CollateralUnavailableError(str(error), hint="is the simulated platform running?") from error


SCHEMES: dict[str, Callable[[Path], CollateralSource]] = {
    "file": FileCollateral,
    "vendor": VendorCollateral,
    "simulated": SimulatedPlatformCollateral,
}


def open_source(location: str) -> CollateralSource:
    """Return the source that settings name as "<scheme>:<absolute path>".

    Raises:
        BadInputError: an unknown scheme or a relative path.
    """
    scheme, _, path = location.partition(":")
    if scheme not in SCHEMES or not path.startswith("/"):
        expected = " or ".join(f"{name}:/absolute/path" for name in SCHEMES)
        raise BadInputError("collateral source", repr(location[:120]), expected)
    return SCHEMES[scheme](Path(path))
