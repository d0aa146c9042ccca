"""COSE_Sign1 with ECDSA, in the one form that signed documents have (RFC 9052 section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from enclave_runtime.attestation.cose.cbor import Cbor, Tagged, decode, encode_bytes, encode_text
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged

__all__ = ["ES256", "ES384", "TAG", "Sign1", "parse_sign1"]

TAG: Final = 18
ES256: Final = -7
ES384: Final = -35
_ALGORITHMS: Final[dict[int, tuple[type[ec.EllipticCurve], hashes.HashAlgorithm]]] = {
    ES256: (ec.SECP256R1, hashes.SHA256()),
    ES384: (ec.SECP384R1, hashes.SHA384()),
}
_ALGORITHM_LABEL: Final = 1


@dataclass(frozen=True, slots=True)
class Sign1:
    """A signed payload; believed by nobody before `is_signed_by` says so.

    Attributes:
        algorithm: ES256 or ES384: the only protected header.
        protected: that header as it is signed.
        payload: what is signed.
        signature: r || s.
    """

    algorithm: int
    protected: bytes
    payload: bytes
    signature: bytes

    def is_signed_by(self, key: ec.EllipticCurvePublicKey) -> bool:
        """Return whether `key`, of the curve that the algorithm wants, signed the payload."""
        curve, digest = _ALGORITHMS[self.algorithm]
        half = len(self.signature) // 2
        if not isinstance(key.curve, curve) or half != key.curve.key_size // 8:
            return False
        r, s = (int.from_bytes(part, "big") for part in (self.signature[:half], self.signature[half:]))
        try:
            key.verify(encode_dss_signature(r, s), self._signed(), ec.ECDSA(digest))
        except (InvalidSignature, ValueError):
            return False
        return True

    def identity(self) -> bytes:
        """Return the tagged digest of the signed region, 32 bytes: the signature has a second valid form."""
        return tagged("cose-signed/v1", self._signed())

    def _signed(self) -> bytes:
        parts = (
            encode_text("Signature1"),
            *(encode_bytes(one) for one in (self.protected, b"", self.payload)),
        )
        return b"\x84" + b"".join(parts)


def parse_sign1(value: Cbor, *, is_tagged: bool) -> Sign1:
    """Return the signed payload in a CBOR item.

    Args:
        is_tagged: whether it stands behind COSE's tag, as its format says; nobody signs the tag.
    Raises:
        WireError: another shape, a header that nobody signs, or another algorithm.
    """
    if isinstance(value, Tagged) != is_tagged or (isinstance(value, Tagged) and value.tag != TAG):
        raise WireError(f"cose: expected COSE_Sign1 {'behind' if is_tagged else 'without'} tag {TAG}")
    body = value.value if isinstance(value, Tagged) else value
    if not isinstance(body, list) or len(body) != 4 or body[1] != {}:
        raise WireError("cose: got another shape than four items with an empty unprotected header")
    protected, _, payload, signature = body
    if not (isinstance(protected, bytes) and isinstance(payload, bytes) and isinstance(signature, bytes)):
        raise WireError("cose: got other types than byte strings for header, payload and signature")
    header = decode(protected)
    algorithm = header.get(_ALGORITHM_LABEL) if isinstance(header, dict) and len(header) == 1 else None
    if not isinstance(algorithm, int) or isinstance(algorithm, bool) or algorithm not in _ALGORITHMS:
        raise WireError(f"cose: got header {str(header)[:60]}, expected ES256 or ES384 alone")
    if len(signature) != (64 if algorithm == ES256 else 96):
        raise WireError(f"cose: got a signature of {len(signature)} bytes")
    return Sign1(algorithm, protected, payload, signature)
