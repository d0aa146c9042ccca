"""Recognising a file of attestation evidence by its bytes (docs/protocol.md section 4.2).

Nothing is believed here. A size limit holds before any parser runs, and each parser is the verifier's own:
what reads here, and only that, passes step (0) of section 4.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_runtime.attestation.bundle import BUNDLE_TYPE, MAX_BUNDLE_BYTES, EvidenceBundle
from enclave_runtime.attestation.collateral import COLLATERAL_TYPE
from enclave_runtime.attestation.dcap.layout import EnclaveBody, parse_quote, strip_zero_padding
from enclave_runtime.attestation.model import MAX_QUOTE_BYTES, TeeKind
from enclave_runtime.attestation.nvidia.evidence import TYPE as GPU_TYPE
from enclave_runtime.attestation.nvidia.evidence import DeviceKind, GpuEvidence
from enclave_runtime.attestation.nvidia.spdm import Report, parse_report
from enclave_runtime.attestation.sev_snp.layout import REPORT_BYTES
from enclave_runtime.attestation.sev_snp.layout import parse_report as parse_snp
from enclave_runtime.wire.errors import WireError
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sealing.disk import regular

__all__ = ["Found", "dcap_kind", "read_file", "recognise"]

MAX_FILE_BYTES: Final = 2 * MAX_BUNDLE_BYTES + 16
"""The largest evidence, were it written as hex."""
_HEX: Final = re.compile(rb"(?:0[xX])?[0-9a-fA-F\s]+")
_SPDM_REQUEST: Final = bytes.fromhex("11e001ff")
_KINDS: Final = (
    "an evidence bundle, a TDX or SGX quote, an SEV-SNP report, a Nitro document, a CCA token, or evidence of"
    " GPUs; binary or in hex"
)
_ANEW: Final = "copy the file again as binary or plain hex; if it came so, ask its sender for it anew"


@dataclass(frozen=True, slots=True)
class Found:
    """What a file is.

    Attributes:
        kind: in words, such as "tdx quote".
        tee: of the CPU's evidence, or None for GPU evidence on its own.
        quote: the CPU's evidence as its verifier takes it, or None.
        bundle: where it came in one.
        gpus: of a file that is GPU evidence alone.
        device: of a file that is one device's report alone.
        size: of the file, in bytes, after hex was undone.
        padding: zero bytes behind a quote, which every verifier refuses.
    """

    kind: str
    size: int
    tee: TeeKind | None = None
    quote: bytes | None = None
    bundle: EvidenceBundle | None = None
    gpus: GpuEvidence | None = None
    device: tuple[DeviceKind, Report] | None = None
    padding: int = 0


def read_file(path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """Return a file of at most `limit` bytes.

    Raises:
        NotFoundError: it cannot be read.
        BadInputError: it is larger, or empty.
    """
    try:
        with regular(path) as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise NotFoundError(f"{path}: {error.strerror}", hint="name a file that you can read") from error
    if not 0 < len(data) <= limit:
        got = "an empty file" if not data else f"more than {limit} bytes"
        raise BadInputError(str(path), got, f"1 to {limit} bytes", hint=_ANEW)
    return data


def recognise(data: bytes) -> Found:
    """Return what `data` is.

    Raises:
        BadInputError: none of the kinds; says what was tried, and why each did not fit.
    """
    text = data.strip()
    if text[:1] == b"{":
        return _json(text)
    raw = _unhex(text) if _is_hex(text) else data
    tried: dict[str, str] = {}
    for name, read in _in_order(raw):
        try:
            return read(raw)
        except WireError as error:
            tried[name] = str(error)
    raise _unknown(raw, tried)


def dcap_kind(quote: bytes) -> TeeKind:
    """Return whether a DCAP quote is TDX's or SGX's.

    Raises:
        WireError: no quote.
    """
    return TeeKind.SGX if isinstance(parse_quote(quote).body, EnclaveBody) else TeeKind.TDX


def _is_hex(text: bytes) -> bool:
    return bool(_HEX.fullmatch(text)) and len(b"".join(text.split())) % 2 == 0


def _unhex(text: bytes) -> bytes:
    # Lines may be broken anywhere, between the two digits of a byte too.
    return bytes.fromhex(b"".join(text.split()).decode().removeprefix("0x").removeprefix("0X"))


def _json(text: bytes) -> Found:
    kinds = {BUNDLE_TYPE: _bundle, GPU_TYPE: _gpus}
    for name, read in kinds.items():
        if name.encode() in text[:MAX_BUNDLE_BYTES]:
            try:
                return read(text)
            except WireError as error:
                got = f"damaged: {error}"
                raise BadInputError("evidence file", got, f"{name}, as it was written", hint=_ANEW) from error
    if COLLATERAL_TYPE.encode() in text or b"tcb_info" in text:
        raise BadInputError(
            "evidence file",
            "collateral: what vendors say of platforms",
            "evidence: what a platform says of itself",
            hint="give it as --collateral to `cloister attest verify`",
        )
    raise BadInputError(
        "evidence file",
        "JSON without a type of ours: another file, or one that was cut",
        f"one of {sorted(kinds)}",
        hint=_ANEW,
    )


def _bundle(text: bytes) -> Found:
    bundle = EvidenceBundle.from_bytes(text)
    tee = bundle.evidence.tee
    return Found(f"evidence bundle of a {tee.value} CVM", len(text), tee, bundle.evidence.quote, bundle)


def _gpus(text: bytes) -> Found:
    return Found("GPU evidence", len(text), gpus=GpuEvidence.from_bytes(text))


def _in_order(raw: bytes) -> list[tuple[str, Callable[[bytes], Found]]]:
    """Return every reader by its name, the likeliest by the first bytes in front."""
    readers: dict[str, Callable[[bytes], Found]] = {
        "tdx or sgx quote": _dcap,
        "sev-snp report": _snp,
        "nitro document": _nitro,
        "cca token": _cca,
        "gpu report": _device,
    }
    likely = {
        "sev-snp report": len(raw) == REPORT_BYTES,
        "gpu report": raw.startswith(_SPDM_REQUEST),
        "cca token": raw[:1] == b"\xd9",
        "nitro document": raw[:1] in (b"\x84", b"\xd2"),
    }
    return sorted(readers.items(), key=lambda item: not likely.get(item[0], False))


def _dcap(raw: bytes) -> Found:
    if len(raw) > MAX_QUOTE_BYTES:
        raise WireError(f"dcap quote: got {len(raw)} bytes, expected at most {MAX_QUOTE_BYTES}")
    try:
        tee, quote = dcap_kind(raw), raw
    except WireError:
        if raw[-1:] != b"\x00":
            raise
        quote = strip_zero_padding(raw)
        tee = dcap_kind(quote)
    return Found(f"{tee.value} quote", len(raw), tee, raw, padding=len(raw) - len(quote))


def _snp(raw: bytes) -> Found:
    parse_snp(raw)
    return Found("sev-snp report", len(raw), TeeKind.SEV_SNP, raw)


def _nitro(raw: bytes) -> Found:
    from enclave_runtime.attestation.nitro.document import parse_document

    parse_document(_bounded(raw))
    return Found("nitro document", len(raw), TeeKind.NITRO, raw)


def _cca(raw: bytes) -> Found:
    from enclave_runtime.attestation.cca.token import parse_token

    parse_token(_bounded(raw))
    return Found("cca token", len(raw), TeeKind.CCA, raw)


def _device(raw: bytes) -> Found:
    first: WireError | None = None
    for kind in DeviceKind:
        try:
            return Found(f"report of a {kind.value}", len(raw), device=(kind, parse_report(raw, kind)))
        except WireError as error:
            first = first or error
    raise first or WireError("gpu report: no such kind")


def _bounded(raw: bytes) -> bytes:
    if len(raw) > MAX_QUOTE_BYTES:
        raise WireError(f"got {len(raw)} bytes, expected at most {MAX_QUOTE_BYTES}")
    return raw


def _unknown(raw: bytes, tried: dict[str, str]) -> BadInputError:
    reasons = "; ".join(f"no {name} ({reason[:160]})" for name, reason in tried.items())
    got = f"{len(raw)} bytes that begin {raw[:8].hex()}: {reasons}"
    return BadInputError("evidence file", got, _KINDS, hint=_ANEW)
