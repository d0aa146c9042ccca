"""The theft: an export, or a provider's bundle, altered in one place, that verification lets pass or dies of.

Every member is altered in turn. What may change unnoticed is listed here with its reason; everything else
fails a numbered line or is no export, and nothing ends the verifier with an error of Python's.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.attestation.appraise import appraise
from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.errors import EnclaveError
from marketplace.errors import MarketError
from marketplace.sdk.export import Export, verify_export
from marketplace.sdk.settings import Trust
from tests.fakes.audited_order import MEASUREMENT, VENDOR, Audited, make

TRUST = Trust(VENDOR.roots.id, unsafe_accept_simulated=True, measurements=(MEASUREMENT,))
FREE = {
    ("root_set",): "for people; the reader's own counts",
    ("chain", "source"): "words; shown behind 'by the exporter's word'",
    ("chain", "cvm", "reference"): "the registry's opinion, shown; the reader's own reference values count",
    ("chain", "cvm", "revoked"): "shown; whoever says that it is revoked harms only its own export",
    ("chain", "cvm", "tcb_status"): "the registry's opinion; the evidence says it itself",
    ("chain", "started_at"): "a block time; held against the certificates' own",
    ("chain", "checkpoint_at"): "a block time; held against the start",
    ("chain", "certifiers"): "one more certifier; as many known ones still signed",
    ("bundle", "certified"): "one piece of evidence twice",
    ("bundle", "certified", "bundle", "event_log"): "no log: the registers that it explains are signed",
    ("bundle", "result"): "a hint at the sealed result",
    ("bundle", "key_envelope"): "sealed to the client, who alone can open it",
}
Path_ = tuple[Any, ...]


@pytest.fixture(scope="module")
def order() -> Audited:
    return make()


@pytest.fixture(scope="module")
def exported(order: Audited) -> dict[str, Any]:
    digest = order.held.result_ciphertext
    export = Export(order.facts, order.bundle, order.anchor.collateral, VENDOR.roots.id, digest)
    value: dict[str, Any] = json.loads(export.to_bytes())
    return value


def members(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    # One element stands for its list: what follows it is checked by the same lines.
    inner = (
        value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    )
    for name, item in inner:
        yield from members(item, (*path, name))
    if path and path[0] != "collateral":  # the vendor's signature: tests/unit/.../tdx
        yield path, value


def others(value: Any) -> list[Any]:
    """Return what stands in a member's place: near, empty, of another type, out of range."""
    if isinstance(value, str) and value.startswith("0x") and len(value) > 2:
        last = "0" if value[-1] != "0" else "1"
        return [value[:-1] + last, "0x", None]
    if isinstance(value, str):
        return [str(int(value) + 1) if value.isdigit() else value + "x", "", []]
    if isinstance(value, list):
        return [[], value + value[-1:], value[:-1]]
    if isinstance(value, bool) or value is None:
        return [not value, 1]
    return [value + 1, 200, -1] if isinstance(value, int) else [None, {}]


def passes(value: dict[str, Any], path: Path) -> bool:
    """Return whether the verifier lets an export pass; what is no export does not."""
    path.write_bytes(dump(value))
    try:
        return verify_export(path, TRUST).passed
    except (MarketError, EnclaveError):
        return False


def test_no_member_can_be_altered_unnoticed(
    exported: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The same evidence under the same beliefs is judged once; altered evidence is judged anew.
    monkeypatch.setattr("marketplace.sdk.evidence.appraise", functools.cache(appraise))
    file = tmp_path / "export.json"
    assert passes(exported, file)
    unnoticed = set()
    for path, value in members(exported):
        # At the top everything is tried; below, what is nearest to the truth.
        for other in others(value)[: 3 if len(path) < 3 else 1]:
            forged = copy.deepcopy(exported)
            place = forged
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = other
            if forged != exported and passes(forged, file):
                unnoticed.add(tuple(name for name in path if not isinstance(name, int)))
    assert unnoticed <= set(FREE), unnoticed - set(FREE)


def test_a_checkpoint_from_before_the_start_or_from_nowhere_fails(
    exported: dict[str, Any], tmp_path: Path
) -> None:
    for when in (None, exported["chain"]["started_at"] - 1):
        forged = copy.deepcopy(exported)
        forged["chain"]["checkpoint_at"] = when
        assert not passes(forged, tmp_path / "export.json")


def test_a_cvm_that_was_revoked_since_is_called_so(exported: dict[str, Any], tmp_path: Path) -> None:
    forged = copy.deepcopy(exported)
    forged["chain"]["cvm"]["revoked"] = True
    (tmp_path / "export.json").write_bytes(dump(forged))
    line = verify_export(tmp_path / "export.json", TRUST).lines[2]
    assert line.passed and "REVOKED since" in line.detail
