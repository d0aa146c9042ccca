"""scripts/measure_runtime.py of a real SEV-SNP image: held to an independent tool, digest by digest."""

from __future__ import annotations

import json
import struct
import uuid
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.attestation.sev_snp.registers import SnpRegisters
from enclave_runtime.wire.errors import WireError
from scripts.measurelib import snp
from tests.unit.scripts.test_measure_runtime import script

GENOA, TURIN, SECURE_TSC = 0xA10F10, 0xB00F00, 0x201
SECTIONS = (
    (0x800000, 0x9000, 1),
    (0x80D000, 0x1000, 2),
    (0x80E000, 0x1000, 3),
    (0x80A000, 0x3000, 1),
    (0x80F000, 0x1000, 0x10),
    (0x811000, 0x1000, 4),
)
KERNEL, INITRD, CMDLINE = b"kernel" * 100, b"initrd" * 50, "ro console=ttyS0"
RESET, HASHES, METADATA = (
    "00f771de-1a7e-4fcb-890e-68c77e2fb44e",
    "7255371f-3a3b-4b04-927b-1da6efa8d454",
    "dc886566-984a-4798-a75e-5585a7bf67cc",
)


def firmware(
    sections: tuple[tuple[int, int, int], ...] = SECTIONS, *, size: int = 0x10000, **without: Any
) -> bytes:
    """Return an EDK2 firmware with SEV metadata; `without` leaves entries of its table out, by name."""
    body = bytearray(number * 7 % 251 for number in range(size))
    described = struct.pack("<4sIII", b"ASEV", 16 + 12 * len(sections), 1, len(sections))
    described += b"".join(struct.pack("<III", *section) for section in sections)
    start = size - 0x400
    body[start : start + len(described)] = described
    table = b""
    for name, guid, data in (
        ("metadata", METADATA, struct.pack("<I", size - start)),
        ("hashes", HASHES, struct.pack("<II", 0x80FC00, 0x400)),
        ("reset", RESET, struct.pack("<I", 0x80B004)),
    ):
        if name not in without:
            table += data + struct.pack("<H", len(data) + 18) + uuid.UUID(guid).bytes_le
    table += struct.pack("<H", len(table) + 18)
    table += uuid.UUID("96b582de-1fb2-45f7-baea-a366c55a082d").bytes_le
    body[size - 32 - len(table) : size - 32] = table
    return bytes(body)


PEER = {
    (1, GENOA, 1, "firmware"): (
        "554d514c4064ffe69f2a365422db0c9daa0b5c1a60bff0e26efd2c63b0454e3ca5dbe5557e6ab52503e6d550364a009a"
    ),
    (4, GENOA, 1, "firmware"): (
        "e9c323090c0450cf03bee2db97efbd4a401b9a594e85403d7a204f731db5b1512e9131f632be0411814992cdf3c905b7"
    ),
    (1, GENOA, SECURE_TSC, "kernel"): (
        "f02f15329a9a62362e14618b280709b446d25afdf10e646ab43a76f84cb1369fc148c157870db54cacaab28c32fb94d9"
    ),
    (4, TURIN, SECURE_TSC, "all"): (
        "1780f2bf072e920231ac06c12a54b314acb6d6aca1f6408405f31e470e1655fdb6a7160e54cbc01576258a7a0c563a41"
    ),
    (2, TURIN, 1, "all"): (
        "d9bb86e7bdbb28a1b81d89ac4f32dbdd2073c0d31c960cfaf44a761028570a67d110056e0dfd471bc33e0bd3e6ed4d38"
    ),
}
"""What sev-snp-measure 0.0.13 (virtee) gives: (processors, model, features, what is booted) -> digest."""


@pytest.mark.parametrize("case", PEER, ids=str)
def test_the_digest_is_that_of_an_independent_tool(case: tuple[int, int, int, str]) -> None:
    vcpus, signature, features, booted = case
    hashes = {
        "firmware": None,
        "kernel": snp.kernel_hashes(KERNEL, b"", ""),
        "all": snp.kernel_hashes(KERNEL, INITRD, CMDLINE),
    }[booted]
    made = snp.launch_digest(firmware(), vcpus=vcpus, signature=signature, features=features, hashes=hashes)
    assert made.hex() == PEER[case]


def test_a_firmware_of_another_shape_is_refused() -> None:
    def launch(data: bytes, **changes: Any) -> bytes:
        told: dict[str, Any] = {"vcpus": 1, "signature": GENOA, "features": 1} | changes
        return snp.launch_digest(data, **told)

    hashes = snp.kernel_hashes(KERNEL, b"", "")
    good = firmware()
    assert launch(good) != launch(good, hashes=hashes)
    for bad, changes in (
        (b"", {}),
        (bytes(4096), {}),
        (good[:-1], {}),
        (good.replace(b"ASEV", b"ASEX"), {}),
        (firmware(metadata=False), {}),
        (firmware(reset=False), {"vcpus": 2}),
        (firmware(hashes=False), {"hashes": hashes}),
        (firmware(SECTIONS[:4]), {"hashes": hashes}),
        (firmware(((0x800001, 0x1000, 1),)), {}),
        (firmware(((0x800000, 0x1000, 9),)), {}),
        (firmware(((0x800000, 0xF0000000, 1), (0, 0xF0000000, 1))), {}),
        (firmware(((0x80F000, 0x2000, 0x10),)), {"hashes": hashes}),
        (good, {"vcpus": 0}),
        (good, {"vcpus": 1025}),
    ):
        with pytest.raises(WireError, match="sev-snp"):
            launch(bad, **changes)


def test_the_script_gives_the_measurement_that_a_report_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in (("fw", firmware()), ("k", KERNEL), ("i", INITRD)):
        (tmp_path / name).write_bytes(data)

    def run(*words: object) -> tuple[int, str]:
        status = script.main(["--tee", "sev-snp", *map(str, words)])
        said = capsys.readouterr()
        return status, said.out or said.err

    image = [
        "--firmware",
        tmp_path / "fw",
        "--vcpu-signature",
        "b00f00",
        "--vcpus",
        4,
        "--sev-features",
        "201",
    ]
    booted = ["--kernel", tmp_path / "k", "--initrd", tmp_path / "i", "--cmdline", CMDLINE]
    status, words = run(*image, *booted, "--host-data", "07" * 32)
    found = json.loads(words)
    digest = bytes.fromhex(PEER[4, TURIN, SECURE_TSC, "all"])
    assert status == 0 and found["platform"] == "AMD SEV-SNP"
    assert found["measurement"] == SnpRegisters(digest, b"\x07" * 32, 0x30000).digest().hex()
    (tmp_path / "reference.json").write_text(words)
    assert run(*image, *booted, "--host-data", "07" * 32, "--check", tmp_path / "reference.json")[0] == 0
    status, words = run(*image, *booted, "--check", tmp_path / "reference.json")
    assert status == 1 and "register host_data" in words
    for wrong in (
        image[:2],
        ["--kernel", tmp_path / "k"],
        [*image, "--initrd", tmp_path / "i"],
        [*image, "--host-data", "07"],
        [*image, "--event-log", tmp_path / "k"],
    ):
        status, words = run(*wrong)
        assert status == 1 and words.startswith("measure_runtime: ") and words.count("\n") == 1
