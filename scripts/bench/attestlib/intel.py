"""What TDX and SGX measure alike: ours against bare dcap-qvl on the same quote and collateral."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import dcap_qvl

from attestlib.result import VendorResult, after, flip_bytes, interleaved
from enclave_runtime.attestation.collateral import Collateral, IntelCollateral
from enclave_runtime.attestation.dcap import layout, platform
from enclave_runtime.attestation.dcap.registers import SgxRegisters, TdxRegisters
from enclave_runtime.attestation.errors import AttestationError
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.roots import RootSet
from tests.evidence import vectors

__all__ = ["measure"]

_STATUSES = frozenset(
    {"UpToDate", "OutOfDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"}
)
_EVERY_NTH_CERTIFICATE_BYTE = 7


def measure(tee: TeeKind, fastest: str) -> VendorResult:
    """Return the row of one TEE.

    Args:
        tee: TDX or SGX.
        fastest: file of the vector that is timed and flipped; it must verify.
    """
    kind = f"{tee.value}-quote"
    checks = [item.values[0] for result in ("ok", "reject") for item in vectors.checks(kind, result)]
    missed = tuple(check.name for check in checks if _outcome(tee, check) != check.check["result"])
    timed = next(check for check in checks if check.row["file"] == fastest and check.check["result"] == "ok")
    ours = _verification(tee, timed)
    quote = vectors.quote_of(timed.row)
    platform.forget()
    flips = flip_bytes(quote, _places(quote), ours)
    again, library = partial(ours, quote), _library(timed, quote)
    runs = (again, after(platform.forget_verdicts, again), library)
    cached, whole, peer = interleaved(*runs)
    (first, _) = interleaved(after(platform.forget, again), library)
    return VendorResult(
        tried=len(checks),
        missed=missed,
        ms=whole,
        peer=f"dcap-qvl {dcap_qvl.__version__}",
        peer_ms=peer,
        flips=flips,
        more={
            "ms_cached": round(cached, 4),
            "ratio_cached": round(cached / peer, 3),
            "ms_first": round(first, 4),
            "ratio_first": round(first / peer, 3),
        },
    )


def _library(check: vectors.Check, quote: bytes) -> Callable[[], object]:
    part = vectors.collateral(check.check["collateral"]).need("intel")
    package = dcap_qvl.QuoteCollateralV3.from_json(part.to_bytes().decode())
    return lambda: dcap_qvl.verify(quote, package, check.check["now"])


def _outcome(tee: TeeKind, check: vectors.Check) -> str:
    try:
        verdict = _verification(tee, check)(_bytes(check))
    except AttestationError:
        return "reject"
    right = verdict.tcb_status == check.check["tcb_status"] and not verdict.simulated
    return "ok" if right else f"ok, with status {verdict.tcb_status}"


def _bytes(check: vectors.Check) -> bytes:
    try:
        return vectors.quote_of(check.row)
    except ValueError:
        return vectors.raw_bytes(check.row)


def _verification(tee: TeeKind, check: vectors.Check) -> Callable[[bytes], VerifiedEvidence]:
    """Return our whole verification at the check's time, with a policy that its own facts satisfy."""
    collateral = _whole(vectors.collateral(check.check["collateral"]))
    policy = AppraisalPolicy(
        root_sets=frozenset({"intel"}),
        measurements=frozenset({_measurement(_bytes(check))}),
        tcb_statuses=_STATUSES,
        accept_mixed_eval_numbers=True,
    )
    verifier, roots = verifier_for(tee), RootSet.intel()
    report_data = bytes.fromhex(check.row["fields"]["report_data"])

    def verify(quote: bytes) -> VerifiedEvidence:
        return verifier.verify(
            Evidence(tee, quote),
            collateral,
            roots=roots,
            policy=policy,
            expected_report_data=report_data,
            now=check.check["now"],
        )

    return verify


def _whole(collateral: Collateral | IntelCollateral) -> Collateral:
    return collateral if isinstance(collateral, Collateral) else Collateral(intel=collateral)


def _measurement(data: bytes) -> bytes:
    try:
        body = layout.parse_quote(data).body
    except ValueError:
        return bytes(32)
    if isinstance(body, layout.TdBody):
        return TdxRegisters.of(body).measurement()
    return SgxRegisters.of(body).measurement()


def _places(quote: bytes) -> list[int]:
    """Return every byte up to the certificates, and of those a sample: PEM has bytes that say nothing."""
    start = len(quote) - len(layout.parse_quote(quote).signatures.cert_data)
    return [*range(start), *range(start, len(quote), _EVERY_NTH_CERTIFICATE_BYTE)]
