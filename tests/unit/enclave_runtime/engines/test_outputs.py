import os
import socket
from pathlib import Path

import pytest

from enclave_runtime.engines.limits import MIB, SandboxLimits
from enclave_runtime.engines.outputs import OutputRefusedError, collect

LIMITS = SandboxLimits(output_bytes=MIB, output_files=16)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def take(source: Path, limits: SandboxLimits = LIMITS):
    descriptor = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return collect(descriptor, source.parent / "target", limits)
    finally:
        os.close(descriptor)


def test_moves_files_and_folders(source):
    (source / "folder").mkdir()
    (source / "model").write_bytes(b"weights" * 1000)
    (source / "folder" / "empty").touch()
    total = take(source)
    target = source.parent / "target"
    assert (target / "model").read_bytes() == b"weights" * 1000
    assert (target / "folder" / "empty").read_bytes() == b""
    assert (total.bytes, total.files) == (7000, 2)
    assert not (source / "model").exists()  # memory holds it once
    assert (target / "model").stat().st_mode & 0o777 == 0o600


def test_takes_files_that_nobody_may_read(source):
    (source / "model").write_bytes(b"x")
    (source / "model").chmod(0)
    assert take(source).files == 1


@pytest.mark.parametrize("target", ["/etc/passwd", "model", "/", "absent"])
def test_refuses_symbolic_links(source, target):
    (source / "model").write_bytes(b"x")
    (source / "z-link").symlink_to(target)
    with pytest.raises(OutputRefusedError, match="link"):
        take(source)


def test_refuses_a_link_deep_inside(source):
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "link").symlink_to("/")
    with pytest.raises(OutputRefusedError, match="link"):
        take(source)


def test_refuses_pipes_without_waiting_for_a_writer(source):
    os.mkfifo(source / "pipe")
    with pytest.raises(OutputRefusedError):
        take(source)


def test_refuses_sockets(source):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "s"))
        with pytest.raises(OutputRefusedError):
            take(source)


def test_counts_a_hard_linked_file_each_time(source):
    (source / "0").write_bytes(bytes(MIB // 2))
    for number in range(1, 4):
        os.link(source / "0", source / str(number))
    with pytest.raises(OutputRefusedError, match=f"more than {MIB} bytes"):
        take(source)


def test_counts_a_sparse_file_with_its_whole_length(source):
    with (source / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OutputRefusedError, match="bytes"):
        take(source)


def test_refuses_too_many_entries(source):
    for number in range(17):
        (source / str(number)).mkdir()
    with pytest.raises(OutputRefusedError, match="more than 16"):
        take(source)


def test_refuses_deep_folders(source):
    (source / "/".join("d" * 9)).mkdir(parents=True)
    with pytest.raises(OutputRefusedError, match="deeper"):
        take(source)


def test_refuses_names_that_are_not_utf8_and_does_not_repeat_them(source):
    os.mkdir(os.fsencode(source) + b"/secret-\xff")
    with pytest.raises(OutputRefusedError) as caught:
        take(source)
    assert "secret" not in str(caught.value)


def test_never_writes_into_a_folder_with_files(source):
    (source.parent / "target").mkdir()
    (source.parent / "target" / "old").touch()
    with pytest.raises(OSError, match="empty"):
        take(source)
