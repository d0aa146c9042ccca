"""The arithmetic of the gas bench: what calldata and slots cost, and what the table says of it."""

from __future__ import annotations

import pytest

from scripts.bench.gas import summary
from scripts.bench.gaslib.floor import Slot, SlotCost, calldata_gas, eip7623_floor, floor_of, storage_gas
from scripts.bench.gaslib.report import Measured, differences, row, slots_unwritten
from scripts.bench.gaslib.stage import Call

NONE = {"NEW": 0, "UPDATE": 0, "CLEAR": 0}
ORDER = Slot("the order", SlotCost.NEW)


def call(data: bytes, gas: int, **writes: int) -> Call:
    return Call(data, gas, NONE | writes)


def test_calldata_is_charged_by_the_byte() -> None:
    assert calldata_gas(b"") == 0
    assert calldata_gas(b"\x00\x01\x00") == 4 + 16 + 4
    assert eip7623_floor(b"\x00\x01\x00") == 21_000 + 10 * (1 + 4 + 1)


def test_floor_adds_every_call_and_every_slot() -> None:
    slots = [ORDER, Slot("balances", SlotCost.UPDATE, 2), Slot("terms", SlotCost.READ)]
    assert storage_gas(slots) == 22_100 + 10_000 + 2_100
    assert floor_of([b"\x01", b"\x00"], slots) == 42_000 + 20 + 34_200


def test_row_is_of_one_unit_and_never_flatters() -> None:
    measured = Measured([call(b"\x01" * 10, 100_001, NEW=3)], [Slot("orders", SlotCost.NEW, 3)], units=3)
    line = row("place_batch10_each", measured)
    assert line["gas"] == 33_334  # rounded up
    assert line["floor"] == (21_000 + 160 + 66_300) // 3  # rounded down
    assert line["within"] and line["budget"] == 45_000
    assert not row("place", Measured([call(b"", 90_001)], []))["within"]
    assert row("place", Measured([call(b"", 90_000)], []))["within"]


def test_a_floor_may_state_no_more_writes_than_the_chain_saw() -> None:
    assert slots_unwritten(Measured([call(b"", 1, NEW=1)], [ORDER])) == []
    assert slots_unwritten(Measured([call(b"", 1, UPDATE=1)], [ORDER])) == ["NEW: 1 stated, 0 written"]


def test_the_snapshot_has_no_tolerance() -> None:
    old = {"cancun": {"place": 10, "gone": 5}}
    new = {"cancun": {"place": 11, "come": 7}}
    assert differences(old, old) == []
    assert differences(old, new) == [
        "cancun come: committed None, measured 7",
        "cancun gone: committed 5, measured None",
        "cancun place: committed 10, measured 11 (+1)",
    ]


@pytest.mark.parametrize(("signed", "good"), [(36_000, True), (36_001, False)])
def test_summary_says_what_checking_a_report_adds(signed: int, good: bool) -> None:
    found = {
        name: Measured([call(b"", gas)], [])
        for name, gas in (("complete", signed), ("complete_unsigned", 30_000))
    }
    report, problems, over = summary({"cancun": found, "osaka": found}, complete=False)
    assert report["report_check"]["gas"] == signed - 30_000
    assert (problems, over == []) == ([], good)
    assert summary({"cancun": found, "osaka": found}, complete=True)[1][-1].startswith(
        "not measured: accept, "
    )
