"""A file's header could name a link target: unpacking ignored it, so one tree had many archives and digests.

Found by hostile structures. What the archive's own writer does not write is refused (protocol section 3.1).
"""

from __future__ import annotations

import pytest

from enclave_runtime.sealed.tarformat import BLOCK_BYTES, Entry, Kind, decode_header, encode
from enclave_runtime.wire.errors import WireError


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.DIRECTORY])
@pytest.mark.parametrize("target", ["b", "b" * 200, "../outside"])
def test_refuses_target_of_what_is_no_link(kind: Kind, target: str) -> None:
    header = encode(Entry("a", kind, target=target))
    with pytest.raises(WireError, match="own writer"):
        decode_header(header[:-BLOCK_BYTES], header[-BLOCK_BYTES:])
