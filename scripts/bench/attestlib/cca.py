"""Arm CCA: tokens of the record. No library in PyPI verifies one; Arm's and Veraison's are in Go and Rust.

`ms_bare_cryptography` is the limit: both signatures on keys loaded beforehand.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from attestlib.result import VendorResult, flip_bytes, interleaved
from enclave_runtime.attestation.cca.token import parse_token
from tests.evidence.cose_vectors import CcaVector, tokens

__all__ = ["run"]


def run() -> VendorResult:
    """Return the row."""
    items = tokens()
    missed = tuple(item.name for item in items if item.outcome() != item.expected)
    timed = next(item for item in items if item.expected == "ok")
    ours = timed.verification()
    whole, bare = interleaved(ours, _bare(timed))
    flips = flip_bytes(timed.token, range(len(timed.token)), lambda data: ours(data))
    more: dict[str, float | str] = {"ms_bare_cryptography": round(bare, 4)}
    return VendorResult(len(items), missed, whole, "bare cryptography: no library does it", bare, flips, more)


def _bare(item: CcaVector) -> Callable[[], object]:
    token, key = parse_token(item.token), load_der_public_key(item.spki)
    assert isinstance(key, ec.EllipticCurvePublicKey)

    def verify() -> None:
        assert token.platform_signed.is_signed_by(key)
        assert token.realm_signed.is_signed_by(token.realm.key)

    return verify
