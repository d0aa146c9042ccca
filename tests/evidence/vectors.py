"""Real evidence, where it is at hand: ../shared/vectors beside the checkout (its README has the sources)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.dcap.layout import parse_quote, strip_zero_padding
from enclave_runtime.wire.errors import WireError

__all__ = [
    "REQUIRED",
    "ROOT",
    "Check",
    "Window",
    "checks",
    "collateral",
    "event_log",
    "is_padded",
    "quote_of",
    "raw_bytes",
    "rows",
    "window",
]

ROOT = Path(__file__).parents[2].parent / "shared" / "vectors"
PRESENT = (ROOT / "manifest.json").is_file()
REQUIRED = pytest.mark.skipif(not PRESENT, reason="no real evidence beside the checkout (../shared/vectors)")
_MANIFEST: dict[str, Any] = json.loads((ROOT / "manifest.json").read_text()) if PRESENT else {}


@dataclass(frozen=True)
class Window:
    """When a collateral set holds, Unix seconds, both ends included."""

    first: int
    last: int


@dataclass(frozen=True)
class Check:
    """One row of the manifest held against one collateral set at one time."""

    row: dict[str, Any]
    check: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.row['file']}[{self.row['encoding']}]@{self.check['collateral']}"


def rows(kind: str) -> list[dict[str, Any]]:
    """Return the manifest's rows of a kind, such as "tdx-quote"."""
    return [row for row in _MANIFEST.get("vectors", []) if row.get("kind") == kind]


def checks(kind: str, result: str) -> list[Any]:
    """Return the checks of a kind with a result, "ok" or "reject", as pytest parameters."""
    found = [Check(row, check) for row in rows(kind) for check in row["checks"] if check["result"] == result]
    return [pytest.param(item, id=item.name) for item in found]


def collateral(name: str) -> Collateral:
    """Return a collateral set by its name in the manifest."""
    return Collateral.from_bytes((ROOT / _MANIFEST["collateral"][name]["file"]).read_bytes())


def window(name: str) -> Window:
    """Return when a collateral set holds."""
    entry = _MANIFEST["collateral"][name]
    return Window(entry["not_before"], entry["not_after"])


def raw_bytes(row: dict[str, Any]) -> bytes:
    """Return the bytes of a row as captured, padding and all."""
    data, encoding = (ROOT / row["file"]).read_bytes(), row["encoding"]
    if encoding == "raw":
        return data
    if encoding == "hex":
        text = data.decode().strip()
    elif encoding.startswith("hex-line:"):
        text = data.decode().split()[int(encoding.removeprefix("hex-line:"))]
    elif encoding == "json:quote:hex":
        text = json.loads(data)["quote"]
    elif encoding == "json-byte-array":
        return bytes(json.loads(data))
    else:
        raise ValueError(f"unknown encoding {encoding}")
    return bytes.fromhex(text.removeprefix("0x"))


def quote_of(row: dict[str, Any]) -> bytes:
    """Return a row's quote, its zero padding taken off by name where the capture has one."""
    data = raw_bytes(row)
    try:
        parse_quote(data)
    except WireError:
        return strip_zero_padding(data)
    return data


def is_padded(row: dict[str, Any]) -> bool:
    """Return whether a capture is a quote and zero bytes behind it."""
    try:
        return quote_of(row) != raw_bytes(row)
    except WireError:
        return False


def event_log(row: dict[str, Any]) -> bytes | None:
    """Return the event log beside a quote, where the capture has one."""
    if row["encoding"] != "json:quote:hex":
        return None
    log = json.loads((ROOT / row["file"]).read_bytes()).get("event_log")
    return log.encode() if isinstance(log, str) else None
