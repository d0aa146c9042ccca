"""scripts/measure_runtime.py: the same files give the same reference; a real image as far as files say it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import struct
import sys
import uuid
from pathlib import Path
from types import ModuleType

import pytest

from enclave_runtime.attestation.dcap.ccel import parse_any_log
from enclave_runtime.attestation.dcap.layout import TdBody, parse_quote, strip_zero_padding
from enclave_runtime.attestation.dcap.registers import TdxRegisters
from enclave_runtime.attestation.dcap.rtmr import Event, encode_log, parse_log, replay
from enclave_runtime.wire.errors import WireError
from tests.evidence import vectors

ROOT = Path(__file__).resolve().parents[3]


def load() -> ModuleType:
    path = ROOT / "scripts" / "measure_runtime.py"
    spec = importlib.util.spec_from_file_location("measure_runtime", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["measure_runtime"] = module
    spec.loader.exec_module(module)
    return module


script = load()
image, tdvf = script.image, script.tdvf


@pytest.fixture
def output(capsys):
    def run(*args: object) -> tuple[int, str]:
        status = script.main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return status, captured.out if status == 0 and captured.out else captured.err

    return run


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    package = tmp_path / "a" / "enclave_runtime"
    package.mkdir(parents=True)
    (package / "__main__.py").write_bytes(b"run()\n")
    (tmp_path / "a" / "requirements").mkdir()
    (tmp_path / "a" / "requirements" / "runtime.txt").write_bytes(b"x==1\n")
    return tmp_path / "a"


@pytest.mark.parametrize("tee", ["tdx", "sev-snp"])
def test_the_same_files_give_the_same_reference_wherever_they_lie(output, checkout, tee):
    copy = checkout.parent / "b"
    shutil.copytree(checkout, copy)
    status, first = output("--tee", tee, "--runtime-dir", checkout, "--json")
    assert status == 0 and first.count("\n") == 1
    assert output("--tee", tee, "--runtime-dir", copy, "--json") == (0, first)
    reference = json.loads(first)
    assert reference["platform"] == "SIMULATED" and len(bytes.fromhex(reference["measurement"])) == 32
    (copy / "enclave_runtime" / "__main__.py").write_bytes(b"run() \n")
    assert (
        json.loads(output("--tee", tee, "--runtime-dir", copy)[1])["measurement"] != reference["measurement"]
    )


def test_another_machines_reference_is_computed_from_its_base(output, checkout):
    here = json.loads(output("--runtime-dir", checkout)[1])
    again = json.loads(output("--runtime-dir", checkout, "--sandbox-base", here["sandbox_base"])[1])
    assert again == here
    other = here["sandbox_base"].replace("CPython", "PyPy")
    there = json.loads(output("--runtime-dir", checkout, "--sandbox-base", other)[1])
    assert there["measurement"] != here["measurement"]
    assert there["registers"]["mrtd"] == here["registers"]["mrtd"]


def test_check_says_what_differs(output, checkout, tmp_path):
    saved = tmp_path / "reference.json"
    saved.write_text(output("--runtime-dir", checkout)[1])
    assert output("--runtime-dir", checkout, "--check", saved)[0] == 0
    (checkout / "requirements" / "runtime.txt").write_bytes(b"x==2\n")
    status, words = output("--runtime-dir", checkout, "--check", saved)
    assert status == 1
    assert "register rtmr2" in words and "part requirements differs" in words and "mrtd" not in words


def test_refusals_are_one_line(output, tmp_path):
    for args in (
        ["--runtime-dir", tmp_path],
        ["--firmware", tmp_path / "none"],
        ["--kernel", ROOT / "README.md"],
        ["--firmware", ROOT / "README.md"],
        ["--event-log", ROOT / "README.md"],
    ):
        status, words = output(*args)
        assert status == 1 and words.startswith("measure_runtime: ") and words.count("\n") == 1


def firmware(*found: tuple[bytes, int, int], spoil: bytes = b"") -> bytes:
    """Return a virtual firmware with sections (content, address, attributes)."""
    content = b"".join(data for data, _, _ in found)
    table, at = b"", 0
    for data, address, attributes in found:
        size = len(data) if attributes & 1 else 0
        table += struct.pack("<IIQQII", at if size else 0, size, address, len(data), 0, attributes)
        at += len(data)
    metadata = struct.pack("<4sIII", b"TDVF", 16 + len(table), 1, len(found)) + table
    footer_id = uuid.UUID("96b582de-1fb2-45f7-baea-a366c55a082d").bytes_le
    other = bytes(10) + struct.pack("<H", 28) + uuid.uuid4().bytes_le
    behind = 22 + len(other) + 18 + 32
    entry = struct.pack("<I", behind + len(metadata)) + struct.pack("<H", 22)
    entry += uuid.UUID("e47a6535-984a-4798-865e-4685a7bf8ec2").bytes_le
    footer = struct.pack("<H", len(entry) + len(other) + 18) + footer_id
    return content + metadata + entry + other + footer + bytes(32)


def test_mrtd_follows_the_metadata():
    code, later = bytes(range(256)) * 16, bytes(4096)
    file = firmware((code, 0xFFFFF000, 1), (later, 0x800000, 0), (later, 0x900000, 2))
    log = b"MEM.PAGE.ADD".ljust(16, b"\0") + (0xFFFFF000).to_bytes(8, "little") + bytes(104)
    for at in range(0, 4096, 256):
        log += b"MR.EXTEND".ljust(16, b"\0") + (0xFFFFF000 + at).to_bytes(8, "little") + bytes(104)
        log += code[at : at + 256]
    log += b"MEM.PAGE.ADD".ljust(16, b"\0") + (0x800000).to_bytes(8, "little") + bytes(104)
    assert tdvf.mrtd(file) == hashlib.sha384(log).digest()


def test_a_firmware_of_another_shape_is_refused():
    good = firmware((bytes(4096), 0x1000, 1))
    for bad in (
        b"",
        bytes(100),
        good[:-1],
        good.replace(b"TDVF", b"TDVX"),
        good[:-32].replace(uuid.UUID("e47a6535-984a-4798-865e-4685a7bf8ec2").bytes_le, bytes(16)) + bytes(32),
        firmware((bytes(4000), 0x1000, 1)),
        firmware((bytes(4096), 0x1001, 1)),
    ):
        with pytest.raises(WireError, match="tdvf"):
            tdvf.mrtd(bad)


def pe(*, signed: bytes = b"", checksum: bytes = bytes(4), body: bytes = b"code" * 64) -> bytes:
    """Return the smallest EFI image with one section, and certificates behind it."""
    optional = struct.pack("<H", 0x20B) + bytes(58) + struct.pack("<I", 512) + checksum + bytes(40)
    optional += struct.pack("<I", 16)
    directories = bytearray(128)
    struct.pack_into("<II", directories, 32, 512 + len(body), len(signed))
    optional += bytes(directories)
    section = b".text\0\0\0" + struct.pack("<IIII", len(body), 4096, len(body), 512) + bytes(16)
    coff = struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, len(optional), 0x22)
    head = bytes(0x3C) + struct.pack("<I", 0x40) + b"PE\0\0" + coff + optional + section
    return head.ljust(512, b"\0") + body + signed


def test_a_kernels_digest_leaves_out_checksum_and_certificates():
    digest = image.authenticode(pe())
    assert digest == image.authenticode(pe(checksum=b"\x01\x02\x03\x04"))
    assert digest != image.authenticode(pe(body=b"kode" * 64))
    unsigned = pe()
    at = 0x40 + 24 + 112 + 32
    parts = unsigned[: 0x40 + 24 + 64] + unsigned[0x40 + 24 + 68 : at] + unsigned[at + 8 :]
    assert digest == hashlib.sha384(parts).digest()
    signed = pe(signed=b"certificate" * 8)
    assert image.authenticode(signed) == digest
    for bad in (b"", bytes(64), unsigned[:300], unsigned[:-1]):
        with pytest.raises(WireError, match="kernel"):
            image.authenticode(bad)


def boot_logs():
    """Name every public boot log of a kernel that QEMU started itself, and which kind of EDK2 wrote it."""
    folder = vectors.ROOT / "intel"
    return {
        "dstack, JSON": (folder / "dstack" / "quote-report.json", True),
        "dstack, CCEL": (folder / "dstack" / "ccel.bin", True),
        "NEAR, JSON": (folder / "near-mpc" / "dstack_tcb_info.json", True),
        "trustee, CCEL": (folder / "trustee" / "CCEL_data_ovmf", False),
    }


def events_of(path):
    if path.suffix != ".json":
        return parse_any_log(path.read_bytes())
    log = json.loads(path.read_bytes())["event_log"]
    return parse_log((log if isinstance(log, str) else json.dumps(log)).encode())


@vectors.REQUIRED
@pytest.mark.parametrize("name", boot_logs())
def test_what_firmware_extends_behind_a_kernel_is_what_a_real_log_has(name):
    path, separator = boot_logs()[name]
    events = events_of(path)
    kernel = next(event.digest for event in events if event.imr == 1)
    assert image.behind_kernel(kernel, separator=separator) == replay(events)[1]
    assert image.behind_kernel(kernel, separator=not separator) != replay(events)[1]
    measured = [event.digest for event in events if event.imr == 2]
    assert image.extend(measured) == replay(events)[2]
    assert len(measured) in (0, 2), "options and initrd, or a log that was taken before them"


@vectors.REQUIRED
def test_a_boot_log_tells_where_the_separator_goes(output, tmp_path):
    """No log comes with its kernel: ours takes the place of the real one in it."""
    (tmp_path / "kernel").write_bytes(pe())
    events = [
        event if (event.imr, event.event_type) != (1, 0x80000003)
        else Event(1, 0x80000003, image.authenticode(pe()), "", b"")
        for event in events_of(vectors.ROOT / "intel" / "trustee" / "CCEL_data_ovmf")
    ]  # fmt: skip
    (tmp_path / "log.json").write_bytes(encode_log(events))
    files = ["--event-log", tmp_path / "log.json", "--kernel", tmp_path / "kernel"]
    status, words = output(*files)
    assert status == 1 and "rtmr1" in words
    status, words = output(*files, "--separator", "rtmr0")
    found = json.loads(words)
    assert status == 0 and found["missing"] == ["mrtd"]
    assert found["registers"]["rtmr1"] == replay(events)[1].hex()


@vectors.REQUIRED
@pytest.mark.parametrize("name", ["dstack, JSON", "NEAR, JSON"])
def test_a_guests_own_log_and_mrtd_give_the_measurement_of_its_quote(output, tmp_path, name):
    path, _ = boot_logs()[name]
    captured = json.loads((path if "dstack" in name else path.with_name("quote.json")).read_bytes())
    quote = bytes(captured) if isinstance(captured, list) else bytes.fromhex(captured["quote"])
    body = parse_quote(strip_zero_padding(quote)).body
    assert isinstance(body, TdBody)
    (tmp_path / "log.json").write_bytes(encode_log(events_of(path)))
    fixed = {"mrtd": body.mrtd, "xfam": body.xfam, "td-attributes": body.td_attributes}
    fixed |= {"mr-config-id": body.mr_config_id, "mr-owner": body.mr_owner}
    words = [word for key, value in fixed.items() for word in (f"--{key}", value.hex())]
    found = json.loads(output("--event-log", tmp_path / "log.json", *words)[1])
    assert found["measurement"] == TdxRegisters.of(body).measurement().hex()


@vectors.REQUIRED
def test_a_real_boot_log_and_mrtd_give_the_measurement_of_the_real_quote(output, tmp_path):
    folder = vectors.ROOT / "intel" / "go-tdx-guest"
    body = parse_quote(strip_zero_padding((folder / "ccel_cos-113-tdx-quote.dat").read_bytes())).body
    assert isinstance(body, TdBody)
    log = ["--event-log", folder / "ccel_ccel_data.dat", "--xfam", body.xfam.hex()]
    status, words = output(*log, "--mrtd", body.mrtd.hex())
    assert status == 0
    assert json.loads(words)["measurement"] == TdxRegisters.of(body).measurement().hex()
    missing = json.loads(output(*log)[1])
    assert missing["measurement"] is None and missing["missing"] == ["mrtd"]
    # A kernel that is not the one in the log is noticed.
    (tmp_path / "kernel").write_bytes(pe())
    status, words = output(*log, "--kernel", tmp_path / "kernel")
    assert status == 1 and "rtmr1" in words
