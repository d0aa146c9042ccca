"""A real CVM hands out what its engine publishes while it runs; nobody opens it before the report."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_runtime.sealed.published import PublishedList
from enclave_runtime.sealed.ranges import MemorySource
from enclave_runtime.sealed.sink import MemorySink
from enclave_runtime.sealed.unpack import Quota, unpack
from enclave_runtime.sealed.unseal import Unsealer, unseal
from enclave_runtime.wire.codec import bytes_from_hex
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.identity import CvmPublic
from enclave_runtime.wire.offers import OfferKind
from enclave_runtime.wire.report import OrderReport, result_key_info
from tests.fakes.cvm_client import CvmClient
from tests.fakes.sealed_order import SealedOrder, seal_input
from tests.integration.cvm_kit import LOCK, ROOT, open_result, running_platform, statement_of

pytestmark = pytest.mark.integration

ENGINE = b"""
import os, time
folder = '/output/checkpoints/'
os.makedirs(folder)
for number in range(2):
    os.mkdir(folder + 'next')
    with open(folder + 'next/weights', 'w') as file:
        file.write('epoch %d' % number)
    os.rename(folder + 'next', folder + str(number))
    while os.path.exists(folder + str(number)):
        time.sleep(0.05)
    print('published', number, flush=True)
with open('/output/model', 'w') as file:
    file.write('final')
"""


@pytest.fixture
def cvm() -> Iterator[CvmClient]:
    with running_platform() as platform, tempfile.TemporaryDirectory(prefix="cvm-") as name:
        state = platform.launch(ROOT, [LOCK], Path(name), plain_mib=256)
        with CvmClient(state.socket) as client:
            yield client
        platform.kill(state.pid)


def fetched(cvm: CvmClient, index: int) -> bytes:
    data = b""
    while True:
        answer, piece = cvm.say("published", index=index, offset=len(data))
        assert answer["ok"] is True, answer
        data += piece
        if len(data) == answer["total"]:
            return data


def test_published_while_running_and_opened_after_the_report(cvm: CvmClient, tmp_path: Path) -> None:
    order = SealedOrder((seal_input(OfferKind.ENGINE, {"main.py": ENGINE}, ("python", "main.py")),), b"{}")
    public = CvmPublic.from_json(cvm.ok("identify")["public"])
    cvm.open_keys(order)
    cvm.load(order)
    assert cvm.error("published", index=0, offset=0)["kind"] == "not-now"
    cvm.ok("check")
    cvm.ok("run")
    early: list[bytes] = []
    while len(early) < 2:
        status = cvm.ok("status")
        assert status["state"] == "RUNNING", status
        if status["published"] > len(early):
            early.append(fetched(cvm, len(early)))
            if len(early) == 2:  # the engine waits until it is taken away: nothing moves on meanwhile
                assert cvm.error("published", index=2, offset=0)["step"] == "published"
                # The host said that it has the first one.
                assert cvm.error("published", index=0, offset=0)["kind"] == "host"
            assert cvm.ok("published_stored", index=len(early) - 1)["released"] is True
    assert all(b"epoch" not in data for data in early)

    status = cvm.await_state("SEALED")
    assert (status["published"], status["plaintext_files"]) == (2, 0)
    sealed = cvm.fetch_result()
    answer = cvm.ok("report", location="file:result", stored=True)
    report = OrderReport.from_statement(statement_of(answer["statement"], public)[0])
    open_result(order, public.cvm_id, report, answer["key_envelope"], sealed, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["checkpoints.json", "logs", "output", "result.json"]
    assert sorted(os.listdir(tmp_path / "output")) == ["checkpoints", "model"]
    assert os.listdir(tmp_path / "output" / "checkpoints") == []

    # The report's digest covers the list, the list covers what was fetched while the engine ran.
    listed = PublishedList.from_bytes((tmp_path / "checkpoints.json").read_bytes()).published
    assert [one.name for one in listed] == ["0", "1"]
    assert report.result is not None
    bound = result_key_info(order.order_id, public.cvm_id, report.result.ciphertext_digest)
    secret = order.result_key.open(bytes_from_hex(answer["key_envelope"]), bound)
    for number, (one, data) in enumerate(zip(listed, early, strict=True)):
        sink = MemorySink(one.sealed.plaintext_bytes)
        unseal(MemorySource(data), Unsealer(one.sealed, secret[:32], secret[32:], sink))
        folder = tmp_path / f"checkpoint-{number}"
        folder.mkdir()
        descriptor = os.open(folder, os.O_RDONLY)
        unpack(io.BytesIO(sink.view()), descriptor, Quota(1 << 20))
        os.close(descriptor)
        assert (folder / "weights").read_text() == f"epoch {number}"
    with pytest.raises(RefusedError, match=r"sealed\.key"):
        sink = MemorySink(listed[0].sealed.plaintext_bytes)
        unseal(MemorySource(early[0]), Unsealer(listed[0].sealed, os.urandom(32), secret[32:], sink))
