"""Which attesters a machine has: the first interface that is there, and words for all that are not."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from enclave_runtime.attestation.machine import INTERFACES, find_attesters
from enclave_runtime.attestation.model import Attester, Evidence, TeeKind
from enclave_runtime.wire.errors import EnclaveError

ROOT = Path(__file__).parents[4]


@dataclass
class Some:
    """An attester, told apart by its kind."""

    tee: TeeKind

    def evidence(self, report_data: bytes) -> Evidence:
        return Evidence(self.tee, report_data)


class Gpus:
    """Devices."""

    def evidence(self, nonce: bytes) -> bytes:
        return nonce


def absent() -> Attester:
    raise EnclaveError("not here")


def there(tee: TeeKind) -> Callable[[], Attester]:
    return lambda: Some(tee)


def test_the_first_interface_that_is_there_counts() -> None:
    both = {"a": there(TeeKind.CCA), "b": there(TeeKind.TDX)}
    assert find_attesters(both, lambda: None)[0].tee is TeeKind.CCA
    devices = Gpus()
    late = find_attesters({"a": absent, "b": there(TeeKind.TDX)}, lambda: devices)
    assert late[0].tee is TeeKind.TDX and late[1] is devices
    assert list(INTERFACES) == ["configfs-tsm", "/dev/sev-guest", "/dev/tdx_guest"]


def test_no_tee_names_all_that_was_looked_for() -> None:
    with pytest.raises(EnclaveError, match=r"no TEE; looked for a \(not here\); b \(not here\)"):
        find_attesters({"a": absent, "b": absent}, lambda: None)


def test_gpus_that_fail_are_no_reason_to_look_for_another_tee() -> None:
    def broken() -> None:
        raise EnclaveError("gpu: the driver is ill")

    with pytest.raises(EnclaveError, match="ill"):
        find_attesters({"a": there(TeeKind.TDX), "b": there(TeeKind.CCA)}, broken)


@pytest.mark.skipif(
    any(Path(name).exists() for name in ("/sys/kernel/config/tsm", "/dev/sev-guest", "/dev/tdx_guest")),
    reason="this machine has a TEE",
)
def test_the_process_says_what_it_looked_for() -> None:
    code = "from enclave_runtime.__main__ import _platform; _platform(None)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1
    for name in INTERFACES:
        assert name in done.stderr.splitlines()[-1]
    assert os.strerror(errno.ENOTTY) not in done.stderr


def test_an_image_for_real_tees_needs_no_simulated_one() -> None:
    absent = "import sys; sys.modules['enclave_runtime.attestation.simulated'] = None"
    code = f"{absent}; import enclave_runtime.__main__"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, timeout=60, check=True)
