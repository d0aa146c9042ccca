"""Where the vendor's signed statements come from; believes nothing that it carries (protocol section 4.2)."""

from marketplace.collateral.base import CollateralSource, CollateralUnavailableError
from marketplace.collateral.sources import FileCollateral, SimulatedPlatformCollateral, open_source
from marketplace.collateral.vendors import VendorCollateral

__all__ = [
    "CollateralSource",
    "CollateralUnavailableError",
    "FileCollateral",
    "SimulatedPlatformCollateral",
    "VendorCollateral",
    "open_source",
]
