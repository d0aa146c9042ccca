"""Bundle, chain facts, export and order file: what is written is what is read, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.orders import Outcome
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sdk.bundle import OrderBundle
from marketplace.sdk.chain_facts import ChainFacts
from marketplace.sdk.export import Export, verify_export
from marketplace.sdk.orderfile import OrderFile, path_of
from marketplace.sdk.settings import Trust
from tests.fakes.audited_order import MEASUREMENT, NOW, VENDOR, Audited, make

TRUST = Trust(VENDOR.roots.id, True, "", (MEASUREMENT,))


@pytest.fixture(scope="module")
def honest() -> Audited:
    return make()


@pytest.fixture
def exported(honest: Audited, tmp_path: Path) -> Path:
    path = tmp_path / "order.json"
    digest = honest.held.result_ciphertext
    Export(honest.facts, honest.bundle, VENDOR.collateral(NOW), VENDOR.roots.id, digest).save(path)
    return path


def changed(path: Path, **members: object) -> Path:
    value = json.loads(path.read_bytes())
    path.write_bytes(dump({**value, **members}))
    return path


# the order's bundle
@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.REFUSED])
def test_bundle_reads_back_what_was_written(outcome: Outcome) -> None:
    bundle = make(outcome=outcome).bundle
    assert OrderBundle.from_bytes(dump(bundle.to_json())) == bundle


@pytest.mark.parametrize("member", ["version", "order_id", "preimage", "packet", "manifests", "certified"])
def test_bundle_refuses_a_missing_member(honest: Audited, member: str) -> None:
    value = honest.bundle.to_json()
    del value[member]
    with pytest.raises(WireError):
        OrderBundle.from_bytes(dump(value))


@pytest.mark.parametrize(
    "lie",
    [
        {"version": 2},
        {"order_id": "0x12"},
        {"extra": 1},
        {"certified": {}},
        {"manifests": [1]},
        {"report": {"statement": {}}},
        {"wiped": {"payload": "x"}},
        {"start_signature": 7},
        {"preimage": {}},
    ],
)
def test_bundle_refuses_malformed_members(honest: Audited, lie: dict[str, object]) -> None:
    with pytest.raises(WireError):
        OrderBundle.from_bytes(dump({**honest.bundle.to_json(), **lie}))


def test_bundle_refuses_another_encoding(honest: Audited) -> None:
    with pytest.raises(WireError):
        OrderBundle.from_bytes(dump(honest.bundle.to_json()) + b"\n")


# chain facts
@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.REFUSED])
def test_chain_facts_read_back_what_was_written(outcome: Outcome) -> None:
    facts = make(outcome=outcome).facts
    assert ChainFacts.from_json(json.loads(dump(facts.to_json()))) == facts


def test_chain_facts_read_back_an_order_that_never_started(honest: Audited) -> None:
    facts = replace(honest.facts, started_at=None, checkpoint_at=None, checkpoint=None, terminal=None)
    assert ChainFacts.from_json(facts.to_json()) == facts


@pytest.mark.parametrize("member", ["chain_id", "cvm", "terms", "certifiers", "threshold", "order_id"])
def test_chain_facts_refuse_a_missing_member(honest: Audited, member: str) -> None:
    value = honest.facts.to_json()
    del value[member]
    with pytest.raises(WireError):
        ChainFacts.from_json(value)


def test_chain_facts_refuse_what_is_no_object() -> None:
    for value in (None, [], 3, {"cvm": 1}):
        with pytest.raises(WireError):
            ChainFacts.from_json(value)  # type: ignore[arg-type]


# the export
def test_export_verifies_without_a_network_given_the_readers_own_beliefs(exported: Path) -> None:
    verdict = verify_export(exported, TRUST)
    assert verdict.passed and verdict.simulated
    assert "by the exporter's word" in verdict.lines[0].detail


def test_export_reads_back_what_was_written(exported: Path) -> None:
    assert Export.load(exported).to_bytes() == exported.read_bytes()


def test_export_does_not_choose_what_its_reader_believes(exported: Path) -> None:
    with pytest.raises(BadInputError, match="SIMULATED"):
        verify_export(exported, replace(TRUST, unsafe_accept_simulated=False))
    with pytest.raises(BadInputError, match="root_set"):
        verify_export(exported, Trust())
    verdict = verify_export(exported, replace(TRUST, root_set="intel", unsafe_accept_simulated=False))
    assert not verdict.lines[5].passed and "evidence.1.chain" in verdict.lines[5].detail
    verdict = verify_export(changed(exported, root_set="intel"), TRUST)
    assert verdict.passed


def test_export_with_a_changed_result_digest_fails_at_step_9(exported: Path) -> None:
    assert not verify_export(changed(exported, result_digest="0x" + "11" * 32), TRUST).lines[8].passed
    assert not verify_export(changed(exported, result_digest=None), TRUST).lines[8].passed


def test_export_compares_the_readers_own_copies(exported: Path, honest: Audited) -> None:
    own = honest.bundle.preimage.inputs[0].content_digest
    assert verify_export(exported, TRUST, {0: own}).passed
    assert not verify_export(exported, TRUST, {0: bytes(32)}).lines[7].passed
    with pytest.raises(BadInputError, match="source"):
        verify_export(exported, TRUST, {3: own})


def test_export_takes_only_engines_as_own_copies(exported: Path, tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    engine.mkdir()
    (engine / "train.py").write_text("pass\n")
    export = Export.load(exported)
    assert set(export.own_digests({0: engine})) == {0}
    with pytest.raises(BadInputError, match="salted by their owner"):
        export.own_digests({1: engine})


def test_export_refuses_another_version_a_missing_file_and_rubbish(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(WireError, match="version"):
        Export.load(changed(exported, version=2))
    with pytest.raises(NotFoundError):
        Export.load(tmp_path / "none")
    (tmp_path / "rubbish").write_bytes(b"\x00\x01")
    with pytest.raises(WireError):
        Export.load(tmp_path / "rubbish")


# the client's own file
def test_order_file_keeps_the_preimage_and_nothing_secret(honest: Audited, tmp_path: Path) -> None:
    kept = OrderFile(honest.order_id, honest.bundle.preimage, "file:somewhere")
    path = kept.save(tmp_path / "orders")
    assert OrderFile.load(tmp_path / "orders", honest.order_id) == kept
    assert honest.result_key.to_bytes().hex() not in path.read_text()
    OrderFile.forget(tmp_path / "orders", honest.order_id)
    assert OrderFile.load(tmp_path / "orders", honest.order_id) is None


def test_order_file_refuses_another_orders_file(honest: Audited, tmp_path: Path) -> None:
    kept = OrderFile(honest.order_id, honest.bundle.preimage, "")
    kept.save(tmp_path)
    path_of(tmp_path, honest.order_id).rename(path_of(tmp_path, bytes(32)))
    with pytest.raises(WireError, match="order file"):
        OrderFile.load(tmp_path, bytes(32))
