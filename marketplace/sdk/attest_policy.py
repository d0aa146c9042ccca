"""What the reader of evidence accepts, by flags and a policy file, and what such a file could say.

A policy file has the section [trust] of a profile (docs/guides/auditor.md), so that a profile's own
`config.toml` is one. A SIMULATED root set counts only where the reader names it besides: no file can consent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.dcap import layout as dcap
from enclave_runtime.attestation.dcap import pck
from enclave_runtime.attestation.errors import AttestationError
from enclave_runtime.attestation.intel_rules import IntelRules
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.policy import UP_TO_DATE, AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.roots import AMD, INTEL, NITRO, RootSet
from enclave_runtime.attestation.rules import GpuRules, SnpRules
from enclave_runtime.attestation.snp_rules import UNRATED
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.errors import WireError
from marketplace.domain.tcb import TCB_WORDS, tcb_level, words_within
from marketplace.errors import BadInputError
from marketplace.sdk.attest_words import measurement_of, report_data_of
from marketplace.sdk.settings import ConfigTable, Trust
from marketplace.service.settings import load

__all__ = ["Accepted", "Suggestion", "accepted", "hex_bytes", "suggest"]

_WORDS = frozenset({*TCB_WORDS, UNRATED})
_VENDORS = (INTEL, *AMD.values(), NITRO)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the reader accepts; empty accepts nothing.

    Attributes:
        root_set: id of the one trust anchor for the CPU's evidence, or empty.
        measurements: reference values, 32 bytes each.
        tcb: the vendor's words for accepted patch levels.
        simulated: ids of "dev:" root sets that the reader consented to by name.
        min_tcb_eval_number: floor for the edition of the vendor's TCB data.
        rejected_advisories: the vendor's advisories that refuse even an accepted patch level.
        platforms: accepted platform id hashes, or None for any.
        intel, snp, gpu: vendors' rules.
    """

    root_set: str = ""
    measurements: frozenset[bytes] = frozenset()
    tcb: frozenset[str] = frozenset({UP_TO_DATE})
    simulated: frozenset[str] = frozenset()
    min_tcb_eval_number: int = 0
    rejected_advisories: frozenset[str] = frozenset()
    platforms: frozenset[bytes] | None = None
    intel: IntelRules = field(default_factory=IntelRules)
    snp: SnpRules = field(default_factory=SnpRules)
    gpu: GpuRules | None = None

    def policy(self) -> AppraisalPolicy:
        """Return the policy to appraise by."""
        gpu = self.gpu
        if gpu is not None and gpu.simulated is not None and gpu.simulated.root_set not in self.simulated:
            gpu = replace(gpu, simulated=None)
        return AppraisalPolicy(
            root_sets=frozenset({self.root_set} if self.root_set else ()),
            measurements=self.measurements,
            tcb_statuses=self.tcb,
            min_tcb_eval_number=self.min_tcb_eval_number,
            platforms=self.platforms,
            rejected_advisories=self.rejected_advisories,
            simulated=UnsafeAcceptSimulated(self.root_set) if self.root_set in self.simulated else None,
            intel=self.intel,
            snp=self.snp,
            gpu=gpu,
        )


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a policy that accepts this evidence would say: copied from it, and so no reason to believe it.

    Attributes:
        root_set: of the root that evidence or collateral end in, or empty where none is there.
        measurement: 0x-hex.
        tcb: the patch level's word, or why it is unknown.
    """

    root_set: str
    measurement: str
    tcb: str


def accepted(
    file: Path | None,
    root_set: str,
    measurements: Iterable[str],
    tcb: Iterable[str],
    simulated: Iterable[str],
    platforms: Iterable[str] = (),
) -> Accepted:
    """Return what a policy file and flags accept; each flag stands in place of what the file says.

    Raises:
        BadInputError: a value of the wrong form.
        NotFoundError: no such file.
    """
    consented, words = frozenset(simulated), frozenset(tcb)
    try:
        made = Accepted() if file is None else _of_file(file)
        for one in consented:
            UnsafeAcceptSimulated(one)
        if root_set:
            made = replace(made, root_set=RootSet.parse(root_set).id)
    except WireError as error:
        raise BadInputError("policy", str(error), "root sets by their ids, measurements in 0x-hex") from error
    given = frozenset(hex_bytes("--measurement", text, 32) for text in measurements)
    if not words <= _WORDS:
        raise BadInputError("--tcb", str(sorted(words - _WORDS)), f"some of {sorted(_WORDS)}")
    machines = frozenset(hex_bytes("--platform", text, 32) for text in platforms)
    return replace(
        made,
        measurements=given or made.measurements,
        tcb=words or made.tcb,
        simulated=consented,
        platforms=machines or made.platforms,
    )


def hex_bytes(name: str, text: str, size: int) -> bytes:
    """Return `size` bytes that a person wrote in hex, with 0x or without, for the option `name`.

    Raises:
        BadInputError: something else.
    """
    try:
        return bytes_from_hex("0x" + text.lower().removeprefix("0x"), size)
    except WireError as error:
        raise BadInputError(name, str(error), f"{size} bytes in hex") from error


def suggest(evidence: Evidence, collateral: Collateral, rules: Accepted, now: int) -> Suggestion:
    """Return what a policy would have to say to accept this evidence.

    The patch level comes from a trial that accepts every level and the evidence's own word for the rest; its
    verdict is thrown away.

    Raises:
        WireError: the evidence does not read.
    """
    tee = evidence.tee
    measurement = measurement_of(tee, evidence.quote)
    roots = _claimed_root(tee, evidence.quote, collateral)
    if roots is None:
        return Suggestion("", hex_of(measurement), "unknown: no certificates")
    trial = AppraisalPolicy(
        root_sets=frozenset({roots.id}),
        measurements=frozenset({measurement}),
        tcb_statuses=_WORDS,
        accept_mixed_eval_numbers=True,
        simulated=UnsafeAcceptSimulated(roots.id) if roots.simulated else None,
        snp=replace(rules.snp, accept_milan=True, accept_vlek=True, accept_masked_chip=True),
    )
    own = report_data_of(tee, evidence.quote)
    try:
        verdict = verifier_for(tee).verify(
            evidence, collateral, roots=roots, policy=trial, expected_report_data=own, now=now
        )
    except AttestationError as error:
        return Suggestion(roots.id, hex_of(measurement), f"unknown: refused at {error.step}")
    return Suggestion(roots.id, hex_of(measurement), verdict.tcb_status)


def _of_file(file: Path) -> Accepted:
    table = load(file)
    if "trust" not in table.names():
        raise BadInputError(str(file), "no section [trust]", "one, as in a profile's config.toml")
    trust = Trust.take(ConfigTable.of(table))
    return Accepted(
        root_set=trust.root_set and RootSet.parse(trust.root_set).id,
        measurements=frozenset(trust.measurements),
        tcb=words_within(tcb_level(trust.worst_tcb)),
        min_tcb_eval_number=trust.min_tcb_eval_number,
        rejected_advisories=frozenset(trust.rejected_advisories),
        platforms=None if trust.platforms is None else frozenset(trust.platforms),
        intel=trust.intel,
        snp=trust.snp,
        gpu=trust.gpu,
    )


def _claimed_root(tee: TeeKind, quote: bytes, collateral: Collateral) -> RootSet | None:
    """Return the anchor that evidence or collateral themselves end in: nobody's belief."""
    if tee in (TeeKind.TDX, TeeKind.SGX):
        chain = pck.parse_chain(dcap.parse_quote(quote).signatures.cert_data)
        return _named(chain[2].public_bytes(Encoding.DER))
    if tee is TeeKind.SEV_SNP:
        return None if collateral.amd is None else _named(collateral.amd.ark)
    if tee is TeeKind.NITRO:
        from enclave_runtime.attestation.nitro.document import parse_document

        return _named(parse_document(quote).cabundle[0])
    from enclave_runtime.attestation.cca.token import parse_token

    instance = parse_token(quote).platform.instance_id
    keys = () if collateral.cca is None else collateral.cca.cpaks
    return next((RootSet.cca(one.spki) for one in keys if one.instance_id == instance), None)


def _named(root_der: bytes) -> RootSet:
    digest = hashlib.sha256(root_der).digest()
    known = (RootSet.parse(name) for name in _VENDORS)
    return next((one for one in known if one.der_sha256 == digest), RootSet.dev(root_der))
