"""Who may know whom (docs/architecture.md): the linter's contracts, and the rules that it cannot say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, imported_modules, module_name, python_files, third_party

INSIDE = ("cryptography", "coincurve", "blake3")
"""What the trusted computing base may import anywhere, beside the standard library."""

INSIDE_ALSO = {
    "Crypto.Hash.keccak": ("enclave_runtime.wire.hashes",),
    "dcap_qvl": ("enclave_runtime.attestation.*.verify", "enclave_runtime.attestation.*.qvl"),
    "lxml": ("enclave_runtime.attestation.nvidia.xmlsig", "enclave_runtime.attestation.nvidia.rim"),
}
"""What single modules of it may import besides: one Keccak, and what verifiers need, which run outside."""

OUTSIDE = {
    "web3": ("marketplace.chain", "marketplace.demo"),
    "eth_abi": ("marketplace.chain",),
    "eth_utils": ("marketplace.chain",),
    "hexbytes": ("marketplace.chain",),
    "eth_account": ("marketplace.chain", "marketplace.service.keyfiles", "marketplace.demo"),
    "eth_keyfile": ("marketplace.service.keyfiles",),
    "fastapi": ("marketplace.service", "marketplace.certifier", "marketplace.keybroker"),
    "starlette": ("marketplace.service", "marketplace.certifier", "marketplace.keybroker"),
    "uvicorn": ("marketplace.service",),
    "pydantic": ("marketplace.service", "marketplace.certifier", "marketplace.keybroker"),
    "httpx": (
        "marketplace.provider.services",
        "marketplace.chain",
        "marketplace.storage",
        "marketplace.collateral",
        "marketplace.sdk",
        "marketplace.demo",
    ),
    "boto3": ("marketplace.storage",),
    "botocore": ("marketplace.storage",),
    "ipfshttpclient": ("marketplace.storage.kubo",),
    "typer": ("marketplace.cli",),
    "click": ("marketplace.cli",),
    "rich": ("marketplace.cli", "marketplace.demo"),
    "cryptography": ("marketplace",),
    "coincurve": ("marketplace",),
    # The engine's own libraries: only the demo, which compares the engine's result with a run outside.
    "numpy": ("marketplace.demo",),
    "sklearn": ("marketplace.demo",),
    "safetensors": ("marketplace.demo", "marketplace.sdk"),
}
"""Third-party packages and the rooms that may import them; a package that is not here is imported by none."""

EFFECTS = (
    *(
        "asyncio",
        "http",
        "logging",
        "mmap",
        "multiprocessing",
        "os",
        "pathlib",
        "random",
        "secrets",
        "select",
    ),
    *(
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "urllib",
    ),
)
"""Standard modules that read a clock, entropy, a file, a process or a network."""

PURE = (
    "enclave_runtime.wire",
    "enclave_runtime.loader",
    "enclave_runtime.attestation",
    "marketplace.domain",
    "marketplace.provider.reducer",
)
"""Rooms that get time, entropy and bytes from their callers."""

IMPURE = ("enclave_runtime.attestation.simulated", "enclave_runtime.attestation.*.attest")
"""Parts of those that open devices, or play one."""

VENDORS = ("tdx", "sgx", "sev_snp", "nvidia", "cca", "nitro")


def under(name: str, *rooms: str) -> bool:
    """Whether a dotted name lies in one of the rooms; `*` stands for one part of a name."""
    parts = name.split(".")
    for room in rooms:
        wanted = room.split(".")
        if len(parts) >= len(wanted) and all(w in ("*", p) for w, p in zip(wanted, parts, strict=False)):
            return True
    return False


def test_linter_keeps_every_contract() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("path", python_files("enclave_runtime"), ids=module_name)
def test_enclave_module_imports_nothing_but_the_named_packages(path: Path) -> None:
    name = module_name(path)
    for imported in third_party(path):
        rooms = [room for package, room in INSIDE_ALSO.items() if under(imported, package)]
        assert under(imported, *INSIDE) or any(under(name, *room) for room in rooms), (
            f"{name} imports {imported}"
        )


@pytest.mark.parametrize("path", python_files("marketplace"), ids=module_name)
def test_marketplace_module_imports_only_what_its_room_may(path: Path) -> None:
    name = module_name(path)
    for imported in third_party(path):
        package = imported.partition(".")[0]
        assert package in OUTSIDE, (
            f"{name} imports {imported}, which no room may: decide, and put it into OUTSIDE"
        )
        assert under(name, *OUTSIDE[package]), f"{name} imports {imported}: only {OUTSIDE[package]} may"


def test_pure_rooms_read_no_clock_entropy_file_or_network() -> None:
    modules = [*python_files(*PURE), *(ROOT / f"{room.replace('.', '/')}.py" for room in PURE)]
    for path in (path for path in modules if path.exists() and not under(module_name(path), *IMPURE)):
        effects = {name for name in imported_modules(path) if name.partition(".")[0] in EFFECTS}
        assert not effects, (
            f"{module_name(path)} imports {', '.join(sorted(effects))}: let its caller pass it in"
        )


def test_vendors_of_tees_do_not_know_each_other() -> None:
    for path in python_files(*(f"enclave_runtime.attestation.{vendor}" for vendor in VENDORS)):
        own = path.relative_to(ROOT / "enclave_runtime" / "attestation").parts[0]
        others = tuple(
            f"enclave_runtime.attestation.{vendor}" for vendor in (*VENDORS, "simulated") if vendor != own
        )
        foreign = [name for name in imported_modules(path) if under(name, *others)]
        assert not foreign, (
            f"{module_name(path)} imports {foreign}: what they share belongs into dcap/ or model"
        )


def test_simulated_vendors_know_layouts_and_no_verifier() -> None:
    verifiers = tuple(f"enclave_runtime.attestation.{vendor}.verify" for vendor in VENDORS)
    judges = (*verifiers, "enclave_runtime.attestation.appraise", "enclave_runtime.attestation.registry")
    for path in python_files("enclave_runtime.attestation.simulated"):
        found = [name for name in imported_modules(path) if under(name, *judges)]
        assert not found, f"{module_name(path)} imports {found}: what verifies its bytes must not make them"
