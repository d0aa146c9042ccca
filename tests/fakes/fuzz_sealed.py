"""What reads sealed content under atheris, which goes where its coverage grows (docs/protocol.md section 10).

    python tests/fakes/fuzz_sealed.py TARGET [libFuzzer's options, such as -runs=100000]

`tar` and `manifest` take bytes as they are; the other targets are the rules of `test_hostile_structures`,
whose strategies turn bytes into structures: what is tried by chance there is looked for here. It ends with
another status than 0, and the input, at anything but the pinned content or our own error.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: E402

_OURS: Final = ["enclave_runtime.sealed", "enclave_runtime.wire"]

with atheris.instrument_imports(include=_OURS):
    from enclave_runtime.sealed.archive import ArchiveReader
    from enclave_runtime.sealed.buffers import ViewReader
    from enclave_runtime.sealed.header import SealedInfo
    from enclave_runtime.sealed.manifest import Manifest, Release
    from enclave_runtime.sealed.tarformat import Entry, Kind, encode
    from enclave_runtime.sealed.tree import Algorithm
    from enclave_runtime.sealed.unpack import Quota, unpack
    from enclave_runtime.wire.errors import RefusedError, WireError
    from enclave_runtime.wire.offers import OfferKind
    from tests.unit.enclave_runtime.sealed import test_hostile_structures as rules

Target = Callable[[bytes], None]
_LONGEST: Final = 8 << 10
_QUOTA: Final = Quota(1 << 20, 50)


@contextmanager
def _empty() -> Iterator[int]:
    with tempfile.TemporaryDirectory(dir=rules.FOLDERS) as name:
        descriptor = os.open(name, os.O_RDONLY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def tar(data: bytes) -> None:
    """What unpacks is what our own writer makes of the folder, byte for byte; else nothing is left."""
    with _empty() as folder:
        try:
            unpack(ViewReader(data), folder, _QUOTA)
        except RefusedError:
            assert not os.listdir(folder), "left behind"
            return
        with ArchiveReader(f"/proc/self/fd/{folder}") as reader:
            again = memoryview(bytearray(reader.length + 1))
            got = 0
            while piece := reader.readinto(again[got:]):
                got += piece
        assert bytes(again[:got]) == data, "another spelling of the same archive"


def manifest(data: bytes) -> None:
    """A manifest that is read is written as it was."""
    try:
        read = Manifest.from_bytes(data)
    except WireError:
        return
    assert read.to_bytes() == data, "another spelling of the same manifest"


def structured(rule: Any) -> Target:
    """Return a rule of hypothesis as a target: bytes become what its strategies would draw."""

    def one(data: bytes) -> None:
        rule.hypothesis.fuzz_one_input(data)

    return one


def seeds(name: str) -> list[bytes]:
    """Return what a target begins with: good ones, to be spoiled."""
    if name == "tar":
        small = encode(Entry("d", Kind.DIRECTORY)) + encode(Entry("d/f", Kind.FILE, 3)) + b"abc" + bytes(509)
        linked = encode(Entry("l", Kind.SYMLINK, target="d/f"))
        long = encode(Entry("é" * 120, Kind.FILE, 0, executable=True))
        return [small + bytes(1024), small + linked + long + bytes(1024), bytes(1024)]
    if name == "manifest":
        info = SealedInfo(Algorithm.SHA256, 1 << 20, 5, b"\x01" * 32, b"\x02" * 32, b"\x03" * 32)
        release = Release("http://127.0.0.1:9", bytes(20))
        engine = Manifest(
            OfferKind.ENGINE, "application/x-tar", info, ("python", "x.py"), ("s3://a/b",), release
        )
        rows = Manifest(OfferKind.DATASET, "application/x-tar", info, (), (), Release(None, bytes(20)))
        return [engine.to_bytes(), rows.to_bytes()]
    return [random.Random(number).randbytes(2048) for number in range(32)]


TARGETS: Final[dict[str, Target]] = {
    "tar": tar,
    "manifest": manifest,
    "containers": structured(rules.test_containers),
    "archives": structured(rules.test_archives),
    "tar-headers": structured(rules.test_tar_headers),
    "stream-headers": structured(rules.test_stream_headers),
    "tensor-files": structured(rules.test_tensor_files),
}


def main() -> None:
    """Fuzz one target until it is done, or finds something."""
    name, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds(name)):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup(
            [sys.argv[0], "-len_control=0", f"-max_len={_LONGEST}", *options, corpus], TARGETS[name]
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
