"""NVSwitches through NSCQ: what the driver's library does, good and bad, played behind its own functions."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.attestation.nvidia import nscq
from enclave_runtime.attestation.nvidia.asking import ask_all
from enclave_runtime.attestation.nvidia.attest import Nvml, NvmlAttester, find_gpus
from enclave_runtime.attestation.nvidia.evidence import Device, DeviceKind, GpuEvidence
from enclave_runtime.attestation.nvidia.nscq import Nscq, find_switches
from enclave_runtime.attestation.nvidia.verify import verify_devices
from enclave_runtime.attestation.rules import GpuRules, UnsafeAcceptSimulated
from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld
from enclave_runtime.wire.errors import EnclaveError, WireError
from tests.unit.enclave_runtime.attestation.nvidia.test_nvidia_attest import NONCE, NOW, VENDOR, Driver

BOARD = GpuWorld(gpus=8, switches=4, mode="ppcie")
DRIVER, UNSUPPORTED, TIMEOUT, NOT_IMPLEMENTED, NOT_MOUNTABLE, WARNING = -7, -6, -8, -1, -3, 1
CREATE, INPUT, OBSERVE = "nscq_session_create", "nscq_session_set_input", "nscq_session_path_observe"


@dataclass
class Switches:
    """libnvidia-nscq.so: sessions, paths and callbacks with structures by value, as the real one.

    Attributes:
        codes: function or end of a path -> codes that it returns before it succeeds; one alone for always.
        told: the same for what a callback is told.
        plugged: counts of switches, one for each listing; the last one stays.
        answers: how often a callback is called.
        without: a function that this library has not.
    """

    world: GpuWorld = BOARD
    codes: dict[str, list[int] | int] = field(default_factory=dict)
    told: dict[str, list[int] | int] = field(default_factory=dict)
    spoil: Callable[[bytes], bytes] = lambda report: report
    pem: Callable[[bytes], bytes] = lambda pem: pem
    plugged: list[int] = field(default_factory=list)
    intruders: int = 0
    answers: int = 1
    label: bytes = b"SWX-%08d"
    without: str = ""
    nonce: bytes = b""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not name.startswith("nscq_") or name == self.without:
            raise AttributeError(name)
        return lambda *arguments: getattr(self, f"_{name}")(*arguments)

    def _nscq_session_create(self, flags: int) -> Any:
        assert flags == 1, "without mounted devices no path answers"
        return nscq._SessionResult(_next(self.codes, CREATE), 0x5E55)

    def _nscq_session_set_input(self, session: int, flags: int, given: Any, size: int) -> int:
        assert (session, flags, size) == (0x5E55, 0, 32)
        self.nonce = bytes(given._obj)
        return _next(self.codes, INPUT)

    def _nscq_uuid_to_label(self, uuid: Any, label: Any, flags: int) -> int:
        label._obj.data = self.label % uuid._obj.bytes[0] if b"%" in self.label else self.label
        return 0

    def _nscq_session_path_observe(
        self, session: int, path: bytes, callback: Any, user: None, flags: int
    ) -> int:
        assert (session, user, flags) == (0x5E55, None, 0)
        end = path.decode().rpartition("/")[2]
        if code := _next(self.codes, end):
            return code
        told = _next(self.told, end)
        if end == "uuid":
            for number in range(self._count()):
                uuid = nscq._Uuid((ctypes.c_uint8 * 16)(number))
                callback(None, told, ctypes.pointer(uuid), None)
            return 0
        place = int(path.split(b"/")[1][-8:])
        for _ in range(self.answers):
            callback(None, told, getattr(self, f"_{end}")(place), None)
        return 0

    def _count(self) -> int:
        if not self.plugged:
            return self.world.switches
        return self.plugged.pop(0) if len(self.plugged) > 1 else self.plugged[0]

    def _attestation_report(self, place: int) -> Any:
        nonce = self.nonce
        if self.intruders:
            self.intruders -= 1
            nonce = bytes(32)
        report = self.spoil(VENDOR.answers(nonce, self.world)[self.world.gpus + place][1])
        return nscq._Report(len(report), (ctypes.c_uint8 * 0x2000)(*report[:0x2000]))

    def _certificate(self, place: int) -> Any:
        pem = self.pem(chain_of(self.world, self.world.gpus + place))
        return nscq._Certificate((ctypes.c_uint8 * 0x1400)(*pem[:0x1400]), len(pem))


def _next(codes: dict[str, list[int] | int], name: str) -> int:
    found = codes.get(name, 0)
    return found if isinstance(found, int) else (found.pop(0) if found else 0)


def chain_of(world: GpuWorld, place: int) -> bytes:
    ders = VENDOR.answers(NONCE, world)[place][2]
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)


def asked(**library: Any) -> tuple[Device, ...]:
    return ask_all(DeviceKind.NVSWITCH, Nscq(Switches(**library)), NONCE)


def rules(world: GpuWorld) -> GpuRules:
    return GpuRules(
        world.gpus,
        frozenset({VENDOR.roots.id}),
        switches=world.switches,
        modes=frozenset({world.mode}),
        simulated=UnsafeAcceptSimulated(VENDOR.roots.id),
    )


def test_what_the_driver_says_of_a_board_verifies() -> None:
    evidence = NvmlAttester(Nvml(Driver(world=BOARD)), Nscq(Switches())).evidence(NONCE)
    verified = verify_devices(
        evidence,
        VENDOR.collateral(NOW, BOARD),
        roots=VENDOR.roots,
        rules=rules(BOARD),
        nonce=NONCE,
        now=NOW,
    )
    assert [device.kind for device in verified] == ["gpu"] * 8 + ["nvswitch"] * 4
    assert len({device.device_id for device in verified}) == 12


PATHS = ("uuid", "attestation_report", "certificate")


@pytest.mark.parametrize(
    ("where", "name"),
    [("codes", INPUT), *(("codes", end) for end in PATHS), *(("told", end) for end in PATHS)],
)
def test_a_busy_switch_is_asked_again_and_not_for_ever(where: str, name: str) -> None:
    assert len(asked(**{where: {name: [TIMEOUT, TIMEOUT]}})) == 4
    with pytest.raises(EnclaveError, match="in time"):
        asked(**{where: {name: TIMEOUT}})


@pytest.mark.parametrize(("code", "words"), [
    (NOT_IMPLEMENTED, "does not attest"), (NOT_MOUNTABLE, "cannot be opened"), (DRIVER, "driver failed"),
    (-100, "NSCQ error -100"),
])  # fmt: skip
@pytest.mark.parametrize("where", ["codes", "told"])
def test_a_switch_that_cannot_says_why(code: int, words: str, where: str) -> None:
    with pytest.raises(EnclaveError, match=f"NVSwitch 0: .*{words}"):
        asked(**{where: {"attestation_report": code}})


def test_a_warning_is_no_refusal() -> None:
    codes: dict[str, list[int] | int] = {CREATE: WARNING}
    assert len(asked(codes=codes, told={"certificate": WARNING})) == 4


def test_an_answer_to_somebody_elses_nonce_is_not_taken() -> None:
    assert len(asked(intruders=2)) == 4
    with pytest.raises(EnclaveError, match="NVSwitch 0: got answers to other nonces"):
        asked(intruders=99)


@pytest.mark.parametrize("plugged", [[4, 3], [3, 4]])
def test_switches_that_come_or_go_meanwhile_are_noticed(plugged: list[int]) -> None:
    with pytest.raises(EnclaveError, match="another number of NVSwitches"):
        asked(plugged=plugged)


def test_no_switch_where_there_were_some_too_many_and_one_twice() -> None:
    for count in (0, 17):
        with pytest.raises(EnclaveError, match=f"got {count} NVSwitches"):
            asked(plugged=[count])
    library = Nscq(Switches(label=b"SWX-00000000"))
    with pytest.raises(EnclaveError, match="one device under two numbers"):
        NvmlAttester(Nvml(Driver(world=BOARD)), library).evidence(NONCE)


@pytest.mark.parametrize("answers", [0, 2])
def test_a_path_of_one_switch_has_one_answer(answers: int) -> None:
    with pytest.raises(EnclaveError, match=f"got {answers} answers"):
        asked(answers=answers)


@pytest.mark.parametrize("label", [b"", b"../0", b"{nvswitch}", b"a/b", b"a" * 64, b"\xff"])
def test_a_name_that_would_be_another_path_is_refused(label: bytes) -> None:
    with pytest.raises(EnclaveError, match="no name"):
        asked(label=label)


@pytest.mark.parametrize("change", [lambda data: b"", lambda data: data + bytes(0x2001)])
def test_sizes_beyond_the_buffers_are_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(WireError, match="nvswitch report: got"):
        asked(spoil=change)
    with pytest.raises(WireError, match="nvswitch certificates: got"):
        asked(pem=change)


def test_certificates_that_are_no_pem_are_refused() -> None:
    with pytest.raises(WireError, match="nvswitch certificates: got bytes in front"):
        asked(pem=lambda pem: b"x" + pem)


def test_a_machine_without_library_driver_or_switch_has_none() -> None:
    assert find_switches(Switches()) is not None
    assert find_switches(Switches(plugged=[0])) is None
    for code in (DRIVER, UNSUPPORTED):
        assert find_switches(Switches(codes={CREATE: code})) is None
    with pytest.raises(EnclaveError, match=r"nvswitch: .*cannot be opened"):
        find_switches(Switches(codes={CREATE: NOT_MOUNTABLE}))
    with pytest.raises(EnclaveError, match="without these functions"):
        find_switches(Switches(without=CREATE))


def test_switches_are_looked_for_beside_gpus_only_and_failures_are_told() -> None:
    def fails() -> None:
        raise EnclaveError("nvswitch: broken")

    assert find_gpus(Driver(plugged=[0]), fails) is None
    with pytest.raises(EnclaveError, match="broken"):
        find_gpus(Driver(), fails)
    found = find_gpus(Driver(world=BOARD), lambda: Nscq(Switches()))
    assert found is not None
    kinds = [one.kind for one in GpuEvidence.from_bytes(found.evidence(NONCE)).devices]
    assert kinds == [DeviceKind.GPU] * 8 + [DeviceKind.NVSWITCH] * 4


PLAYED = """
#include <stdint.h>
#include <string.h>
/* The structures of nscq_attestation.h, written down a second time: this is what the real library passes. */
typedef struct { uint8_t bytes[16]; } uuid_t;
typedef struct { char data[64]; } label_t;
typedef struct { uint32_t report_size; uint8_t report[0x2000]; } report_t;
typedef struct { uint8_t cert_chain[0x1400]; uint32_t cert_chain_size; } certificate_t;
typedef struct { int8_t rc; void *session; } result_t;
typedef uint32_t (*fill_t)(int place, const uint8_t *nonce, uint8_t *out);
static fill_t fill_report, fill_chain;
static uint8_t nonce[32];
static int session;
void play(fill_t report, fill_t chain) { fill_report = report; fill_chain = chain; }
result_t nscq_session_create(uint32_t flags) {
    result_t made = { flags == 1 ? 0 : -1, &session };
    return made;
}
int8_t nscq_session_set_input(void *of, uint32_t flags, void *input, uint32_t size) {
    if (of != &session || flags || size != sizeof nonce) return -5;
    memcpy(nonce, input, size);
    return 0;
}
int8_t nscq_uuid_to_label(const uuid_t *uuid, label_t *label, uint32_t flags) {
    memset(label, 0, sizeof *label);
    memcpy(label->data, "SWX-", 4);
    label->data[4] = '0' + uuid->bytes[15];
    return 0;
}
int8_t nscq_session_path_observe(void *of, const char *path, void (*seen)(void), void *user, uint32_t flags) {
    if (of != &session || flags) return -5;
    if (!strcmp(path, "/drv/nvswitch/{device}/uuid")) {
        for (int i = 0; i < 2; i++) {
            uuid_t one = { { 0 } };
            one.bytes[15] = i;
            ((void (*)(const uuid_t *, int8_t, const uuid_t *, void *))seen)(&one, 0, &one, user);
        }
        return 0;
    }
    int place = path[5] - '0';
    uuid_t device = { { 0 } };
    if (!strcmp(path + 6, "/config/attestation_report")) {
        report_t answer;
        memset(&answer, 0, sizeof answer);
        answer.report_size = fill_report(place, nonce, answer.report);
        ((void (*)(const uuid_t *, int8_t, report_t, void *))seen)(&device, 0, answer, user);
        return 0;
    }
    if (!strcmp(path + 6, "/config/certificate")) {
        certificate_t answer;
        memset(&answer, 0, sizeof answer);
        answer.cert_chain_size = fill_chain(place, nonce, answer.cert_chain);
        ((void (*)(const uuid_t *, int8_t, certificate_t, void *))seen)(&device, 0, answer, user);
        return 0;
    }
    return -1;
}
"""


def test_the_calling_convention_is_that_of_the_headers(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here: the played library is in C, so that its calls are the real ones")
    (tmp_path / "nscq.c").write_text(PLAYED)
    library = tmp_path / "libplayed.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(tmp_path / "nscq.c")]
    subprocess.run(command, check=True, timeout=60)
    world = GpuWorld(gpus=2, switches=2, mode="ppcie")
    fill = ctypes.CFUNCTYPE(
        ctypes.c_uint32, ctypes.c_int, ctypes.POINTER(ctypes.c_uint8), ctypes.POINTER(ctypes.c_uint8)
    )

    def filled(data: bytes, out: Any) -> int:
        ctypes.memmove(out, data, len(data))
        return len(data)

    report = fill(
        lambda place, nonce, out: filled(VENDOR.answers(bytes(nonce[:32]), world)[2 + place][1], out)
    )
    chain = fill(lambda place, nonce, out: filled(chain_of(world, 2 + place), out))
    loaded = ctypes.CDLL(str(library))
    loaded.play(report, chain)
    evidence = NvmlAttester(Nvml(Driver(world=world)), Nscq(loaded)).evidence(NONCE)
    verified = verify_devices(
        evidence,
        VENDOR.collateral(NOW, world),
        roots=VENDOR.roots,
        rules=rules(world),
        nonce=NONCE,
        now=NOW,
    )
    assert [device.kind for device in verified] == ["gpu", "gpu", "nvswitch", "nvswitch"]
