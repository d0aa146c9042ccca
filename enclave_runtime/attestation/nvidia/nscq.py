"""Evidence of the NVSwitches of this machine, from the driver's library NSCQ (docs/protocol.md section 4).

Functions, paths and layouts are those of `nscq_attestation.h` and `nscq_attestation_path.h`, which NVIDIA
publishes with nvtrust (API 2.0): a session takes the nonce as its input, and every question is a path whose
answers come to a callback, structures by value. No switch was at hand: the tests play this library, in Python
and, compiled from C, through the real calling convention.
"""

from __future__ import annotations

import ctypes
import re
from typing import Any, Final

from enclave_runtime.attestation.nvidia.asking import LibraryError, taken
from enclave_runtime.wire.errors import EnclaveError

__all__ = ["Nscq", "find_switches"]

_SONAME: Final = "libnvidia-nscq.so.2"
_MOUNT_DEVICES: Final = 1
_LABELS: Final = re.compile(rb"[0-9A-Za-z_-]{1,63}")
_UUIDS: Final = b"/drv/nvswitch/{device}/uuid"
_NOT_IMPLEMENTED, _UNEXPECTED, _UNSUPPORTED_DRIVER, _DRIVER, _TIMEOUT, _EXTERNAL = -1, -5, -6, -7, -8, -127
_WORDS: Final = {
    _NOT_IMPLEMENTED: "this switch or library does not attest",
    -2: "the library knows no such switch",
    -3: "the switch cannot be opened: closed to this user, or in use",
    -4: "the answer does not fit",
    _UNEXPECTED: "the library gave another answer than asked for",
    _UNSUPPORTED_DRIVER: "a driver that the library does not support",
    _DRIVER: "the driver failed, or is not loaded",
    _TIMEOUT: "the switch did not answer in time",
    _EXTERNAL: "a library without these functions",
}


class _Uuid(ctypes.Structure):
    """nscq_uuid_t."""

    _fields_ = (("bytes", ctypes.c_uint8 * 16),)


class _Label(ctypes.Structure):
    """nscq_label_t."""

    _fields_ = (("data", ctypes.c_char * 64),)


class _Report(ctypes.Structure):
    """nscq_attestation_report_t."""

    _fields_ = (("size", ctypes.c_uint32), ("data", ctypes.c_uint8 * 0x2000))


class _Certificate(ctypes.Structure):
    """nscq_attestation_certificate_t: the other way round."""

    _fields_ = (("data", ctypes.c_uint8 * 0x1400), ("size", ctypes.c_uint32))


class _SessionResult(ctypes.Structure):
    """nscq_session_result_t."""

    _fields_ = (("rc", ctypes.c_int8), ("session", ctypes.c_void_p))


_Device = ctypes.POINTER(_Uuid)
_CALLBACKS: Final = {
    kind: ctypes.CFUNCTYPE(None, _Device, ctypes.c_int8, kind, ctypes.c_void_p)
    for kind in (_Device, _Report, _Certificate)
}
_SIGNATURES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "nscq_session_create": (_SessionResult, (ctypes.c_uint32,)),
    "nscq_session_set_input": (
        ctypes.c_int8,
        (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32),
    ),
    "nscq_session_path_observe": (
        ctypes.c_int8,
        (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32),
    ),
    "nscq_uuid_to_label": (ctypes.c_int8, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)),
}


class Nscq:
    """A `Library` of switches: the real one, or one of the same functions. For one thread at a time."""

    def __init__(self, functions: Any = None) -> None:
        """Load it and open a session with every switch.

        Raises:
            OSError: there is none.
            LibraryError: it does not start.
        """
        self._functions: Any = ctypes.CDLL(_SONAME) if functions is None else functions
        if isinstance(self._functions, ctypes.CDLL):
            for name, (result, arguments) in _SIGNATURES.items():
                function = self._function(name)
                function.restype, function.argtypes = result, arguments
        opened = self._function("nscq_session_create")(_MOUNT_DEVICES)
        _check(opened.rc)
        self._session = opened.session
        self._labels: tuple[bytes, ...] = ()

    def count(self) -> int:
        """Return how many switches the driver has; their places are theirs until it is asked again."""
        found = self._observe(_UUIDS, _Device, lambda value: bytes(value.contents.bytes))
        self._labels = tuple(self._label(uuid) for uuid in found)
        return len(self._labels)

    def report(self, place: int, nonce: bytes) -> bytes:
        """Return what the switch at `place` answers to `nonce` (32 bytes)."""
        given = (ctypes.c_uint8 * len(nonce)).from_buffer_copy(nonce)
        _check(self._function("nscq_session_set_input")(self._session, 0, ctypes.byref(given), len(nonce)))
        return self._one(place, b"attestation_report", _Report, "nvswitch report")

    def chain(self, place: int) -> bytes:
        """Return the certificates of the switch at `place`."""
        return self._one(place, b"certificate", _Certificate, "nvswitch certificates")

    def _one(self, place: int, what: bytes, kind: type[Any], words: str) -> bytes:
        path = b"/" + self._labels[place] + b"/config/" + what
        found = self._observe(path, kind, lambda value: (bytes(value.data), int(value.size)))
        if len(found) != 1:
            raise LibraryError(_UNEXPECTED, f"got {len(found)} answers of one switch")
        data, size = found[0]
        return taken(data, size, words)

    def _observe(self, path: bytes, kind: Any, copy: Any) -> list[Any]:
        """Return what a path's callbacks brought, copied: their arguments end with them."""
        brought: list[tuple[int, Any]] = []
        callback = _CALLBACKS[kind](
            lambda device, rc, value, user: brought.append((rc, copy(value) if rc >= 0 else None))
        )
        observe = self._function("nscq_session_path_observe")
        _check(observe(self._session, path, callback, None, 0))
        for rc, _ in brought:
            _check(rc)
        return [value for _, value in brought]

    def _label(self, uuid: bytes) -> bytes:
        given, label = _Uuid.from_buffer_copy(uuid), _Label()
        _check(self._function("nscq_uuid_to_label")(ctypes.byref(given), ctypes.byref(label), 0))
        name: bytes = label.data
        if not _LABELS.fullmatch(name):  # it becomes part of a path
            raise LibraryError(_UNEXPECTED, "got a switch's name that is no name")
        return name

    def _function(self, name: str) -> Any:
        try:
            return getattr(self._functions, name)
        except AttributeError:
            raise LibraryError(_EXTERNAL, _WORDS[_EXTERNAL]) from None


def find_switches(functions: Any = None) -> Nscq | None:
    """Return the library of this machine's switches, or None without library, driver or switch.

    Raises:
        EnclaveError: there is one, and it does not work.
    """
    try:
        library = Nscq(functions)
        return library if library.count() else None
    except OSError:
        return None
    except LibraryError as error:
        if error.code in (_DRIVER, _UNSUPPORTED_DRIVER):
            return None
        raise EnclaveError(f"nvswitch: {error}") from error


def _check(code: int) -> None:
    if code < 0:  # above zero is a warning: it was done
        raise LibraryError(code, _WORDS.get(code, f"NSCQ error {code}"), busy=code == _TIMEOUT)
