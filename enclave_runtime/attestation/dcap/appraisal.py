"""What TDX and SGX judge alike: steps (0) and (4) of docs/protocol.md 4.3, and the verdict that both give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from enclave_runtime.attestation.dcap import layout, pck
from enclave_runtime.attestation.dcap.platform import Platform
from enclave_runtime.attestation.errors import AttestationError, Cause, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire.errors import WireError

__all__ = ["check_platform", "read_quote", "verdict_on"]

_TEE_TYPES = {TeeKind.TDX: layout.TEE_TYPE_TDX, TeeKind.SGX: layout.TEE_TYPE_SGX}
_SGX_TYPES = {0: "standard", 1: "scalable", 2: "scalable with memory integrity"}


def read_quote(evidence: Evidence, tee: TeeKind) -> layout.Quote:
    """Return the one quote of kind `tee` that the evidence is, exactly.

    Raises:
        AttestationError: step (0).
    """
    try:
        quote = layout.parse_quote(evidence.quote)
    except WireError as error:
        raise AttestationError(Step.PARSE, str(error), f"one {tee.value} quote, exactly") from error
    header = quote.header
    facts = (evidence.tee, header.tee_type, header.key_type, header.vendor_id, quote.signatures.cert_type)
    expected = (
        tee,
        _TEE_TYPES[tee],
        layout.KEY_TYPE_ECDSA_P256,
        layout.INTEL_QE_VENDOR_ID,
        pck.PCK_CHAIN_PEM,
    )
    if facts != expected:
        raise AttestationError(
            Step.PARSE, f"TEE, TEE type, key type, vendor and certification {facts}", f"{expected}"
        )
    return quote


def check_platform(platform: Platform, policy: AppraisalPolicy, now: int) -> None:
    """Refuse a platform whose patch level, processor or collateral policy does not accept.

    Raises:
        AttestationError: step (4).
    """
    rules = policy.intel
    policy.check_tcb(platform.status, platform.advisory_ids, platform.eval_numbers)
    policy.check_platform(platform.id_hash)
    age = now - platform.issued_at
    if rules.max_collateral_age_s is not None and age > rules.max_collateral_age_s:
        got, expected = f"collateral of {age} seconds ago", f"at most {rules.max_collateral_age_s}"
        raise AttestationError(Step.TCB, got, expected, Cause.COLLATERAL_OLD)
    if platform.pck.fmspc in rules.rejected_fmspcs:
        raise AttestationError(
            Step.TCB, f"FMSPC {platform.pck.fmspc.hex()}", "none of the rejected processors"
        )
    if rules.require_smt_off and (platform.pck.flags is None or platform.pck.flags[2]):
        raise AttestationError(Step.TCB, "hyper-threading on, or not stated", "hyper-threading off")


def verdict_on(
    quote: layout.Quote,
    measurement: bytes,
    platform: Platform,
    roots: RootSet,
    more: Callable[[layout.Quote], Mapping[str, str]],
) -> VerifiedEvidence:
    """Return the verdict on a quote that every step accepted.

    Args:
        quote: as parsed.
        measurement: of what was started, 32 bytes.
        platform: that signed it.
        roots: the trust anchor that it leads to.
        more: words for people about the quote's body, beside those about the platform.
    """
    return VerifiedEvidence(
        tee=TeeKind.SGX if quote.header.tee_type == layout.TEE_TYPE_SGX else TeeKind.TDX,
        root_set=roots.id,
        simulated=roots.simulated,
        measurement=measurement,
        report_data=quote.body.report_data,
        tcb_status=platform.status,
        advisory_ids=platform.advisory_ids,
        tcb_eval_number=min(platform.eval_numbers),
        platform_id_hash=platform.id_hash,
        canonical_id=layout.canonical_id(quote),
        collateral_expires_at=platform.span.last,
        facts=_Facts(quote, platform, more),
    )


class _Facts(Mapping[str, str]):
    """What quote and platform state, put into words when somebody reads it: most verdicts nobody does."""

    __slots__ = ("_made", "_more", "_platform", "_quote")

    def __init__(
        self, quote: layout.Quote, platform: Platform, more: Callable[[layout.Quote], Mapping[str, str]]
    ) -> None:
        self._quote, self._platform, self._more = quote, platform, more
        self._made: dict[str, str] | None = None

    def _words(self) -> dict[str, str]:
        if self._made is None:
            self._made = {**_platform_facts(self._quote, self._platform), **self._more(self._quote)}
        return self._made

    def __getitem__(self, name: str) -> str:
        return self._words()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words())

    def __len__(self) -> int:
        return len(self._words())

    def __repr__(self) -> str:
        return repr(self._words())


def _platform_facts(quote: layout.Quote, platform: Platform) -> dict[str, str]:
    hardware = platform.pck
    facts = {
        "quote version": str(quote.header.version),
        "fmspc": hardware.fmspc.hex(),
        "pck cpu svn": hardware.cpu_svn.hex(),
        "pck pce svn": str(hardware.pce_svn),
        "platform type": _SGX_TYPES.get(hardware.sgx_type, f"unknown ({hardware.sgx_type})"),
        "collateral issued at": str(platform.issued_at),
    }
    if hardware.flags is not None:
        names = ("dynamic platform", "cached keys", "hyper-threading")
        facts |= {name: "yes" if on else "no" for name, on in zip(names, hardware.flags, strict=True)}
    return facts
