"""The audit log: every line commits to all before it (marketplace.service.audit)."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from marketplace.service.audit import GENESIS, MAX_LINE_BYTES, AuditLog, Head, read_log, verify_log
from marketplace.service.errors import AuditError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def log(path: Path) -> AuditLog:
    made = AuditLog(path)
    for number in range(5):
        made.append("granted", {"number": number}, at=1_700_000_000 + number)
    return made


def test_head_of_verified_log_is_the_one_that_append_returned(log: AuditLog, path: Path) -> None:
    head = log.append("refused", {"step": "challenge"}, at=1_700_000_009)
    assert head == verify_log(path) == log.head()
    assert head.entries == 6
    assert [entry["event"] for entry in read_log(path)] == ["granted"] * 5 + ["refused"]


def test_empty_log_has_the_genesis_head(path: Path) -> None:
    assert AuditLog(path).head() == verify_log(path) == Head(0, GENESIS)
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_logs_on_one_file_keep_one_chain(log: AuditLog, path: Path) -> None:
    threads = [
        threading.Thread(target=lambda n=n: [AuditLog(path).append("x", {"n": n}, at=1) for _ in range(5)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify_log(path).entries == 25


@pytest.mark.parametrize("line", range(4))
def test_changed_fact_is_found_at_the_line_after_it(log: AuditLog, path: Path, line: int) -> None:
    lines = path.read_text().splitlines(keepends=True)
    lines[line] = lines[line].replace(f'"number":{line}', '"number":7')
    path.write_text("".join(lines))
    with pytest.raises(AuditError) as caught:
        verify_log(path)
    assert caught.value.line == line + 2


def test_change_of_the_last_line_is_told_from_the_published_head(log: AuditLog, path: Path) -> None:
    head = log.head()
    path.write_text(path.read_text().replace('"number":4', '"number":9'))
    assert verify_log(path) != head


@pytest.mark.parametrize("keep", [[0, 2, 3, 4], [1, 2, 3, 4], [0, 2, 1, 3, 4], [0, 0, 1, 2, 3]])
def test_dropped_reordered_or_repeated_lines_are_found(log: AuditLog, path: Path, keep: list[int]) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[index] for index in keep))
    with pytest.raises(AuditError):
        verify_log(path)


@pytest.mark.parametrize("junk", [b"{}\n", b"not json\n", b'{"seq": 5}\n', b"{", b"x" * (MAX_LINE_BYTES + 9)])
def test_bytes_that_are_no_entry_are_found(log: AuditLog, path: Path, junk: bytes) -> None:
    path.write_bytes(path.read_bytes() + junk)
    with pytest.raises(AuditError) as caught:
        verify_log(path)
    assert caught.value.line == 6


def test_line_torn_by_a_crash_is_dropped_by_the_next_append(log: AuditLog, path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"at":17')
    log.append("granted", {"number": 5}, at=1)
    assert verify_log(path).entries == 6
    assert path.read_bytes().startswith(whole)


def test_append_refuses_a_file_that_is_no_audit_log(path: Path) -> None:
    path.write_bytes(b"x" * (2 * MAX_LINE_BYTES))
    with pytest.raises(AuditError):
        AuditLog(path).append("granted", {}, at=1)
    path.write_bytes(b"hello\n")
    with pytest.raises(AuditError):
        AuditLog(path).append("granted", {}, at=1)


def test_each_line_is_json_that_other_tools_read(log: AuditLog, path: Path) -> None:
    first = json.loads(path.read_text().splitlines()[0])
    assert first["previous"] == "00" * 32 and first["seq"] == 0 and first["facts"] == {"number": 0}


def test_entry_beyond_the_limit_is_refused_and_leaves_nothing(log: AuditLog, path: Path) -> None:
    with pytest.raises(ValueError, match="audit entry"):
        log.append("granted", {"text": "x" * MAX_LINE_BYTES}, at=1)
    assert verify_log(path).entries == 5
