// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

import {SettlementLib} from "../../../../contracts/libraries/SettlementLib.sol";
import {OfferTerms, Payee, Price} from "../../../../contracts/types/Offers.sol";
import {InputRef, OrderPreimage, OrderState, Params, Phase} from "../../../../contracts/types/Orders.sol";
import {SettlementHarness} from "../../harness/SettlementHarness.sol";

/// @notice What holds for every settlement, whatever prices, splits, times and ends.
contract SettlementTest is Test {
    SettlementHarness private _lib;
    uint256 private _seed;

    function setUp() external {
        _lib = new SettlementHarness();
    }

    /// @dev INV-1 and INV-4 for a single order: the sum of all payouts is what was held, and the lock covers the slash.
    function testFuzz_PaysOutExactlyWhatIsHeld(uint256 seed, uint32 reported, uint64 units, uint32 elapsed) external {
        _seed = seed;
        OrderPreimage memory pre = _preimage();
        Params memory params = Params(uint16(_next(1001)), uint16(_next(5001)), 0, address(1));
        (OrderState state, Phase phase) = _end();
        SettlementLib.Frozen memory frozen = _freeze(pre, state, phase, reported, units, elapsed);
        SettlementLib.Settlement memory s = _lib.settle(pre, params, frozen);
        SettlementLib.Payout[] memory list = _lib.payouts(pre, params, frozen);
        uint256 sum = 0;
        for (uint256 i = 0; i < list.length; ++i) {
            sum += list[i].amount;
            if (i != 0) assertGt(list[i].index, list[i - 1].index, "indices rise");
        }
        assertEq(sum, uint256(pre.terms.deposit) + s.slashed, "paid out == held");
        assertLe(s.slashed, _lib.lockRequired(pre, params.startPenaltyBps), "the lock covers the slash");
        assertEq(s.slashed, _lib.slashedDown(pre, frozen, params.startPenaltyBps));
        _checkEnd(pre, state, phase, s);
    }

    function testFuzz_NoPayeeIsAboveItsShare(uint256 seed, uint32 reported, uint64 units) external {
        _seed = seed;
        OrderPreimage memory pre = _preimage();
        Params memory params = Params(uint16(_next(1001)), 0, 0, address(1));
        SettlementLib.Frozen memory frozen =
            _freeze(pre, OrderState.COMPLETED, Phase.ENGINE, reported, units, type(uint32).max);
        SettlementLib.Settlement memory s = _lib.settle(pre, params, frozen);
        SettlementLib.Payout[] memory list = _lib.payouts(pre, params, frozen);
        uint256 at = 3;
        for (uint256 k = 0; k < s.gross.length; ++k) {
            Payee[] memory payees = k == 0 ? pre.compute.payees : pre.inputs[k - 1].payees;
            uint256 net = s.gross[k] - s.gross[k] * params.feeBps / 10_000;
            for (uint256 j = 0; j < payees.length; ++j) {
                assertEq(list[at].index, 8 + 8 * k + j);
                assertEq(list[at].receiver, payees[j].account);
                uint256 share = net * payees[j].bps / 10_000;
                assertGe(list[at].amount, share, "never below");
                // The last one takes what rounding left of the others: less than one unit each.
                assertLe(list[at].amount, share + (j + 1 == payees.length ? payees.length - 1 : 0), "never above");
                ++at;
            }
        }
    }

    function testFuzz_TheDepositCoversEveryAmount(uint256 seed, uint32 secs, uint64 units) external {
        _seed = seed;
        OrderPreimage memory pre = _preimage();
        secs = uint32(bound(secs, 0, pre.terms.windows.maxSeconds));
        units = uint64(bound(units, 0, pre.terms.maxUnits));
        uint256 sum = _lib.amountDown(pre.compute.price, secs, units);
        for (uint256 i = 0; i < pre.inputs.length; ++i) {
            sum += _lib.amountDown(pre.inputs[i].price, secs, units);
        }
        assertLe(sum, _lib.depositRequired(pre));
    }

    function testFuzz_NothingOverflows(uint32 secs, uint64 units) external view {
        uint128 max = type(uint128).max;
        Price memory price = Price(max, max, type(uint32).max, max, 0);
        OrderPreimage memory pre;
        pre.compute.price = price;
        pre.inputs = new OfferTerms[](16);
        for (uint256 i = 0; i < 16; ++i) {
            pre.inputs[i].price = price;
        }
        pre.terms.windows.maxSeconds = secs;
        pre.terms.maxUnits = units;
        assertGe(_lib.depositRequired(pre), _lib.lockRequired(pre, 0));
        _lib.lockRequired(pre, type(uint16).max);
    }

    function test_AmountRoundsDownAndBillsTheMinimum() external view {
        Price memory price = Price({fixedPrice: 5, perHour: 3601, minSeconds: 10, perUnit: 2, revenueBps: 0});
        assertEq(_lib.amountDown(price, 0, 0), 5 + 10);
        assertEq(_lib.amountDown(price, 10, 0), 5 + 10);
        assertEq(_lib.amountDown(price, 11, 0), 5 + 11);
        assertEq(_lib.amountDown(price, 3599, 0), 5 + 3599, "3599.99 rounds down");
        assertEq(_lib.amountDown(price, 3600, 4), 5 + 3601 + 8);
        assertEq(_lib.timeDown(price, 3), 3);
        assertEq(_lib.timeDown(price, 0), 0, "no minimum");
    }

    function _checkEnd(OrderPreimage memory pre, OrderState state, Phase phase, SettlementLib.Settlement memory s)
        private
        pure
    {
        bool paysCompute = state == OrderState.COMPLETED || state == OrderState.FAILED || state == OrderState.REFUSED
            || state == OrderState.STOPPED || (state == OrderState.REVOKED && phase == Phase.ENGINE);
        if (!paysCompute) assertEq(s.gross[0], 0, "compute is not due");
        bool paysInputs = state == OrderState.COMPLETED || state == OrderState.FAILED || state == OrderState.STOPPED
            || (state == OrderState.REVOKED && phase == Phase.ENGINE)
            || (state == OrderState.EXPIRED && phase != Phase.NONE);
        for (uint256 k = 1; k < s.gross.length; ++k) {
            if (!paysInputs) assertEq(s.gross[k], 0, "inputs are not due");
        }
        if (state == OrderState.EXPIRED || state == OrderState.CANCELLED || state == OrderState.HOST) {
            assertEq(s.refund, pre.terms.deposit, "the whole deposit comes back");
        }
        if (state != OrderState.EXPIRED) assertEq(s.slashed, 0, "only silence is slashed");
        if (state != OrderState.EXPIRED || phase != Phase.NONE) assertEq(s.penalty, 0);
    }

    function _freeze(
        OrderPreimage memory pre,
        OrderState state,
        Phase phase,
        uint256 reported,
        uint256 units,
        uint256 elapsed
    ) private view returns (SettlementLib.Frozen memory) {
        (uint256 secs, uint256 billed) = _lib.bill(pre.terms, state, phase, reported, units, elapsed);
        assertLe(secs, pre.terms.windows.maxSeconds);
        assertLe(secs, elapsed);
        assertLe(billed, pre.terms.maxUnits);
        return SettlementLib.Frozen(state, phase, uint32(secs), uint64(billed));
    }

    /// @dev Every end that the contract can freeze.
    function _end() private returns (OrderState, Phase) {
        uint256 pick = _next(12);
        if (pick == 0) return (OrderState.CANCELLED, Phase.NONE);
        if (pick == 1) return (OrderState.EXPIRED, Phase.NONE);
        if (pick == 2) return (OrderState.EXPIRED, Phase.SETUP);
        if (pick == 3) return (OrderState.EXPIRED, Phase.ENGINE);
        if (pick == 4) return (OrderState.REFUSED, Phase.SETUP);
        if (pick == 5) return (OrderState.COMPLETED, Phase.ENGINE);
        if (pick == 6) return (OrderState.FAILED, Phase.ENGINE);
        if (pick == 7) return (OrderState.HOST, Phase.SETUP);
        if (pick == 8) return (OrderState.HOST, Phase.ENGINE);
        if (pick == 9) return (OrderState.REVOKED, _next(2) == 0 ? Phase.SETUP : Phase.ENGINE);
        if (pick == 10) return (OrderState.STOPPED, Phase.SETUP);
        return (OrderState.STOPPED, Phase.ENGINE);
    }

    function _preimage() private returns (OrderPreimage memory pre) {
        pre.terms.windows.maxSeconds = uint32(_edge(type(uint32).max));
        pre.terms.windows.setupSeconds = uint32(_edge(type(uint32).max));
        pre.terms.maxUnits = uint64(_edge(type(uint32).max));
        pre.compute = _offer();
        uint256 count = 1 + _next(16);
        pre.terms.inputs = new InputRef[](count);
        pre.inputs = new OfferTerms[](count);
        for (uint256 i = 0; i < count; ++i) {
            pre.inputs[i] = _offer();
        }
        pre.terms.deposit = uint128(_lib.depositRequired(pre) + _next(3));
    }

    function _offer() private returns (OfferTerms memory offer) {
        offer.price = Price({
            fixedPrice: uint128(_edge(type(uint96).max)),
            perHour: uint128(_edge(type(uint64).max)),
            minSeconds: uint32(_edge(type(uint32).max)),
            perUnit: uint128(_edge(type(uint64).max)),
            revenueBps: 0
        });
        uint256 count = 1 + _next(8);
        offer.payees = new Payee[](count);
        uint256 left = 10_000;
        for (uint256 j = 0; j < count; ++j) {
            uint256 bps = j + 1 == count ? left : 1 + _next(left - (count - 1 - j));
            offer.payees[j] = Payee(address(uint160(1 + _next(1 << 32))), uint16(bps));
            left -= bps;
        }
    }

    /// @dev Zero, one, the top, or anything between.
    function _edge(uint256 top) private returns (uint256) {
        uint256 pick = _next(6);
        if (pick < 2) return pick;
        if (pick == 2) return top;
        return _next(top);
    }

    function _next(uint256 below) private returns (uint256) {
        _seed = uint256(keccak256(abi.encode(_seed)));
        return _seed % below;
    }
}
