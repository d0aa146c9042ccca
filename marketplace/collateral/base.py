"""The one interface of a collateral source."""

from __future__ import annotations

from typing import Protocol

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.model import Evidence
from marketplace.errors import MarketError

__all__ = ["CollateralSource", "CollateralUnavailableError"]


class CollateralUnavailableError(MarketError):
    """No collateral for this evidence can be had from here now."""


class CollateralSource(Protocol):
    """Fetches the vendor's statements about one platform."""

    def __call__(self, evidence: Evidence, now: int) -> Collateral:
        """Return collateral for the platform that made `evidence`, at Unix time `now`, in seconds.

        Raises:
            CollateralUnavailableError: it cannot be had. Whether it is good, the verifier says.
        """
        ...
