"""A party's trust settings as values that verification takes (docs/protocol.md sections 4.3 and 4.4)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.orders import RuntimePolicy
from marketplace.domain.order import runtime_policy
from marketplace.domain.tcb import tcb_level, words_within
from marketplace.errors import BadInputError
from marketplace.sdk.settings import Trust
from marketplace.sdk.verdict import TrustAnchor

if TYPE_CHECKING:
    from enclave_runtime.attestation.collateral import Collateral
    from enclave_runtime.attestation.model import Evidence

__all__ = ["anchor_of", "anchor_with", "order_policy", "root_set_of"]


def root_set_of(trust: Trust) -> RootSet:
    """Return the trust anchor of these settings.

    Raises:
        BadInputError: none, an unknown one, or a SIMULATED one without `unsafe_accept_simulated`.
    """
    try:
        roots = RootSet.parse(trust.root_set)
    except WireError as error:
        raise BadInputError(
            "trust: root_set", repr(trust.root_set[:80]), "intel, or dev: and 64 hex digits"
        ) from error
    if roots.simulated and not trust.unsafe_accept_simulated:
        raise BadInputError(
            "trust: root_set",
            f"the SIMULATED root set {roots.id}",
            "a hardware vendor's",
            hint="for development alone: unsafe_accept_simulated = true; it protects nothing",
        )
    if not trust.measurements:
        raise BadInputError("trust: measurements", "none", "the measurements of runtimes that you accept")
    return roots


def anchor_of(trust: Trust, evidence: Evidence | None = None, *, now: int = 0) -> TrustAnchor:
    """Return what these settings believe, with collateral from their own source.

    Raises:
        BadInputError: nothing to believe, or a source that needs evidence and got none.
        CollateralUnavailableError: no collateral.
    """
    from marketplace.collateral.sources import FileCollateral, open_source

    roots = root_set_of(trust)
    if not trust.collateral:
        raise BadInputError("trust: collateral", "nothing", "a file with the vendor's statements")
    source = open_source(trust.collateral)
    if evidence is None and not isinstance(source, FileCollateral):
        raise BadInputError(
            "trust: collateral", "a source that asks the platform", "a file, where nothing is given"
        )
    return anchor_with(trust, roots, source(evidence, now))  # type: ignore[arg-type]  # files do not look at it


def anchor_with(trust: Trust, roots: RootSet, collateral: Collateral) -> TrustAnchor:
    """Return what these settings believe, with this collateral."""
    policy = AppraisalPolicy(
        root_sets=frozenset({roots.id}),
        measurements=frozenset(trust.measurements),
        tcb_statuses=words_within(tcb_level(trust.worst_tcb)),
        min_tcb_eval_number=trust.min_tcb_eval_number,
        rejected_advisories=frozenset(trust.rejected_advisories),
        platforms=None if trust.platforms is None else frozenset(trust.platforms),
        simulated=UnsafeAcceptSimulated(roots.id) if roots.simulated else None,
        intel=trust.intel,
        snp=trust.snp,
        gpu=trust.gpu,
    )
    return TrustAnchor(roots, policy, collateral)


def order_policy(trust: Trust) -> RuntimePolicy:
    """Return which runtimes an order of this party accepts: those that it believes itself.

    Raises:
        BadInputError: as `root_set_of`.
    """
    return runtime_policy(
        frozenset({root_set_of(trust).id}),
        frozenset(kind.wire for kind in trust.tees),
        frozenset(trust.measurements),
        tcb_level(trust.worst_tcb),
    )


def collateral_file(trust: Trust) -> Path | None:
    """Return the path of these settings' collateral where it is a file."""
    scheme, _, path = trust.collateral.partition(":")
    return Path(path) if scheme == "file" else None
