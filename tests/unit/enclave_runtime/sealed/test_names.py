"""Names in archives: one rule on every Python (docs/protocol.md section 3.1)."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from enclave_runtime.sealed.names import text_fault
from enclave_runtime.sealed.tarformat import link_fault, name_fault
from tests.fakes.interpreters import find_python

ROOT = Path(__file__).resolve().parents[4]
PLANES = range(0x33480)
"""Every character that is assigned in planes 0 to 3; the others are tags, selectors and private ones."""


def allowed_digest() -> str:
    return hashlib.sha256(bytes(text_fault(chr(sign)) is None for sign in PLANES)).hexdigest()


def test_allowed_characters_are_fixed_for_ever() -> None:
    assert allowed_digest() == GOLDEN_ALLOWED


GOLDEN_ALLOWED = "fe498ebb8fde6a6035a85a080352fc8a179b8d6c4e0c6229f2c488a2d9baafae"

ELSEWHERE = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.names import text_fault
whole = hashlib.sha256()
buffer = memoryview(bytearray(1 << 16))
with ArchiveReader(sys.argv[2]) as reader:
    while got := reader.readinto(buffer):
        whole.update(buffer[:got])
allowed = bytes(text_fault(chr(sign)) is None for sign in range(0x33480))
print(whole.hexdigest(), hashlib.sha256(allowed).hexdigest())
"""


@pytest.mark.parametrize("python", ["python3.11", "python3.12", "python3.13", "python3.14"])
def test_other_pythons_make_the_same_archive_and_allow_the_same_names(python: str, tmp_path: Path) -> None:
    """The archive's writer needs nothing but the standard library, so any interpreter here can run it."""
    path = find_python(python)
    if path is None:
        pytest.skip(f"no {python} here, neither in PATH nor in pyenv's versions")
    (tmp_path / "d" / "é").mkdir(parents=True)
    (tmp_path / "d" / "é" / ("漢字" * 40)).write_bytes(b"x" * 700)
    (tmp_path / "d" / "run").write_bytes(b"")
    (tmp_path / "d" / "run").chmod(0o700)
    (tmp_path / "z").symlink_to("d/run")
    done = subprocess.run([path, "-c", ELSEWHERE, str(ROOT), str(tmp_path)], capture_output=True, check=True)
    assert done.stdout.decode().split() == [GOLDEN_ELSEWHERE, GOLDEN_ALLOWED], sys.version


GOLDEN_ELSEWHERE = "38b612bd22b57439f566ed4625958002d3b51c0561f10923eb70d8711cb3355c"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a\u200bb", "invisible"),
        ("a\u202eb", "invisible"),
        ("a\u2066b", "invisible"),
        ("a\ufeffb", "invisible"),
        ("a\U000e0041b", "invisible"),
        ("a\u2028b", "invisible"),
        ("a\x7fb", "control"),
        ("a\x85b", "control"),
        ("a\tb", "control"),
        ("a\u0378b", "Unicode 14"),
        ("a\U00031350b", "Unicode 14"),
        ("a\U00013439b", "Unicode 14"),
        ("a\U0001faf8b", "Unicode 14"),
        ("a\uffffb", "Unicode 14"),
        ("e\u0301", "NFC"),
        ("\u212b", "NFC"),
        ("\uf900", "NFC"),
        ("\u1100\u1161", "NFC"),
        ("a\udc80", "UTF-8"),
        ("a//b", "absolute"),
        ("a/./b", "absolute"),
        ("a/../b", "absolute"),
        ("/a", "absolute"),
        ("", "absolute"),
        ("a/", "absolute"),
        ("é" * 128, "255"),
        ("/".join(["a" * 250] * 5), "1024"),
        ("/".join("a" * 65), "deeper"),
        ("a" * 4096, "1024"),
    ],
)
def test_refuses_tricks_with_names_and_targets(name: str, words: str) -> None:
    fault = name_fault(name)
    assert fault is not None and words in fault
    if name:
        assert link_fault("link", name) is not None


@pytest.mark.parametrize(
    "name", ["a b", "ümlaut", "漢字", "😀", "a:b\\c", "-rf", "...", "é" * 127, "nul", " "]
)
def test_takes_ordinary_names(name: str) -> None:
    assert name_fault(name) is None
