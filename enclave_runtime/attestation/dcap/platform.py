"""Who signed a DCAP quote: steps (1) to (3) of docs/protocol.md section 4.3, shared by TDX and SGX.

Signatures, chains and TCB matching are dcap-qvl's work (`qvl`); what it leaves unchecked is checked here: one
pinned root for quote and collateral, dates of issue of the revocation lists, certificates that sign the
collateral, PCE id, agreement of two parsers, the rest of the quoting enclave's report.

A CVM quotes again for every challenge. All of that but the signature over the quote depends on the platform
and on the collateral alone, so a verdict is remembered under the digest of everything that it depends on and
holds inside the dates of everything that it rests on; each quote's own signature is verified every time.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, fields
from operator import attrgetter

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.attestation.collateral.intel import IntelCollateral
from enclave_runtime.attestation.dcap import facts, layout, pck, qvl
from enclave_runtime.attestation.dcap.facts import Anchors, Span, Statements
from enclave_runtime.attestation.dcap.memo import Memo
from enclave_runtime.attestation.dcap.pck import PckExtension
from enclave_runtime.attestation.errors import AttestationError, Cause, OtherRootError, Step
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256, tagged

__all__ = ["Platform", "forget", "forget_verdicts", "platform_id_hash", "platform_of"]

_Trusted = tuple[Anchors, Statements]

# Fields by our names and by dcap-qvl's.
_RENAMED = {"mrsigner_seam": "mr_signer_seam", "mrtd": "mr_td"} | {f"rtmr{i}": f"rt_mr{i}" for i in range(4)}
_TDX_NAMES = [(field.name, _RENAMED.get(field.name, field.name)) for field in fields(layout.TdBody)]
_SGX_NAMES = [(name, name) for name in ("cpu_svn", "attributes", "mr_enclave", "mr_signer", "report_data")]
_TDX_READERS, _SGX_READERS = (
    (attrgetter(*(ours for ours, _ in names)), attrgetter(*(theirs for _, theirs in names)))
    for names in (_TDX_NAMES, _SGX_NAMES)
)

# The parts of a body that only the guest's owner cares for: dcap-qvl judges none of them.
_GUEST_TD = slice(136, 584)
_GUEST_SGX = slice(64, 384)

# Of a quoting enclave's report: where its attributes begin, and what it leaves zero (reserved bytes, key
# separation and sharing, and everything behind the digest that binds its key).
_QE_ATTRIBUTES = 48
_QE_ZEROS = sum(
    0xFF << 8 * at
    for part in ((20, 48), (96, 128), (160, 256), (260, 320), (352, 384))
    for at in range(*part)
)
"""As a mask over the report, read as one number, little endian."""

_SHA256 = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform that Intel vouches for, and its quoting enclave's key.

    Attributes:
        status: the vendor's word on the platform's patches.
        advisory_ids: advisories for that status.
        eval_numbers: evaluation data numbers of TCB info and QE identity.
        issued_at: Unix time of the oldest statement, in seconds; the root's yearly list does not count.
        span: when everything that this rests on holds.
        pck: what Intel signed about the hardware.
        id_hash: tagged digest of the hardware's id, see `platform_id_hash`.
        key: the attestation key that the quoting enclave bound: x || y, 64 bytes.
    """

    status: str
    advisory_ids: tuple[str, ...]
    eval_numbers: tuple[int, int]
    issued_at: int
    span: Span
    pck: PckExtension
    id_hash: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class _Certified:
    """A quote's own chain, read once."""

    leaf: x509.Certificate
    issuer: x509.Certificate
    serials: tuple[int, int]
    root_der: bytes
    root_sha256: bytes
    extension: PckExtension
    id_hash: bytes
    span: Span


_PLATFORMS: Memo[Platform] = Memo(256)
_COLLATERAL: Memo[_Trusted] = Memo(32)


def platform_id_hash(ppid: bytes) -> bytes:
    """Return the tagged digest of a platform provisioning id: names hardware without spelling its id."""
    return tagged("platform-id/intel/v1", ppid)


def forget_verdicts() -> None:
    """Forget every verdict, but no certificate and no collateral that was read: for measurements."""
    _PLATFORMS.clear()


def forget() -> None:
    """Forget everything: for measurements of the very first time."""
    _PLATFORMS.clear()
    _COLLATERAL.clear()
    for cache in (_certified, _collateral_digest, _public_key, pck.read_certificate, facts.span_of):
        cache.cache_clear()


def platform_of(
    raw: bytes, quote: layout.Quote, collateral: IntelCollateral, roots: RootSet, now: int
) -> Platform:
    """Return the platform whose key signed `quote`, at Unix time `now`, in seconds.

    Args:
        raw: the bytes that `quote` was parsed from.
        quote: a quote certified by a PCK chain in PEM.
        collateral: from anywhere.
        roots: the one trust anchor to believe.
        now: Unix time, in seconds.
    Raises:
        AttestationError: steps (0) to (5): dcap-qvl refuses debug and service TDs by itself.
    """
    about = _collateral_digest(collateral, roots)
    key = (about, *_judged(raw, quote))
    known = _PLATFORMS.get(key)
    if known is not None and now in known.span:
        _check_signature(quote, known.key)
        return known
    platform = _first_sight(raw, quote, collateral, about, roots, now)
    if now in platform.span:
        _PLATFORMS.put(key, platform)
    return platform


def _first_sight(
    raw: bytes, quote: layout.Quote, collateral: IntelCollateral, about: bytes, roots: RootSet, now: int
) -> Platform:
    # (0) The certification is a PCK chain, and nothing else.
    own = _certified(quote.signatures.cert_data)
    # (1) Quote and collateral lead to the pinned root.
    _check_root(own, roots)
    trusted = _COLLATERAL.get(about)
    anchors = trusted[0] if trusted else facts.read_anchors(collateral, roots)
    # (2) No revocation list is of the future: dcap-qvl checks their end, and Intel numbers all of them 1.
    _check_crl_dates(anchors, now)
    # (1) chains and their dates, (2) revocation, (3) signatures; and dcap-qvl's own part of (4) and (5).
    verdict = qvl.run(raw, collateral, own.root_der, now)
    statements = trusted[1] if trusted else facts.read_statements(collateral)
    # (2) Nor is anything revoked that signs the collateral, whatever dcap-qvl looks up.
    _check_revoked(anchors, own, trusted is not None)
    # (0) Two parsers read the same. (3) The rest of the QE's report. (4) All of it is about this platform.
    _check_agreement(quote.body, own.extension, verdict)
    _check_quoting_enclave(quote)
    _check_subject(statements, own.extension, quote.header.tee_type)
    if trusted is None:
        _COLLATERAL.put(about, (anchors, statements))
    return Platform(
        status=verdict.status,
        advisory_ids=verdict.advisory_ids,
        eval_numbers=statements.eval_numbers,
        issued_at=min(statements.issued_at, anchors.pck_list.span.first),
        span=own.span & anchors.span & statements.span,
        pck=own.extension,
        id_hash=own.id_hash,
        key=quote.signatures.attestation_key,
    )


@functools.lru_cache(maxsize=256)  # a platform's own, the same in each of its quotes
def _certified(cert_data: bytes) -> _Certified:
    try:
        chain = pck.parse_chain(cert_data)
        extension = pck.parse_extension(chain[0])
    except WireError as error:
        raise AttestationError(Step.PARSE, str(error), "a PCK chain in the quote") from error
    leaf, issuer, root = chain
    root_der = root.public_bytes(Encoding.DER)
    return _Certified(
        leaf=leaf,
        issuer=issuer,
        serials=(leaf.serial_number, issuer.serial_number),
        root_der=root_der,
        root_sha256=sha256(root_der),
        extension=extension,
        id_hash=platform_id_hash(extension.ppid),
        span=facts.span_of(leaf) & facts.span_of(issuer) & facts.span_of(root),
    )


def _check_root(own: _Certified, roots: RootSet) -> None:
    if own.root_sha256 != roots.der_sha256:
        got = f"a quote whose chain ends in root {own.root_sha256.hex()}"
        raise OtherRootError(got, roots.der_sha256.hex())


def _check_crl_dates(anchors: Anchors, now: int) -> None:
    for name, issued in (("root", anchors.root_list.span.first), ("PCK", anchors.pck_list.span.first)):
        if issued > now:
            got, expected = f"a {name} CRL issued at {issued}", f"at most {now}"
            raise AttestationError(Step.REVOCATION, got, expected, Cause.COLLATERAL_EARLY)


def _check_revoked(anchors: Anchors, own: _Certified, known: bool) -> None:
    leaf, issuer = own.serials
    by_root = anchors.root_list.serials
    if issuer in by_root:
        raise _revoked(own.issuer)
    if not known:
        for cert in anchors.below_root:
            if cert.serial_number in by_root:
                raise _revoked(cert)
    if leaf in anchors.pck_list.serials:
        raise _revoked(own.leaf)


def _revoked(cert: x509.Certificate) -> AttestationError:
    got = f"{cert.subject.rfc4514_string()} on a revocation list"
    return AttestationError(Step.REVOCATION, got, "no certificate on a revocation list")


def _check_agreement(
    body: layout.TdBody | layout.EnclaveBody, extension: PckExtension, verdict: qvl.VendorVerdict
) -> None:
    """Refuse a quote that two parsers read differently."""
    enclave = isinstance(body, layout.EnclaveBody)
    ours, theirs = _SGX_READERS if enclave else _TDX_READERS
    try:
        agreed = ours(body) == theirs(verdict.report)
    except AttributeError:  # a report of another kind
        agreed = False
    if not agreed:
        names = _SGX_NAMES if enclave else _TDX_NAMES
        differ = (own for own, other in names if getattr(body, own) != getattr(verdict.report, other, None))
        raise AttestationError(Step.PARSE, f"two readings of {next(differ)}", "one")
    if extension.ppid != verdict.ppid:
        raise AttestationError(Step.PARSE, "two readings of the PCK certificate", "one")


def _check_quoting_enclave(quote: layout.Quote) -> None:
    """Refuse a QE report with anything in it that no quoting enclave puts there."""
    report = quote.signatures.qe_report
    if int.from_bytes(report, "little") & _QE_ZEROS:
        raise AttestationError(Step.SIGNATURE, "a QE report with more than its key's digest", "zeros behind")
    if report[_QE_ATTRIBUTES] & layout.SGX_DEBUG:
        raise AttestationError(Step.SIGNATURE, "a quoting enclave in debug mode", "debug off")


def _check_subject(statements: Statements, extension: PckExtension, tee_type: int) -> None:
    expected = ("SGX", "QE") if tee_type == layout.TEE_TYPE_SGX else ("TDX", "TD_QE")
    if (statements.kind, statements.enclave) != expected:
        got = f"TCB info {statements.kind!r} and QE identity {statements.enclave!r}"
        raise AttestationError(Step.TCB, got, f"those of {expected[0]}", Cause.COLLATERAL_OTHER_TEE)
    for name in ("fmspc", "pce_id"):
        about, own = getattr(statements, name), getattr(extension, name)
        if about != own:
            got = f"TCB info for {name} {about.hex()}"
            raise AttestationError(Step.TCB, got, own.hex(), Cause.COLLATERAL_OTHER_PLATFORM)


@functools.lru_cache(maxsize=256)
def _public_key(raw: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + raw)


def _check_signature(quote: layout.Quote, key: bytes) -> None:
    signature = quote.signatures.signature
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        _public_key(key).verify(encode_dss_signature(r, s), quote.signed, _SHA256)
    except InvalidSignature as error:
        raise AttestationError(
            Step.SIGNATURE,
            "a quote that its attestation key did not sign",
            "a quote signed by its attestation key",
        ) from error


def _judged(raw: bytes, quote: layout.Quote) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """Return every byte that a verdict on the platform depends on."""
    body, end = quote.body, len(quote.signed)
    start = end - len(quote.service_td) - body.size()
    enclave = isinstance(body, layout.EnclaveBody)
    return (
        raw[:start],
        raw[start : start + (_GUEST_SGX if enclave else _GUEST_TD).start],
        quote.service_td,
        body.reserved if isinstance(body, layout.EnclaveBody) else b"",
        # Behind the length and the quote's own signature.
        raw[end + 4 + 64 :],
    )


@functools.lru_cache(maxsize=16)  # equal objects only: a service holds one for weeks
def _collateral_digest(collateral: IntelCollateral, roots: RootSet) -> bytes:
    values = (getattr(collateral, field.name) for field in fields(collateral))
    parts = (value.encode() if isinstance(value, str) else value for value in values)
    return _digest(roots.der_sha256, roots.key_sha256 or b"", *parts)


def _digest(*parts: bytes) -> bytes:
    lengths = struct.pack(f">{len(parts)}Q", *map(len, parts))
    return sha256(b"".join((lengths, *parts)))
