"""The vendor's words for a platform's patch level, as certificates and orders number it (protocol 4.5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.snp_rules import UNRATED
from enclave_runtime.wire.cvm import TcbStatus
from marketplace.domain.anchors import kinds_of
from marketplace.errors import BadInputError

__all__ = [
    "TCB_WORDS",
    "UNRATED_KINDS",
    "VERIFY_ONLY",
    "refuse_unrated_kinds",
    "refuse_unrated_roots",
    "tcb_level",
    "words_within",
]

UNRATED_KINDS: Final = frozenset({TeeKind.NITRO, TeeKind.CCA})
"""Kinds whose every platform is "Unrated": a word that certificates and contracts do not have (ADR 0026)."""
VERIFY_ONLY: Final = (
    "nobody rates the patches of Nitro and CCA platforms, and certificates and contracts have no word for"
    " that: their evidence can be verified (`cloister attest verify --tcb Unrated`), but no CVM of theirs is"
    " certified or gets a key"
)

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
    if word == UNRATED:
        raise BadInputError("TCB status", repr(word), f"one of {list(TCB_WORDS)}: {VERIFY_ONLY}")
    if level is None:
        raise BadInputError("TCB status", repr(word[:60]), f"one of {list(TCB_WORDS)}")
    return level


def refuse_unrated_kinds(name: str, kinds: Iterable[TeeKind]) -> None:
    """Refuse a list of accepted kinds with one that can be verified only.

    Raises:
        BadInputError: names the kinds, and says why.
    """
    unrated = sorted(kind.value for kind in kinds if kind in UNRATED_KINDS)
    if unrated:
        raise BadInputError(name, " and ".join(unrated), f"kinds that are rated: {VERIFY_ONLY}")


def refuse_unrated_roots(name: str, root_sets: Iterable[str]) -> None:
    """Refuse a list of accepted root sets with one under which evidence can be verified only.

    Raises:
        BadInputError: names the root sets, and says why.
    """
    unrated = sorted(root_set for root_set in root_sets if kinds_of(root_set) <= UNRATED_KINDS)
    if unrated:
        raise BadInputError(name, " and ".join(unrated), f"roots whose platforms are rated: {VERIFY_ONLY}")


def words_within(worst: TcbStatus) -> frozenset[str]:
    """Return the words for every level that is no worse than `worst`; REVOKED is never among them."""
    return frozenset(
        word for word, level in TCB_WORDS.items() if level <= worst and level is not TcbStatus.REVOKED
    )
