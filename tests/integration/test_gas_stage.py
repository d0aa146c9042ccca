"""The stage of the gas bench measures to the unit: a contract of five instructions, priced by hand."""

from __future__ import annotations

import pytest

from scripts.bench.gaslib.floor import Slot, SlotCost, calldata_gas, eip7623_floor, floor_of
from scripts.bench.gaslib.report import Measured, Operation, slots_unwritten
from scripts.bench.gaslib.stage import GENESIS, open_stage

pytestmark = [pytest.mark.contracts, pytest.mark.integration]

# Code that returns seven bytes: PUSH1 0, CALLDATALOAD, PUSH1 0, SSTORE, STOP. They keep their first word.
KEEPER = bytes.fromhex("6007600c60003960076000f3" + "60003560005500")
PUSHES = 3 + 3 + 3


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


@pytest.mark.parametrize("rules", ["cancun", "osaka"])
def test_gas_is_exact(rules: str) -> None:
    from scripts.bench.gas import measure

    with open_stage(rules) as stage:
        keeper = stage.deploy_code(KEEPER)
        sender = stage.accounts[3]

        def keep(value: int) -> Measured:
            return Measured([stage.send(sender, keeper, word(value))], [Slot("word", SlotCost.NEW)])

        first = measure(stage, [Operation("one", lambda _: keep(1)), Operation("two", lambda _: keep(1))])
        assert first["one"].gas == first["two"].gas, "each operation begins where the other did"
        assert first["one"].gas == first["one"].floor + PUSHES
        assert slots_unwritten(first["one"]) == []
        keep(1)
        assert (
            stage.send(sender, keeper, word(2)).gas
            == floor_of([word(2)], [Slot("", SlotCost.UPDATE)]) + PUSHES
        )
        again = stage.send(sender, keeper, word(2))
        assert again.gas == 21_000 + calldata_gas(word(2)) + 2_100 + 100 + PUSHES
        assert again.writes == {"NEW": 0, "UPDATE": 0, "CLEAR": 0}
        cleared = stage.send(sender, keeper, word(0))
        spent = 21_000 + calldata_gas(word(0)) + 5_000 + PUSHES
        assert cleared.gas == spent - min(4_800, spent // 5), "refunds are capped at a fifth"
        assert cleared.writes["CLEAR"] == 1
        long = b"\x01" * 2_000
        plain = 21_000 + calldata_gas(long) + 22_100 + PUSHES
        assert stage.send(sender, keeper, long).gas == (
            max(plain, eip7623_floor(long)) if rules == "osaka" else plain
        )
        assert GENESIS < stage.now() < GENESIS + 100
