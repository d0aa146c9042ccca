"""The 64 bytes that bind a quote to keys, operator, purpose and challenge (protocol section 4.1).

This module is the only maker of `report_data`; every verifier recomputes it here.
"""

from __future__ import annotations

from enum import StrEnum

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import keccak256, tagged
from enclave_runtime.wire.scalars import ZERO32

__all__ = ["TAG", "Purpose", "bind", "gpu_digest", "gpu_nonce"]

TAG = b"CLOISTER:v01"
"""Twelve ASCII bytes: the layout's name and version."""


class Purpose(StrEnum):
    """Why a quote was made; a quote for one purpose never serves another.

    SERVE is for services that run in a CVM and show it, such as a certifier; the loader makes no such quote.
    """

    CERTIFY = "certify"
    RELEASE = "release"
    CONNECT = "connect"
    SERVE = "serve"

    def word(self) -> bytes:
        """Return keccak256 of the purpose's name, the 32 bytes that enter the hash."""
        return keccak256(self.value.encode("ascii"))


def gpu_nonce(cvm_id: bytes, challenge: bytes) -> bytes:
    """Return the 32 bytes with which every GPU and switch of a CVM is asked for evidence.

    The CVM's keys and the verifier's challenge are in it: evidence of another CVM's devices, or of another
    time, answers another nonce.

    Args:
        cvm_id: 32 bytes.
        challenge: the verifier's fresh value, 32 bytes.
    Raises:
        WireError: an argument of the wrong length.
    """
    for name, value in (("cvm_id", cvm_id), ("challenge", challenge)):
        if len(value) != 32:
            raise WireError(f"gpu nonce: got {len(value)} bytes of {name}, expected 32")
    return tagged("gpu-nonce/v1", cvm_id, challenge)


def gpu_digest(evidence: bytes | None) -> bytes:
    """Return the digest by which `report_data` binds GPU evidence: 32 zero bytes where there is none."""
    return ZERO32 if evidence is None else tagged("gpu-evidence/v1", evidence)


def bind(
    purpose: Purpose,
    *,
    signer: bytes,
    cvm_id: bytes,
    operator: bytes,
    challenge: bytes,
    gpu_digest: bytes = ZERO32,
) -> bytes:
    """Return signer || keccak256(abi.encode(cvmId, operator, purpose, challenge, gpuDigest)) || TAG.

    Args:
        purpose: what the quote is for.
        signer: address of the CVM's secp256k1 key, 20 bytes.
        cvm_id: 32 bytes.
        operator: address of the provider's operator, 20 bytes.
        challenge: the verifier's fresh value, 32 bytes.
        gpu_digest: digest of the GPU evidence, zero where there is none.
    Raises:
        WireError: an argument of the wrong length.
    """
    sizes = {"signer": (signer, 20), "cvm_id": (cvm_id, 32), "operator": (operator, 20)}
    sizes |= {"challenge": (challenge, 32), "gpu_digest": (gpu_digest, 32)}
    for name, (value, size) in sizes.items():
        if len(value) != size:
            raise WireError(f"report_data: got {len(value)} bytes of {name}, expected {size}")
    words = cvm_id + operator.rjust(32, b"\x00") + purpose.word() + challenge + gpu_digest
    return signer + keccak256(words) + TAG
