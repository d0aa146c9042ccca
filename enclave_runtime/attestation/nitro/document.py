"""A Nitro attestation document, read within the bounds of its specification.

Source: aws/aws-nitro-enclaves-nsm-api, docs/attestation_process.md (COSE_Sign1 around a CBOR map).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from enclave_runtime.attestation.cose.cbor import decode
from enclave_runtime.attestation.cose.reading import as_map, number_of
from enclave_runtime.attestation.cose.sign1 import ES384, Sign1, parse_sign1
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged

__all__ = ["LAUNCH_PCRS", "PCR_BYTES", "NitroDocument", "parse_document"]

PCR_BYTES: Final = 48
LAUNCH_PCRS: Final = (0, 1, 2, 8)
"""Image, kernel with its boot ramdisk, application, and who signed the image. PCR3 and PCR4 name the role and
the instance that the parent runs as, which another start of the same image changes."""

_MEMBERS: Final = frozenset(
    {
        "module_id",
        "digest",
        "timestamp",
        "pcrs",
        "certificate",
        "cabundle",
        "public_key",
        "user_data",
        "nonce",
    }
)
_OPTIONAL: Final = {"public_key": 1024, "user_data": 512, "nonce": 512}
_MAX_CERTIFICATE_BYTES: Final = 1024
_MAX_PCR: Final = 31
_MAX_CHAIN: Final = 8


@dataclass(frozen=True, slots=True)
class NitroDocument:
    """What the hypervisor signed about one enclave.

    Attributes:
        signed: the signature and what it is over.
        module_id: instance and enclave, such as "i-0827e799ec9db29af-enc019b5...".
        timestamp_ms: when it was made, Unix time in milliseconds, by the hypervisor's clock.
        pcrs: registers by their number, 48 bytes each.
        certificate: of the key that signed, DER.
        cabundle: the chain above it, root first, DER.
        user_data, nonce, public_key: what the enclave had signed along; None where it gave none.
    """

    signed: Sign1 = field(repr=False)
    module_id: str
    timestamp_ms: int
    pcrs: Mapping[int, bytes]
    certificate: bytes = field(repr=False)
    cabundle: tuple[bytes, ...] = field(repr=False)
    user_data: bytes | None
    nonce: bytes | None
    public_key: bytes | None

    @property
    def is_debug(self) -> bool:
        """Return whether the enclave was started in debug mode: its registers are all zero then."""
        return all(self.pcrs[number] == bytes(PCR_BYTES) for number in (0, 1, 2))

    def measurement(self) -> bytes:
        """Return the tagged digest over the TEE kind and every launch register, 32 bytes."""
        return tagged("measurement/v1", b"nitro", *(self.pcrs[number] for number in LAUNCH_PCRS))

    def platform(self) -> bytes:
        """Return what names the machine: the parent instance of the enclave."""
        return self.module_id.partition("-enc")[0].encode()


def parse_document(data: bytes) -> NitroDocument:
    """Return the document that `data` is, exactly.

    Raises:
        WireError: another shape, type or size than the specification's; an unknown member.
    """
    signed = parse_sign1(decode(data), is_tagged=False)
    if signed.algorithm != ES384:
        raise WireError("nitro: got another algorithm than ES384")
    members = as_map(signed.payload, "nitro")
    if not members.keys() <= _MEMBERS:
        raise WireError(f"nitro: got members {sorted(map(str, members))[:12]}, expected {sorted(_MEMBERS)}")
    module_id, digest = members.get("module_id"), members.get("digest")
    if not isinstance(module_id, str) or not 0 < len(module_id) <= 128 or digest != "SHA384":
        raise WireError(f"nitro: got module {str(module_id)[:40]!r} with digest {str(digest)[:16]!r}")
    return NitroDocument(
        signed=signed,
        module_id=module_id,
        timestamp_ms=number_of(members, "timestamp"),
        pcrs=_pcrs(members.get("pcrs")),
        certificate=_bounded(members.get("certificate"), "certificate", _MAX_CERTIFICATE_BYTES),
        cabundle=_bundle(members.get("cabundle")),
        **{name: _optional(members.get(name), name, limit) for name, limit in _OPTIONAL.items()},
    )


def _pcrs(value: object) -> dict[int, bytes]:
    if not isinstance(value, dict) or not value.keys() >= set(LAUNCH_PCRS):
        raise WireError(f"nitro: got registers {str(value)[:40]}, expected {LAUNCH_PCRS} among them")
    for number, register in value.items():
        fits = isinstance(number, int) and 0 <= number <= _MAX_PCR
        if not fits or not isinstance(register, bytes) or len(register) != PCR_BYTES:
            raise WireError(f"nitro: got register {str(number)[:16]} of another form than {PCR_BYTES} bytes")
    return value


def _bundle(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_CHAIN:
        raise WireError(
            f"nitro: got {type(value).__name__} for the chain, expected 1 to {_MAX_CHAIN} certificates"
        )
    return tuple(_bounded(one, "cabundle", _MAX_CERTIFICATE_BYTES) for one in value)


def _optional(value: object, name: str, limit: int) -> bytes | None:
    # Written as null, or as an empty string by some encoders: both say that there is none.
    return None if value is None or value == b"" else _bounded(value, name, limit)


def _bounded(value: object, name: str, limit: int) -> bytes:
    if not isinstance(value, bytes) or not 0 < len(value) <= limit:
        raise WireError(f"nitro: got {type(value).__name__} for {name}, expected 1 to {limit} bytes")
    return value
