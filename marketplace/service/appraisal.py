"""Judging evidence with what the network has to add: collateral in, verdict out (sections 4.2 and 4.3).

Services see only the `Appraiser`; settings say which trust anchors it believes, never the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from enclave_runtime.attestation.errors import AttestationError, OtherRootError, Step
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.report_data import Purpose
from marketplace.collateral.base import CollateralUnavailableError
from marketplace.domain.anchors import kinds_of
from marketplace.errors import BadInputError
from marketplace.service.settings import Table

if TYPE_CHECKING:
    from enclave_runtime.attestation.bundle import EvidenceBundle
    from enclave_runtime.attestation.model import TeeKind, VerifiedEvidence
    from marketplace.collateral.base import CollateralSource

__all__ = ["Appraiser", "PolicyAppraiser", "take_collateral"]


_Reason: TypeAlias = AttestationError | CollateralUnavailableError


class _Weight(IntEnum):
    """How much a reason says of evidence that no anchor verifies."""

    OTHER_ROOT = 0
    NOT_ACCEPTED = 1
    UNKNOWN = 2
    REFUSED = 3


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

    Anchors of other vendors than the evidence's are passed over. Where none verifies it, the reason that says
    most is raised: a refusal under the evidence's own root, before collateral that could not be had, before
    "another root".

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
        reasons: list[tuple[_Weight, _Reason]] = []
        for root_set in self._anchors(bundle.evidence.tee):
            roots, policy = RootSet.parse(root_set), self.policy(root_set)
            try:
                policy.check_roots(roots)  # before anything is fetched
            except AttestationError as error:
                reasons.append((_Weight.NOT_ACCEPTED, error))
                continue
            try:
                return appraise(
                    bundle,
                    self.sources[root_set](bundle.evidence, now),
                    roots=roots,
                    policy=policy,
                    expected_report_data=expected,
                    now=now,
                )
            except (AttestationError, CollateralUnavailableError) as error:
                reasons.append((_weight(error), error))
                if isinstance(error, AttestationError) and error.step != Step.CHAIN.value:
                    raise  # this anchor's evidence, and not acceptable
        raise max(reasons, key=lambda reason: reason[0])[1]  # the first of the weightiest

    def _anchors(self, tee: TeeKind) -> list[str]:
        """Return the anchors that certify platforms of this kind, in the order of trying.

        Raises:
            AttestationError: there is none.
        """
        if not self.sources:
            raise AttestationError(Step.POLICY, "no trust anchor in the settings", "at least one")
        found = [root_set for root_set in self.sources if tee in kinds_of(root_set)]
        if not found:
            raise AttestationError(
                Step.CHAIN, f"{tee.value} evidence", f"evidence under {' or '.join(sorted(self.sources))}"
            )
        return found


def _weight(reason: _Reason) -> _Weight:
    if isinstance(reason, OtherRootError):
        return _Weight.OTHER_ROOT
    return _Weight.UNKNOWN if isinstance(reason, CollateralUnavailableError) else _Weight.REFUSED


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
