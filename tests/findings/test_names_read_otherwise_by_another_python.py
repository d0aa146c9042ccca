"""Python 3.11 packed a folder that 3.12 refused: U+13439 is no character in one, a hidden one in the other.

Names have characters of Unicode 14 alone now, whatever the interpreter knows (docs/adr/0022).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.tarformat import name_fault
from enclave_runtime.wire.errors import RefusedError


@pytest.mark.parametrize("sign", ["\U00013439", "\U0001e08f", "\u0ece", "\u0cf3", "\U00031350"])
def test_refuses_characters_that_one_python_has_and_another_has_not(sign: str, tmp_path: Path) -> None:
    assert name_fault(f"a{sign}") == "a name with characters that Unicode 14 does not have"
    (tmp_path / f"a{sign}").touch()
    with pytest.raises(RefusedError, match=r"archive\.name"):
        ArchiveReader(tmp_path)
