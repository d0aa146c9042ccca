"""Evidence of the GPUs of this machine, from the driver's library NVML (docs/protocol.md section 4).

`nvmlDeviceGetConfComputeGpuAttestationReport` answers a nonce with an SPDM request and response; the call for
certificates gives the device's chain in PEM, leaf first. Layouts as in NVIDIA's nvml.h. NVSwitches have
another library (NSCQ), which this does not speak.
"""

from __future__ import annotations

import binascii
import ctypes
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from enclave_runtime.attestation.nvidia.evidence import MAX_DEVICES, Device, DeviceKind, GpuEvidence
from enclave_runtime.wire.errors import EnclaveError, WireError

__all__ = ["Library", "LibraryError", "Nvml", "NvmlAttester", "find_gpus"]

_Answer = TypeVar("_Answer")

_NONCE: Final = 32
_NONCE_AT: Final = 4
"""Where an SPDM GET_MEASUREMENTS request has its nonce."""
_ATTEMPTS: Final = 3
_SONAME: Final = "libnvidia-ml.so.1"
_NOT_SUPPORTED, _NO_PERMISSION, _NOT_LOADED, _TIMEOUT, _NO_FUNCTION, _LOST, _RESET, _IN_USE = (
    3, 4, 9, 10, 13, 15, 16, 19,
)  # fmt: skip
_WORDS: Final = {
    _NOT_SUPPORTED: "confidential computing is off in this GPU, or it has none",
    _NO_PERMISSION: "no right to ask: the device files are closed to this user",
    _NOT_LOADED: "the driver is not loaded",
    _TIMEOUT: "the GPU did not answer in time",
    _NO_FUNCTION: "a driver before 535, which does not attest",
    _LOST: "the GPU is gone from the bus",
    _RESET: "the GPU needs a reset",
    _IN_USE: "the GPU is in use",
}
_BUSY: Final = frozenset({_TIMEOUT, _IN_USE})
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


class _Report(ctypes.Structure):
    """nvmlConfComputeGpuAttestationReport_t."""

    _fields_ = (
        ("cec_present", ctypes.c_uint),
        ("size", ctypes.c_uint),
        ("cec_size", ctypes.c_uint),
        ("nonce", ctypes.c_ubyte * _NONCE),
        ("report", ctypes.c_ubyte * 0x2000),
        ("cec_report", ctypes.c_ubyte * 0x1000),
    )


class _Certificate(ctypes.Structure):
    """nvmlConfComputeGpuCertificate_t."""

    _fields_ = (
        ("size", ctypes.c_uint),
        ("attestation_size", ctypes.c_uint),
        ("chain", ctypes.c_ubyte * 0x1000),
        ("attestation_chain", ctypes.c_ubyte * 0x1400),
    )


class LibraryError(Exception):
    """A call that NVML did not answer with success.

    Attributes:
        code: its nvmlReturn_t.
    """

    def __init__(self, code: int) -> None:
        super().__init__(_WORDS.get(code, f"NVML error {code}"))
        self.code = code


class Library(Protocol):
    """What is asked of the driver. Every method raises LibraryError."""

    def count(self) -> int:
        """Return how many GPUs there are."""
        ...

    def report(self, place: int, nonce: bytes) -> bytes:
        """Return a GPU's report over `nonce`."""
        ...

    def chain(self, place: int) -> bytes:
        """Return a GPU's certificates in PEM, leaf first."""
        ...


class Nvml:
    """The real library, or one of the same functions."""

    def __init__(self, functions: Any = None) -> None:
        """Load and initialise it.

        Raises:
            OSError: there is none.
            LibraryError: it does not start.
        """
        self._functions: Any = ctypes.CDLL(_SONAME) if functions is None else functions
        self._call("nvmlInit_v2")

    def count(self) -> int:
        """Return how many GPUs the driver has."""
        found = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(found))
        return found.value

    def report(self, place: int, nonce: bytes) -> bytes:
        """Return what the GPU at `place` answers to `nonce` (32 bytes)."""
        asked = _Report()
        asked.nonce[:] = nonce
        self._call("nvmlDeviceGetConfComputeGpuAttestationReport", self._handle(place), ctypes.byref(asked))
        return _taken(asked.report, asked.size, "report")

    def chain(self, place: int) -> bytes:
        """Return the certificates of the GPU at `place`."""
        asked = _Certificate()
        self._call("nvmlDeviceGetConfComputeGpuCertificate", self._handle(place), ctypes.byref(asked))
        return _taken(asked.attestation_chain, asked.attestation_size, "certificates")

    def _handle(self, place: int) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(place), ctypes.byref(handle))
        return handle

    def _call(self, name: str, *arguments: object) -> None:
        try:
            function = getattr(self._functions, name)
        except AttributeError:
            raise LibraryError(_NO_FUNCTION) from None
        code = int(function(*arguments))
        if code:
            raise LibraryError(code)


class NvmlAttester:
    """A `DeviceAttester` on a machine with NVIDIA's driver; safe to use from several threads."""

    def __init__(self, library: Library) -> None:
        """Take the driver's library."""
        self._library = library
        self._turn = threading.Lock()

    def evidence(self, nonce: bytes) -> bytes:
        """Return bytes of `GpuEvidence`: every GPU asked with `nonce` (32 bytes), in the driver's order.

        Raises:
            WireError: `nonce` is not 32 bytes, or an answer that is no evidence.
            EnclaveError: a GPU did not answer, answered another nonce, or came or went meanwhile.
        """
        if len(nonce) != _NONCE:
            raise WireError(f"devices: got {len(nonce)} bytes of nonce, expected {_NONCE}")
        with self._turn:
            count = _persistent("count", self._library.count)
            if not 0 < count <= MAX_DEVICES:
                raise EnclaveError(f"gpu: got {count} GPUs, expected 1 to {MAX_DEVICES}")
            devices = tuple(self._device(place, nonce) for place in range(count))
            if _persistent("count", self._library.count) != count:
                raise EnclaveError("gpu: got another number of GPUs after asking them than before")
        if len({device.chain[1] for device in devices}) != count:  # the boot ROM's: one for each chip
            raise EnclaveError("gpu: got one GPU under two numbers")
        return GpuEvidence(devices).to_bytes()

    def _device(self, place: int, nonce: bytes) -> Device:
        for _ in range(_ATTEMPTS):
            report = _persistent(f"GPU {place}", lambda: self._library.report(place, nonce))
            if report[_NONCE_AT : _NONCE_AT + _NONCE] == nonce:  # else somebody else asked at the same time
                chain = _persistent(f"GPU {place}", lambda: self._library.chain(place))
                return Device(DeviceKind.GPU, report, _ders(chain))
        raise EnclaveError(f"GPU {place}: got answers to other nonces, {_ATTEMPTS} times")


def find_gpus(functions: Any = None) -> NvmlAttester | None:
    """Return the attester of this machine's GPUs, or None where there is no NVIDIA driver, or no GPU.

    Raises:
        EnclaveError: there is a driver, and it does not work.
    """
    try:
        library = Nvml(functions)
        return NvmlAttester(library) if library.count() else None
    except OSError:
        return None
    except LibraryError as error:
        if error.code == _NOT_LOADED:
            return None
        raise EnclaveError(f"gpu: {error}") from error


def _persistent(what: str, ask: Callable[[], _Answer]) -> _Answer:
    """Return the driver's answer, asked again while the GPU is busy, and not for ever."""
    for attempt in range(_ATTEMPTS):
        try:
            return ask()
        except LibraryError as error:
            if error.code not in _BUSY or attempt == _ATTEMPTS - 1:
                raise EnclaveError(f"{what}: {error}") from error
    raise AssertionError("the last attempt returns or raises")


def _taken(buffer: Any, size: int, what: str) -> bytes:
    if not 0 < size <= len(buffer):
        raise WireError(f"gpu {what}: got {size} bytes, expected 1 to {len(buffer)}")
    return bytes(buffer[:size])


def _ders(pem: bytes) -> tuple[bytes, ...]:
    """Return the certificates in PEM as DER, in their order.

    Raises:
        WireError: something else between or inside them.
    """
    blocks = pem.rstrip(b"\x00").split(_BEGIN)
    if blocks[0].strip():
        raise WireError("gpu certificates: got bytes in front of the first one, expected PEM")
    found = []
    for block in blocks[1:]:
        text, end, rest = block.partition(_END)
        if not end or rest.strip():
            raise WireError("gpu certificates: got bytes between them, expected PEM")
        written = b"".join(text.split())
        try:
            der = binascii.a2b_base64(written, strict_mode=True)
        except binascii.Error as error:
            raise WireError("gpu certificates: got something else than base64 inside") from error
        # Strict as it is, it passes over a sign of padding too many.
        if binascii.b2a_base64(der, newline=False) != written:
            raise WireError("gpu certificates: got base64 in a second spelling, expected the one")
        found.append(der)
    return tuple(found)
