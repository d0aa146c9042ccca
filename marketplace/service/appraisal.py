"""Judging evidence with what the network has to add: collateral in, verdict out (sections 4.2 and 4.3).

Services see only the `Appraiser`; settings say which trust anchors it believes, never the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.report_data import Purpose
from marketplace.errors import BadInputError
from marketplace.service.settings import Table

if TYPE_CHECKING:
    from enclave_runtime.attestation.bundle import EvidenceBundle
    from enclave_runtime.attestation.model import VerifiedEvidence
    from marketplace.collateral.base import CollateralSource

__all__ = ["Appraiser", "PolicyAppraiser", "take_collateral"]


class Appraiser(Protocol):
    """Believes evidence or refuses it, for one purpose, operator and challenge of the caller's own."""

    def __call__(
        self, bundle: EvidenceBundle, *, purpose: Purpose, operator: bytes, challenge: bytes, now: int
    ) -> VerifiedEvidence:
        """Return the verdict on `bundle` at Unix time `now`, in seconds.

        Raises:
            AttestationError: names the first step that failed.
            MarketError: no collateral could be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class PolicyAppraiser:
    """Holds evidence against each configured trust anchor in turn; the first that verifies it, counts.

    Attributes:
        policy: what is accepted under a root set id.
        sources: root set id -> where its collateral comes from; the order is the order of trying.
    """

    policy: Callable[[str], AppraisalPolicy]
    sources: Mapping[str, CollateralSource]

    def __call__(
        self, bundle: EvidenceBundle, *, purpose: Purpose, operator: bytes, challenge: bytes, now: int
    ) -> VerifiedEvidence:
        """Return the verdict; see `Appraiser`."""
        from enclave_runtime.attestation.appraise import appraise  # loads the vendor's library

        expected = bundle.keys.report_data(
            purpose, operator=operator, challenge=challenge, gpu=bundle.evidence.gpu
        )
        refusal = AttestationError(Step.POLICY, "no trust anchor in the settings", "at least one")
        for root_set, source in self.sources.items():
            roots, policy = RootSet.parse(root_set), self.policy(root_set)
            try:
                policy.check_roots(roots)  # before anything is fetched
                return appraise(
                    bundle,
                    source(bundle.evidence, now),
                    roots=roots,
                    policy=policy,
                    expected_report_data=expected,
                    now=now,
                )
            except AttestationError as error:
                refusal = error
                if error.step != Step.CHAIN.value:  # this anchor's evidence, and not acceptable
                    break
        raise refusal


def take_collateral(table: Table) -> dict[str, CollateralSource]:
    """Take [collateral]: root set id = "<scheme>:<path>", paths relative to the file.

    Raises:
        BadInputError: an id that is no root set, or an unknown source.
    """
    from marketplace.collateral.sources import open_source

    section = table.table("collateral")
    sources = {}
    for root_set in section.names():
        try:
            RootSet.parse(root_set)
        except WireError as error:
            raise BadInputError("collateral", str(error), "a root set id") from error
        scheme, _, path = section.text(root_set).partition(":")
        sources[root_set] = open_source(f"{scheme}:{(section.base / path).absolute()}")
    return sources
