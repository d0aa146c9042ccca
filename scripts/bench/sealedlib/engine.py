"""An engine ready to start: an archive unpacked, or mounted where it lies, where the kernel does that.

The tree is torch as it is installed here, cut at about 750 MB, or as many files of such sizes as it takes.
`image` is what comes before a mount: every header judged, and the file system's structures written around the
archive; `image_and_mount` is what an order waits for.
`tar_x` is GNU tar with the same archive; `tarfile` is Python's own module.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from enclave_runtime.sealed.archive import ArchiveReader
from enclave_runtime.sealed.buffers import read_full
from enclave_runtime.sealed.erofs import HEAD_BYTES
from enclave_runtime.sealed.image import make_image
from enclave_runtime.sealed.mount import can_mount, mount_image, unmount
from enclave_runtime.sealed.onepass import open_folder
from enclave_runtime.sealed.ranges import FileSource
from enclave_runtime.sealed.tree import NO_SALT
from enclave_runtime.sealed.unpack import Quota, unpack
from scripts.bench.sealedlib.contents import KEY, seal_tree
from scripts.bench.sealedlib.ram import THREADS
from scripts.bench.sealedlib.rounds import Options, check, interleave

__all__ = ["measure"]

TREE_BYTES = 750_000_000
QUOTA = Quota(2 * TREE_BYTES)


def measure(options: Options) -> dict[str, Any]:
    """Return milliseconds from the file at hand to a tree that programs can open."""
    tree = options.folder / "engine"
    size, files = make_tree(tree)
    archive, image, sealed = (options.ram / f"engine.{kind}" for kind in ("tar", "erofs", "sealed"))
    with ArchiveReader(tree) as reader:
        write_archive(reader, archive, image)
    info = seal_tree(tree, sealed)
    shutil.rmtree(tree)
    out = options.ram / "out"

    def one_pass(folder: int) -> None:
        with sealed.open("rb", buffering=0) as file:
            source = FileSource(file.fileno())
            open_folder(source, info, KEY, NO_SALT, folder, QUOTA, workers=THREADS)

    def plain(folder: int) -> None:
        with archive.open("rb", buffering=0) as file:
            unpack(file, folder, QUOTA)

    cases: dict[str, Callable[[], None]] = {
        "unpack": lambda: into(out, plain),
        "open_and_unpack": lambda: into(out, one_pass),
        "tar_x": lambda: into(out, lambda _: run("tar", "xf", str(archive), "-C", str(out))),
        "tarfile": lambda: into(out, lambda _: extract(archive, out)),
        "image": lambda: around(image, archive),
    }
    mounts = can_mount(options.ram)
    if mounts:
        cases["mount"] = lambda: mounted(image, out)
        cases["image_and_mount"] = lambda: ready(image, archive, out)
    figures = interleave(cases, options)
    shutil.rmtree(out)
    ms = {name: figures.ms(name) for name in cases}
    goals = {"engine_mount_ms": check(ms["mount"], at_most=50.0)} if mounts else {}
    absent = [] if mounts else ["mounting EROFS: not permitted to this process, or not in this kernel"]
    return {"ms": ms, "bytes": size, "files": files, "mounts": mounts, "absent": absent, "goals": goals}


def make_tree(tree: Path) -> tuple[int, int]:
    """Copy files of torch until the tree has its size, or make some up; return bytes and files."""
    found = Path(sysconfig.get_path("purelib")) / "torch"
    names = sorted(path for path in found.rglob("*") if path.is_file() and not path.is_symlink())
    size = count = 0
    for path in names:
        if size >= TREE_BYTES:
            break
        target = tree / path.relative_to(found)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        size, count = size + path.stat().st_size, count + 1
    block = os.urandom(1 << 20)
    while size < TREE_BYTES:
        target = tree / "made_up" / f"{count % 50:02}" / f"{count:06}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(block if count % 3 else block[: 5000 + count % 9000])
        size, count = size + target.stat().st_size, count + 1
    return size, count


def into(out: Path, work: Callable[[int], None]) -> None:
    """Empty a folder and do `work` with it; emptying takes the same time for each."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        work(descriptor)
    finally:
        os.close(descriptor)


def write_archive(reader: ArchiveReader, archive: Path, image: Path) -> None:
    """Write the archive alone, and with room before it as a CVM's own file has."""
    buffer = memoryview(bytearray(1 << 20))
    with archive.open("wb") as file, image.open("wb") as other:
        other.seek(HEAD_BYTES)
        while got := read_full(reader, buffer):
            file.write(buffer[:got])
            other.write(buffer[:got])


def around(image: Path, archive: Path) -> None:
    """Make the image: all but the archive in it."""
    with image.open("rb+", buffering=0) as file:
        make_image(file.fileno(), archive.stat().st_size, QUOTA)


def ready(image: Path, archive: Path, out: Path) -> None:
    """From an archive that was proven to a folder, as the CVM does it."""
    around(image, archive)
    mounted(image, out)


def mounted(image: Path, out: Path) -> None:
    """Mount, look into it, and take it away."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    mount_image(image, out)
    try:
        assert os.listdir(out)
    finally:
        unmount(out)


def extract(archive: Path, out: Path) -> None:
    """Unpack by the standard library."""
    with tarfile.open(archive) as tar:
        tar.extractall(out, **({"filter": "data"} if sys.version_info >= (3, 12) else {}))  # type: ignore[arg-type]


def run(*words: str) -> None:
    """Run a program."""
    subprocess.run(words, check=True, capture_output=True)
