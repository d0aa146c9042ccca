"""A certifier's own word that it vouches for a CVM no more, signed (docs/protocol.md section 4.5).

One revocation is an EIP-712 struct under the quorum's domain, so that a contract could check it; today
whoever has the revoker's role on CvmRegistry acts on it (docs/guides/certifier.md). The list of all of
them is signed too, with a number and an end: a reader notices when an old list is served, or a shorter
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coincurve import PrivateKey

from enclave_runtime.wire.canonical import Json, JsonObject
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.hashes import keccak256, tagged
from enclave_runtime.wire.scalars import U32, U40, Bytes32
from enclave_runtime.wire.signatures import address_of, recover_signer, secp256k1_sign
from marketplace.certifier.store import Revoked

__all__ = ["MAX_REASON", "CvmRevocation", "RevocationList", "check_list", "sign_list", "sign_revocation"]

MAX_REASON: Final = 200
_STEP: Final = "revocations"
_MEMBERS: Final = {"certifier", "number", "issued_at", "next_update", "revocations", "signature"}


@dataclass(frozen=True, slots=True)
class CvmRevocation:
    """What a certifier signs: this CVM, from then on, for the reason with this hash."""

    cvm_id: Bytes32
    revoked_at: U40
    reason: Bytes32


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What it signs over all of them: how many, from when until when, and a digest over each."""

    number: U32
    issued_at: U40
    next_update: U40
    entries: Bytes32


def sign_revocation(cvm_id: bytes, at: int, reason: str, domain: Domain, key: PrivateKey) -> Revoked:
    """Return a signed revocation.

    Args:
        at: Unix time, in seconds.
        reason: for people; at most `MAX_REASON` characters.
    Raises:
        WireError: a reason that is empty or too long.
    """
    if not 0 < len(reason) <= MAX_REASON:
        raise WireError(f"reason: got {len(reason)} characters, expected 1 to {MAX_REASON}")
    signature = secp256k1_sign(key, _digest(domain, cvm_id, at, reason))
    return Revoked(cvm_id, at, reason, signature)


def sign_list(
    revoked: Sequence[Revoked], *, now: int, next_s: int, domain: Domain, key: PrivateKey
) -> JsonObject:
    """Return every revocation of one certifier as it is served, signed as of `now`, in Unix seconds."""
    struct = RevocationList(len(revoked), now, now + next_s, _entries(domain, revoked))
    shown: list[Json] = [
        {
            "cvm_id": hex_of(item.cvm_id),
            "revoked_at": item.at,
            "reason": item.reason,
            "signature": hex_of(item.signature),
        }
        for item in revoked
    ]
    return {
        "certifier": hex_of(address_of(key)),
        "number": struct.number,
        "issued_at": struct.issued_at,
        "next_update": struct.next_update,
        "revocations": shown,
        "signature": hex_of(secp256k1_sign(key, typed_digest(domain, struct))),
    }


def check_list(
    value: JsonObject, *, domain: Domain, certifier: bytes, now: int, least: int = 0
) -> list[Revoked]:
    """Return the revocations in a list that this certifier signed and that is not over.

    Args:
        certifier: its address, from the reader's own settings, 20 bytes.
        least: number of the last list that the reader saw.
    Raises:
        RefusedError: step `revocations`: another signer, an old list, or an altered one.
        WireError: malformed members.
    """
    if set(value) != _MEMBERS or not isinstance(value["revocations"], list):
        raise WireError("revocations: got other members than a list has")
    revoked = [_revoked(item) for item in value["revocations"]]
    numbers = [value[name] for name in ("number", "issued_at", "next_update")]
    if not all(type(number) is int for number in numbers):
        raise WireError("revocations: got a number or time that is no integer")
    number, issued_at, next_update = (int(str(number)) for number in numbers)
    struct = RevocationList(number, issued_at, next_update, _entries(domain, revoked))
    signer = recover_signer(typed_digest(domain, struct), bytes_from_hex(value["signature"], 65))
    if signer != certifier:
        raise RefusedError(_STEP, f"a list signed by {hex_of(signer)}", hex_of(certifier))
    if number != len(revoked) or number < least:
        raise RefusedError(_STEP, f"list {number} of {len(revoked)} entries", f"{least} or more")
    if now >= next_update:
        raise RefusedError(_STEP, f"a list that was good until {next_update}", f"one that is good at {now}")
    for item in revoked:
        digest = _digest(domain, item.cvm_id, item.at, item.reason)
        if recover_signer(digest, item.signature) != certifier:
            raise RefusedError(_STEP, f"an entry of another signer: {hex_of(item.cvm_id)}", hex_of(certifier))
    return revoked


def _revoked(value: Json) -> Revoked:
    if not isinstance(value, dict) or set(value) != {"cvm_id", "revoked_at", "reason", "signature"}:
        raise WireError("revocation: got other members than a revocation has")
    at, reason = value["revoked_at"], value["reason"]
    if type(at) is not int or not isinstance(reason, str):
        raise WireError("revocation: got a time or reason of another type")
    return Revoked(bytes_from_hex(value["cvm_id"], 32), at, reason, bytes_from_hex(value["signature"], 65))


def _digest(domain: Domain, cvm_id: bytes, at: int, reason: str) -> bytes:
    return typed_digest(domain, CvmRevocation(cvm_id, at, keccak256(reason.encode())))


def _entries(domain: Domain, revoked: Sequence[Revoked]) -> bytes:
    digests = (_digest(domain, item.cvm_id, item.at, item.reason) for item in revoked)
    return tagged("revocation-list/v1", *digests)
