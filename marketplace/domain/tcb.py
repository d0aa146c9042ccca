"""The vendor's words for a platform's patch level, as certificates and orders number it (protocol 4.5)."""

from __future__ import annotations

from typing import Final

from enclave_runtime.wire.cvm import TcbStatus
from marketplace.errors import BadInputError

__all__ = ["TCB_WORDS", "tcb_level", "words_within"]

TCB_WORDS: Final[dict[str, TcbStatus]] = {
    "UpToDate": TcbStatus.UP_TO_DATE,
    "SWHardeningNeeded": TcbStatus.SW_HARDENING_NEEDED,
    "ConfigurationNeeded": TcbStatus.CONFIGURATION_NEEDED,
    "ConfigurationAndSWHardeningNeeded": TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    "OutOfDate": TcbStatus.OUT_OF_DATE,
    "OutOfDateConfigurationNeeded": TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    "Revoked": TcbStatus.REVOKED,
}
"""Best first. Vendors with other words map them to these where their evidence is verified."""


def tcb_level(word: str) -> TcbStatus:
    """Return the number of a vendor's word.

    Raises:
        BadInputError: no such word.
    """
    level = TCB_WORDS.get(word)
    if level is None:
        raise BadInputError("TCB status", repr(word[:60]), f"one of {list(TCB_WORDS)}")
    return level


def words_within(worst: TcbStatus) -> frozenset[str]:
    """Return the words for every level that is no worse than `worst`; REVOKED is never among them."""
    return frozenset(
        word for word, level in TCB_WORDS.items() if level <= worst and level is not TcbStatus.REVOKED
    )
