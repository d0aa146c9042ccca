"""What the benches run as whole processes of ours: the library, and nothing of the command line.

Nothing is imported that opening does not need: its start is a part of what is measured.

child.py open SEALED INFO OUT          one file opened into another, with every check
child.py peak (seal|open) MIB          memory while streaming that much, as JSON
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

sys.path[:0] = [os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))]

from enclave_runtime.sealed.header import HEADER_BYTES, Header, SealedInfo  # noqa: E402
from enclave_runtime.sealed.ranges import FileSource  # noqa: E402
from enclave_runtime.sealed.sink import FileSink  # noqa: E402
from enclave_runtime.sealed.stream import Opener, Sealer  # noqa: E402
from enclave_runtime.sealed.tree import NO_SALT, Algorithm  # noqa: E402
from enclave_runtime.sealed.unseal import Unsealer, unseal  # noqa: E402
from enclave_runtime.sealed.workers import private_buffers  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

KEY: Final = bytes(range(32))
THREADS: Final = 2


def main() -> int:
    """Do what the words say."""
    if sys.argv[1] == "open":
        open_file(*sys.argv[2:5])
    else:
        import json

        print(json.dumps(peak(sys.argv[2], int(sys.argv[3]))))
    return 0


def dump_info(info: SealedInfo, path: Path) -> None:
    """Write what a manifest would say."""
    digests = (info.content_digest, info.ciphertext_digest, info.key_commitment)
    sizes = (info.algorithm.value, info.segment_bytes, info.plaintext_bytes)
    path.write_text(" ".join([*map(str, sizes), *(digest.hex() for digest in digests)]))


def load_info(path: str) -> SealedInfo:
    """Read it again."""
    with open(path, encoding="ascii") as file:
        algorithm, segment_bytes, length, *digests = file.read().split()
    sizes = (Algorithm(algorithm), int(segment_bytes), int(length))
    return SealedInfo(*sizes, *(bytes.fromhex(word) for word in digests))


def open_file(sealed: str, info: str, out: str) -> None:
    """Open a sealed file into a file of the user's own, which has its name once every digest was compared."""
    part = f"{out}.part"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with (
        open(sealed, "rb", buffering=0) as source,
        open(os.open(part, flags, 0o600), "rb+", buffering=0) as to,
    ):
        try:
            unsealer = Unsealer(load_info(info), KEY, NO_SALT, FileSink(to.fileno()))
            unseal(FileSource(source.fileno()), unsealer, workers=THREADS)
            os.rename(part, out)
        except BaseException:
            os.unlink(part)
            raise


def peak(direction: str, mib: int) -> dict[str, float]:
    """Return the memory in MiB that streaming took over what the process, all imported, had before."""
    size = mib << 20
    with open(os.devnull, "rb+", buffering=0) as nowhere:
        sealed = SealedZeros(size) if direction == "open" else None
        idle = resident()
        with open("/proc/self/clear_refs", "w") as marks:
            marks.write("5")  # the high-water mark begins anew here
        if sealed is not None:
            unseal(sealed, Unsealer(sealed.info, KEY, NO_SALT, Dropped()), workers=THREADS)
        else:
            for piece in sealer_of_zeros(size):
                nowhere.write(piece)
    return {"idle_mib": idle, "peak_mib": round(status("VmHWM") - idle, 2)}


def resident() -> float:
    """Return the process's memory in MiB."""
    return status("VmRSS")


def status(name: str) -> float:
    """Return a line of the process's status, in MiB."""
    with open("/proc/self/status") as file:
        text = file.read()
    return round(int(text.partition(f"{name}:")[2].split()[0]) / 1024, 2)


def sealer_of_zeros(size: int) -> Sealer:
    """Return what seals a file of zeros; the file is sparse, so that it has no room on a disk."""
    import tempfile

    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the sealer reads it as long as it lives
    file.truncate(size)
    return Sealer(file, size, KEY, digest_salt=NO_SALT, entropy=lambda count: bytes(count), workers=THREADS)


class SealedZeros:
    """The sealed form of zeros, made again as it is read: a source of any size without a disk."""

    def __init__(self, size: int) -> None:
        sealer = sealer_of_zeros(size)
        head = b""
        index = bytearray()
        position = 0
        for piece in sealer:
            if not position:
                head = bytes(piece)
            layout = Header.from_bytes(head).layout
            if position >= layout.index_offset:
                index += piece
            position += len(piece)
        self.info = sealer.info
        self._head = head
        self._index = bytes(index)
        self._opener = Opener(Header.from_bytes(head), KEY, self.info.key_commitment)
        self._zeros = private_buffers(1, self.info.segment_bytes)[0]

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Give header, segment or index, whichever begins at `offset`."""
        layout = self.info.layout
        if offset == 0:
            buffer[:] = self._head
        elif offset >= layout.index_offset:
            start = offset - layout.index_offset
            buffer[:] = self._index[start : start + len(buffer)]
        else:
            segment = (offset - HEADER_BYTES) // (layout.segment_bytes + 16)
            _, length = layout.plaintext_range(segment)
            self._opener.repeat_ciphertext(segment, self._zeros[:length], buffer)
        return len(buffer)


class Dropped:
    """A sink that keeps nothing: what is measured is the streaming, not the content."""

    def __init__(self) -> None:
        self._buffers: dict[int, memoryview] = {}

    def reserve(self, offset: int, length: int) -> memoryview:
        """Return memory that was dropped before, or new."""
        self._buffers[offset] = self._free(length)
        return self._buffers[offset][:length]

    def commit(self, offset: int, view: memoryview) -> None:
        """Forget it."""
        self._buffers[-1] = self._buffers.pop(offset)

    def read_at(self, offset: int, buffer: memoryview) -> None:
        """Give zeros."""
        buffer[:] = bytes(len(buffer))

    def discard(self) -> None:
        """Nothing is kept."""

    def _free(self, length: int) -> memoryview:
        kept = self._buffers.pop(-1, None)
        return kept if kept is not None and len(kept) >= length else private_buffers(1, length)[0]


if __name__ == "__main__":
    sys.exit(main())
