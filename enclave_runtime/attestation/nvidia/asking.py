"""What asking a GPU and asking a switch have in common: a library of the driver, a nonce, a chain in PEM."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from enclave_runtime.attestation.nvidia.evidence import MAX_DEVICES, Device, DeviceKind
from enclave_runtime.wire.errors import EnclaveError, WireError

__all__ = ["NONCE", "Library", "LibraryError", "ask_all", "taken"]

_Answer = TypeVar("_Answer")

NONCE: Final = 32
"""Bytes of a nonce."""
_NONCE_AT: Final = 4
"""Where an SPDM GET_MEASUREMENTS request has its nonce."""
_ATTEMPTS: Final = 3
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_WORDS: Final = {DeviceKind.GPU: "GPU", DeviceKind.NVSWITCH: "NVSwitch"}


class LibraryError(Exception):
    """A call that a library of the driver did not answer with success.

    Attributes:
        code: that it returned.
        busy: whether asking again may help.
    """

    def __init__(self, code: int, words: str, *, busy: bool = False) -> None:
        super().__init__(words)
        self.code = code
        self.busy = busy


class Library(Protocol):
    """What is asked of the driver about one kind of device. Every method raises LibraryError."""

    def count(self) -> int:
        """Return how many devices there are."""
        ...

    def report(self, place: int, nonce: bytes) -> bytes:
        """Return a device's report over `nonce`."""
        ...

    def chain(self, place: int) -> bytes:
        """Return a device's certificates in PEM, leaf first."""
        ...


def ask_all(kind: DeviceKind, library: Library, nonce: bytes) -> tuple[Device, ...]:
    """Return what every device of a kind answers to `nonce` (32 bytes), in the driver's order.

    Raises:
        WireError: an answer that is no evidence.
        EnclaveError: a device did not answer, answered another nonce, or came or went meanwhile.
    """
    words = _WORDS[kind]
    count = _persistent("count", library.count)
    if not 0 < count <= MAX_DEVICES:
        raise EnclaveError(f"{kind.value}: got {count} {_plural(kind)}, expected 1 to {MAX_DEVICES}")
    devices = tuple(_ask(kind, f"{words} {place}", library, place, nonce) for place in range(count))
    if _persistent("count", library.count) != count:
        raise EnclaveError(
            f"{kind.value}: got another number of {_plural(kind)} after asking them than before"
        )
    return devices


def taken(buffer: Any, size: int, what: str) -> bytes:
    """Return the first `size` bytes of a buffer that a library filled.

    Raises:
        WireError: none, or more than there are.
    """
    if not 0 < size <= len(buffer):
        raise WireError(f"{what}: got {size} bytes, expected 1 to {len(buffer)}")
    return bytes(buffer[:size])


def _plural(kind: DeviceKind) -> str:
    return "GPUs" if kind is DeviceKind.GPU else "NVSwitches"


def _ask(kind: DeviceKind, name: str, library: Library, place: int, nonce: bytes) -> Device:
    for _ in range(_ATTEMPTS):
        report = _persistent(name, lambda: library.report(place, nonce))
        if report[_NONCE_AT : _NONCE_AT + NONCE] == nonce:  # else somebody else asked at the same time
            chain = _persistent(name, lambda: library.chain(place))
            return Device(kind, report, _ders(chain, kind.value))
    raise EnclaveError(f"{name}: got answers to other nonces, {_ATTEMPTS} times")


def _persistent(what: str, ask: Callable[[], _Answer]) -> _Answer:
    """Return the driver's answer, asked again while the device is busy, and not for ever."""
    for attempt in range(_ATTEMPTS):
        try:
            return ask()
        except LibraryError as error:
            if not error.busy or attempt == _ATTEMPTS - 1:
                raise EnclaveError(f"{what}: {error}") from error
    raise AssertionError("the last attempt returns or raises")


def _ders(pem: bytes, kind: str) -> tuple[bytes, ...]:
    """Return the certificates in PEM as DER, in their order.

    Raises:
        WireError: something else between or inside them.
    """
    blocks = pem.rstrip(b"\x00").split(_BEGIN)
    if blocks[0].strip():
        raise WireError(f"{kind} certificates: got bytes in front of the first one, expected PEM")
    found = []
    for block in blocks[1:]:
        text, end, rest = block.partition(_END)
        if not end or rest.strip():
            raise WireError(f"{kind} certificates: got bytes between them, expected PEM")
        written = b"".join(text.split())
        try:
            der = binascii.a2b_base64(written, strict_mode=True)
        except binascii.Error as error:
            raise WireError(f"{kind} certificates: got something else than base64 inside") from error
        # Strict as it is, it passes over a sign of padding too many.
        if binascii.b2a_base64(der, newline=False) != written:
            raise WireError(f"{kind} certificates: got base64 in a second spelling, expected the one")
        found.append(der)
    return tuple(found)
