"""What a stream says about itself to somebody who holds its key (docs/protocol.md sections 3.3 and 7(8)).

A manifest carries the key commitment; the line of a report on a result does not, because its key reaches one
reader only. That reader computes it: whether the key is the right one, the content digest then says.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.buffers import Octets
from enclave_runtime.sealed.header import Header, SealedInfo
from enclave_runtime.sealed.stream import KEY_BYTES
from enclave_runtime.wire.errors import WireError

__all__ = ["describe_stream", "key_commitment"]


def key_commitment(content_key: Octets, header: Header) -> bytes:
    """Return the commitment to `content_key` under `header`, 32 bytes.

    Raises:
        WireError: the key is not 32 bytes.
    """
    if len(content_key) != KEY_BYTES:
        raise WireError(f"content key: got {len(content_key)} bytes, expected {KEY_BYTES}")
    info = labels.STREAM_COMMITMENT + b"\x00" + header.to_bytes()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=header.salt, info=info).derive(bytes(content_key))


def describe_stream(
    header: Octets, content_key: Octets, *, content_digest: bytes, ciphertext_digest: bytes
) -> SealedInfo:
    """Return what an `Unsealer` needs to open a stream whose digests were signed and whose key is held.

    Args:
        header: the stream's first 52 bytes, from anywhere: the ciphertext digest binds them.
    Raises:
        WireError: no header, or a key or digest that is not 32 bytes.
    """
    parsed = Header.from_bytes(header)
    return SealedInfo(
        parsed.algorithm,
        parsed.segment_bytes,
        parsed.plaintext_bytes,
        content_digest,
        ciphertext_digest,
        key_commitment(content_key, parsed),
    )
