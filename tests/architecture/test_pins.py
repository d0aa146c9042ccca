"""What is installed is pinned, by hash, and no file says where from: the clients know that."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
SHARED = ("build", "runtime", "engine", "torch-cpu", "dev")
"""Locks that go into one environment."""

# Spelt in parts, so that this file does not name what it looks for.
REGISTRY = re.compile(
    r'"resolved"\s*:\s*"http|(?:index|registry)[-_]?(?:url)?\s*=\s*["\']?http|//[a-z0-9.-]*(?:npm|pypi|python'
    r"hosted)[a-z0-9.-]*/|download\.pytorch"
)


def pins(path: Path) -> dict[str, str]:
    """Return the versions that a requirement file names."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", path.read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_lock_gives_a_hash_for_every_package(lock: Path) -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^#.*\n", "", lock.read_text()).strip())
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==\S+ \\\n", entry), f"no exact version: {entry[:60]}"
        assert "--hash=sha256:" in entry, f"no hash: {entry[:60]}"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_lock_holds_what_its_input_asks_for(lock: Path) -> None:
    wanted = pins(lock.with_suffix(".in"))
    assert wanted
    assert wanted.items() <= pins(lock).items()


def test_locks_of_one_environment_agree() -> None:
    seen: dict[str, str] = {}
    for name in SHARED:
        for package, version in pins(ROOT / "requirements" / f"{name}.txt").items():
            assert seen.setdefault(package, version) == version, f"{package}: {seen[package]} and {version}"


def test_npm_lock_names_no_address_and_hashes_every_package() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for name, entry in packages.items():
        assert "resolved" not in entry, name
        assert not name or entry["integrity"].startswith("sha512-"), name


def test_compiler_wrapper_promises_the_pinned_compiler() -> None:
    pinned = json.loads((ROOT / "package.json").read_text())["devDependencies"]["solc"]
    wrapper = (ROOT / "tools" / "solc").read_text()
    assert f"const VERSION = '{pinned}+commit." in wrapper
    assert f"version: {pinned}\n" in (ROOT / "ape-config.yaml").read_text()


def test_no_file_names_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and path.stat().st_size < 4_000_000:
            found = REGISTRY.search(path.read_text(errors="replace"))
            assert found is None, f"{name}: {found.group(0)}"
