"""The client's result: opened only when every link from the chain's word to the files holds."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from enclave_runtime.sealed.header import CiphertextMismatchError
from enclave_runtime.sealed.wrap import generate_keypair, seal_to
from enclave_runtime.wire.dsse import sign_statement
from enclave_runtime.wire.errors import RefusedError, WireError
from marketplace.domain.order_state import OrderState
from marketplace.errors import MarketError, NotFoundError
from marketplace.sdk.orderfile import result_key_name
from marketplace.sdk.results import open_parts, open_result
from marketplace.sdk.streams import stream_digest
from marketplace.storage.base import StorageError
from tests.fakes.audited_order import RESULT_FILES, Audited, make
from tests.fakes.client_session import FakeSession


@pytest.fixture(scope="module")
def order() -> Audited:
    return make()


@pytest.fixture
def session(order: Audited, tmp_path: Path) -> FakeSession:
    return FakeSession(order, tmp_path)


def opened(session: FakeSession, folder: Path) -> list[str]:
    return open_result(session, session.order.order_id, folder)  # type: ignore[arg-type]


def assert_nothing_opened(folder: Path) -> None:
    assert not folder.exists() or not any(folder.iterdir())


def test_opens_the_result_with_the_clients_own_key(session: FakeSession, tmp_path: Path) -> None:
    files = opened(session, tmp_path / "result")
    assert files == sorted(RESULT_FILES)
    for name, content in RESULT_FILES.items():
        assert (tmp_path / "result" / name).read_bytes() == content


@pytest.mark.parametrize("state", [OrderState.RUNNING, OrderState.EXPIRED, OrderState.HOST, OrderState.NONE])
def test_says_so_where_there_is_no_result(session: FakeSession, tmp_path: Path, state: OrderState) -> None:
    session.reader.state = state
    expected = MarketError if state is OrderState.RUNNING else NotFoundError
    with pytest.raises(expected, match="order 0x"):
        opened(session, tmp_path / "result")


def test_refuses_another_orders_bundle(session: FakeSession, order: Audited, tmp_path: Path) -> None:
    session.use(replace(order.bundle, order_id=bytes(32)))
    with pytest.raises(RefusedError, match=r"bundle\.order"):
        opened(session, tmp_path / "result")


def test_refuses_a_statement_that_the_contract_did_not_take(
    session: FakeSession, order: Audited, tmp_path: Path
) -> None:
    assert order.bundle.report is not None
    value = order.bundle.report.envelope.statement()
    value["predicate"]["reason"] = "better"  # type: ignore[call-overload,index]
    forged = replace(order.bundle.report, envelope=sign_statement(value, order.cvm.statement))
    session.use(replace(order.bundle, report=forged))
    with pytest.raises(RefusedError, match=r"result\.statement"):
        opened(session, tmp_path / "result")


def test_refuses_a_key_sealed_for_another_order(session: FakeSession, order: Audited, tmp_path: Path) -> None:
    envelope = seal_to(order.result_key.public_bytes, bytes(64), b"another info")
    session.use(replace(order.bundle, key_envelope=envelope))
    with pytest.raises(RefusedError, match=r"sealed\.hpke"):
        opened(session, tmp_path / "result")
    assert_nothing_opened(tmp_path / "result")


def test_refuses_a_client_whose_key_it_is_not(session: FakeSession, order: Audited, tmp_path: Path) -> None:
    other = FakeSession(make(), tmp_path / "other")
    other.reader, other.store = session.reader, session.store
    with pytest.raises(NotFoundError, match="secret"):
        open_result(other, order.order_id, tmp_path / "result")  # type: ignore[arg-type]
    other.keystore().put_secret(result_key_name(order.order_id), generate_keypair(os.urandom).to_bytes())
    with pytest.raises(RefusedError, match=r"sealed\.hpke"):
        open_result(other, order.order_id, tmp_path / "result")  # type: ignore[arg-type]


def test_refuses_a_bundle_without_the_key(session: FakeSession, order: Audited, tmp_path: Path) -> None:
    session.use(replace(order.bundle, key_envelope=None))
    with pytest.raises(RefusedError, match=r"result\.report"):
        opened(session, tmp_path / "result")


def test_refuses_a_result_with_one_bit_flipped(session: FakeSession, order: Audited, tmp_path: Path) -> None:
    altered = bytearray(order.result_stream)
    altered[100] ^= 1
    uri = session.store.put([altered])
    session.use(replace(order.bundle, result=uri))
    assert opened(session, tmp_path / "other") == sorted(RESULT_FILES), "the report names a good location too"
    assert order.bundle.result is not None
    session.lose(order.bundle.result)
    with pytest.raises(CiphertextMismatchError):
        opened(session, tmp_path / "result")
    assert_nothing_opened(tmp_path / "result")


def test_opens_one_file_and_takes_the_next_location_where_one_lies(
    session: FakeSession, order: Audited, tmp_path: Path
) -> None:
    altered = bytearray(order.result_stream)
    altered[100] ^= 1
    session.use(replace(order.bundle, result=session.store.put([altered])))
    wanted, folder = ["output/model.bin"], tmp_path / "part"
    assert open_parts(session, order.order_id, folder, wanted) == wanted  # type: ignore[arg-type]
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["model.bin"]
    assert (folder / "output" / "model.bin").read_bytes() == RESULT_FILES["output/model.bin"]
    assert order.bundle.result is not None
    session.lose(order.bundle.result)
    with pytest.raises(CiphertextMismatchError):
        open_parts(session, order.order_id, tmp_path / "none", wanted)  # type: ignore[arg-type]
    assert not (tmp_path / "none").exists()


def test_takes_the_next_location_where_one_has_nothing(
    session: FakeSession, order: Audited, tmp_path: Path
) -> None:
    session.use(replace(order.bundle, result="file:sha256/" + "00" * 32))
    assert opened(session, tmp_path / "result") == sorted(RESULT_FILES)


def test_says_where_it_looked_given_no_location_has_it(
    session: FakeSession, order: Audited, tmp_path: Path
) -> None:
    assert order.bundle.result is not None
    session.lose(order.bundle.result)
    with pytest.raises(StorageError, match="got 1 that do not have the blob"):
        opened(session, tmp_path / "result")


def test_says_so_where_the_events_name_no_bundle(session: FakeSession, tmp_path: Path) -> None:
    session.reader.location = ""
    with pytest.raises(MarketError, match="name no bundle"):
        opened(session, tmp_path / "result")


# what an auditor computes of a sealed result, without its key
def test_stream_digest_is_the_reported_one(session: FakeSession, order: Audited) -> None:
    assert order.bundle.result is not None
    assert stream_digest(session.store, order.bundle.result) == order.held.result_ciphertext


@pytest.mark.parametrize("position", [60, 5000, -70])
def test_stream_digest_of_altered_segments_differs(
    session: FakeSession, order: Audited, position: int
) -> None:
    altered = bytearray(order.result_stream)
    altered[position] ^= 1
    got = stream_digest(session.store, session.store.put([altered]))
    # The index at the end is not believed, so altering it changes nothing; segments do.
    assert (got == order.held.result_ciphertext) is (position < 0)


def test_stream_digest_refuses_what_is_no_stream(session: FakeSession, order: Audited) -> None:
    with pytest.raises(RefusedError, match=r"stream\.size"):
        stream_digest(session.store, session.store.put([order.result_stream[:-1]]))
    with pytest.raises(WireError):
        stream_digest(session.store, session.store.put([b"short"]))
