"""The bench's child wrote straight into the file it was asked for, which no user's tool may do.

What age and cp do to their output counts, so ours has to do what a user needs: nothing under the final name
before every digest was compared, nothing at all after a refusal, and a file that only its owner may read.
"""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from enclave_runtime.wire.errors import EnclaveError
from scripts.bench.sealedlib.child import dump_info, load_info, open_file
from scripts.bench.sealedlib.contents import seal_file

CONTENT = bytes(range(256)) * (10 << 10)  # three segments, the last one short


def sealed(folder: Path) -> tuple[Path, Path]:
    """Return a sealed file and what a manifest would say of it."""
    plain, made, info = folder / "plain", folder / "made.sealed", folder / "made.info"
    plain.write_bytes(CONTENT)
    said = seal_file(plain, made)
    dump_info(said, info)
    assert load_info(str(info)) == said
    return made, info


def test_opened_file_is_private_and_whole(tmp_path: Path) -> None:
    made, info = sealed(tmp_path)
    out = tmp_path / "out"
    open_file(str(made), str(info), str(out))
    assert out.read_bytes() == CONTENT
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("out.*"))


@pytest.mark.parametrize("place", [100, 1 << 20, -40000])
def test_refused_file_leaves_what_was_there(tmp_path: Path, place: int) -> None:
    made, info = sealed(tmp_path)
    out = tmp_path / "out"
    out.write_bytes(b"of before")
    changed = bytearray(made.read_bytes())
    changed[place] ^= 1
    made.write_bytes(changed)
    with pytest.raises(EnclaveError):
        open_file(str(made), str(info), str(out))
    assert out.read_bytes() == b"of before"
    assert not list(tmp_path.glob("out.*"))
