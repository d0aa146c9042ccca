"""A device's measurements against the manifests of its driver and its firmware.

A manifest that is not there is never a match: what nobody vouches for is unknown, and unknown is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from enclave_runtime.attestation.nvidia.evidence import DeviceKind
from enclave_runtime.attestation.nvidia.facts import NVDEC_OFF, NVDEC_ON, Facts
from enclave_runtime.attestation.nvidia.identity import Identity
from enclave_runtime.attestation.nvidia.ocsp import Answer, check_certificate
from enclave_runtime.attestation.nvidia.refusals import Check, DeviceError
from enclave_runtime.attestation.nvidia.rim import Rim
from enclave_runtime.attestation.nvidia.spdm import Report
from enclave_runtime.attestation.roots import GpuRoots
from enclave_runtime.attestation.rules import GpuRules

__all__ = ["References", "check_measurements"]

_NVDEC_INDEX = 35
"""Measured only while video decoder 0 is on."""


@dataclass(frozen=True, slots=True)
class References:
    """Everything that measurements are held against.

    Attributes:
        rims: manifests whose signatures hold.
        answers: of OCSP, parsed.
        roots: to which device and manifest must chain, together.
        rules: for dates and revocation.
        now: Unix time, in seconds.
    """

    rims: tuple[Rim, ...]
    answers: tuple[Answer, ...]
    roots: GpuRoots
    rules: GpuRules
    now: int


def check_measurements(report: Report, facts: Facts, identity: Identity, given: References) -> int | None:
    """Refuse measurements that no manifest knows; return when the manifests' proofs end, in Unix seconds.

    Raises:
        DeviceError: a manifest is missing, not NVIDIA's, out of date, revoked, in conflict, or not met.
    """
    wanted = [("firmware", facts.vbios)]
    if identity.kind is DeviceKind.GPU:
        wanted.insert(0, ("driver", facts.driver))
    found = [_matching(name, version, report, facts, identity, given) for name, version in wanted]
    indices = [index for rim, _ in found for index in rim.measurements]
    if len(set(indices)) != len(indices):
        twice = sorted({index for index in indices if indices.count(index) > 1})
        raise DeviceError(Check.RIM, f"manifests that both measure {twice}", "each index in one manifest")
    return min((end for _, end in found if end is not None), default=None)


def _matching(
    name: str, version: str, report: Report, facts: Facts, identity: Identity, given: References
) -> tuple[Rim, int | None]:
    """Return the manifest of a version that everything holds for; boards may share versions, so try each."""
    rims = [
        rim for rim in given.rims if (rim.product.replace("_", ""), rim.version) == (identity.chip, version)
    ]
    refusal = DeviceError(
        Check.RIM, f"no manifest of {name} {version} for {identity.chip}: unknown", "a signed manifest (RIM)"
    )
    for rim in rims:
        try:
            end = _check_signer(rim, identity, given)
            _compare(name, rim, report.measurements, facts)
        except DeviceError as error:
            refusal = error
        else:
            return rim, end
    raise refusal


def _check_signer(rim: Rim, identity: Identity, given: References) -> int | None:
    """Refuse a manifest whose signer is not the pinned root's, not in its dates, or revoked."""
    chain = rim.chain
    if not given.roots.accepts(identity.chain.root_der, chain.root_der):
        raise DeviceError(
            Check.RIM,
            f"a manifest for {rim.version} whose chain ends in another root",
            f"roots {given.roots.id}",
        )
    signed_from = int(chain.leaf.not_valid_before_utc.timestamp())
    at_signing = given.rules.rim_dates_at_signing
    at = signed_from if at_signing else given.now
    if not chain.not_before <= at <= chain.not_after or given.now < signed_from:
        raise DeviceError(
            Check.RIM,
            f"a manifest for {rim.version} whose signers hold from {chain.not_before} to {chain.not_after}",
            f"the {'beginning of its signing' if at_signing else 'present'} time {at} within",
        )
    ends = [
        check_certificate(cert, issuer, given.answers, required=given.rules.ocsp_required, now=given.now)
        for cert, issuer in zip(chain.certs[:-1], chain.ders[1:], strict=True)
    ]
    known = [end for end in ends if end is not None]
    return min(known if at_signing else [*known, chain.not_after], default=None)


def _compare(name: str, rim: Rim, measurements: Sequence[bytes], facts: Facts) -> None:
    differing = [
        index
        for index in _compared(rim.measurements, facts)
        if index >= len(measurements) or measurements[index] not in rim.measurements[index]
    ]
    if differing:
        raise DeviceError(
            Check.MEASUREMENT,
            f"{name} {rim.version} with other values at indices {differing}",
            "the values of its manifest: debug firmware and changed drivers differ here",
        )


def _compared(indices: Iterable[int], facts: Facts) -> Iterable[int]:
    """Return the indices to compare: all, but for the video decoder's while it is off."""
    wanted = sorted(indices)
    if _NVDEC_INDEX not in wanted or facts.nvdec == NVDEC_ON:
        return wanted
    if facts.nvdec == NVDEC_OFF:
        return [index for index in wanted if index != _NVDEC_INDEX]
    raise DeviceError(Check.MEASUREMENT, f"video decoder status {facts.nvdec}", f"{NVDEC_ON} or {NVDEC_OFF}")
