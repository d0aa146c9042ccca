"""A checkout below /tmp lost its interpreter: the CVM's own /tmp was mounted over it."""

from pathlib import Path

import pytest

from enclave_runtime.attestation.simulated.launch import Interpreter, cvm_argv

VENV = Path("/tmp/somewhere/.venv")
BELOW_TMP = Interpreter(VENV / "bin" / "python", VENV, Path("/tmp/somewhere/python"))


@pytest.mark.parametrize("account", [None, 65_000])
def test_the_cvms_tmp_comes_before_the_interpreter(account: int | None) -> None:
    argv = cvm_argv(
        "bwrap",
        BELOW_TMP,
        image=Path("/tmp/image"),
        socket_dir=Path("/tmp/socket"),
        quote_fd=9,
        plain_bytes=1 << 20,
        account=account,
        group=None,
    )
    assert argv.index("/tmp") == argv.index("--tmpfs") + 1
    assert argv.index("--tmpfs") < argv.index(str(VENV))
    assert argv.index("--tmpfs") < argv.index(str(BELOW_TMP.base_prefix))
