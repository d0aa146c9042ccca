"""The journal: what is written outlives any end; one CVM is promised to one order; one agent owns it."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.errors import MarketError
from marketplace.provider.journal import CvmRow, Journal

ORDER, OTHER = b"\x01" * 32, b"\x02" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "agent.sqlite3"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path)
    journal.see_order(ORDER, '{"order":1}')
    journal.see_order(OTHER, '{"order":2}')
    yield journal
    journal.close()


def launched(journal: Journal, name: str) -> str:
    socket = f"/run/{name}/cvm.sock"
    journal.intend(name)
    journal.launched(name, socket, 7)
    return socket


def test_is_for_its_owner_only(journal: Journal, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_was_written_is_there_without_a_close(journal: Journal, path: Path) -> None:
    socket = launched(journal, "one")
    journal.registered(socket, b"\x0c" * 32)
    assert journal.promise(socket, ORDER)
    journal.sent(ORDER, "accept", "0xaa")
    journal.sent(ORDER, "accept", "0xaa")
    journal.set_fact(ORDER, "result", "file:1")
    journal.set_fact(ORDER, "result", "file:2")
    journal.note(ORDER, "the engine runs")
    journal.finish(OTHER, "refused")
    journal.move_cursor(41)
    journal.move_cursor(42)
    after = Journal(path)  # as an agent that is started after a kill finds it
    assert after.cvm_of(ORDER) == CvmRow("one", socket, 7, b"\x0c" * 32, True, ORDER, False)
    assert after.transactions(ORDER) == [("accept", "0xaa")]
    assert after.was_sent(ORDER, "accept")
    assert not after.was_sent(ORDER, "start")
    assert (after.fact(ORDER, "result"), after.fact(ORDER, "none")) == ("file:2", None)
    assert [(row.order_id, row.cvm, row.note) for row in after.open_jobs()] == [
        (ORDER, socket, "the engine runs")
    ]
    assert [(row.order_id, row.note, row.done) for row in after.jobs()][1] == (OTHER, "refused", True)
    assert after.cursor() == 42
    after.close()


def test_seeing_an_order_again_changes_nothing(journal: Journal) -> None:
    journal.finish(ORDER, "over")
    journal.see_order(ORDER, "something else")
    assert next((row.preimage, row.done) for row in journal.jobs()) == ('{"order":1}', True)


def test_a_launch_is_known_before_it_happens(journal: Journal) -> None:
    journal.intend("one")
    journal.intend("two")
    assert journal.intended() == ["one", "two"]
    assert journal.cvms() == []
    journal.launched("one", "/run/one", 5)
    journal.never_launched("two")
    assert journal.intended() == []
    assert [(row.name, row.pid, row.registered) for row in journal.cvms()] == [("one", 5, False)]
    journal.never_launched("one")  # it was
    journal.ended("/run/one")
    assert journal.cvms() == []


def test_one_cvm_is_promised_to_one_order(journal: Journal) -> None:
    first, second = launched(journal, "one"), launched(journal, "two")
    assert journal.promise(first, ORDER)
    assert not journal.promise(first, OTHER)
    assert not journal.promise(second, ORDER)
    journal.release(ORDER)
    assert journal.cvm_of(ORDER) is None
    assert journal.open_jobs()[0].cvm is None
    assert journal.promise(first, OTHER)
    journal.ended(second)
    assert not journal.promise(second, ORDER)
    assert journal.cvm_of(OTHER) is not None


def test_a_promise_that_fails_leaves_no_transaction_open(journal: Journal, path: Path) -> None:
    """Open, it would hold every later write until the agent dies, and lose it then."""
    socket = launched(journal, "one")
    with pytest.raises(Exception, match="type"):
        journal.promise(socket, object())  # type: ignore[arg-type]
    journal.set_fact(ORDER, "after", "1")
    assert not journal._db.in_transaction
    beside = Journal(path)
    assert beside.fact(ORDER, "after") == "1"
    beside.close()


def test_many_orders_want_the_same_cvm_then_one_gets_it(journal: Journal) -> None:
    socket = launched(journal, "one")
    orders = [bytes([number]) * 32 for number in range(3, 19)]
    for order in orders:
        journal.see_order(order, "{}")
    barrier, got = threading.Barrier(len(orders)), []

    def want(order: bytes) -> None:
        barrier.wait()
        if journal.promise(socket, order):
            got.append(order)

    threads = [threading.Thread(target=want, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert [row.order_id for row in journal.cvms()] == got


def test_one_agent_owns_a_journal(journal: Journal, path: Path) -> None:
    journal.own()
    asks = "import sys; from pathlib import Path; from marketplace.provider.journal import Journal; "
    asks += "Journal(Path(sys.argv[1])).own()"
    done = subprocess.run([sys.executable, "-c", asks, str(path)], capture_output=True, text=True, timeout=30)
    assert done.returncode
    assert "another agent works on it" in done.stderr
    beside = Journal(path)  # to look is allowed
    with pytest.raises(MarketError, match="another agent"):
        beside.own()
    journal.close()
    beside.own()
    beside.close()
