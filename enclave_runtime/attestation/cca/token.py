"""A CCA attestation token: the platform's word and the realm's, bound to each other, read within bounds.

Sources: Arm DEN0137 (Realm Management Monitor), chapter on attestation; draft-ffm-rats-cca-token; the
members' numbers are those of both. A token is legacy (tag 399, the realm's key as a bare point) or current
(tag 907, a COSE_Key); their members are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from enclave_runtime.attestation.cose.cbor import Cbor, Tagged, decode
from enclave_runtime.attestation.cose.reading import as_map, data_of, number_of
from enclave_runtime.attestation.cose.sign1 import Sign1, parse_sign1
from enclave_runtime.wire.errors import WireError

__all__ = ["CcaToken", "Component", "Platform", "Realm", "parse_token"]

_TAGS: Final = (399, 907)
_PLATFORM, _REALM = 44234, 44241
_CHALLENGE, _INSTANCE, _LIFECYCLE, _IMPLEMENTATION = 10, 256, 2395, 2396
_COMPONENTS, _CONFIG, _HASH = 2399, 2401, 2402
_RPV, _REALM_HASH, _RAK, _RIM, _REM, _RAK_HASH = 44235, 44236, 44237, 44238, 44239, 44240
_SIZES: Final = (32, 48, 64)
_HASHES: Final[dict[str, Callable[[bytes], hashlib._Hash]]] = {
    "sha-256": hashlib.sha256,
    "sha-384": hashlib.sha384,
    "sha-512": hashlib.sha512,
}
_MAX_COMPONENTS: Final = 32
_MAX_CONFIG_BYTES: Final = 1024
_KEY_TYPE, _CURVE, _X, _Y = 1, -1, -2, -3
_EC2, _P384 = 2, 2


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the platform's firmware: what it measured and who signed it."""

    kind: str
    measurement: bytes
    signer: bytes


@dataclass(frozen=True, slots=True)
class Platform:
    """What the platform says of itself.

    Attributes:
        challenge: the digest of the realm's key that it vouches for.
        instance_id: names the chip, 33 bytes.
        implementation_id: names its design, 32 bytes.
        lifecycle: its security state; 0x3000 to 0x30ff is secured.
        config: of the system, as its maker writes it.
        components: its firmware.
    """

    challenge: bytes
    instance_id: bytes
    implementation_id: bytes
    lifecycle: int
    config: bytes
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Realm:
    """What the realm manager says of a realm.

    Attributes:
        challenge: the 64 bytes that the realm had signed.
        personalization: given by whoever started it, 64 bytes.
        initial_measurement: of what it was started from.
        extended: four registers that it may extend.
        hash_name: of its measurements.
        key: that signs this, and that the platform vouches for.
        key_digest: as the platform has to name it.
    """

    challenge: bytes
    personalization: bytes
    initial_measurement: bytes
    extended: tuple[bytes, ...]
    hash_name: str
    key: ec.EllipticCurvePublicKey = field(repr=False)
    key_digest: bytes


@dataclass(frozen=True, slots=True)
class CcaToken:
    """Both halves, and their signatures; believed by nobody yet."""

    platform: Platform
    realm: Realm
    platform_signed: Sign1 = field(repr=False)
    realm_signed: Sign1 = field(repr=False)


def parse_token(data: bytes) -> CcaToken:
    """Return the token that `data` is, exactly.

    Raises:
        WireError: another shape, type or size; a key that is no point of its curve.
    """
    value = decode(data)
    if not isinstance(value, Tagged) or value.tag not in _TAGS or not isinstance(value.value, dict):
        raise WireError(f"cca: expected a map behind one of the tags {_TAGS}")
    if value.value.keys() != {_PLATFORM, _REALM}:
        raise WireError(f"cca: got members {sorted(map(str, value.value))[:8]}, expected platform and realm")
    halves = [_half(value.value[number]) for number in (_PLATFORM, _REALM)]
    platform, realm = (as_map(half.payload, "cca") for half in halves)
    return CcaToken(_platform(platform), _realm(realm), *halves)


def _half(value: Cbor) -> Sign1:
    if not isinstance(value, bytes):
        raise WireError("cca: got a half that is no byte string")
    return parse_sign1(decode(value), is_tagged=True)


def _platform(members: dict[int | str, Cbor]) -> Platform:
    _hash_name(members, _HASH)
    lifecycle = number_of(members, _LIFECYCLE)
    if lifecycle > 0xFFFF:
        raise WireError(f"cca: got lifecycle {lifecycle:#x}, expected 16 bits")
    config = data_of(members, _CONFIG)
    if len(config) > _MAX_CONFIG_BYTES:
        raise WireError(
            f"cca: got {len(config)} bytes of configuration, expected at most {_MAX_CONFIG_BYTES}"
        )
    return Platform(
        challenge=data_of(members, _CHALLENGE, *_SIZES),
        instance_id=data_of(members, _INSTANCE, 33),
        implementation_id=data_of(members, _IMPLEMENTATION, 32),
        lifecycle=lifecycle,
        config=config,
        components=_components(members.get(_COMPONENTS)),
    )


def _components(value: Cbor) -> tuple[Component, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_COMPONENTS:
        raise WireError(f"cca: expected 1 to {_MAX_COMPONENTS} software components")
    found = []
    for one in value:
        if not isinstance(one, dict):
            raise WireError("cca: got a software component that is no map")
        kind = one.get(1, "")
        if not isinstance(kind, str) or len(kind) > 64:
            raise WireError("cca: got a software component without a name")
        found.append(Component(kind, data_of(one, 2, *_SIZES), data_of(one, 5, *_SIZES)))
    return tuple(found)


def _realm(members: dict[int | str, Cbor]) -> Realm:
    name, key_hash = _hash_name(members, _REALM_HASH), _hash_name(members, _RAK_HASH)
    extended = members.get(_REM)
    if not isinstance(extended, list) or len(extended) != 4:
        raise WireError("cca: got other than four extensible measurements")
    initial = data_of(members, _RIM, *_SIZES)
    registers = tuple(one for one in extended if isinstance(one, bytes) and len(one) == len(initial))
    if len(registers) != 4:
        raise WireError(f"cca: got extensible measurements of another size than {len(initial)} bytes")
    written = data_of(members, _RAK)
    return Realm(
        challenge=data_of(members, _CHALLENGE, 64),
        personalization=data_of(members, _RPV, 64),
        initial_measurement=initial,
        extended=registers,
        hash_name=name,
        key=_key(written),
        key_digest=_HASHES[key_hash](written).digest(),
    )


def _hash_name(members: dict[int | str, Cbor], number: int) -> str:
    name = members.get(number)
    if not isinstance(name, str) or name not in _HASHES:
        raise WireError(f"cca: got hash {str(name)[:32]!r}, expected one of {sorted(_HASHES)}")
    return name


def _key(written: bytes) -> ec.EllipticCurvePublicKey:
    """Return the realm's key: a bare point on P-384, or a COSE_Key that holds one."""
    point = written
    if written[:1] != b"\x04":
        members = as_map(written, "cca key")
        if (members.get(_KEY_TYPE), members.get(_CURVE)) != (_EC2, _P384):
            raise WireError("cca: got a realm key of another kind than EC2 on P-384")
        point = b"\x04" + data_of(members, _X, 48) + data_of(members, _Y, 48)
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), point)
    except ValueError as error:
        raise WireError("cca: got a realm key that is no point on P-384") from error
