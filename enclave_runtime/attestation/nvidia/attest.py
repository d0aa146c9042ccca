"""Evidence of the GPUs of this machine, from the driver's library NVML (docs/protocol.md section 4).

`nvmlDeviceGetConfComputeGpuAttestationReport` answers a nonce with an SPDM request and response; the call for
certificates gives the device's chain in PEM, leaf first. Layouts as in NVIDIA's nvml.h. NVSwitches have
another library, see `nscq`; their answers stand behind the GPUs'.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any, Final

from enclave_runtime.attestation.nvidia.asking import NONCE, Library, LibraryError, ask_all, taken
from enclave_runtime.attestation.nvidia.evidence import DeviceKind, GpuEvidence
from enclave_runtime.attestation.nvidia.nscq import find_switches
from enclave_runtime.wire.errors import EnclaveError, WireError

__all__ = ["Nvml", "NvmlAttester", "find_gpus"]

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


class _Report(ctypes.Structure):
    """nvmlConfComputeGpuAttestationReport_t."""

    _fields_ = (
        ("cec_present", ctypes.c_uint),
        ("size", ctypes.c_uint),
        ("cec_size", ctypes.c_uint),
        ("nonce", ctypes.c_ubyte * NONCE),
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
        return taken(asked.report, asked.size, "gpu report")

    def chain(self, place: int) -> bytes:
        """Return the certificates of the GPU at `place`."""
        asked = _Certificate()
        self._call("nvmlDeviceGetConfComputeGpuCertificate", self._handle(place), ctypes.byref(asked))
        return taken(asked.attestation_chain, asked.attestation_size, "gpu certificates")

    def _handle(self, place: int) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(place), ctypes.byref(handle))
        return handle

    def _call(self, name: str, *arguments: object) -> None:
        try:
            function = getattr(self._functions, name)
        except AttributeError:
            raise _error(_NO_FUNCTION) from None
        code = int(function(*arguments))
        if code:
            raise _error(code)


class NvmlAttester:
    """A `DeviceAttester` on a machine with NVIDIA's driver; safe to use from several threads."""

    def __init__(self, gpus: Library, switches: Library | None = None) -> None:
        """Take the driver's libraries; that of the switches where the machine has some."""
        self._gpus = gpus
        self._switches = switches
        self._turn = threading.Lock()

    def evidence(self, nonce: bytes) -> bytes:
        """Return bytes of `GpuEvidence`: every device asked with `nonce` (32 bytes), GPUs first.

        Raises:
            WireError: `nonce` is not 32 bytes, or an answer that is no evidence.
            EnclaveError: a device did not answer, answered another nonce, or came or went meanwhile.
        """
        if len(nonce) != NONCE:
            raise WireError(f"devices: got {len(nonce)} bytes of nonce, expected {NONCE}")
        with self._turn:
            devices = ask_all(DeviceKind.GPU, self._gpus, nonce)
            if self._switches is not None:
                devices += ask_all(DeviceKind.NVSWITCH, self._switches, nonce)
        if len({device.chain[1] for device in devices}) != len(devices):  # the boot ROM's: one for each chip
            raise EnclaveError("gpu: got one device under two numbers")
        return GpuEvidence(devices).to_bytes()


def find_gpus(
    functions: Any = None, switches: Callable[[], Library | None] = find_switches
) -> NvmlAttester | None:
    """Return the attester of this machine's GPUs and the switches between them, or None without a GPU.

    Args:
        functions: NVML; default: the driver's.
        switches: looks for the library of switches; asked only where there is a GPU.
    Raises:
        EnclaveError: there is a driver, or a library of switches, and it does not work.
    """
    try:
        library = Nvml(functions)
        count = library.count()
    except OSError:
        return None
    except LibraryError as error:
        if error.code == _NOT_LOADED:
            return None
        raise EnclaveError(f"gpu: {error}") from error
    return NvmlAttester(library, switches()) if count else None


def _error(code: int) -> LibraryError:
    return LibraryError(code, _WORDS.get(code, f"NVML error {code}"), busy=code in _BUSY)
